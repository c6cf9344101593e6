//! Whether a packet passes, and who says so.
//!
//! "By default, a pod is non-isolated for egress; all outbound connections are allowed. A pod is isolated for egress if there is any
//! NetworkPolicy that both selects the pod and has "Egress" in its policyTypes. When a pod is isolated for egress, the only allowed
//! connections from the pod are those allowed by the egress list of some NetworkPolicy that applies to the pod for egress. The effects
//! of those egress lists combine additively." The same holds for ingress, and "both the egress policy on the source pod and the
//! ingress policy on the destination pod need to allow the connection".

use crate::cluster::{Cluster, Family, OraclePod, Protocol};
use crate::rule::{self, Direction, Packet, Party};
use crate::selector;
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicySpec};
use std::fmt;
use std::net::IpAddr;

/// An end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// The pod of this place in [`Cluster::pods`].
    Pod(usize),
    /// An address outside of the cluster, or a node's. A pod's address means the pod.
    Address(IpAddr),
}

/// What policies say of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What those say that select the source.
    pub egress: Decision,
    /// What those say that select the destination.
    pub ingress: Decision,
}

/// What policies say of one end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Policies have no say in it.
    Exempt(Exemption),
    /// No policy isolates the pod in this direction.
    NotIsolated,
    /// A rule of this policy lets it pass; it is the first of those that do, as `namespace/name`.
    Allowed(String),
    /// These policies isolate the pod, and none of them has a rule for it.
    Denied(Vec<String>),
}

/// Why policies have no say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exemption {
    /// Here is no pod, or one in its node's network.
    NoSubject,
    /// A pod cannot block access to itself.
    Itself,
    /// A node reaches its pods.
    FromNode,
}

impl Verdict {
    /// Whether the connection is allowed.
    pub fn is_allowed(&self) -> bool {
        self.egress.is_allowed() && self.ingress.is_allowed()
    }
}

impl Decision {
    /// Whether this end allows it.
    pub fn is_allowed(&self) -> bool {
        !matches!(self, Self::Denied(_))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "egress {}, ingress {}", self.egress, self.ingress)
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exempt(Exemption::NoSubject) => write!(f, "free: it is no pod"),
            Self::Exempt(Exemption::Itself) => write!(f, "free: it is the same pod"),
            Self::Exempt(Exemption::FromNode) => write!(f, "free: it comes from a node"),
            Self::NotIsolated => write!(f, "free: nothing isolates the pod"),
            Self::Allowed(policy) => write!(f, "allowed by {policy}"),
            Self::Denied(policies) => write!(f, "denied by {}", policies.join(", ")),
        }
    }
}

/// Whether `from` may open a connection to `to`. Between two pods it is one of the first family that both have.
pub fn allows(cluster: &Cluster, from: Endpoint, to: Endpoint, protocol: Protocol, port: u16) -> Verdict {
    let family = match (from, to) {
        (Endpoint::Address(address), _) | (_, Endpoint::Address(address)) => Family::of(address),
        (Endpoint::Pod(from), Endpoint::Pod(to)) => {
            let families = cluster.pods[to].addresses.iter().map(|address| Family::of(*address));
            let shared = |family: &Family| cluster.pods[from].address(*family).is_some();
            families.into_iter().find(shared).unwrap_or(Family::V4)
        }
    };
    allows_over(family, cluster, from, to, protocol, port)
}

/// Whether `from` may open a connection of that family to `to`.
pub fn allows_over(
    family: Family,
    cluster: &Cluster,
    from: Endpoint,
    to: Endpoint,
    protocol: Protocol,
    port: u16,
) -> Verdict {
    let (source, destination) = (party(cluster, from, family), party(cluster, to, family));
    let packet = Packet { source, destination, protocol, port };
    Verdict { egress: egress(cluster, &packet), ingress: ingress(cluster, &packet) }
}

fn party(cluster: &Cluster, endpoint: Endpoint, family: Family) -> Party<'_> {
    match endpoint {
        Endpoint::Pod(index) => party_of(&cluster.pods[index], family),
        Endpoint::Address(address) => {
            let pod = cluster.pods.iter().find(|pod| !pod.host_network && pod.addresses.contains(&address));
            let is_node = |pod: &OraclePod| pod.host_network && pod.addresses.contains(&address);
            let is_node = cluster.node_addresses.contains(&address) || cluster.pods.iter().any(is_node);
            Party { pod, address: Some(address), is_node }
        }
    }
}

fn party_of(pod: &OraclePod, family: Family) -> Party<'_> {
    let own = (!pod.host_network).then_some(pod);
    Party { pod: own, address: pod.address(family), is_node: pod.host_network }
}

fn egress(cluster: &Cluster, packet: &Packet<'_>) -> Decision {
    let Some(pod) = packet.source.pod else { return Decision::Exempt(Exemption::NoSubject) };
    if is_same(pod, packet.destination.pod) {
        return Decision::Exempt(Exemption::Itself);
    }
    by_policies(cluster, Direction::Egress, pod, packet)
}

fn ingress(cluster: &Cluster, packet: &Packet<'_>) -> Decision {
    let Some(pod) = packet.destination.pod else { return Decision::Exempt(Exemption::NoSubject) };
    if is_same(pod, packet.source.pod) {
        return Decision::Exempt(Exemption::Itself);
    }
    if packet.source.is_node {
        return Decision::Exempt(Exemption::FromNode);
    }
    by_policies(cluster, Direction::Ingress, pod, packet)
}

fn is_same(pod: &OraclePod, other: Option<&OraclePod>) -> bool {
    other.is_some_and(|other| std::ptr::eq(pod, other))
}

fn by_policies(cluster: &Cluster, direction: Direction, pod: &OraclePod, packet: &Packet<'_>) -> Decision {
    let isolating: Vec<_> =
        cluster.policies.iter().filter(|policy| isolates(policy, direction, pod)).collect();
    if isolating.is_empty() {
        return Decision::NotIsolated;
    }
    let allowing = isolating.iter().find(|policy| rule::any_matches(cluster, policy, direction, packet));
    match allowing {
        Some(policy) => Decision::Allowed(path(policy)),
        None => Decision::Denied(isolating.into_iter().map(path).collect()),
    }
}

fn isolates(policy: &NetworkPolicy, direction: Direction, pod: &OraclePod) -> bool {
    let Some(spec) = &policy.spec else { return false };
    // "This field is NOT optional": where it is missing all the same, it is read as empty.
    let selected = spec.pod_selector.as_ref().is_none_or(|pods| selector::matches(pods, &pod.labels));
    policy.metadata.namespace.as_deref() == Some(pod.namespace.as_str())
        && selected
        && is_of_type(spec, direction)
}

fn is_of_type(spec: &NetworkPolicySpec, direction: Direction) -> bool {
    let types = spec.policy_types.as_deref().unwrap_or_default();
    match direction {
        // "If this field is not specified, it will default based on the existence of ingress or egress rules; policies that contain an
        // egress section are assumed to affect egress, and all policies … are assumed to affect ingress." An empty list is no section.
        Direction::Ingress if types.is_empty() => true,
        Direction::Egress if types.is_empty() => spec.egress.as_ref().is_some_and(|rules| !rules.is_empty()),
        Direction::Ingress => types.iter().any(|one| one == "Ingress"),
        Direction::Egress => types.iter().any(|one| one == "Egress"),
    }
}

fn path(policy: &NetworkPolicy) -> String {
    let metadata = &policy.metadata;
    let [namespace, name] =
        [&metadata.namespace, &metadata.name].map(|text| text.as_deref().unwrap_or_default());
    format!("{namespace}/{name}")
}
