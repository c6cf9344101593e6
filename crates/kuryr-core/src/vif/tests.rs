//! What the Python Kuryr wrote for the same ports, and what each way of binding comes to.

use super::*;
use crate::carrier::Extent;
use crate::network::Naming;
use crate::port::{Ownership, Vnic};
use serde_json::Value;

const GOLDEN: &str = include_str!("../../../kuryr-api/testdata/vif_ovo_and_cni_results.json");

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
        assert_eq!(serde_json::to_value(vif(&port, network, None).unwrap()).unwrap(), golden(name), "{name}");
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
    network
        .extend(serde_json::json!({"should_provide_vlan": true, "vlan": 101}).as_object().unwrap().clone());
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
