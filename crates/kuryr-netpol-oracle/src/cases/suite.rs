//! What Kubernetes' own end-to-end tests try (`test/e2e/network/netpol`), and after them those of cyclonus. Where those change something,
//! here is what they change it to.

use super::words::{
    all, alone, around, block, block_without, egress, everywhere, expression, ingress, namespace, one, pod,
    pods_here, pods_in, pods_of, several,
};
use super::{Draft, Grid};
use serde_json::{Value, json};

pub(super) fn drafts(grid: &Grid) -> Vec<Draft> {
    [
        peers(),
        combined(),
        ports(),
        egresses(),
        stacked(),
        blocks(grid),
        sctp(),
        subjects(),
        operators(),
        tiny(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn from(peers: &Value) -> Value {
    json!([{ "from": peers }])
}

fn to(peers: &Value) -> Value {
    json!([{ "to": peers }])
}

fn peers() -> Vec<Draft> {
    let in_y_or_z = expression("ns", "In", &["y", "z"]);
    vec![
        one(
            "traffic from pods of the server's namespace",
            ingress(&pod("a"), &from(&json!([pods_here(&pod("b"))]))),
        ),
        one("ingress for a target", ingress(&pod("a"), &json!([{}]))),
        one("ingress from pods of all namespaces", ingress(&all(), &from(&json!([pods_of(&all())])))),
        one("only from a different namespace", ingress(&pod("a"), &from(&json!([pods_of(&namespace("y"))])))),
        one(
            "podSelector with matchExpressions",
            ingress(&pod("a"), &from(&json!([pods_here(&expression("pod", "In", &["b"]))]))),
        ),
        one(
            "namespaceSelector with matchExpressions",
            ingress(&pod("a"), &from(&json!([pods_of(&in_y_or_z)]))),
        ),
        one("any pods", ingress(&pod("a"), &from(&json!([pods_here(&pod("b")), pods_here(&pod("c"))])))),
        one("the own namespace by its label", ingress(&pod("a"), &from(&json!([pods_of(&namespace("x"))])))),
        one("all pods of the own namespace", ingress(&all(), &from(&json!([pods_here(&all())])))),
        one("all pods of the own namespace, egress", egress(&all(), &to(&json!([pods_here(&all())])))),
    ]
}

fn combined() -> Vec<Draft> {
    let not_x = expression("ns", "NotIn", &["x"]);
    let b_or_c = expression("pod", "In", &["b", "c"]);
    vec![
        one(
            "podSelector or namespaceSelector",
            ingress(&pod("a"), &from(&json!([pods_of(&not_x), pods_here(&pod("b"))]))),
        ),
        one(
            "podSelector and namespaceSelector",
            ingress(&pod("a"), &from(&json!([pods_in(&not_x, &pod("b"))]))),
        ),
        one(
            "multiple podSelectors and namespaceSelectors",
            ingress(&pod("a"), &from(&json!([pods_in(&not_x, &b_or_c)]))),
        ),
        one(
            "only a pod in a different namespace",
            ingress(&pod("a"), &from(&json!([pods_in(&namespace("y"), &pod("a"))]))),
        ),
        one(
            "egress to a server in a different namespace",
            egress(&pod("a"), &to(&json!([pods_in(&namespace("y"), &pod("a"))]))),
        ),
        one(
            "ingress and egress together",
            json!({
                "podSelector": pod("a"),
                "policyTypes": ["Ingress", "Egress"],
                "ingress": [{ "from": [pods_of(&namespace("y"))] }],
                "egress": [{ "to": [pods_of(&namespace("z"))], "ports": [{ "port": 80, "protocol": "UDP" }] }],
            }),
        ),
    ]
}

fn ports() -> Vec<Draft> {
    let from_y = json!([pods_of(&namespace("y"))]);
    let at = |ports: Value| ingress(&pod("a"), &json!([{ "ports": ports }]));
    let both = json!([{ "port": 80, "protocol": "TCP" }, { "port": 81, "protocol": "UDP" }]);
    vec![
        one(
            "ports",
            ingress(&pod("a"), &json!([{ "from": from_y, "ports": [{ "port": 81, "protocol": "TCP" }] }])),
        ),
        one("ports that nobody serves", at(json!([{ "port": 9999 }]))),
        one("ports of two protocols", at(both)),
        one("one port of two protocols", at(json!([{ "port": 80 }, { "port": 80, "protocol": "UDP" }]))),
        one("one named port", at(json!([{ "port": "serve-81-tcp" }]))),
        one(
            "from a namespace on one named port",
            ingress(&pod("a"), &json!([{ "from": from_y, "ports": [{ "port": "serve-80-tcp" }] }])),
        ),
        one(
            "egress on one named port",
            egress(&pod("a"), &json!([{ "ports": [{ "port": "serve-80-tcp" }] }])),
        ),
        one("any port of a protocol", at(json!([{ "protocol": "TCP" }]))),
        one("no access by TCP where UDP is allowed", at(json!([{ "port": 81, "protocol": "UDP" }]))),
        one(
            "two rules of different ports and peers",
            ingress(
                &pod("a"),
                &json!([
                    { "from": from_y, "ports": [{ "port": 80 }] },
                    { "from": [pods_of(&namespace("z"))], "ports": [{ "port": 81 }] },
                ]),
            ),
        ),
    ]
}

fn egresses() -> Vec<Draft> {
    vec![
        one("no egress from pods", egress(&pod("a"), &json!([]))),
        one("no egress from a namespace", egress(&all(), &json!([]))),
        several(
            "no egress on the client's side, though the server allows it",
            [("x", egress(&pod("a"), &json!([]))), ("y", ingress(&all(), &json!([{}])))],
        ),
        several(
            "ingress and egress of one pod are controlled independently",
            [("x", ingress(&pod("a"), &json!([]))), ("x", egress(&pod("a"), &json!([{}])))],
        ),
        one(
            "egress at a port only",
            egress(&all(), &json!([{ "ports": [{ "port": 80, "protocol": "UDP" }] }])),
        ),
    ]
}

fn stacked() -> Vec<Draft> {
    let from_y = |port: u16| json!([{ "from": [pods_of(&namespace("y"))], "ports": [{ "port": port }] }]);
    let to_y = json!([{ "to": [pods_of(&namespace("y"))] }]);
    let deny = ingress(&all(), &json!([]));
    vec![
        several(
            "stacked policies with overlapping subjects",
            [("x", ingress(&pod("a"), &from_y(80))), ("x", ingress(&all(), &from_y(81)))],
        ),
        several(
            "an ingress policy that allows all goes before",
            [("x", ingress(&pod("a"), &from_y(80))), ("x", ingress(&all(), &json!([{}])))],
        ),
        several(
            "an egress policy that allows all goes before",
            [("x", egress(&pod("a"), &to_y)), ("x", egress(&all(), &json!([{}])))],
        ),
        several(
            "policies of several namespaces",
            [
                ("x", deny.clone()),
                ("y", ingress(&pod("a"), &json!([{ "from": [pods_of(&namespace("x"))] }]))),
                ("z", egress(&all(), &json!([{ "to": [pods_of(&namespace("x"))] }]))),
            ],
        ),
        everywhere(
            "pods of the own namespace, everywhere",
            &ingress(&all(), &json!([{ "from": [pods_here(&all())] }])),
        ),
    ]
}

fn blocks(grid: &Grid) -> Vec<Draft> {
    let target = alone(grid.v4("y/b"));
    let around_it = around(grid.v4("y/b"), 24);
    let excluded = block_without(&around_it, std::slice::from_ref(&target));
    vec![
        one("egress to a server in a block", egress(&pod("a"), &to(&json!([block(&target)])))),
        one("egress to a block but for a server", egress(&pod("a"), &to(&json!([excluded])))),
        several(
            "an address in a block and in an exception",
            [
                ("x", egress(&pod("a"), &to(&json!([excluded])))),
                ("x", egress(&pod("a"), &to(&json!([block(&target)])))),
            ],
        ),
        one("ingress from a block", ingress(&all(), &from(&json!([block(&target)])))),
        one("ingress from everywhere", ingress(&all(), &from(&json!([block("0.0.0.0/0")])))),
        one(
            "ingress from a block that no pod is in",
            ingress(&all(), &from(&json!([block("203.0.113.0/24")]))),
        ),
    ]
}

fn sctp() -> Vec<Draft> {
    let at_80 = json!([{ "ports": [{ "port": 80, "protocol": "SCTP" }] }]);
    vec![
        one("SCTP is not TCP", ingress(&all(), &at_80)),
        one("SCTP is not TCP, egress", egress(&pod("a"), &at_80)),
        several(
            "SCTP beside TCP",
            [
                ("x", ingress(&pod("a"), &at_80)),
                ("x", ingress(&pod("a"), &json!([{ "ports": [{ "port": 81 }] }]))),
            ],
        ),
    ]
}

fn subjects() -> Vec<Draft> {
    let not_c = expression("pod", "NotIn", &["c"]);
    let both = json!({ "matchLabels": { "pod": "a" }, "matchExpressions": [{ "key": "pod", "operator": "Exists" }] });
    let neither = json!({ "matchLabels": { "pod": "a" }, "matchExpressions": [{ "key": "pod", "operator": "NotIn", "values": ["a"] }] });
    vec![
        one("subjects by In", ingress(&expression("pod", "In", &["a", "b"]), &json!([]))),
        one("subjects by NotIn", ingress(&not_c, &json!([]))),
        one(
            "subjects by NotIn of a key that none has",
            ingress(&expression("absent", "NotIn", &["a"]), &json!([])),
        ),
        one("subjects by Exists", egress(&expression("pod", "Exists", &[]), &json!([]))),
        one("subjects by DoesNotExist", egress(&expression("pod", "DoesNotExist", &[]), &json!([]))),
        one("subjects by labels and expressions", ingress(&both, &json!([]))),
        one("no subjects", ingress(&neither, &json!([]))),
    ]
}

fn operators() -> Vec<Draft> {
    let of = |selector: Value| ingress(&all(), &from(&json!([pods_of(&selector)])));
    let here = |selector: Value| egress(&all(), &to(&json!([pods_here(&selector)])));
    let but_z = json!({ "matchExpressions": [
        { "key": "ns", "operator": "In", "values": ["y", "z"] },
        { "key": "ns", "operator": "NotIn", "values": ["z"] },
    ] });
    vec![
        one("namespaces by NotIn", of(expression("ns", "NotIn", &["z"]))),
        one("namespaces by Exists", of(expression("ns", "Exists", &[]))),
        one("namespaces by DoesNotExist", of(expression("absent", "DoesNotExist", &[]))),
        one("namespaces by two expressions", of(but_z)),
        one("pods by NotIn", here(expression("pod", "NotIn", &["b"]))),
        one("pods by DoesNotExist", here(expression("absent", "DoesNotExist", &[]))),
    ]
}

/// One pod, one peer, one port.
fn tiny() -> Vec<Draft> {
    let rule = json!([{ "from": [pods_in(&namespace("z"), &pod("c"))], "ports": [{ "port": 81, "protocol": "UDP" }] }]);
    let back = json!([{ "to": [pods_in(&namespace("x"), &pod("a"))], "ports": [{ "port": 81, "protocol": "UDP" }] }]);
    vec![
        one("one pod to one pod at one port", ingress(&pod("a"), &rule)),
        several(
            "one pod to one pod at one port, on both sides",
            [("x", ingress(&pod("a"), &rule)), ("z", egress(&pod("c"), &back))],
        ),
    ]
}
