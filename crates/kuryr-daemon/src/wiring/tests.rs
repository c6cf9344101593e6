//! Against what the Python Kuryr wrote, and what somebody else might write.

use kuryr_api::port::VifEntry;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::plug::{
    ovs::Ovs,
    vhostuser::{End, VhostUser},
    vlan::Vlan,
};

const GOLDEN: &str = include_str!("../../../kuryr-api/testdata/vif_ovo_and_cni_results.json");

fn golden(name: &str) -> Value {
    let cases: Vec<Value> = serde_json::from_str(GOLDEN).unwrap();
    cases.into_iter().find(|case| case["name"] == name).unwrap()
}

fn entry(vif: Value, default: bool) -> VifEntry {
    VifEntry { default, vif: serde_json::from_value(vif).unwrap() }
}

fn settings() -> PlugSettings {
    let node = crate::settings::NodeSettings::new(&kuryr_config::Config::default(), "node1".into());
    PlugSettings { bridge: "br-int".into(), mtu_limit: None, ..node.unwrap().plug }
}

fn eth0() -> IfName {
    "eth0".parse().unwrap()
}

fn read(vif: Value) -> Result<Wiring, String> {
    read_with(vif, &settings())
}

fn read_with(vif: Value, settings: &PlugSettings) -> Result<Wiring, String> {
    let entry = entry(vif, true);
    Wiring::read_all([("eth0", &entry)].into_iter(), &eth0(), settings).map(|mut wirings| wirings.remove(0))
}

/// A golden VIF with a member of its data, or of its first subnet's, changed.
fn changed(name: &str, path: &str, value: Value) -> Value {
    let mut vif = golden(name)["vif"].take();
    *vif.pointer_mut(path).unwrap_or_else(|| panic!("no {path}")) = value;
    vif
}

const DATA: &str = "/versioned_object.data";
const SUBNET: &str = "/versioned_object.data/network/versioned_object.data/subnets/versioned_object.data/objects/0/versioned_object.data";

#[test]
fn every_vif_of_the_python_kuryr_that_has_a_link_gives_its_result() {
    for name in [
        "VIFOpenVSwitch",
        "VIFOpenVSwitch-active",
        "VIFOpenVSwitch-ipv6",
        "VIFOpenVSwitch-vlan-network",
        "VIFBridge-hybrid",
        "VIFVlanNested",
    ] {
        let case = golden(name);
        let expected = &case["python_cni_result"];
        let wiring = read(case["vif"].clone()).unwrap();
        assert_eq!(json!(wiring.mac.to_string()), expected["interfaces"][0]["mac"], "{name}");
        assert_eq!(
            json!(wiring.addresses().next().unwrap().to_string()),
            expected["ips"][0]["address"],
            "{name}"
        );
        assert_eq!(json!(wiring.subnets[0].gateway.unwrap()), expected["ips"][0]["gateway"], "{name}");
        assert_eq!(
            json!(name_servers(std::slice::from_ref(&wiring))),
            expected["dns"]["nameservers"],
            "{name}"
        );
        let host_routes = wiring.subnets[0].routes.iter();
        let host_routes: Vec<_> =
            host_routes.map(|route| json!({"dst": route.destination, "gw": route.gateway})).collect();
        assert_eq!(json!(host_routes), expected["routes"], "{name}");
    }
}

#[test]
fn a_port_of_open_vswitch_is_plugged_into_its_bridge() {
    let wiring = read(golden("VIFOpenVSwitch")["vif"].take()).unwrap();
    assert_eq!(wiring.plug, Plug::Ovs(Ovs { bridge: "br-int".into(), tap: "tap07cfe856-11".into() }));
    assert_eq!(wiring.iface_id, "07cfe856-11cc-43d9-9200-ff4dc02d3620");
    assert_eq!((wiring.mtu, wiring.active), (1442, false));
    assert!(read(golden("VIFOpenVSwitch-active")["vif"].take()).unwrap().active);
}

#[test]
fn a_hybrid_plug_has_links_in_between() {
    let wiring = read(golden("VIFBridge-hybrid")["vif"].take()).unwrap();
    let Plug::Hybrid(hybrid) = &wiring.plug else { panic!("{wiring:?}") };
    assert_eq!(
        (hybrid.between.qbr.as_str(), hybrid.between.qvb.as_str()),
        ("qbr07cfe856-11", "qvb07cfe856-11")
    );
    let port = wiring.plug.ovs_port().unwrap();
    assert_eq!((port.name, wiring.plug.host_links()[0]), ("qvo07cfe856-11", "tap07cfe856-11"));
}

/// The golden VLAN's VIF as one of another class.
fn nested(class: &str) -> Value {
    let mut vif = golden("VIFVlanNested")["vif"].take();
    vif["versioned_object.name"] = json!(class);
    vif
}

