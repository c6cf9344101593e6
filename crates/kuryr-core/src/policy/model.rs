//! A NetworkPolicy, a pod and a Service, as far as who may talk to whom depends on them.

pub use crate::protocol::Protocol;

use super::selector::{Labels, Selector};
use ipnet::IpNet;
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// Namespace and name of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// Namespace.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
}

/// A pod that has addresses of its own. One of its node's network is none: no policy selects it, and no peer is it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Labels.
    pub labels: Labels,
    /// Addresses, sorted. None yet: policies select it all the same.
    pub addresses: Vec<IpAddr>,
    /// Ports of its containers that have names.
    pub ports: Vec<NamedPort>,
}

/// A port of a pod that has a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamedPort {
    /// Name.
    pub name: Box<str>,
    /// Protocol.
    pub protocol: Protocol,
    /// Number.
    pub number: u16,
}

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Version 4.
    V4,
    /// Version 6.
    V6,
}

/// Where a connection goes, seen from the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// To the pod.
    Ingress,
    /// From the pod.
    Egress,
}

/// A NetworkPolicy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Which pods of its namespace it is for.
    pub subjects: Selector,
    /// What may come in. None: it says nothing of that direction.
    pub ingress: Option<Vec<Rule>>,
    /// What may go out. None: it says nothing of that direction.
    pub egress: Option<Vec<Rule>>,
}

/// A rule: what it allows are connections with one of its peers on one of its ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// The other ends; none: everybody.
    pub peers: Option<Vec<Peer>>,
    /// Ports of the end that is connected to; none: all, of every protocol.
    pub ports: Option<Vec<Port>>,
}

/// The other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Pods.
    Pods {
        /// Of which namespaces.
        namespaces: Namespaces,
        /// Which of their pods.
        pods: Selector,
    },
    /// Addresses.
    Block(Block),
}

/// Of which namespaces pods are meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Namespaces {
    /// The policy's own.
    Own,
    /// Those that it matches.
    Of(Selector),
}

/// Addresses: a prefix without others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Block {
    /// The prefix.
    pub cidr: IpNet,
    /// What is not meant of it.
    pub except: BTreeSet<IpNet>,
}

/// A port of the end that is connected to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    /// Protocol.
    pub protocol: Protocol,
    /// Which of its ports.
    pub which: Which,
}

/// Ports of a protocol.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Which {
    /// All.
    All,
    /// From the first to the last.
    Range(u16, u16),
    /// What the pod that is connected to calls so.
    Named(Box<str>),
}

/// A Service that has a load balancer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Its addresses.
    pub vips: BTreeSet<IpAddr>,
    /// Its ports.
    pub ports: Vec<ServicePort>,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Protocol.
    pub protocol: Protocol,
    /// Number at the Service's addresses.
    pub number: u16,
    /// Where it leads: the endpoints that connections may be sent to now.
    pub endpoints: BTreeSet<(IpAddr, u16)>,
}

impl Name {
    /// A name.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl Pod {
    /// The numbers that it calls `name`.
    pub fn numbers_of(&self, protocol: Protocol, name: &str) -> BTreeSet<u16> {
        let called = |port: &&NamedPort| port.protocol == protocol && &*port.name == name;
        self.ports.iter().filter(called).map(|port| port.number).collect()
    }
}

impl Family {
    /// The family of an address.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

impl Policy {
    /// What it says of a direction.
    pub fn rules(&self, direction: Direction) -> Option<&[Rule]> {
        match direction {
            Direction::Ingress => self.ingress.as_deref(),
            Direction::Egress => self.egress.as_deref(),
        }
    }
}

impl Port {
    /// Whether it means the port `number` of a pod that has `named` ports, or of an address that is no pod's.
    pub fn means(&self, protocol: Protocol, number: u16, of: Option<&Pod>) -> bool {
        self.protocol == protocol
            && match &self.which {
                Which::All => true,
                Which::Range(first, last) => (*first..=*last).contains(&number),
                Which::Named(name) => of.is_some_and(|pod| pod.numbers_of(protocol, name).contains(&number)),
            }
    }
}

impl Block {
    /// Whether an address is meant.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.cidr.contains(&address) && !self.except.iter().any(|except| except.contains(&address))
    }

    /// The prefixes that together mean exactly what it means, sorted.
    pub fn prefixes(&self) -> Vec<IpNet> {
        let mut left = vec![self.cidr.trunc()];
        for except in &self.except {
            left = left.into_iter().flat_map(|prefix| without(prefix, except.trunc())).collect();
        }
        left.sort();
        left
    }
}

/// What remains of `prefix` without `hole`.
fn without(prefix: IpNet, hole: IpNet) -> Vec<IpNet> {
    if hole.contains(&prefix) {
        return Vec::new();
    }
    if !prefix.contains(&hole) {
        return vec![prefix];
    }
    // One longer: `prefix` is shorter than `hole`, which it contains.
    let halves = prefix.subnets(prefix.prefix_len() + 1).into_iter().flatten();
    halves.flat_map(|half| without(half, hole)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(cidr: &str, except: &[&str]) -> Block {
        Block {
            cidr: cidr.parse().unwrap(),
            except: except.iter().map(|text| text.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn every_exception_is_taken_out() {
        let prefixes = block("10.0.0.0/30", &["10.0.0.1/32", "10.0.0.2/32"]).prefixes();
        assert_eq!(prefixes, ["10.0.0.0/32".parse().unwrap(), "10.0.0.3/32".parse().unwrap()]);
        assert!(block("10.0.0.0/8", &["10.0.0.0/8"]).prefixes().is_empty());
        assert!(block("10.0.0.0/8", &["0.0.0.0/0"]).prefixes().is_empty());
        assert_eq!(block("10.1.2.3/8", &["fd00::/8"]).prefixes(), ["10.0.0.0/8".parse().unwrap()]);
        assert_eq!(block("fd00::/64", &["fd00::/65"]).prefixes(), ["fd00:0:0:0:8000::/65".parse().unwrap()]);
    }

    #[test]
    fn prefixes_mean_what_the_block_means() {
        let block = block("10.0.0.0/24", &["10.0.0.128/25", "10.0.0.7/32", "10.0.0.192/26"]);
        let prefixes = block.prefixes();
        for last in 0..=255 {
            let address = IpAddr::from([10, 0, 0, last]);
            let granted = prefixes.iter().any(|prefix| prefix.contains(&address));
            assert_eq!(granted, block.contains(address), "{address}");
        }
    }
}
