//! What the Python Kuryr gets wrong, and what comes close to it.

use super::words::{
    all, alone, around, block, block_without, egress, expression, ingress, namespace, one, pod, pods_here,
    pods_in, pods_of, several,
};
use super::{Draft, Grid};
use serde_json::{Value, json};

pub(super) fn drafts(grid: &Grid) -> Vec<Draft> {
    [rules(), selectors(), blocks(grid), blocks_of_ipv6(grid), ports(), named_ports(grid)]
        .into_iter()
        .flatten()
        .collect()
}

fn rules() -> Vec<Draft> {
    let narrow = json!({ "from": [pods_here(&pod("b"))], "ports": [{ "port": 80 }] });
    let narrow_out = json!({ "to": [pods_here(&pod("b"))], "ports": [{ "port": 80 }] });
    let from_b = ingress(&pod("a"), &json!([{ "from": [pods_here(&pod("b"))] }]));
    vec![
        one("a rule without fields after others", ingress(&all(), &json!([narrow, {}]))),
        one("a rule without fields between others", ingress(&all(), &json!([narrow, {}, narrow]))),
        one("a rule without fields after others, egress", egress(&all(), &json!([narrow_out, {}]))),
        one("from: []", ingress(&all(), &json!([{ "from": [] }]))),
        one("to: []", egress(&all(), &json!([{ "to": [] }]))),
        one("from: [] and ports", ingress(&all(), &json!([{ "from": [], "ports": [{ "port": 80 }] }]))),
        one("to: [] and ports: []", egress(&all(), &json!([{ "to": [], "ports": [] }]))),
        one("the same rule twice", ingress(&all(), &json!([narrow, narrow]))),
        several("the same policy twice", [("x", from_b.clone()), ("x", from_b)]),
        several(
            "one policy isolates what another one allows a part of",
            [("x", ingress(&all(), &json!([]))), ("x", ingress(&pod("a"), &json!([narrow])))],
        ),
    ]
}

fn selectors() -> Vec<Draft> {
    let two = expression("ns", "In", &["y", "z"]);
    let hash = json!({ "matchLabels": { "pod": "b", "pod-template-hash": "5d7f" } });
    let ports = json!([{ "port": 80 }]);
    vec![
        one("pods of several namespaces", ingress(&all(), &json!([{ "from": [pods_in(&two, &pod("b"))] }]))),
        one(
            "pods of several namespaces, egress",
            egress(&all(), &json!([{ "to": [pods_in(&two, &pod("b"))] }])),
        ),
        one("pods of all namespaces", ingress(&all(), &json!([{ "from": [pods_in(&all(), &pod("c"))] }]))),
        one("all pods of several namespaces", ingress(&all(), &json!([{ "from": [pods_in(&two, &all())] }]))),
        one(
            "all namespaces at a port without a protocol",
            ingress(&all(), &json!([{ "from": [pods_of(&all())], "ports": ports }])),
        ),
        one("a label that Deployments give", ingress(&all(), &json!([{ "from": [pods_here(&hash)] }]))),
        one("a label that Deployments give, of subjects", ingress(&hash, &json!([]))),
        one("no pod is a peer", ingress(&all(), &json!([{ "from": [pods_here(&pod("absent"))] }]))),
        one(
            "no pod is a peer, egress",
            egress(&all(), &json!([{ "to": [pods_in(&all(), &pod("absent"))] }])),
        ),
    ]
}

fn blocks(grid: &Grid) -> Vec<Draft> {
    let wide = around(grid.v4("x/a"), 16);
    let each = |pods: &[&str]| pods.iter().map(|pod| alone(grid.v4(pod))).collect::<Vec<_>>();
    let two = block_without(&wide, &each(&["y/a", "z/b"]));
    let three = block_without("0.0.0.0/0", &each(&["x/b", "y/a", "z/c"]));
    let nothing = block_without("0.0.0.0/0", &["0.0.0.0/1".to_owned(), "128.0.0.0/1".to_owned()]);
    let ports = json!([{ "port": 80 }]);
    let again = json!([two, block(&alone(grid.v4("y/a")))]);
    let nested = block_without(&wide, &[around(grid.v4("y/a"), 24), alone(grid.v4("y/a"))]);
    vec![
        one("two exceptions", ingress(&all(), &json!([{ "from": [two] }]))),
        one("two exceptions, egress", egress(&all(), &json!([{ "to": [two] }]))),
        one("three exceptions", ingress(&all(), &json!([{ "from": [three] }]))),
        one("three exceptions and ports", egress(&all(), &json!([{ "to": [three], "ports": ports }]))),
        one("exceptions that leave nothing", ingress(&all(), &json!([{ "from": [nothing] }]))),
        one(
            "exceptions that leave nothing, and ports",
            ingress(&all(), &json!([{ "from": [nothing], "ports": ports }])),
        ),
        one("the same, egress", egress(&all(), &json!([{ "to": [nothing], "ports": ports }]))),
        one("an exception inside of another one", ingress(&all(), &json!([{ "from": [nested] }]))),
        one("what one block excludes, another one names", ingress(&all(), &json!([{ "from": again }]))),
    ]
}

