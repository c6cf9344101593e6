//! Which ports a rule is about.

use super::*;

/// "If this field is empty or missing, this rule matches all ports."
#[test]
fn no_ports_are_all_ports() {
    for rule in [json!({ "ports": [] }), json!({ "from": [{ "namespaceSelector": {} }] })] {
        let spec = json!({ "podSelector": {}, "policyTypes": ["Ingress"], "ingress": [rule] });
        let cluster = cluster(&[("x", spec)]);
        assert!(cluster.tcp("y/a", "x/a", 80));
        assert!(cluster.udp("y/a", "x/a", 65535));
        assert!(cluster.asked("y/a", "x/a", Protocol::Sctp, 1).is_allowed());
    }
}

/// "If not specified, this field defaults to TCP."
#[test]
fn the_protocol_is_tcp_by_default() {
    let cluster = cluster(&[("x", at(&json!({ "port": 80 })))]);
    assert!(cluster.tcp("y/a", "x/a", 80));
    assert!(!cluster.tcp("y/a", "x/a", 81));
    assert!(!cluster.udp("y/a", "x/a", 80));
    assert!(!cluster.asked("y/a", "x/a", Protocol::Sctp, 80).is_allowed());
}

/// "If this field is not provided, this matches all port names and numbers."
#[test]
fn a_protocol_alone_is_all_its_ports() {
    let udp = cluster(&[("x", at(&json!({ "protocol": "UDP" })))]);
    assert!(udp.udp("y/a", "x/a", 80));
    assert!(udp.udp("y/a", "x/a", 9999));
    assert!(!udp.tcp("y/a", "x/a", 80));
    let neither = cluster(&[("x", at(&json!({})))]);
    assert!(neither.tcp("y/a", "x/a", 9999), "the protocol is TCP by default");
    assert!(!neither.udp("y/a", "x/a", 9999));
}

/// "only traffic on the specified protocol AND port will be matched."
#[test]
fn protocols_are_told_apart() {
    let cluster = cluster(&[("x", at(&json!({ "protocol": "SCTP", "port": 80 })))]);
    assert!(cluster.asked("y/a", "x/a", Protocol::Sctp, 80).is_allowed());
    assert!(!cluster.tcp("y/a", "x/a", 80));
    assert!(!cluster.udp("y/a", "x/a", 80));
}

