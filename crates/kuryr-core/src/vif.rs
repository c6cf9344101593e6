//! How a port looks to the node that plugs it.
//!
//! ```text
//!   binding:vif_type   ovs        ──► VIFOpenVSwitch, or VIFBridge with ovs_hybrid_plug
//!                      vhostuser  ──► VIFVHostUser
//!                      hw_veb     ──► VIFSriov, for a port that is to be a virtual function
//!   carried by a trunk            ──► VIFVlanNested
//!   by address pairs              ──► VIFMacvlanNested, VIFIpvlanNested
//!   attached by Nova              ──► VIFDPDKNested
//! ```

use crate::carrier::{Attachment, Parent, Place, Sharing};
use crate::network::{PodNetwork, Subnet};
use crate::port::{Binding, Bound, Confirmation, Plug, Port, Wiring};
use kuryr_api::names;
use kuryr_api::vif::{
    Base, Bridge, DpdkNested, FixedIp, FixedIpList, IpvlanNested, MacvlanNested, Network, OpenVSwitch, Route,
    RouteList, Sriov, Subnet as VifSubnet, SubnetList, VHostUser, Vif, VlanNested, open_vswitch_profile,
};
use serde_json::Map;
use thiserror::Error;

/// `binding:vif_type` of a virtual function.
const FUNCTION: &str = "hw_veb";

/// Why a port can't be plugged by any daemon.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// No driver of the cloud serves the node.
    #[error("Neutron has not bound port {port}")]
    NotBound {
        /// Port.
        port: String,
    },
    /// A binding that Kuryr has no way to plug.
    #[error("port {port} is bound as `{vif_type}`, which Kuryr can't plug")]
    Unknown {
        /// Port.
        port: String,
        /// `binding:vif_type`.
        vif_type: String,
    },
    /// A binding of a virtual function in another way than as such.
    #[error("port {port} is to be a virtual function and bound as `{vif_type}`, not as `{FUNCTION}`")]
    NotFunction {
        /// Port.
        port: String,
        /// `binding:vif_type`.
        vif_type: String,
    },
    /// Neither the port nor the configuration names the bridge.
    #[error("port {port} names no bridge and [neutron_defaults] ovs_bridge is not set")]
    NoBridge {
        /// Port.
        port: String,
    },
}

/// Translates `port` on `network`.
///
/// It is active from the start where the node itself confirms the wiring, so that a daemon that waits for the mark
/// (the Python Kuryr's, met in mid-upgrade) goes on.
pub fn vif(port: &Port, network: &PodNetwork, carried: Option<&Place>) -> Result<Vif, Error> {
    match carried {
        Some(Place::Trunk(at)) => return Ok(vlan(port, at, network)),
        Some(Place::Pairs(parent, _)) => return Ok(shared(port, parent, network)),
        Some(Place::Server(_)) => return Ok(device(port, network)),
        None => {}
    }
    let name = || port.id.to_string();
    let Binding::Bound(bound) = &port.binding else { return Err(Error::NotBound { port: name() }) };
    match (bound.vif_type.as_str(), bound.plug) {
        ("ovs", Plug::Direct) => open_vswitch(port, bound, network),
        ("ovs", Plug::Hybrid) => bridge(port, bound, network),
        ("vhostuser", _) => Ok(vhostuser(port, bound, network)),
        (other, _) => Err(Error::Unknown { port: name(), vif_type: other.to_owned() }),
    }
}

/// Translates a `port` on `network` that is a virtual function, for the pod called `namespace/name`.
///
/// It is active from the start: the node sets the virtual function itself.
pub fn function(port: &Port, network: &PodNetwork, pod: &str) -> Result<Vif, Error> {
    let name = || port.id.to_string();
    let Binding::Bound(bound) = &port.binding else { return Err(Error::NotBound { port: name() }) };
    if bound.vif_type != FUNCTION {
        return Err(Error::NotFunction { port: name(), vif_type: bound.vif_type.clone() });
    }
    let (namespace, pod) = pod.split_once('/').unwrap_or(("default", pod));
    let mut told = vif_network(port, network, None);
    told.vlan = told.vlan.or(bound.vlan);
    told.should_provide_vlan = told.vlan.is_some();
    Ok(Vif::Sriov(Box::new(Sriov {
        vif_name: names::tap_name(port.id.as_str()),
        physnet: network.physnet.clone().unwrap_or_default(),
        pod_name: pod.to_owned(),
        pod_link: format!("/api/v1/namespaces/{namespace}/pods/{pod}"),
        base: Base {
            network: told.into(),
            plugin: "noop".to_owned(),
            active: true,
            port_profile: None,
            ..base(port, bound, network, None)
        },
    })))
}

