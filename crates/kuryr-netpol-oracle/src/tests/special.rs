//! Pods themselves, nodes, and pods in their node's network.

use super::*;
use crate::{Decision, Exemption};

fn deny() -> Value {
    json!({ "podSelector": {}, "policyTypes": ["Ingress", "Egress"] })
}

/// "A pod cannot block access to itself."
#[test]
fn a_pod_reaches_itself() {
    let cluster = cluster(&[("x", deny())]);
    let verdict = cluster.asked("x/a", "x/a", Protocol::Tcp, 80);
    let free = Decision::Exempt(Exemption::Itself);
    assert_eq!(verdict, Verdict { egress: free.clone(), ingress: free });
    assert!(cluster.tcp("10.0.1.1", "x/a", 80), "its address is the pod");
    assert!(!cluster.tcp("x/b", "x/a", 80));
}

/// "OR if the traffic source is the pod's local node."
#[test]
fn a_node_reaches_pods() {
    let cluster = cluster(&[("x", deny())]);
    let verdict = cluster.asked("192.168.0.1", "x/a", Protocol::Udp, 53);
    assert_eq!(verdict.ingress, Decision::Exempt(Exemption::FromNode));
    assert_eq!(verdict.egress, Decision::Exempt(Exemption::NoSubject));
    assert!(!cluster.tcp("192.168.0.2", "x/a", 80), "it is no node's address");
}

#[test]
fn policies_may_keep_a_pod_from_its_node() {
    let denied = cluster(&[("x", deny())]);
    assert!(!denied.tcp("x/a", "192.168.0.1", 80));
    let allowed = cluster(&[("x", to(&json!({ "ipBlock": { "cidr": "192.168.0.0/24" } })))]);
    assert!(allowed.tcp("x/a", "192.168.0.1", 80));
    let all_pods = cluster(&[("x", to(&json!({ "namespaceSelector": {} })))]);
    assert!(!all_pods.tcp("x/a", "192.168.0.1", 80));
}

#[test]
fn a_pod_in_its_nodes_network_is_no_subject() {
    let cluster = cluster(&[("x", deny())]);
    let verdict = cluster.asked("y/a", "x/host", Protocol::Tcp, 80);
    assert_eq!(verdict.ingress, Decision::Exempt(Exemption::NoSubject));
    assert!(verdict.is_allowed());
    let verdict = cluster.asked("x/host", "203.0.113.7", Protocol::Tcp, 80);
    assert_eq!(verdict.egress, Decision::Exempt(Exemption::NoSubject));
    assert!(cluster.tcp("x/host", "x/a", 80), "it comes from a node");
}

#[test]
fn a_pod_in_its_nodes_network_is_no_peer_but_an_address() {
    for peer in [json!({ "podSelector": {} }), json!({ "namespaceSelector": {} })] {
        assert!(!cluster(&[("x", to(&peer))]).tcp("x/a", "x/host", 80), "{peer}");
    }
    let block = json!({ "ipBlock": { "cidr": "192.168.0.1/32" } });
    assert!(cluster(&[("x", to(&block))]).tcp("x/a", "x/host", 80));
    assert!(cluster(&[("x", to(&block))]).tcp("x/a", "192.168.0.1", 80), "and the same by its address");
}

#[test]
fn an_address_of_a_pod_means_the_pod() {
    let cluster = cluster(&[("x", from(&json!({ "podSelector": { "matchLabels": { "pod": "b" } } })))]);
    assert!(cluster.tcp("10.0.1.2", "10.0.1.1", 80));
    assert!(cluster.tcp("fd00::1:2", "fd00::1:1", 80));
    assert!(!cluster.tcp("10.0.1.3", "10.0.1.1", 80));
}

#[test]
fn addresses_outside_may_talk_to_each_other() {
    assert!(cluster(&[("x", deny())]).tcp("203.0.113.7", "203.0.113.8", 80));
}

#[test]
fn pods_meet_over_a_family_that_both_have() {
    let block = json!({ "ipBlock": { "cidr": "fd00::/16" } });
    let mut cluster = cluster(&[("x", from(&block))]);
    assert!(!cluster.tcp("y/a", "x/a", 80), "over IPv4, their first");
    for pod in [0, 3] {
        cluster.pods[pod].addresses.remove(0);
    }
    assert!(cluster.tcp("y/a", "x/a", 80), "over IPv6, their only one");
    assert!(cluster.tcp("y/b", "x/a", 80), "over IPv6, the destination's only one");
}

#[test]
fn a_policy_of_another_namespace_selects_nothing_here() {
    assert!(cluster(&[("z", deny())]).tcp("x/a", "x/b", 80));
}

/// The example of the documentation: `default` is `x`, `role=db` is `pod=a`, `project=myproject` is `ns=y`, `role=frontend` is `pod=b`.
#[test]
fn the_big_example_of_the_documentation() {
    let spec = json!({
        "podSelector": { "matchLabels": { "pod": "a" } },
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{
            "from": [
                { "ipBlock": { "cidr": "172.17.0.0/16", "except": ["172.17.1.0/24"] } },
                { "namespaceSelector": { "matchLabels": { "ns": "y" } } },
                { "podSelector": { "matchLabels": { "pod": "b" } } },
            ],
            "ports": [{ "protocol": "TCP", "port": 6379 }],
        }],
        "egress": [{
            "to": [{ "ipBlock": { "cidr": "10.0.0.0/24" } }],
            "ports": [{ "protocol": "TCP", "port": 5978 }],
        }],
    });
    let cluster = cluster(&[("x", spec)]);
    for (from, expected) in [
        ("x/b", true),
        ("x/c", false),
        ("y/c", true),
        ("172.17.0.0", true),
        ("172.17.0.255", true),
        ("172.17.1.0", false),
        ("172.17.1.255", false),
        ("172.17.2.0", true),
        ("172.17.255.255", true),
        ("172.18.0.0", false),
    ] {
        assert_eq!(cluster.tcp(from, "x/a", 6379), expected, "{from}");
        assert!(!cluster.tcp(from, "x/a", 6380), "{from}");
        assert!(!cluster.udp(from, "x/a", 6379), "{from}");
    }
    assert!(cluster.tcp("x/a", "10.0.0.77", 5978));
    assert!(!cluster.tcp("x/a", "10.0.0.77", 5979));
    assert!(!cluster.tcp("x/a", "10.0.1.2", 5978));
    assert!(cluster.tcp("x/c", "x/b", 1), "other pods are not isolated");
}
