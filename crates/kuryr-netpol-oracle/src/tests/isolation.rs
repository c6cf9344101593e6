//! Which pods a policy isolates, and in which direction.

use super::*;
use crate::Decision;

#[test]
fn pods_are_not_isolated_by_default() {
    let cluster = cluster(&[]);
    assert!(cluster.tcp("x/a", "y/b", 80));
    let verdict = cluster.asked("203.0.113.7", "x/a", Protocol::Sctp, 1);
    assert_eq!(verdict.ingress, Decision::NotIsolated);
}

#[test]
fn an_empty_pod_selector_selects_all_pods_in_the_namespace() {
    let cluster = cluster(&[("x", json!({ "podSelector": {}, "policyTypes": ["Ingress"] }))]);
    for pod in ["x/a", "x/b", "x/c"] {
        assert_eq!(cluster.who_reaches(pod), Vec::<String>::new());
    }
    assert_eq!(cluster.who_reaches("y/a").len(), 5);
    let verdict = cluster.asked("y/a", "x/a", Protocol::Tcp, 80);
    assert_eq!(verdict.ingress, Decision::Denied(vec!["x/p0".to_owned()]));
    assert_eq!(verdict.egress, Decision::NotIsolated);
    assert_eq!(verdict.to_string(), "egress free: nothing isolates the pod, ingress denied by x/p0");
}

#[test]
fn only_selected_pods_are_isolated() {
    let spec = json!({ "podSelector": { "matchLabels": { "pod": "a" } }, "policyTypes": ["Ingress"] });
    let cluster = cluster(&[("x", spec)]);
    assert!(!cluster.tcp("x/b", "x/a", 80));
    assert!(cluster.tcp("x/a", "x/b", 80));
    assert!(cluster.tcp("x/b", "y/a", 80));
}

/// "All policies (whether or not they contain an ingress section) are assumed to affect ingress."
#[test]
fn without_types_ingress_is_affected() {
    let cluster = cluster(&[("x", json!({ "podSelector": {} }))]);
    assert!(!cluster.tcp("y/a", "x/a", 80));
    assert!(cluster.tcp("x/a", "y/a", 80));
}

/// "Policies that contain an egress section are assumed to affect egress": egress and, since all do, ingress.
#[test]
fn without_types_an_egress_section_affects_both() {
    let cluster = cluster(&[("x", json!({ "podSelector": {}, "egress": [{}] }))]);
    assert!(cluster.tcp("x/a", "y/a", 80));
    assert!(!cluster.tcp("y/a", "x/a", 80));
    let verdict = cluster.asked("x/a", "y/a", Protocol::Tcp, 80);
    assert_eq!(verdict.egress, Decision::Allowed("x/p0".to_owned()));
}

/// "Such a policy would not include an egress section and would otherwise default to just `["Ingress"]`."
#[test]
fn an_empty_egress_section_is_none() {
    let cluster = cluster(&[("x", json!({ "podSelector": {}, "egress": [] }))]);
    assert!(cluster.tcp("x/a", "y/a", 80));
}

#[test]
fn empty_types_are_like_missing_ones() {
    let cluster = cluster(&[("x", json!({ "podSelector": {}, "policyTypes": [], "egress": [{}] }))]);
    assert!(!cluster.tcp("y/a", "x/a", 80));
    let verdict = cluster.asked("x/a", "y/a", Protocol::Tcp, 80);
    assert_eq!(verdict.egress, Decision::Allowed("x/p0".to_owned()));
}

/// "If you want to write an egress-only policy, you must explicitly specify policyTypes `["Egress"]`."
#[test]
fn types_decide_and_not_the_sections() {
    let spec = json!({ "podSelector": {}, "policyTypes": ["Egress"], "ingress": [{}] });
    let only_egress = cluster(&[("x", spec)]);
    assert!(!only_egress.tcp("x/a", "y/a", 80));
    assert_eq!(only_egress.asked("y/a", "x/a", Protocol::Tcp, 80).ingress, Decision::NotIsolated);
    let spec = json!({ "podSelector": {}, "policyTypes": ["Ingress"], "egress": [{}] });
    let only_ingress = cluster(&[("x", spec)]);
    assert!(!only_ingress.tcp("y/a", "x/a", 80));
    assert_eq!(only_ingress.asked("x/a", "y/a", Protocol::Tcp, 80).egress, Decision::NotIsolated);
}