fn blocks_of_ipv6(grid: &Grid) -> Vec<Draft> {
    let wide = around(grid.v6("x/a"), 64);
    let two = block_without(&wide, &[alone(grid.v6("y/a")), alone(grid.v6("z/b"))]);
    let both = json!([block(&alone(grid.v4("y/a"))), block(&alone(grid.v6("y/b")))]);
    vec![
        one("a block of IPv6", ingress(&all(), &json!([{ "from": [block("::/0")] }]))),
        one("a block of IPv6 with two exceptions", ingress(&all(), &json!([{ "from": [two] }]))),
        one("a block of IPv6 with two exceptions, egress", egress(&all(), &json!([{ "to": [two] }]))),
        one("blocks of both families", ingress(&all(), &json!([{ "from": both }]))),
    ]
}

fn ports() -> Vec<Draft> {
    let at = |port: Value| ingress(&all(), &json!([{ "ports": [port] }]));
    let to_y = |port: Value| egress(&all(), &json!([{ "to": [pods_of(&namespace("y"))], "ports": [port] }]));
    vec![
        one("endPort", at(json!({ "port": 70, "endPort": 80 }))),
        one("endPort, UDP and egress", to_y(json!({ "port": 81, "endPort": 90, "protocol": "UDP" }))),
        one("a protocol alone: TCP", at(json!({ "protocol": "TCP" }))),
        one("a protocol alone: UDP", at(json!({ "protocol": "UDP" }))),
        one("a protocol alone, egress", to_y(json!({ "protocol": "UDP" }))),
        one("a protocol alone: SCTP", at(json!({ "protocol": "SCTP" }))),
    ]
}

fn named_ports(grid: &Grid) -> Vec<Draft> {
    let web = json!([{ "port": "web" }]);
    let udp = json!([{ "port": "serve-80-udp", "protocol": "UDP" }]);
    let wide = block(&around(grid.v4("x/a"), 16));
    let others = block_without(&around(grid.v4("x/a"), 16), &[alone(grid.v4("y/c"))]);
    vec![
        one("a name of all pods here", ingress(&all(), &json!([{ "ports": web }]))),
        one("a name of one pod", ingress(&pod("c"), &json!([{ "ports": web }]))),
        one(
            "a name, from some",
            ingress(&all(), &json!([{ "from": [pods_in(&all(), &pod("b"))], "ports": web }])),
        ),
        one("a name, from a block", ingress(&all(), &json!([{ "from": [wide], "ports": web }]))),
        one(
            "a name of another protocol",
            ingress(&all(), &json!([{ "ports": [{ "port": "web", "protocol": "UDP" }] }])),
        ),
        one("a name for UDP", ingress(&all(), &json!([{ "ports": udp }]))),
        one("a name that no pod knows", ingress(&all(), &json!([{ "ports": [{ "port": "absent" }] }]))),
        one(
            "a name and a number",
            ingress(&all(), &json!([{ "ports": [{ "port": "web" }, { "port": 81 }] }])),
        ),
        one("a name, egress to anywhere", egress(&all(), &json!([{ "ports": web }]))),
        one(
            "a name, egress to pods that the policy selects",
            egress(&all(), &json!([{ "to": [pods_here(&all())], "ports": web }])),
        ),
        one(
            "a name, egress to namespaces",
            egress(&pod("a"), &json!([{ "to": [pods_of(&namespace("y"))], "ports": web }])),
        ),
        one(
            "a name, egress to some",
            egress(&all(), &json!([{ "to": [pods_in(&all(), &pod("c"))], "ports": web }])),
        ),
        one("a name, egress to a block", egress(&all(), &json!([{ "to": [wide], "ports": web }]))),
        one(
            "a name, egress to a block with an exception",
            egress(&all(), &json!([{ "to": [others], "ports": web }])),
        ),
        one("a name for UDP, egress", egress(&all(), &json!([{ "to": [pods_of(&all())], "ports": udp }]))),
        one(
            "a name that no pod knows, egress",
            egress(&all(), &json!([{ "ports": [{ "port": "absent" }] }])),
        ),
    ]
}
