//! Policies by chance. Each field of the API is used, left out, and given empty.

use super::dice::Dice;
use crate::cluster::{Cluster, Labels};
use ipnet::IpNet;
use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
    NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Nobody has it.
const OUTSIDE: [u8; 4] = [203, 0, 113, 7];
/// No object has this key, and no label this value.
const ABSENT: &str = "absent";

/// Writes policies with the words of a cluster. No list of words is empty, but that of the namespaces may be.
pub(crate) struct Writer<'d> {
    dice: &'d mut Dice,
    namespaces: Vec<String>,
    pod_labels: Vec<(String, String)>,
    namespace_labels: Vec<(String, String)>,
    addresses: Vec<IpAddr>,
    port_names: Vec<String>,
    port_numbers: Vec<u16>,
}

impl<'d> Writer<'d> {
    pub(crate) fn new(dice: &'d mut Dice, cluster: &Cluster) -> Self {
        let ports = || cluster.pods.iter().flat_map(|pod| &pod.ports);
        let addresses = cluster.pods.iter().flat_map(|pod| &pod.addresses).chain(&cluster.node_addresses);
        let absent = || ABSENT.to_owned();
        Self {
            dice,
            namespaces: cluster.namespaces.keys().cloned().collect(),
            pod_labels: words(cluster.pods.iter().map(|pod| pod.labels.clone())),
            namespace_labels: words(cluster.namespaces.keys().map(|name| cluster.namespace_labels(name))),
            addresses: with(addresses.copied(), IpAddr::from(OUTSIDE)),
            port_names: with(ports().map(|port| port.name.clone()), absent()),
            port_numbers: with(ports().map(|port| port.number), 80),
        }
    }

    /// So many policies, or none where there is no namespace.
    pub(crate) fn policies(mut self, count: usize) -> Vec<NetworkPolicy> {
        let count = if self.namespaces.is_empty() { 0 } else { count };
        (0..count).map(|number| self.policy(number)).collect()
    }

    fn policy(&mut self, number: usize) -> NetworkPolicy {
        let metadata = ObjectMeta {
            namespace: Some(self.dice.pick(&self.namespaces).clone()),
            name: Some(format!("policy-{number}")),
            ..ObjectMeta::default()
        };
        NetworkPolicy { metadata, spec: Some(self.spec()) }
    }

    fn spec(&mut self) -> NetworkPolicySpec {
        let types: [Option<&[&str]>; 6] = [
            None,
            None,
            Some(&["Ingress"]),
            Some(&["Egress"]),
            Some(&["Ingress", "Egress"]),
            Some(&["Egress", "Ingress"]),
        ];
        let types = *self.dice.pick(&types);
        NetworkPolicySpec {
            pod_selector: Some(self.subjects()),
            policy_types: types.map(|types| types.iter().map(ToString::to_string).collect()),
            ingress: self.list(Self::ingress),
            egress: self.list(Self::egress),
        }
    }

    /// A list of one to three, or sometimes none, or an empty one.
    fn list<T>(&mut self, one: fn(&mut Self) -> T) -> Option<Vec<T>> {
        let length = match self.dice.below(8) {
            0 => return None,
            1 => 0,
            2..=4 => 1,
            5 | 6 => 2,
            _ => 3,
        };
        Some((0..length).map(|_| one(self)).collect())
    }

    fn ingress(&mut self) -> NetworkPolicyIngressRule {
        NetworkPolicyIngressRule { from: self.list(Self::peer), ports: self.list(Self::port) }
    }

    fn egress(&mut self) -> NetworkPolicyEgressRule {
        NetworkPolicyEgressRule { to: self.list(Self::peer), ports: self.list(Self::port) }
    }

    fn peer(&mut self) -> NetworkPolicyPeer {
        let mut peer = NetworkPolicyPeer::default();
        match self.dice.below(5) {
            0 => peer.pod_selector = Some(self.pod_selector()),
            1 => peer.namespace_selector = Some(self.namespace_selector()),
            2 => {
                peer.pod_selector = Some(self.pod_selector());
                peer.namespace_selector = Some(self.namespace_selector());
            }
            _ => peer.ip_block = Some(self.block()),
        }
        peer
    }

