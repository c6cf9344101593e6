//! Same seed, same policies; no nonsense; nothing left out.

use super::*;
use crate::{Endpoint, Family, allows, allows_over};
use ipnet::IpNet;
use k8s_openapi::api::networking::v1::{IPBlock, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeMap;

const SEEDS: std::ops::Range<u64> = 0..300;

#[test]
fn a_seed_decides_everything() {
    for seed in SEEDS {
        let (one, other) = (random_cluster(seed), random_cluster(seed));
        assert_eq!(one.pods, other.pods);
        assert_eq!(one.policies, other.policies);
        assert_eq!(generate(seed, &one), generate(seed, &other));
    }
    assert_ne!(random_cluster(1).policies, random_cluster(2).policies);
}

#[test]
fn clusters_are_as_small_as_they_say() {
    for cluster in SEEDS.map(random_cluster) {
        assert!((2..=4).contains(&cluster.namespaces.len()));
        for namespace in cluster.namespaces.keys() {
            let pods = cluster.pods.iter().filter(|pod| pod.namespace == *namespace).count();
            assert!((3..=4).contains(&pods));
        }
        let mut addresses = BTreeSet::new();
        for pod in cluster.pods.iter().filter(|pod| !pod.host_network) {
            assert!(pod.addresses.iter().all(|address| addresses.insert(*address)), "an address twice");
        }
    }
}

#[test]
fn an_api_server_accepts_the_policies() {
    for cluster in SEEDS.map(random_cluster) {
        for policy in &cluster.policies {
            assert!(cluster.namespaces.contains_key(policy.metadata.namespace.as_deref().unwrap()));
            is_valid(policy.spec.as_ref().unwrap());
        }
    }
}

#[test]
fn nothing_to_speak_of_is_nothing_to_write() {
    assert_eq!(generate(1, &Cluster::default()), []);
}

/// Both answers are frequent, by both sides, so that a wrong one is seen.
#[test]
fn policies_allow_and_deny() {
    let mut answers = BTreeMap::<(bool, bool), usize>::new();
    for cluster in SEEDS.map(random_cluster) {
        for (from, to) in pairs(&cluster) {
            let verdict = allows(&cluster, from, to, Protocol::Tcp, 80);
            *answers.entry((verdict.egress.is_allowed(), verdict.ingress.is_allowed())).or_default() += 1;
        }
    }
    let all: usize = answers.values().sum();
    assert_eq!(answers.len(), 4, "{answers:?}");
    assert!(answers.values().all(|count| count * 20 > all), "of {all} {answers:?}");
}

/// A policy without effect on the isolation of pods only ever adds to what is allowed, and their order decides nothing.
#[test]
fn policies_add_up() {
    for seed in SEEDS {
        let cluster = random_cluster(seed);
        let mut turned = cluster.clone();
        turned.policies.reverse();
        let mut doubled = cluster.clone();
        doubled.policies.extend(cluster.policies.clone());
        let mut free = cluster.clone();
        free.policies.clear();
        for (from, to) in pairs(&cluster) {
            for family in [Family::V4, Family::V6] {
                let ask = |cluster| allows_over(family, cluster, from, to, Protocol::Tcp, 80).is_allowed();
                assert_eq!(ask(&cluster), ask(&turned));
                assert_eq!(ask(&cluster), ask(&doubled));
                assert!(ask(&free));
            }
        }
    }
}

#[test]
fn every_field_is_used() {
    let mut used = BTreeSet::new();
    for cluster in SEEDS.map(random_cluster) {
        for policy in cluster.policies {
            note(&mut used, "", &serde_json::to_value(policy.spec).unwrap());
        }
    }
    for wanted in [
        ".podSelector = {}",
        ".podSelector.matchLabels",
        ".podSelector.matchExpressions",
        ".policyTypes",
        ".ingress = []",
        ".egress = []",
        ".ingress[] = {}",
        ".egress[] = {}",
        ".ingress[].from = []",
        ".ingress[].ports = []",
        ".egress[].to = []",
        ".ingress[].ports[] = {}",
        ".ingress[].ports[].endPort",
        ".ingress[].ports[].protocol",
        ".egress[].ports[].port",
        ".egress[].to[].podSelector",
        ".egress[].to[].podSelector = {}",
        ".egress[].to[].namespaceSelector",
        ".egress[].to[].namespaceSelector = {}",
        ".egress[].to[].namespaceSelector.matchLabels",
        ".egress[].to[].namespaceSelector.matchExpressions",
        ".egress[].to[].ipBlock.cidr",
        ".ingress[].from[].ipBlock.except",
    ] {
        assert!(used.contains(wanted), "{wanted} is never used");
    }
}

fn pairs(cluster: &Cluster) -> Vec<(Endpoint, Endpoint)> {
    let all = 0..cluster.pods.len();
    let pairs = all.clone().flat_map(|from| all.clone().map(move |to| (from, to)));
    pairs.map(|(from, to)| (Endpoint::Pod(from), Endpoint::Pod(to))).collect()
}

/// Notes all paths in an object, and those where something empty is.
fn note(used: &mut BTreeSet<String>, path: &str, value: &serde_json::Value) {
    used.insert(path.to_owned());
    match value {
        serde_json::Value::Object(fields) => {
            if fields.is_empty() {
                used.insert(format!("{path} = {{}}"));
            }
            fields.iter().for_each(|(name, value)| note(used, &format!("{path}.{name}"), value));
        }
        serde_json::Value::Array(items) => {
            if items.is_empty() {
                used.insert(format!("{path} = []"));
            }
            items.iter().for_each(|item| note(used, &format!("{path}[]"), item));
        }
        _ => {}
    }
}

fn is_valid(spec: &NetworkPolicySpec) {
    is_valid_selector(spec.pod_selector.as_ref().unwrap());
    for rule in spec.ingress.iter().flatten() {
        rule.from.iter().flatten().for_each(is_valid_peer);
        rule.ports.iter().flatten().for_each(is_valid_port);
    }
    for rule in spec.egress.iter().flatten() {
        rule.to.iter().flatten().for_each(is_valid_peer);
        rule.ports.iter().flatten().for_each(is_valid_port);
    }
}

fn is_valid_peer(peer: &NetworkPolicyPeer) {
    let selectors = [&peer.pod_selector, &peer.namespace_selector];
    selectors.into_iter().flatten().for_each(is_valid_selector);
    let has_selector = selectors.iter().any(|selector| selector.is_some());
    assert_ne!(peer.ip_block.is_some(), has_selector);
    peer.ip_block.iter().for_each(is_valid_block);
}

fn is_valid_block(block: &IPBlock) {
    let net = |text: &String| text.parse::<IpNet>().unwrap();
    let cidr = net(&block.cidr);
    assert_eq!(cidr, cidr.trunc());
    for except in block.except.iter().flatten().map(net) {
        assert!(cidr.contains(&except) && cidr != except && except == except.trunc(), "{except} in {cidr}");
    }
}

fn is_valid_port(port: &NetworkPolicyPort) {
    let number = match &port.port {
        Some(IntOrString::Int(number)) => {
            assert!((1..=65535).contains(number));
            Some(*number)
        }
        _ => None,
    };
    if let Some(end) = port.end_port {
        assert!(number.is_some_and(|number| (number..=65535).contains(&end)));
    }
}

fn is_valid_selector(selector: &LabelSelector) {
    for requirement in selector.match_expressions.iter().flatten() {
        let has_values = requirement.values.as_ref().is_some_and(|values| !values.is_empty());
        assert_eq!(has_values, matches!(requirement.operator.as_str(), "In" | "NotIn"));
    }
}