#[test]
fn the_pods_of_a_vm_are_on_its_own_link() {
    let wiring = read(nested("VIFVlanNested")).unwrap();
    let Plug::Vlan(Vlan { id, interim }) = &wiring.plug else { panic!("{wiring:?}") };
    assert_eq!(json!(id), golden("VIFVlanNested")["vif"]["versioned_object.data"]["vlan_id"]);
    assert!(interim.starts_with("tap"));
    for (class, expected) in [("VIFMacvlanNested", "MACVLAN"), ("VIFIpvlanNested", "IPVLAN")] {
        assert_eq!(read(nested(class)).unwrap().plug.to_string(), expected);
    }
    assert!(wiring.plug.ovs_port().is_none() && wiring.plug.host_links().is_empty());
}

#[test]
fn a_vlan_id_that_no_frame_can_carry_is_refused() {
    for id in [0, 4095] {
        let error = read(changed("VIFVlanNested", &format!("{DATA}/vlan_id"), json!(id))).unwrap_err();
        assert!(error.contains(&format!("VLAN id {id} is not one from 1 to 4094")), "{error}");
    }
}

#[test]
fn a_subnet_without_a_gateway_has_no_default_route() {
    let wiring = read(golden("VIFOpenVSwitch-no-gateway")["vif"].take()).unwrap();
    assert_eq!(wiring.addresses().count(), 1);
    assert_eq!(wiring.routes(), []);
    let empty = changed("VIFOpenVSwitch", &format!("{SUBNET}/gateway"), json!(""));
    assert_eq!(read(empty).unwrap().subnets[0].gateway, None);
}

#[test]
fn a_router_that_neutron_does_not_know_may_be_one_of_ipv6() {
    let mut wiring = read(golden("VIFOpenVSwitch-no-gateway")["vif"].take()).unwrap();
    assert!(!wiring.has_unknown_router());
    wiring.subnets[0].addresses = vec!["fd00::5/64".parse().unwrap()];
    assert!(wiring.has_unknown_router());
    wiring.subnets[0].gateway = Some("fd00::1".parse().unwrap());
    assert!(!wiring.has_unknown_router());
}

#[test]
fn every_address_of_a_port_is_given() {
    let wiring = read(golden("VIFOpenVSwitch-two-ips-one-subnet")["vif"].take()).unwrap();
    let addresses: Vec<String> = wiring.addresses().map(|address| address.to_string()).collect();
    assert_eq!(addresses, ["10.10.0.5/24", "10.10.0.6/24"]);
}

#[test]
fn the_mtu_is_the_smaller_one() {
    let vif = || golden("VIFOpenVSwitch")["vif"].take();
    for (limit, expected) in [(None, 1442), (Some(1400), 1400), (Some(9000), 1442)] {
        let settings = PlugSettings { mtu_limit: limit, ..settings() };
        assert_eq!(read_with(vif(), &settings).unwrap().mtu, expected);
    }
}

#[test]
fn only_the_default_interface_has_the_default_route() {
    let (first, second) = (
        entry(golden("VIFOpenVSwitch")["vif"].take(), true),
        entry(golden("VIFOpenVSwitch")["vif"].take(), false),
    );
    let wirings = Wiring::read_all(
        [("a1", &second), ("eth0", &first)].into_iter(),
        &"net0".parse().unwrap(),
        &settings(),
    );
    let wirings = wirings.unwrap();
    assert_eq!(wirings.iter().map(|wiring| wiring.ifname.as_str()).collect::<Vec<_>>(), ["net0", "a1"]);
    let everywhere: IpNet = "0.0.0.0/0".parse().unwrap();
    let has_default = |wiring: &Wiring| wiring.routes().iter().any(|route| route.destination == everywhere);
    assert_eq!(wirings.iter().map(has_default).collect::<Vec<_>>(), [true, false]);
    assert_eq!(wirings[1].routes().len(), 1, "host routes are of every interface");
}

#[test]
fn one_interface_must_be_the_default_one() {
    let vif = || golden("VIFOpenVSwitch")["vif"].take();
    for defaults in [false, true] {
        let (first, second) = (entry(vif(), defaults), entry(vif(), defaults));
        let read = Wiring::read_all([("eth0", &first), ("eth1", &second)].into_iter(), &eth0(), &settings());
        assert!(read.unwrap_err().contains("default"));
    }
}

#[test]
fn what_cannot_be_plugged_is_named() {
    let error = read(nested("VIFSriov")).unwrap_err();
    assert!(error.contains("physnet_resource_mappings") && error.contains("eth0"), "{error}");
}

#[test]
fn a_program_in_user_space_has_no_link() {
    for (name, end) in [("VIFVHostUser-server", End::Server), ("VIFVHostUser-client", End::Client)] {
        let wiring = read(golden(name)["vif"].take()).unwrap();
        let expected = VhostUser {
            bridge: "br-int".into(),
            name: "vhu07cfe856-11".into(),
            end,
            socket: "/var/cni/vhostuser/vhu07cfe856-11".into(),
            made: "/var/run/openvswitch/vhu07cfe856-11".into(),
        };
        assert!(wiring.plug.host_links().is_empty() && wiring.plug.interim().is_none());
        assert_eq!(wiring.plug.ovs_port().unwrap().name, "vhu07cfe856-11");
        assert_eq!(wiring.plug, Plug::VhostUser(expected));
    }
    let plug = read(nested("VIFDPDKNested")).unwrap().plug;
    assert!(plug.ovs_port().is_none() && plug.host_links().is_empty() && plug.interim().is_none());
}

