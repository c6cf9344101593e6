//! The page on NetworkPolicies, example by example, and what its text promises. Its `role` and `project` labels are the grid's `pod` and
//! `ns`; its addresses are those of pods.

use super::words::{
    all, alone, around, block, block_without, egress, everywhere, expression, ingress, namespace, one, pod,
    pods_here, pods_in, pods_of, several,
};
use super::{Draft, Grid};
use serde_json::json;

pub(super) fn drafts(grid: &Grid) -> Vec<Draft> {
    [defaults(), big_example(grid), selectors(grid), ports(grid), types(), both_sides()]
        .into_iter()
        .flatten()
        .collect()
}

fn defaults() -> Vec<Draft> {
    let deny_ingress = ingress(&all(), &json!([]));
    let deny_egress = egress(&all(), &json!([]));
    let deny_all = json!({ "podSelector": {}, "policyTypes": ["Ingress", "Egress"] });
    vec![
        Draft { name: "no policy", policies: vec![] },
        one("default deny all ingress traffic", json!({ "podSelector": {}, "policyTypes": ["Ingress"] })),
        one("allow all ingress traffic", ingress(&all(), &json!([{}]))),
        one("default deny all egress traffic", json!({ "podSelector": {}, "policyTypes": ["Egress"] })),
        one("allow all egress traffic", egress(&all(), &json!([{}]))),
        one("default deny all ingress and all egress traffic", deny_all.clone()),
        // "A pod cannot block access to itself."
        everywhere("default deny all traffic in all namespaces", &deny_all),
        // "No additional policy or policies can cause any incoming connection to those pods to be denied."
        several(
            "allow all ingress traffic, whatever denies it",
            [("x", deny_ingress), ("x", ingress(&all(), &json!([{}])))],
        ),
        several(
            "allow all egress traffic, whatever denies it",
            [("x", deny_egress), ("x", egress(&all(), &json!([{}])))],
        ),
    ]
}

fn big_example(grid: &Grid) -> Vec<Draft> {
    let from_block =
        block_without(&around(grid.v4("z/a"), 16), &[alone(grid.v4("z/a")), alone(grid.v4("x/c"))]);
    let from = json!([from_block, pods_of(&namespace("y")), pods_here(&pod("b"))]);
    let to = json!([block(&alone(grid.v4("z/b")))]);
    vec![one(
        "the NetworkPolicy resource",
        json!({
            "podSelector": pod("a"),
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{ "from": from, "ports": [{ "protocol": "TCP", "port": 80 }] }],
            "egress": [{ "to": to, "ports": [{ "protocol": "TCP", "port": 81 }] }],
        }),
    )]
}

fn selectors(grid: &Grid) -> Vec<Draft> {
    let both = pods_in(&namespace("y"), &pod("b"));
    let either = json!([pods_of(&namespace("y")), pods_here(&pod("b"))]);
    let [x, y, z] = ["x", "y", "z"].map(|label| grid.namespace(label));
    let by_name = json!({ "matchLabels": { "kubernetes.io/metadata.name": y } });
    let by_names = expression("kubernetes.io/metadata.name", "In", &[x, z]);
    let by_other_names = expression("kubernetes.io/metadata.name", "NotIn", &[x, z]);
    vec![
        one(
            "namespaceSelector and podSelector in one element",
            ingress(&all(), &json!([{ "from": [both] }])),
        ),
        one(
            "namespaceSelector and podSelector in two elements",
            ingress(&all(), &json!([{ "from": either }])),
        ),
        one("the same in one element, egress", egress(&all(), &json!([{ "to": [both] }]))),
        one("the same in two elements, egress", egress(&all(), &json!([{ "to": either }]))),
        one(
            "multiple namespaces by label, egress",
            egress(&pod("a"), &json!([{ "to": [pods_of(&expression("ns", "In", &["y", "z"]))] }])),
        ),
        one("a namespace by its name", ingress(&all(), &json!([{ "from": [pods_of(&by_name)] }]))),
        one("a namespace by its name, egress", egress(&all(), &json!([{ "to": [pods_of(&by_name)] }]))),
        one("namespaces by their names", ingress(&all(), &json!([{ "from": [pods_of(&by_names)] }]))),
        one("namespaces by others' names", ingress(&all(), &json!([{ "from": [pods_of(&by_other_names)] }]))),
    ]
}

fn ports(grid: &Grid) -> Vec<Draft> {
    let to = json!([block(&around(grid.v4("y/a"), 16))]);
    let range = |first: u16, last: u16| json!([{ "protocol": "TCP", "port": first, "endPort": last }]);
    vec![
        one("a range of ports", egress(&pod("a"), &json!([{ "to": to, "ports": range(80, 90) }]))),
        one(
            "a range of ports that begins at the second",
            egress(&all(), &json!([{ "to": to, "ports": range(81, 32768) }])),
        ),
        one("a range of ports that ends at the first", ingress(&all(), &json!([{ "ports": range(1, 80) }]))),
        one("a range of one port", ingress(&all(), &json!([{ "ports": range(81, 81) }]))),
        one("a range of ports that nobody serves", ingress(&all(), &json!([{ "ports": range(82, 65535) }]))),
        one("the protocol is TCP by default", ingress(&all(), &json!([{ "ports": [{ "port": 80 }] }]))),
        one("a port without fields is all of TCP", ingress(&all(), &json!([{ "ports": [{}] }]))),
    ]
}

fn types() -> Vec<Draft> {
    let rules = json!([{ "to": [pods_of(&namespace("y"))] }]);
    vec![
        one("without policyTypes and rules ingress is denied", json!({ "podSelector": {} })),
        one("without policyTypes an egress section counts", json!({ "podSelector": {}, "egress": rules })),
        one(
            "without policyTypes an empty egress section does not",
            json!({ "podSelector": {}, "egress": [] }),
        ),
        one(
            "an egress section without its type",
            json!({ "podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}], "egress": rules }),
        ),
        one(
            "an ingress section without its type",
            json!({ "podSelector": {}, "policyTypes": ["Egress"], "ingress": [], "egress": rules }),
        ),
    ]
}

/// "For a connection from a source pod to a destination pod to be allowed, both the egress policy on the source pod and the ingress policy
/// on the destination pod need to allow the connection."
fn both_sides() -> Vec<Draft> {
    let to_y = egress(&all(), &json!([{ "to": [pods_of(&namespace("y"))] }]));
    let from_x = ingress(&pod("a"), &json!([{ "from": [pods_of(&namespace("x"))] }]));
    let from_z = ingress(&pod("b"), &json!([{ "from": [pods_of(&namespace("z"))] }]));
    vec![
        several("both sides have a say", [("x", to_y.clone()), ("y", from_x), ("y", from_z)]),
        several("replies need no rule", [("x", to_y), ("x", ingress(&all(), &json!([])))]),
    ]
}
