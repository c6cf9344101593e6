//! What cases are written with.

use super::Draft;
use ipnet::IpNet;
use serde_json::{Value, json};
use std::net::IpAddr;

/// A case of one policy, in `x`.
pub(super) fn one(name: &'static str, spec: Value) -> Draft {
    Draft { name, policies: vec![("x", spec)] }
}

/// A case of several policies.
pub(super) fn several<const N: usize>(name: &'static str, policies: [(&'static str, Value); N]) -> Draft {
    Draft { name, policies: policies.into() }
}

/// A case of the same policy in all namespaces.
pub(super) fn everywhere(name: &'static str, spec: &Value) -> Draft {
    several(name, ["x", "y", "z"].map(|namespace| (namespace, spec.clone())))
}

/// A policy for the ingress of these pods.
pub(super) fn ingress(pods: &Value, rules: &Value) -> Value {
    json!({ "podSelector": pods, "policyTypes": ["Ingress"], "ingress": rules })
}

/// A policy for the egress of these pods.
pub(super) fn egress(pods: &Value, rules: &Value) -> Value {
    json!({ "podSelector": pods, "policyTypes": ["Egress"], "egress": rules })
}

/// A selector of everything.
pub(super) fn all() -> Value {
    json!({})
}

/// A selector of the pods of that name.
pub(super) fn pod(name: &str) -> Value {
    json!({ "matchLabels": { "pod": name } })
}

/// A selector of one namespace.
pub(super) fn namespace(label: &str) -> Value {
    json!({ "matchLabels": { "ns": label } })
}

/// A selector by one expression.
pub(super) fn expression(key: &str, operator: &str, values: &[&str]) -> Value {
    let expression = if values.is_empty() {
        json!({ "key": key, "operator": operator })
    } else {
        json!({ "key": key, "operator": operator, "values": values })
    };
    json!({ "matchExpressions": [expression] })
}

/// A peer: the pods that a selector selects in the policy's namespace.
pub(super) fn pods_here(selector: &Value) -> Value {
    json!({ "podSelector": selector })
}

/// A peer: all pods of the namespaces that a selector selects.
pub(super) fn pods_of(namespaces: &Value) -> Value {
    json!({ "namespaceSelector": namespaces })
}

/// A peer: the pods that one selector selects, of the namespaces that the other one does.
pub(super) fn pods_in(namespaces: &Value, pods: &Value) -> Value {
    json!({ "namespaceSelector": namespaces, "podSelector": pods })
}

/// A peer: a block of addresses.
pub(super) fn block(cidr: &str) -> Value {
    json!({ "ipBlock": { "cidr": cidr } })
}

/// A peer: a block of addresses without others.
pub(super) fn block_without(cidr: &str, except: &[String]) -> Value {
    json!({ "ipBlock": { "cidr": cidr, "except": except } })
}

/// The block of one address.
pub(super) fn alone(address: IpAddr) -> String {
    around(address, if address.is_ipv4() { 32 } else { 128 })
}

/// The block of that prefix that an address is in.
pub(super) fn around(address: IpAddr, prefix: u8) -> String {
    IpNet::new(address, prefix).unwrap_or_else(|_| address.into()).trunc().to_string()
}
