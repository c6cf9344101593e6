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
mod tests;
