//! What the groups of a pod let pass, and by which of their rules.
//!
//! ```text
//!   pod ── groups_of ──► groups of its port ── their rules, with the addresses that they mean ──► reaches(pod)
//!                                                                                                     │
//!   Packet (the other end, protocol, port) ───────────────────────────────────────────────────────────┴─► decide ──► Verdict
//! ```

use super::index::Index;
use super::key::{GroupKey, GroupRule, PeerKey, Remote};
use super::model::{Direction, Family, Name, Protocol};
use ipnet::IpNet;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// The first packet of a connection, seen from the pod at one of its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Whether it comes to the pod or leaves it.
    pub direction: Direction,
    /// The address of the other end.
    pub other: IpAddr,
    /// Protocol.
    pub protocol: Protocol,
    /// Port of the end that is connected to.
    pub port: u16,
}

/// A rule that holds for a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The group of its port that has the rule.
    pub group: GroupKey,
    /// The rule.
    pub rule: GroupRule<PeerKey>,
    /// The addresses of the group that the rule names. None: it names none.
    pub addresses: Option<BTreeSet<IpNet>>,
}

/// Whether a pod's groups let a packet pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No policy isolates the pod in this direction.
    Open,
    /// A rule lets it pass.
    Granted(Box<Reach>),
    /// These policies isolate the pod, and no rule lets it pass.
    Refused(Vec<Name>),
}

impl Verdict {
    /// The packet passes.
    pub fn is_pass(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }
}

impl GroupKey {
    /// The policy whose group it is.
    pub fn policy(&self) -> Option<&Name> {
        match self {
            Self::Policy(name) | Self::Named(name, _) => Some(name),
            Self::OpenIngress | Self::OpenEgress | Self::Isolated | Self::Stray(_) => None,
        }
    }
}

impl<K> GroupRule<K> {
    /// Whether it lets a packet pass, if an address group has just `addresses`.
    pub fn lets<'a>(
        &self,
        packet: &Packet,
        addresses: impl FnOnce(&K) -> Option<&'a BTreeSet<IpNet>>,
    ) -> bool {
        let is_meant = || match &self.remote {
            Remote::Anyone => true,
            Remote::Prefix(prefix) => prefix.contains(&packet.other),
            Remote::Group(key) => {
                addresses(key).is_some_and(|all| all.iter().any(|one| one.contains(&packet.other)))
            }
        };
        self.direction == packet.direction
            && self.family == Family::of(packet.other)
            && self.protocol.is_none_or(|protocol| protocol == packet.protocol)
            && self.ports.is_none_or(|(first, last)| (first..=last).contains(&packet.port))
            && is_meant()
    }
}

impl Reach {
    /// Whether it lets a packet pass.
    pub fn lets(&self, packet: &Packet) -> bool {
        self.rule.lets(packet, |_| self.addresses.as_ref())
    }
}

impl Index {
    /// The rules that hold for a pod, in the order of their groups. None: no policy is for it, so that it has the cluster's default
    /// groups.
    pub fn reaches(&self, pod: &Name) -> Option<Vec<Reach>> {
        let shared = self.shared_groups();
        let mut reaches = Vec::new();
        for group in self.groups_of(pod)? {
            let rules = match group.policy() {
                Some(policy) => self.groups_of_policy(policy).remove(&group),
                None => shared.get(&group).cloned(),
            };
            reaches.extend(rules.unwrap_or_default().into_iter().map(|rule| {
                let addresses = rule.group().map(|peer| self.addresses_of(peer).unwrap_or_default());
                Reach { group: group.clone(), rule, addresses }
            }));
        }
        Some(reaches)
    }

    /// Whether a pod's groups let a packet pass, and why. Of several rules that do it is the first.
    pub fn decide(&self, pod: &Name, packet: &Packet) -> Verdict {
        let isolating = self.isolating(pod, packet.direction);
        if isolating.is_empty() {
            return Verdict::Open;
        }
        let reaches = self.reaches(pod).unwrap_or_default();
        match reaches.into_iter().find(|reach| reach.lets(packet)) {
            Some(reach) => Verdict::Granted(Box::new(reach)),
            None => Verdict::Refused(isolating.into_iter().cloned().collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::testing::{self, cluster, name};

    fn packet(direction: Direction, other: &str, port: u16) -> Packet {
        Packet { direction, other: other.parse().unwrap(), protocol: Protocol::Tcp, port }
    }

    #[test]
    fn a_pod_that_no_policy_isolates_is_open() {
        let index = cluster();
        let verdict = index.decide(&name("client"), &packet(Direction::Egress, testing::WEB, 1));
        assert_eq!(verdict, Verdict::Open);
        // The policy of `web` says nothing of what goes out.
        assert_eq!(index.decide(&name("web"), &packet(Direction::Egress, "8.8.8.8", 1)), Verdict::Open);
        assert_eq!(index.reaches(&name("client")), None);
    }

    #[test]
    fn the_rule_that_decides_is_told_with_its_group() {
        let index = cluster();
        let verdict = index.decide(&name("web"), &packet(Direction::Ingress, testing::CLIENT, 80));
        let Verdict::Granted(reach) = verdict else { panic!("{verdict:?}") };
        assert_eq!(reach.group.policy(), Some(&name("web")));
        assert_eq!(reach.addresses, Some([testing::CLIENT.parse::<IpAddr>().unwrap().into()].into()));
        let verdict = index.decide(&name("web"), &packet(Direction::Ingress, testing::NODE, 81));
        let Verdict::Granted(reach) = verdict else { panic!("{verdict:?}") };
        assert_eq!((reach.group, reach.rule.remote), (GroupKey::Isolated, Remote::Group(PeerKey::Nodes)));
    }

    #[test]
    fn who_isolates_is_told_where_no_rule_lets_pass() {
        let index = cluster();
        for (other, port) in [(testing::CLIENT, 81), (testing::OTHER, 80), ("fd00::7", 80)] {
            let verdict = index.decide(&name("web"), &packet(Direction::Ingress, other, port));
            assert_eq!(verdict, Verdict::Refused(vec![name("web")]), "{other} {port}");
        }
    }
}