    /// All pods of the namespace more often than a peer is: what isolates few pods tries little.
    fn subjects(&mut self) -> LabelSelector {
        if self.dice.one_in(3) { LabelSelector::default() } else { self.pod_selector() }
    }

    fn pod_selector(&mut self) -> LabelSelector {
        selector(self.dice, &self.pod_labels)
    }

    fn namespace_selector(&mut self) -> LabelSelector {
        selector(self.dice, &self.namespace_labels)
    }

    /// A block around an address, and other blocks in it: an API server wants an exception to be smaller.
    fn block(&mut self) -> IPBlock {
        let block = self.net(0);
        let exceptions = (0..self.dice.below(4)).map(|_| self.net(block.prefix_len() + 1));
        let exceptions: Vec<_> = exceptions.filter(|net| block != *net && block.contains(net)).collect();
        let except = exceptions.iter().map(ToString::to_string).collect();
        IPBlock { cidr: block.to_string(), except: (!exceptions.is_empty()).then_some(except) }
    }

    /// A block around an address of the cluster with a prefix of at least that length.
    fn net(&mut self, at_least: u8) -> IpNet {
        let address = *self.dice.pick(&self.addresses);
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let shorter = *self.dice.pick(&[0, 0, 0, 1, 2, 3, 4, 5, 8, 16, longest]);
        let prefix = (longest - shorter).clamp(at_least.min(longest), longest);
        IpNet::new(address, prefix).unwrap_or_else(|_| address.into()).trunc()
    }

    fn port(&mut self) -> NetworkPolicyPort {
        let protocol =
            *self.dice.pick(&[None, Some("TCP"), Some("TCP"), Some("UDP"), Some("UDP"), Some("SCTP")]);
        let protocol = protocol.map(str::to_owned);
        let number = i32::from(*self.dice.pick(&self.port_numbers));
        let (port, end_port) = match self.dice.below(6) {
            0 => (None, None),
            1 | 2 => (Some(IntOrString::String(self.dice.pick(&self.port_names).clone())), None),
            3 => {
                let lower = number - *self.dice.pick(&[0, 1, 10]);
                (Some(IntOrString::Int(lower)), Some(lower + *self.dice.pick(&[0, 1, 10, 1000])))
            }
            _ => (Some(IntOrString::Int(number)), None),
        };
        NetworkPolicyPort { protocol, port, end_port }
    }
}

fn selector(dice: &mut Dice, words: &[(String, String)]) -> LabelSelector {
    let labels = |dice: &mut Dice| Some([dice.pick(words).clone()].into());
    let expressions = |dice: &mut Dice| {
        let count = 1 + dice.below(2);
        Some((0..count).map(|_| requirement(dice, words)).collect())
    };
    match dice.below(6) {
        0 => LabelSelector::default(),
        1..=3 => LabelSelector { match_labels: labels(dice), match_expressions: None },
        4 => LabelSelector { match_labels: None, match_expressions: expressions(dice) },
        _ => LabelSelector { match_labels: labels(dice), match_expressions: expressions(dice) },
    }
}

fn requirement(dice: &mut Dice, words: &[(String, String)]) -> LabelSelectorRequirement {
    let (key, value) = dice.pick(words).clone();
    let operator = *dice.pick(&["In", "NotIn", "Exists", "DoesNotExist"]);
    let values = matches!(operator, "In" | "NotIn").then(|| {
        let others = words.iter().filter(|(other, _)| *other == key).map(|(_, other)| other.clone());
        let others = with(others, ABSENT.to_owned());
        if dice.one_in(2) { vec![value] } else { vec![value, dice.pick(&others).clone()] }
    });
    LabelSelectorRequirement { key, operator: operator.to_owned(), values }
}

/// All pairs, each once, and one that no object has.
fn words(labels: impl Iterator<Item = Labels>) -> Vec<(String, String)> {
    with(labels.flatten(), (ABSENT.to_owned(), ABSENT.to_owned()))
}

/// All of them in order, each once, and one more.
fn with<T: Ord>(all: impl Iterator<Item = T>, more: T) -> Vec<T> {
    all.chain([more]).collect::<BTreeSet<_>>().into_iter().collect()
}
