//! Who a peer is: selectors of pods and namespaces, and blocks of addresses.

use super::*;

fn pods(name: &str) -> Value {
    json!({ "matchLabels": { "pod": name } })
}

fn namespaces(name: &str) -> Value {
    json!({ "matchLabels": { "ns": name } })
}

/// "Otherwise it selects the pods matching podSelector in the policy's own namespace."
#[test]
fn a_pod_selector_alone_stays_in_the_namespace() {
    let some = cluster(&[("x", from(&json!({ "podSelector": pods("b") })))]);
    assert_eq!(some.who_reaches("x/a"), ["x/b"]);
    let all = cluster(&[("x", from(&json!({ "podSelector": {} })))]);
    assert_eq!(all.who_reaches("x/a"), ["x/b", "x/c"]);
    assert!(!all.tcp("203.0.113.7", "x/a", 80), "all pods are not everybody");
}

/// "Otherwise it selects all pods in the namespaces selected by namespaceSelector"; "if present but empty, it selects all namespaces."
#[test]
fn a_namespace_selector_alone_selects_all_their_pods() {
    let some = cluster(&[("x", from(&json!({ "namespaceSelector": namespaces("y") })))]);
    assert_eq!(some.who_reaches("x/a"), ["y/a", "y/b", "y/c"]);
    let all = cluster(&[("x", from(&json!({ "namespaceSelector": {} })))]);
    assert_eq!(all.who_reaches("x/a").len(), 5);
    assert!(!all.tcp("203.0.113.7", "x/a", 80), "all pods are not everybody");
}

/// "A single `from` element allowing connections from Pods with the label in namespaces with the label."
#[test]
fn both_selectors_in_one_peer_are_anded() {
    let peer = json!({ "namespaceSelector": namespaces("y"), "podSelector": pods("b") });
    assert_eq!(cluster(&[("x", from(&peer))]).who_reaches("x/a"), ["y/b"]);
    let peer = json!({ "namespaceSelector": {}, "podSelector": pods("b") });
    assert_eq!(cluster(&[("x", from(&peer))]).who_reaches("x/a"), ["x/b", "y/b"]);
    let peer = json!({ "namespaceSelector": namespaces("y"), "podSelector": {} });
    assert_eq!(cluster(&[("x", from(&peer))]).who_reaches("x/a"), ["y/a", "y/b", "y/c"]);
}

