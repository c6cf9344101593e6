//! One rule of a policy: "The traffic must match both ports and from", or `to`.

use crate::cluster::{Cluster, OraclePod, Protocol};
use crate::selector;
use ipnet::IpNet;
use k8s_openapi::api::networking::v1::{IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::net::IpAddr;

/// Of which side of a packet a policy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Ingress,
    Egress,
}

/// Who sends a packet, or whom it is sent to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Party<'c> {
    /// The pod, if it is one with a network of its own.
    pub pod: Option<&'c OraclePod>,
    /// The address in the packet.
    pub address: Option<IpAddr>,
    /// It is a node, or a pod in its node's network.
    pub is_node: bool,
}

/// A packet that opens a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet<'c> {
    pub source: Party<'c>,
    pub destination: Party<'c>,
    pub protocol: Protocol,
    pub port: u16,
}

/// A rule of either direction.
struct Rule<'p> {
    peers: &'p [NetworkPolicyPeer],
    ports: &'p [NetworkPolicyPort],
}

/// Whether any rule of a policy lets a packet pass.
pub(crate) fn any_matches(
    cluster: &Cluster,
    policy: &NetworkPolicy,
    direction: Direction,
    packet: &Packet<'_>,
) -> bool {
    let namespace = policy.metadata.namespace.as_deref().unwrap_or_default();
    let other = match direction {
        Direction::Ingress => &packet.source,
        Direction::Egress => &packet.destination,
    };
    rules(policy, direction).iter().any(|rule| {
        // "If this field is empty or missing, this rule matches all sources", destinations and ports.
        let by_peer = rule.peers.is_empty()
            || rule.peers.iter().any(|peer| peer_matches(cluster, namespace, peer, other));
        let by_port = rule.ports.is_empty() || rule.ports.iter().any(|port| port_matches(port, packet));
        by_peer && by_port
    })
}

fn rules(policy: &NetworkPolicy, direction: Direction) -> Vec<Rule<'_>> {
    let Some(spec) = &policy.spec else { return Vec::new() };
    match direction {
        Direction::Ingress => (spec.ingress.iter().flatten())
            .map(|rule| Rule { peers: listed(rule.from.as_ref()), ports: listed(rule.ports.as_ref()) })
            .collect(),
        Direction::Egress => (spec.egress.iter().flatten())
            .map(|rule| Rule { peers: listed(rule.to.as_ref()), ports: listed(rule.ports.as_ref()) })
            .collect(),
    }
}

fn listed<T>(list: Option<&Vec<T>>) -> &[T] {
    list.map_or(&[], Vec::as_slice)
}

fn peer_matches(cluster: &Cluster, namespace: &str, peer: &NetworkPolicyPeer, party: &Party<'_>) -> bool {
    if let Some(block) = &peer.ip_block {
        return party.address.is_some_and(|address| block_matches(block, address));
    }
    let Some(pod) = party.pod else { return false };
    let in_namespace = |selector| selector::matches(selector, &cluster.namespace_labels(&pod.namespace));
    match (&peer.namespace_selector, &peer.pod_selector) {
        (Some(namespaces), Some(pods)) => in_namespace(namespaces) && selector::matches(pods, &pod.labels),
        (Some(namespaces), None) => in_namespace(namespaces),
        (None, Some(pods)) => pod.namespace == namespace && selector::matches(pods, &pod.labels),
        (None, None) => false,
    }
}

fn block_matches(block: &IPBlock, address: IpAddr) -> bool {
    let contains = |cidr: &String| cidr.parse::<IpNet>().is_ok_and(|cidr| cidr.contains(&address));
    contains(&block.cidr) && !block.except.iter().flatten().any(contains)
}

fn port_matches(port: &NetworkPolicyPort, packet: &Packet<'_>) -> bool {
    // "If not specified, this field defaults to TCP", where the port is not specified as well.
    let protocol = port.protocol.as_deref().unwrap_or("TCP");
    let number = i32::from(packet.port);
    protocol == packet.protocol.as_str()
        && match &port.port {
            None => true,
            Some(IntOrString::Int(first)) => (*first..=port.end_port.unwrap_or(*first)).contains(&number),
            Some(IntOrString::String(name)) => has_named_port(packet, name),
        }
}

fn has_named_port(packet: &Packet<'_>, name: &str) -> bool {
    packet.destination.pod.is_some_and(|pod| {
        pod.ports
            .iter()
            .any(|port| port.name == name && port.protocol == packet.protocol && port.number == packet.port)
    })
}