/// "Each item in this list is combined using a logical OR."
#[test]
fn ports_are_ored() {
    let ports = json!([{ "port": 80 }, { "port": 53, "protocol": "UDP" }]);
    let spec = json!({ "podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{ "ports": ports }] });
    let cluster = cluster(&[("x", spec)]);
    assert!(cluster.tcp("y/a", "x/a", 80));
    assert!(cluster.udp("y/a", "x/a", 53));
    assert!(!cluster.tcp("y/a", "x/a", 53));
    assert!(!cluster.udp("y/a", "x/a", 80));
}

/// "The range of ports from port to endPort if set, inclusive."
#[test]
fn a_range_includes_both_ends() {
    let cluster = cluster(&[("x", at(&json!({ "port": 80, "endPort": 90 })))]);
    for (port, expected) in [(79, false), (80, true), (85, true), (90, true), (91, false)] {
        assert_eq!(cluster.tcp("y/a", "x/a", port), expected, "{port}");
    }
    assert!(!cluster.udp("y/a", "x/a", 85));
}

#[test]
fn a_range_may_be_one_port_or_all() {
    let one = cluster(&[("x", at(&json!({ "port": 80, "endPort": 80 })))]);
    assert!(one.tcp("y/a", "x/a", 80));
    assert!(!one.tcp("y/a", "x/a", 81));
    let all = cluster(&[("x", at(&json!({ "port": 1, "endPort": 65535, "protocol": "UDP" })))]);
    assert!(all.udp("y/a", "x/a", 1));
    assert!(all.udp("y/a", "x/a", 65535));
}

/// "The traffic must match both ports and from."
#[test]
fn peers_and_ports_of_a_rule_are_anded() {
    let only_b = json!([{ "podSelector": { "matchLabels": { "pod": "b" } } }]);
    let rules = json!([{ "from": only_b, "ports": [{ "port": 80 }] }, { "ports": [{ "port": 81 }] }]);
    let spec = json!({ "podSelector": {}, "policyTypes": ["Ingress"], "ingress": rules });
    let cluster = cluster(&[("x", spec)]);
    assert!(cluster.tcp("x/b", "x/a", 80));
    assert!(!cluster.tcp("x/c", "x/a", 80));
    assert!(cluster.tcp("x/c", "x/a", 81), "by the other rule");
}

/// "This can either be a numerical or named port on a pod."
#[test]
fn a_name_is_the_number_that_each_destination_gives_it() {
    let cluster = cluster(&[("x", at(&json!({ "port": "web" })))]);
    assert!(cluster.tcp("y/a", "x/a", 80));
    assert!(!cluster.tcp("y/a", "x/a", 81));
    assert!(cluster.tcp("y/a", "x/c", 81));
    assert!(!cluster.tcp("y/a", "x/c", 80), "the number of another pod");
}

#[test]
fn a_name_for_egress_is_looked_up_in_the_destination_too() {
    let spec =
        json!({ "podSelector": {}, "policyTypes": ["Egress"], "egress": [{ "ports": [{ "port": "web" }] }] });
    let cluster = cluster(&[("x", spec)]);
    assert!(cluster.tcp("x/a", "y/b", 80));
    assert!(cluster.tcp("x/c", "x/b", 80), "the source names another number");
    assert!(cluster.tcp("x/a", "y/c", 81));
    assert!(!cluster.tcp("x/a", "y/c", 80));
}

#[test]
fn a_name_belongs_to_a_protocol() {
    let wrong = cluster(&[("x", at(&json!({ "port": "dns" })))]);
    assert!(!wrong.tcp("y/a", "x/a", 53), "it is a name for UDP");
    assert!(!wrong.udp("y/a", "x/a", 53), "the rule is about TCP");
    let right = cluster(&[("x", at(&json!({ "port": "dns", "protocol": "UDP" })))]);
    assert!(right.udp("y/a", "x/a", 53));
    assert!(!right.tcp("y/a", "x/a", 53));
}

#[test]
fn a_name_that_a_pod_does_not_know_matches_nothing() {
    let mut cluster = cluster(&[("x", at(&json!({ "port": "web" })))]);
    cluster.pods[0].ports.clear();
    assert!(!cluster.tcp("y/a", "x/a", 80));
    assert!(cluster.tcp("y/a", "x/b", 80));
}

#[test]
fn several_ports_of_one_name_all_count() {
    let mut cluster = cluster(&[("x", at(&json!({ "port": "web" })))]);
    cluster.pods[0].ports.push(NamedPort { name: "web".to_owned(), protocol: Protocol::Tcp, number: 8080 });
    assert!(cluster.tcp("y/a", "x/a", 80));
    assert!(cluster.tcp("y/a", "x/a", 8080));
}

#[test]
fn addresses_have_no_named_ports() {
    let rule = json!({ "to": [{ "ipBlock": { "cidr": "0.0.0.0/0" } }], "ports": [{ "port": "web" }] });
    let spec = json!({ "podSelector": {}, "policyTypes": ["Egress"], "egress": [rule] });
    let cluster = cluster(&[("x", spec)]);
    assert!(!cluster.tcp("x/a", "203.0.113.7", 80));
    assert!(!cluster.tcp("x/a", "192.168.0.1", 80), "a node is no pod");
    assert!(!cluster.tcp("x/a", "x/host", 80), "nor is a pod in its network");
    assert!(cluster.tcp("x/a", "y/a", 80), "a pod that the block holds");
}
