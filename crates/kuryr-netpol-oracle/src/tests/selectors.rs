//! Label selectors.

use super::*;
use crate::Labels;
use crate::selector;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn matches(selector: Value, pairs: &[(&str, &str)]) -> bool {
    selector::matches(&serde_json::from_value(selector).unwrap(), &labels(pairs))
}

fn expression(key: &str, operator: &str, values: &[&str]) -> Value {
    json!({ "matchExpressions": [{ "key": key, "operator": operator, "values": values }] })
}

#[test]
fn an_empty_selector_matches_all_objects() {
    for selector in [json!({}), json!({ "matchLabels": {} }), json!({ "matchExpressions": [] })] {
        assert!(matches(selector.clone(), &[]));
        assert!(matches(selector, &[("a", "1")]));
    }
}

#[test]
fn all_labels_must_match() {
    let selector = json!({ "matchLabels": { "a": "1", "b": "2" } });
    assert!(matches(selector.clone(), &[("a", "1"), ("b", "2"), ("c", "3")]));
    assert!(!matches(selector.clone(), &[("a", "1")]));
    assert!(!matches(selector, &[("a", "1"), ("b", "3")]));
}

#[test]
fn in_needs_the_key_with_one_of_the_values() {
    let selector = expression("a", "In", &["1", "2"]);
    assert!(matches(selector.clone(), &[("a", "1")]));
    assert!(matches(selector.clone(), &[("a", "2")]));
    assert!(!matches(selector.clone(), &[("a", "3")]));
    assert!(!matches(selector, &[("b", "1")]));
}

#[test]
fn not_in_matches_objects_without_the_key() {
    let selector = expression("a", "NotIn", &["1", "2"]);
    assert!(!matches(selector.clone(), &[("a", "1")]));
    assert!(!matches(selector.clone(), &[("a", "2")]));
    assert!(matches(selector.clone(), &[("a", "3")]));
    assert!(matches(selector.clone(), &[("b", "1")]));
    assert!(matches(selector, &[]));
}

#[test]
fn exists_asks_for_the_key_alone() {
    let selector = expression("a", "Exists", &[]);
    assert!(matches(selector.clone(), &[("a", "")]));
    assert!(!matches(selector, &[("b", "1")]));
}

#[test]
fn does_not_exist_asks_that_the_key_is_absent() {
    let selector = expression("a", "DoesNotExist", &[]);
    assert!(!matches(selector.clone(), &[("a", "")]));
    assert!(matches(selector.clone(), &[("b", "1")]));
    assert!(matches(selector, &[]));
}

#[test]
fn an_empty_value_is_a_value() {
    assert!(matches(json!({ "matchLabels": { "a": "" } }), &[("a", "")]));
    assert!(!matches(json!({ "matchLabels": { "a": "" } }), &[]));
}

#[test]
fn labels_and_expressions_are_anded() {
    let selector = json!({
        "matchLabels": { "a": "1" },
        "matchExpressions": [
            { "key": "b", "operator": "In", "values": ["2", "3"] },
            { "key": "c", "operator": "DoesNotExist" },
        ],
    });
    assert!(matches(selector.clone(), &[("a", "1"), ("b", "3")]));
    assert!(!matches(selector.clone(), &[("a", "1"), ("b", "4")]));
    assert!(!matches(selector.clone(), &[("a", "2"), ("b", "3")]));
    assert!(!matches(selector, &[("a", "1"), ("b", "3"), ("c", "")]));
}

#[test]
fn expressions_of_one_key_are_anded() {
    let selector = json!({
        "matchExpressions": [
            { "key": "a", "operator": "In", "values": ["1", "2"] },
            { "key": "a", "operator": "NotIn", "values": ["2"] },
        ],
    });
    assert!(matches(selector.clone(), &[("a", "1")]));
    assert!(!matches(selector, &[("a", "2")]));
}

#[test]
fn an_unknown_operator_matches_nothing() {
    assert!(!matches(expression("a", "Gt", &["1"]), &[("a", "2")]));
}