#[test]
fn a_socket_is_nowhere_but_in_its_folder() {
    for (member, value, named) in [
        ("vif_name", "vhu/../../etc/passwd", "'/'"),
        ("vif_name", "tap07cfe856-11", "vhu"),
        ("path", "/etc/vhu07cfe856-11", "mount_point"),
        ("path", "/var/cni/vhostuser/../vhu07cfe856-11", "mount_point"),
        ("mode", "both", "\"both\""),
    ] {
        let read = read(changed("VIFVHostUser-client", &format!("{DATA}/{member}"), json!(value)));
        let error = read.unwrap_err();
        assert!(error.contains(named), "{member} {value}: {error}");
    }
}

#[test]
fn nonsense_is_refused_naming_it() {
    let cases = [
        (format!("{DATA}/address"), json!("fa:16"), "MAC"),
        (format!("{DATA}/vif_name"), json!("../../etc"), "'/'"),
        (format!("{DATA}/vif_name"), json!("eth0"), "tap"),
        (format!("{DATA}/vif_name"), json!("tap%d"), "'%'"),
        (format!("{DATA}/vif_name"), json!("a-name-that-is-too-long"), "15"),
        (format!("{SUBNET}/cidr"), json!("10.0.0.0/33"), "10.0.0.0/33"),
        (format!("{SUBNET}/gateway"), json!("gateway"), "gateway"),
        (
            format!("{SUBNET}/ips/versioned_object.data/objects/0/versioned_object.data/address"),
            json!("10.0.0"),
            "10.0.0",
        ),
        (
            format!("{SUBNET}/ips/versioned_object.data/objects/0/versioned_object.data/address"),
            json!("fd00::1"),
            "",
        ),
        (
            format!("{SUBNET}/routes/versioned_object.data/objects/0/versioned_object.data/cidr"),
            json!("x"),
            "\"x\"",
        ),
    ];
    for (path, value, named) in cases {
        match read(changed("VIFOpenVSwitch", &path, value.clone())) {
            Err(error) => assert!(error.contains(named), "{path}: {error}"),
            // An address of the other family fits into a prefix length by chance; the kernel then says what it thinks of it.
            Ok(_) => assert_eq!(value, json!("fd00::1")),
        }
    }
}

/// Where a JSON value has members that hold no others.
fn leaves(value: &Value, path: &str) -> Vec<String> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(members) => {
            members.iter().map(|(name, value)| (format!("{path}/{name}"), value)).collect()
        }
        Value::Array(items) => {
            items.iter().enumerate().map(|(index, value)| (format!("{path}/{index}"), value)).collect()
        }
        _ => return vec![path.to_owned()],
    };
    children.iter().flat_map(|(path, value)| leaves(value, path)).collect()
}

fn anything() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<String>().prop_map(Value::from),
        "[0-9a-f:./]{0,20}".prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        Just(Value::Null),
        Just(json!([])),
        Just(json!({})),
    ]
}

proptest! {
    #[test]
    fn whatever_stands_in_a_vif_is_refused_or_safe_to_give_to_the_kernel(
        name in prop::sample::select(vec![
            "VIFOpenVSwitch", "VIFBridge-hybrid", "VIFVlanNested", "VIFVHostUser-server", "VIFVHostUser-client",
        ]),
        place in any::<prop::sample::Index>(),
        value in anything(),
    ) {
        let mut vif = golden(name)["vif"].take();
        let paths = leaves(&vif, "");
        *vif.pointer_mut(&paths[place.index(paths.len())]).unwrap() = value;
        let Ok(vif) = serde_json::from_value(vif) else { return Ok(()) };
        let entry = VifEntry { default: true, vif };
        let Ok(wirings) = Wiring::read_all([("eth0", &entry)].into_iter(), &eth0(), &settings()) else { return Ok(()) };
        let plug = &wirings[0].plug;
        for link in plug.host_links().into_iter().chain(plug.interim()) {
            prop_assert!(link.parse::<IfName>().is_ok(), "{link:?}");
            prop_assert!(["tap", "qbr", "qvo"].iter().any(|prefix| link.starts_with(prefix)), "{link:?}");
        }
        if let Plug::VhostUser(driver) = plug {
            for (path, folder) in [(&driver.socket, &settings().sockets.pods), (&driver.made, &settings().sockets.switch)] {
                prop_assert_eq!(path.parent(), folder.components().as_path().into());
            }
        }
        prop_assert!(plug.ovs_port().is_none_or(|port| !port.bridge.is_empty()));
    }
}