/// "It contains two elements in the `from` array, and allows connections from Pods in the local Namespace with the label, *or* from any
/// Pod in any namespace with the label."
#[test]
fn selectors_in_two_peers_are_ored() {
    let peers = json!([{ "namespaceSelector": namespaces("y") }, { "podSelector": pods("b") }]);
    let spec = json!({ "podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{ "from": peers }] });
    assert_eq!(cluster(&[("x", spec)]).who_reaches("x/a"), ["x/b", "y/a", "y/b", "y/c"]);
}

#[test]
fn the_same_holds_for_egress() {
    let peer = json!({ "namespaceSelector": namespaces("y"), "podSelector": pods("b") });
    assert_eq!(cluster(&[("x", to(&peer))]).reached_by("x/a"), ["y/b"]);
    assert_eq!(cluster(&[("x", to(&json!({ "podSelector": pods("b") })))]).reached_by("x/a"), ["x/b"]);
    let all = cluster(&[("x", to(&json!({ "namespaceSelector": {} })))]);
    assert_eq!(all.reached_by("x/a").len(), 5);
    assert!(!all.tcp("x/a", "203.0.113.7", 80));
}

/// "The Kubernetes control plane sets an immutable label `kubernetes.io/metadata.name` on all namespaces."
#[test]
fn namespaces_are_selected_by_name() {
    let peer = json!({ "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "y" } } });
    assert_eq!(cluster(&[("x", from(&peer))]).who_reaches("x/a"), ["y/a", "y/b", "y/c"]);
}

/// "If this field is empty or missing, this rule matches all sources."
#[test]
fn no_peers_are_everybody() {
    for rule in
        [json!({ "from": [] }), json!({ "ports": [{ "port": 80 }] }), json!({ "from": [], "ports": [] })]
    {
        let spec = json!({ "podSelector": {}, "policyTypes": ["Ingress"], "ingress": [rule] });
        let cluster = cluster(&[("x", spec)]);
        assert!(cluster.tcp("203.0.113.7", "x/a", 80));
        assert!(cluster.tcp("y/a", "x/a", 80));
    }
    let spec = json!({ "podSelector": {}, "policyTypes": ["Egress"], "egress": [{ "to": [] }] });
    assert!(cluster(&[("x", spec)]).tcp("x/a", "203.0.113.7", 80));
}

#[test]
fn a_peer_without_fields_is_nobody() {
    assert_eq!(cluster(&[("x", from(&json!({})))]).who_reaches("x/a"), Vec::<String>::new());
}

#[test]
fn a_block_is_about_any_address() {
    let block = json!({ "ipBlock": { "cidr": "10.0.2.0/24" } });
    let ingress = cluster(&[("x", from(&block))]);
    assert_eq!(ingress.who_reaches("x/a"), ["y/a", "y/b", "y/c"]);
    assert!(ingress.tcp("10.0.2.200", "x/a", 80), "an address that no pod has");
    assert!(!ingress.tcp("10.0.3.1", "x/a", 80));
    assert_eq!(cluster(&[("x", to(&block))]).reached_by("x/a"), ["y/a", "y/b", "y/c"]);
}

#[test]
fn a_block_of_everything_is_everybody_of_that_family() {
    let cluster = cluster(&[("x", from(&json!({ "ipBlock": { "cidr": "0.0.0.0/0" } })))]);
    assert!(cluster.tcp("203.0.113.7", "x/a", 80));
    assert!(cluster.over(Family::V4, "y/a", "x/a"));
    assert!(!cluster.over(Family::V6, "y/a", "x/a"));
    assert!(!cluster.tcp("2001:db8::7", "x/a", 80));
}

#[test]
fn a_block_can_be_of_ipv6() {
    let cluster = cluster(&[("x", from(&json!({ "ipBlock": { "cidr": "fd00::2:0/112" } })))]);
    assert!(cluster.over(Family::V6, "y/a", "x/a"));
    assert!(!cluster.over(Family::V6, "x/b", "x/a"));
    assert!(!cluster.over(Family::V4, "y/a", "x/a"), "the same pods, over the other family");
    assert!(cluster.tcp("fd00::2:99", "x/a", 80));
}

#[test]
fn each_exception_is_taken_out() {
    let block = json!({ "cidr": "10.0.0.0/8", "except": ["10.0.1.2/32", "10.0.2.0/31", "10.0.2.3/32"] });
    let cluster = cluster(&[("x", from(&json!({ "ipBlock": block })))]);
    assert_eq!(cluster.who_reaches("x/a"), ["x/c", "y/b"]);
}

#[test]
fn exceptions_may_leave_nothing() {
    let block = json!({ "cidr": "0.0.0.0/0", "except": ["0.0.0.0/1", "128.0.0.0/1"] });
    let rule = json!({ "from": [{ "ipBlock": block }], "ports": [{ "port": 80 }] });
    let spec = json!({ "podSelector": {}, "policyTypes": ["Ingress"], "ingress": [rule] });
    let cluster = cluster(&[("x", spec)]);
    assert!(!cluster.tcp("y/a", "x/a", 80));
    assert!(!cluster.tcp("203.0.113.7", "x/a", 80));
}

/// What one peer excludes, another one may name.
#[test]
fn an_exception_denies_nothing_to_other_peers() {
    let block = json!({ "cidr": "10.0.2.0/24", "except": ["10.0.2.1/32"] });
    for other in [json!({ "ipBlock": { "cidr": "10.0.2.1/32" } }), json!({ "namespaceSelector": {} })] {
        let peers = json!([{ "ipBlock": block }, other]);
        let spec = json!({ "podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{ "from": peers }] });
        assert!(cluster(&[("x", spec)]).tcp("y/a", "x/a", 80));
        let two = [("x", from(&json!({ "ipBlock": block }))), ("x", from(&other))];
        assert!(cluster(&two).tcp("y/a", "x/a", 80));
    }
}

/// The host bits of a CIDR say nothing.
#[test]
fn a_cidr_is_read_by_its_prefix() {
    let cluster = cluster(&[("x", from(&json!({ "ipBlock": { "cidr": "10.0.2.77/24" } })))]);
    assert!(cluster.tcp("y/a", "x/a", 80));
}