fn open_vswitch(port: &Port, bound: &Bound, network: &PodNetwork) -> Result<Vif, Error> {
    let bridge_name = integration_bridge(port, bound, network)?;
    Ok(Vif::OpenVSwitch(Box::new(OpenVSwitch {
        vif_name: names::tap_name(port.id.as_str()),
        base: base(port, bound, network, Some(bridge_name.clone())),
        bridge_name,
    })))
}

fn bridge(port: &Port, bound: &Bound, network: &PodNetwork) -> Result<Vif, Error> {
    let integration = integration_bridge(port, bound, network)?;
    Ok(Vif::Bridge(Box::new(Bridge {
        vif_name: names::tap_name(port.id.as_str()),
        bridge_name: names::hybrid_bridge_name(port.id.as_str()),
        base: base(port, bound, network, Some(integration)),
    })))
}

/// Nobody but Neutron can tell when a subport is wired.
fn vlan(port: &Port, carried: &Attachment, network: &PodNetwork) -> Vif {
    Vif::VlanNested(Box::new(VlanNested {
        vif_name: names::tap_name(port.id.as_str()),
        vlan_id: carried.vlan,
        base: Base {
            active: port.wiring == Wiring::Active,
            has_traffic_filtering: true,
            ..nested_base(port, &port.mac, network)
        },
    }))
}

/// Neutron wires no port whose addresses are another's pairs, and filters none of its traffic.
fn shared(port: &Port, parent: &Parent, network: &PodNetwork) -> Vif {
    let vif_name = names::tap_name(port.id.as_str());
    let base = |mac| Base { active: true, ..nested_base(port, mac, network) };
    match parent.sharing {
        Sharing::Macvlan => Vif::MacvlanNested(Box::new(MacvlanNested { vif_name, base: base(&port.mac) })),
        Sharing::Ipvlan => Vif::IpvlanNested(Box::new(IpvlanNested { vif_name, base: base(&parent.mac) })),
    }
}

/// Which device it is, and which driver it had, its node finds out.
fn device(port: &Port, network: &PodNetwork) -> Vif {
    Vif::DpdkNested(Box::new(DpdkNested {
        pci_address: String::new(),
        dev_driver: String::new(),
        base: Base {
            active: port.wiring == Wiring::Active,
            has_traffic_filtering: true,
            ..nested_base(port, &port.mac, network)
        },
    }))
}

fn nested_base(port: &Port, mac: &str, network: &PodNetwork) -> Base {
    Base {
        id: port.id.to_string(),
        address: mac.to_owned(),
        network: vif_network(port, network, None).into(),
        plugin: "noop".to_owned(),
        active: false,
        preserve_on_delete: false,
        has_traffic_filtering: false,
        port_profile: None,
        extra: Map::new(),
    }
}

fn vhostuser(port: &Port, bound: &Bound, network: &PodNetwork) -> Vif {
    let vif_name = names::vhostuser_name(port.id.as_str());
    Vif::VHostUser(Box::new(VHostUser {
        path: format!("{}/{vif_name}", network.vhostuser_dir.trim_end_matches('/')),
        mode: bound.vhostuser_mode.clone().unwrap_or_else(|| "client".to_owned()),
        vif_name,
        base: base(port, bound, network, bound.bridge.clone().or_else(|| network.bridge.clone())),
    }))
}

fn integration_bridge(port: &Port, bound: &Bound, network: &PodNetwork) -> Result<String, Error> {
    let name = bound.bridge.as_ref().or(network.bridge.as_ref());
    name.cloned().ok_or_else(|| Error::NoBridge { port: port.id.to_string() })
}

fn base(port: &Port, bound: &Bound, network: &PodNetwork, bridge: Option<String>) -> Base {
    Base {
        id: port.id.to_string(),
        address: port.mac.clone(),
        network: vif_network(port, network, bridge).into(),
        plugin: "ovs".to_owned(),
        active: bound.confirmation == Confirmation::Node || port.wiring == Wiring::Active,
        preserve_on_delete: false,
        has_traffic_filtering: bound.filters,
        port_profile: Some(open_vswitch_profile(port.id.as_str())),
        extra: Map::new(),
    }
}

fn vif_network(port: &Port, network: &PodNetwork, bridge: Option<String>) -> Network {
    let subnets = network.subnets.iter().filter_map(|subnet| vif_subnet(port, subnet));
    Network {
        id: network.id.to_string(),
        bridge,
        label: network.name.clone(),
        subnets: SubnetList { objects: subnets.map(Into::into).collect() }.into(),
        multi_host: false,
        should_provide_bridge: false,
        should_provide_vlan: network.vlan.is_some(),
        vlan: network.vlan,
        mtu: network.mtu,
        extra: Map::new(),
    }
}

