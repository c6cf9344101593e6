//! What exists in Neutron for policies, and what it is called there. A name is an identity: whoever looks at Neutron finds
//! the same group under the same name, so that one whose maker died is taken, not made again.

use super::model::{Block, Direction, Family, Name, Protocol};
use super::selector::Selector;
use ipnet::IpNet;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// Neutron's limit for names.
const LONGEST: usize = 255;
/// How much of a longer name is kept, for people; its digest follows.
const KEPT: usize = 200;

/// A security group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GroupKey {
    /// Lets everything in: for pods that no policy isolates in that direction, but one does in the other.
    OpenIngress,
    /// Lets everything out, likewise.
    OpenEgress,
    /// What reaches a pod however policies isolate it: its node, and itself through its Services.
    Isolated,
    /// What a policy grants to all of its pods.
    Policy(Name),
    /// What a policy grants besides to those of its pods that resolve the names of its ports in this way.
    Named(Name, Resolution),
    /// Nothing that is wanted now: one of ours of this name, left by a policy that is gone.
    Stray(Box<str>),
}

/// How pods resolve the names of ports of a policy.
pub type Resolution = BTreeSet<(Protocol, Box<str>, u16)>;

/// An address group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerKey {
    /// Addresses of the cluster's nodes.
    Nodes,
    /// Addresses of all Services.
    Services,
    /// Addresses of pods. With a number: those that give it to the port of that name.
    Pods(Arc<Pods>, Option<u16>),
    /// Addresses of the Services that lead, at this port, to nothing but what the policy allows.
    Vips(Name, Protocol, u16),
    /// Nothing that is wanted now: one of ours of this name, left by a peer that is gone.
    Stray(Box<str>),
}

/// Pods that rules mean.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pods {
    /// Of which namespaces.
    pub scope: Scope,
    /// Which of their pods.
    pub pods: Selector,
    /// Only their addresses in here.
    pub within: Option<Block>,
    /// Only those that have a port of this name.
    pub port: Option<(Protocol, Box<str>)>,
}

/// Namespaces.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// This one.
    One(Arc<str>),
    /// Those that it matches.
    Matching(Selector),
}

/// A rule of a security group, whose address group is named by a `K`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupRule<K> {
    /// Where connections go that it allows.
    pub direction: Direction,
    /// Of which family.
    pub family: Family,
    /// Of which protocol; none: all.
    pub protocol: Option<Protocol>,
    /// To which ports, the first and the last; none: all.
    pub ports: Option<(u16, u16)>,
    /// With whom.
    pub remote: Remote<K>,
}

/// The other ends of connections that a rule allows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Remote<K> {
    /// Everybody.
    Anyone,
    /// These addresses.
    Prefix(IpNet),
    /// Those in an address group.
    Group(K),
}

impl GroupKey {
    /// The groups that do not depend on any policy.
    pub const SHARED: [Self; 3] = [Self::OpenIngress, Self::OpenEgress, Self::Isolated];

    /// What it is called in Neutron.
    pub fn name(&self) -> String {
        short(self.to_string())
    }
}

impl fmt::Display for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OpenIngress => f.write_str("kuryr/open-ingress"),
            Self::OpenEgress => f.write_str("kuryr/open-egress"),
            Self::Isolated => f.write_str("kuryr/isolated"),
            Self::Policy(name) => write!(f, "np/{name}"),
            Self::Stray(name) => f.write_str(name),
            Self::Named(name, resolution) => {
                write!(f, "np/{name}?")?;
                for (at, (protocol, port, number)) in resolution.iter().enumerate() {
                    write!(f, "{}{port}={number}/{}", if at > 0 { "," } else { "" }, protocol.in_rules())?;
                }
                Ok(())
            }
        }
    }
}

impl PeerKey {
    /// What it is called in Neutron.
    pub fn name(&self) -> String {
        short(self.to_string())
    }
}

impl fmt::Display for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nodes => f.write_str("nodes"),
            Self::Services => f.write_str("services"),
            Self::Stray(name) => f.write_str(name),
            Self::Pods(pods, None) => pods.fmt(f),
            Self::Pods(pods, Some(number)) => write!(f, "{pods}={number}"),
            Self::Vips(policy, protocol, number) => {
                write!(f, "services of {policy} at {number}/{}", protocol.in_rules())
            }
        }
    }
}

/// `pods x: app=web`, `pods x: *`, `pods [team=a]: app=web in 10.0.0.0/8 but 10.1.0.0/16 with tcp http`.
impl fmt::Display for Pods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.scope {
            Scope::One(namespace) => write!(f, "pods {namespace}: {}", self.pods)?,
            Scope::Matching(selector) => write!(f, "pods [{selector}]: {}", self.pods)?,
        }
        if let Some(block) = &self.within {
            write!(f, " in {}", block.cidr)?;
            block.except.iter().try_for_each(|except| write!(f, " but {except}"))?;
        }
        match &self.port {
            Some((protocol, name)) => write!(f, " with {} {name}", protocol.in_rules()),
            None => Ok(()),
        }
    }
}

impl<K> GroupRule<K> {
    /// A rule that allows everything of a family in a direction.
    pub fn open(direction: Direction, family: Family) -> Self {
        Self { direction, family, protocol: None, ports: None, remote: Remote::Anyone }
    }

    /// The same rule with another name for its address group, if there is one.
    pub fn with_group<L>(&self, rename: impl FnOnce(&K) -> Option<L>) -> Option<GroupRule<L>> {
        let remote = match &self.remote {
            Remote::Anyone => Remote::Anyone,
            Remote::Prefix(prefix) => Remote::Prefix(*prefix),
            Remote::Group(key) => Remote::Group(rename(key)?),
        };
        let Self { direction, family, protocol, ports, .. } = *self;
        Some(GroupRule { direction, family, protocol, ports, remote })
    }

    /// The address group that it names.
    pub fn group(&self) -> Option<&K> {
        match &self.remote {
            Remote::Group(key) => Some(key),
            Remote::Anyone | Remote::Prefix(_) => None,
        }
    }
}

/// A name that Neutron takes, which is no other's.
fn short(name: String) -> String {
    if name.len() <= LONGEST {
        return name;
    }
    let digest = Sha256::digest(&name).iter().take(16).fold(0_u128, |all, byte| all << 8 | u128::from(*byte));
    // Label keys and values are ASCII, so that every position is a character's.
    format!("{}~{digest:032x}", name.get(..KEPT).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::selector::Requirement;

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        let key = |value: String| {
            let pods = Selector::new([Requirement::equals("app".repeat(20), value)]);
            let scope = Scope::Matching(Selector::default());
            PeerKey::Pods(Arc::new(Pods { scope, pods, within: None, port: None }), None)
        };
        assert_eq!(key("x".into()).name().find("pods [*]: appapp"), Some(0));
        let (one, other) = (key("x".repeat(300)).name(), key("x".repeat(301)).name());
        assert!(one.len() <= LONGEST && other.len() <= LONGEST && one != other);
    }
}