/// "If this field is empty then this NetworkPolicy does not allow any traffic."
#[test]
fn an_empty_list_of_rules_allows_nothing() {
    let spec =
        json!({ "podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [], "egress": [] });
    let cluster = cluster(&[("x", spec)]);
    assert!(!cluster.tcp("y/a", "x/a", 80));
    assert!(!cluster.tcp("x/a", "y/a", 80));
    assert!(!cluster.udp("x/a", "x/b", 53));
}

/// "Network policies do not conflict; they are additive."
#[test]
fn what_any_policy_allows_is_allowed() {
    let deny = json!({ "podSelector": {}, "policyTypes": ["Ingress"] });
    let allow = from(&json!({ "podSelector": { "matchLabels": { "pod": "b" } } }));
    for policies in [[("x", deny.clone()), ("x", allow.clone())], [("x", allow), ("x", deny)]] {
        assert_eq!(cluster(&policies).who_reaches("x/a"), ["x/b"]);
    }
}

#[test]
fn policies_of_one_direction_do_not_isolate_in_the_other() {
    let ingress = from(&json!({ "podSelector": { "matchLabels": { "pod": "b" } } }));
    let egress = to(&json!({ "podSelector": { "matchLabels": { "pod": "c" } } }));
    let cluster = cluster(&[("x", ingress), ("x", egress)]);
    assert_eq!(cluster.who_reaches("x/a"), Vec::<String>::new(), "x/b may only send to x/c");
    assert_eq!(cluster.reached_by("x/a"), Vec::<String>::new(), "x/c only lets x/b in");
    assert!(cluster.tcp("x/b", "x/c", 80));
    assert!(!cluster.tcp("y/b", "x/c", 80));
}

/// "Both the egress policy on the source pod and the ingress policy on the destination pod need to allow the connection."
#[test]
fn either_side_can_deny() {
    let x_to_y = to(&json!({ "namespaceSelector": { "matchLabels": { "ns": "y" } } }));
    let nothing = json!({ "podSelector": { "matchLabels": { "pod": "a" } }, "policyTypes": ["Ingress"] });
    let cluster = cluster(&[("x", x_to_y), ("y", nothing)]);
    assert!(cluster.tcp("x/b", "y/b", 80));
    assert!(!cluster.tcp("x/b", "y/a", 80), "denied by the destination");
    assert!(!cluster.tcp("x/b", "x/a", 80), "denied by the source");
    assert!(cluster.tcp("y/b", "x/a", 80), "a connection in the other direction is another one");
}

#[test]
fn a_rule_without_fields_allows_everything_wherever_it_stands() {
    let narrow = json!({ "from": [{ "podSelector": { "matchLabels": { "pod": "b" } } }] });
    for rules in [json!([{}]), json!([{}, narrow]), json!([narrow, {}]), json!([narrow, {}, narrow])] {
        let spec = json!({ "podSelector": {}, "policyTypes": ["Ingress"], "ingress": rules });
        let cluster = cluster(&[("x", spec)]);
        assert_eq!(cluster.who_reaches("x/a").len(), 5, "{rules}");
        assert!(cluster.tcp("203.0.113.7", "x/a", 80));
        assert!(cluster.udp("203.0.113.7", "x/a", 1));
    }
}

#[test]
fn a_missing_pod_selector_is_an_empty_one() {
    let mut cluster = cluster(&[("x", json!({ "podSelector": {}, "policyTypes": ["Ingress"] }))]);
    cluster.policies[0].spec.as_mut().unwrap().pod_selector = None;
    assert!(!cluster.tcp("y/a", "x/c", 80));
}