/// `None` where the port has no address in the subnet.
fn vif_subnet(port: &Port, subnet: &Subnet) -> Option<VifSubnet> {
    let addresses = port.addresses.iter().filter(|(id, _)| *id == subnet.id);
    let ips: Vec<_> =
        addresses.map(|(_, ip)| FixedIp { address: ip.to_string(), extra: Map::new() }.into()).collect();
    let route = |(cidr, gateway): &(ipnet::IpNet, std::net::IpAddr)| {
        Route { cidr: cidr.to_string(), gateway: gateway.to_string(), extra: Map::new() }.into()
    };
    (!ips.is_empty()).then(|| VifSubnet {
        cidr: subnet.cidr.to_string(),
        dns: subnet.dns.iter().map(ToString::to_string).collect(),
        gateway: subnet.gateway.map(|gateway| gateway.to_string()),
        ips: FixedIpList { objects: ips }.into(),
        routes: RouteList { objects: subnet.routes.iter().map(route).collect() }.into(),
        extra: Map::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::carrier::Extent;
    use crate::network::Naming;
    use crate::port::{Ownership, Vnic};
    use serde_json::Value;

    const GOLDEN: &str = include_str!("../../kuryr-api/testdata/vif_ovo_and_cni_results.json");

    fn golden_network() -> PodNetwork {
        PodNetwork {
            id: "ba44f957-c467-412b-b985-ae720514bc46".into(),
            name: "net-name".into(),
            mtu: Some(1442),
            vlan: None,
            physnet: None,
            subnets: vec![Subnet {
                id: "subnet".into(),
                cidr: "10.10.0.0/24".parse().unwrap(),
                gateway: Some("10.10.0.1".parse().unwrap()),
                dns: vec!["8.8.8.8".parse().unwrap()],
                routes: vec![("10.20.0.0/16".parse().unwrap(), "10.10.0.254".parse().unwrap())],
            }],
            security_groups: vec![],
            project: None,
            tags: vec![],
            bridge: Some("br-int".into()),
            vhostuser_dir: "/var/cni/vhostuser".into(),
            naming: Naming::None,
        }
    }

    fn golden_port() -> Port {
        Port {
            id: "07cfe856-11cc-43d9-9200-ff4dc02d3620".into(),
            network: "ba44f957-c467-412b-b985-ae720514bc46".into(),
            mac: "fa:16:3e:80:d4:21".into(),
            addresses: vec![("subnet".into(), "10.10.0.5".parse().unwrap())],
            pod_uid: "uid".into(),
            host: "node".into(),
            wiring: Wiring::Pending,
            vnic: Vnic::Normal,
            binding: Binding::Bound(Bound { vif_type: "ovs".into(), filters: true, ..Bound::default() }),
            server: None,
            ownership: Ownership::Ours,
            security_groups: [].into(),
        }
    }

    fn with(mut port: Port, change: impl FnOnce(&mut Bound)) -> Port {
        if let Binding::Bound(bound) = &mut port.binding {
            change(bound);
        }
        port
    }

    /// What the Python Kuryr made of the same port.
    fn golden(name: &str) -> Value {
        let cases: Vec<Value> = serde_json::from_str(GOLDEN).unwrap();
        cases.into_iter().find(|case| case["name"] == name).unwrap()["vif"].take()
    }

    #[test]
    fn each_binding_becomes_what_the_original_made_of_it() {
        let network = golden_network();
        let gateless = {
            let mut network = golden_network();
            let subnet = &mut network.subnets[0];
            (subnet.gateway, subnet.dns, subnet.routes) = (None, vec![], vec![]);
            network
        };
        let vlan = PodNetwork { vlan: Some(5), ..golden_network() };
        let active = Port { wiring: Wiring::Active, ..golden_port() };
        let hybrid = with(golden_port(), |bound| bound.plug = Plug::Hybrid);
        let client = with(golden_port(), |bound| {
            bound.vif_type = "vhostuser".into();
            bound.vhostuser_mode = Some("client".into());
        });
        let server = with(client.clone(), |bound| bound.vhostuser_mode = Some("server".into()));
        let cases = [
            ("VIFVHostUser-server", server, &network),
            ("VIFOpenVSwitch", golden_port(), &network),
            ("VIFOpenVSwitch-active", active, &network),
            ("VIFOpenVSwitch-no-gateway", golden_port(), &gateless),
            ("VIFOpenVSwitch-vlan-network", golden_port(), &vlan),
            ("VIFBridge-hybrid", hybrid, &network),
            ("VIFVHostUser-client", client, &network),
        ];
        for (name, port, network) in cases {
            assert_eq!(
                serde_json::to_value(vif(&port, network, None).unwrap()).unwrap(),
                golden(name),
                "{name}"
            );
        }
    }

    #[test]
    fn a_port_on_a_trunk_becomes_what_the_original_made_of_it() {
        let carried = Place::Trunk(Attachment { trunk: "trunk".into(), vlan: 3934 });
        let found = vif(&golden_port(), &golden_network(), Some(&carried)).unwrap();
        assert_eq!(serde_json::to_value(&found).unwrap(), golden("VIFVlanNested"));
    }

    /// The original's tests have no such record: this is what its code writes.
    #[test]
    fn a_virtual_function_is_told_with_its_network_and_its_pod() {
        let port = with(golden_port(), |bound| {
            (bound.vif_type, bound.filters, bound.vlan) = ("hw_veb".into(), false, Some(101));
        });
        let network = PodNetwork { physnet: Some("physnet1".into()), ..golden_network() };
        let found = function(&port, &network, "default/web").unwrap();
        let mut expected = golden("VIFOpenVSwitch");
        expected["versioned_object.name"] = "VIFSriov".into();
        let data = expected["versioned_object.data"].as_object_mut().unwrap();
        ["port_profile", "bridge_name"].iter().for_each(|name| drop(data.remove(*name)));
        let own = serde_json::json!({
            "active": true, "plugin": "noop", "has_traffic_filtering": false, "physnet": "physnet1", "pod_name": "web",
            "pod_link": "/api/v1/namespaces/default/pods/web",
        });
        data.extend(own.as_object().unwrap().clone());
        let network = data["network"]["versioned_object.data"].as_object_mut().unwrap();
        network.remove("bridge");
        network.extend(
            serde_json::json!({"should_provide_vlan": true, "vlan": 101}).as_object().unwrap().clone(),
        );
        assert_eq!(serde_json::to_value(found).unwrap(), expected);
    }

    #[test]
    fn a_virtual_function_that_is_bound_otherwise_is_named() {
        let error = function(&golden_port(), &golden_network(), "default/web").unwrap_err();
        assert!(error.to_string().ends_with("bound as `ovs`, not as `hw_veb`"), "{error}");
        let failed = Port { binding: Binding::Failed, ..golden_port() };
        assert!(matches!(function(&failed, &golden_network(), "n/p"), Err(Error::NotBound { .. })));
    }

    #[test]
    fn a_port_that_shares_its_machines_link_is_active_and_has_the_mac_address_that_its_link_has() {
        let (port, network) = (golden_port(), golden_network());
        for (sharing, class, mac) in [
            (Sharing::Macvlan, "VIFMacvlanNested", port.mac.as_str()),
            (Sharing::Ipvlan, "VIFIpvlanNested", "fa:16:3e:00:00:99"),
        ] {
            let parent = Parent { port: "parent".into(), mac: "fa:16:3e:00:00:99".into(), sharing };
            let found = vif(&port, &network, Some(&Place::Pairs(parent, Extent::Whole))).unwrap();
            let base = found.base();
            assert_eq!((found.class(), base.address.as_str(), base.active), (class, mac, true));
            assert_eq!((base.plugin.as_str(), base.has_traffic_filtering), ("noop", false));
        }
    }

    #[test]
    fn a_port_that_nova_has_attached_is_a_device_that_neutron_calls_active() {
        let (network, place) = (golden_network(), Place::Server("vm".into()));
        for (wiring, active) in [(Wiring::Pending, false), (Wiring::Active, true)] {
            let port = with(golden_port(), |bound| bound.confirmation = Confirmation::Node);
            let found = vif(&Port { wiring, ..port }, &network, Some(&place)).unwrap();
            let base = found.base();
            assert_eq!((found.class(), base.active, base.plugin.as_str()), ("VIFDPDKNested", active, "noop"));
            assert_eq!(base.network.subnets.objects.len(), 1);
        }
    }

    #[test]
    fn a_port_that_ovn_bound_is_active_from_the_start() {
        let port = with(golden_port(), |bound| bound.confirmation = Confirmation::Node);
        assert!(vif(&port, &golden_network(), None).unwrap().base().active);
    }

    #[test]
    fn a_subnet_without_an_address_of_the_port_is_left_out() {
        let mut network = golden_network();
        let other = Subnet { id: "other".into(), ..network.subnets[0].clone() };
        network.subnets.push(other);
        assert_eq!(vif(&golden_port(), &network, None).unwrap().base().network.subnets.objects.len(), 1);
    }

    #[test]
    fn what_nobody_can_plug_is_named() {
        let network = PodNetwork { bridge: None, ..golden_network() };
        let no_bridge = vif(&golden_port(), &network, None).unwrap_err();
        assert!(matches!(no_bridge, Error::NoBridge { .. }), "{no_bridge}");
        let odd = with(golden_port(), |bound| bound.vif_type = "tap".into());
        assert!(vif(&odd, &network, None).unwrap_err().to_string().contains("bound as `tap`"));
        let failed = Port { binding: Binding::Failed, ..golden_port() };
        assert!(matches!(vif(&failed, &network, None), Err(Error::NotBound { .. })));
    }
}
