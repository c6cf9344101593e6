//! What Neutron itself does with a packet: the rules of the groups that a port carries, as they are.

use super::explain::Packet;
use super::plan::HeldRule;
use ipnet::IpNet;
use kuryr_api::{AddressGroupId, SecurityGroupId, SecurityGroupRuleId};
use std::collections::{BTreeMap, BTreeSet};

/// Groups and address groups that exist, as far as they decide about packets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Security groups.
    pub groups: BTreeMap<SecurityGroupId, HeldGroup>,
    /// Address groups.
    pub addresses: BTreeMap<AddressGroupId, HeldAddresses>,
}

/// A security group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldGroup {
    /// Its name.
    pub name: String,
    /// Its rules, but those that are for nothing that has ports.
    pub rules: Vec<HeldRule>,
}

/// An address group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldAddresses {
    /// Its name.
    pub name: String,
    /// What is in it.
    pub addresses: BTreeSet<IpNet>,
}

/// Whether a port's groups let a packet pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeldVerdict {
    /// A rule lets it pass.
    Granted(SecurityGroupId, SecurityGroupRuleId),
    /// No rule does.
    Refused,
    /// No rule does that can be read; these might: they are such as Kuryr does not make.
    Unclear(BTreeSet<SecurityGroupRuleId>),
}

impl HeldVerdict {
    /// Whether the packet passes, if that is clear.
    pub fn is_pass(&self) -> Option<bool> {
        match self {
            Self::Granted(..) => Some(true),
            Self::Refused => Some(false),
            Self::Unclear(_) => None,
        }
    }
}

impl Holdings {
    /// Name and id of a group.
    pub fn called(&self, id: &SecurityGroupId) -> String {
        self.groups.get(id).map_or_else(|| id.to_string(), |group| format!("{} ({id})", group.name))
    }

    /// Whether a port that carries these groups lets a packet pass.
    pub fn decide(&self, carried: &BTreeSet<SecurityGroupId>, packet: &Packet) -> HeldVerdict {
        let groups = carried.iter().filter_map(|id| Some((id, self.groups.get(id)?)));
        let rules = groups.flat_map(|(id, group)| group.rules.iter().map(move |held| (id, held)));
        let mut unclear = BTreeSet::new();
        for (group, held) in rules {
            match &held.rule {
                Some(rule) if rule.lets(packet, |id| self.addresses.get(id).map(|held| &held.addresses)) => {
                    return HeldVerdict::Granted(group.clone(), held.id.clone());
                }
                Some(_) => {}
                None => {
                    unclear.insert(held.id.clone());
                }
            }
        }
        if unclear.is_empty() { HeldVerdict::Refused } else { HeldVerdict::Unclear(unclear) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::key::{GroupRule, Remote};
    use crate::policy::model::{Direction, Family, Protocol};

    fn rule(id: &str, ports: Option<(u16, u16)>, remote: Remote<AddressGroupId>) -> HeldRule {
        let (direction, family, protocol) = (Direction::Ingress, Family::V4, Some(Protocol::Tcp));
        HeldRule { id: id.into(), rule: Some(GroupRule { direction, family, protocol, ports, remote }) }
    }

    fn packet(other: &str, port: u16) -> Packet {
        let other = other.parse().unwrap();
        Packet { direction: Direction::Ingress, other, protocol: Protocol::Tcp, port }
    }

    #[test]
    fn only_what_the_port_carries_decides() {
        let prefix = "192.0.2.0/24".parse().unwrap();
        let web = vec![
            rule("r1", Some((80, 81)), Remote::Group("a1".into())),
            rule("r2", None, Remote::Prefix(prefix)),
        ];
        let odd = vec![HeldRule { id: "r3".into(), rule: None }];
        let group = |name: &str, rules| (name.into(), HeldGroup { name: name.to_owned(), rules });
        let clients = BTreeSet::from(["10.0.0.2/32".parse().unwrap()]);
        let holdings = Holdings {
            groups: [group("web", web), group("odd", odd)].into(),
            addresses: [("a1".into(), HeldAddresses { name: String::new(), addresses: clients })].into(),
        };
        let decide = |groups: &[&str], other: &str, port| {
            holdings.decide(&groups.iter().map(|id| (*id).into()).collect(), &packet(other, port))
        };
        assert_eq!(decide(&["web"], "10.0.0.2", 81), HeldVerdict::Granted("web".into(), "r1".into()));
        assert_eq!(decide(&["web"], "192.0.2.7", 9), HeldVerdict::Granted("web".into(), "r2".into()));
        assert_eq!(decide(&["web"], "10.0.0.2", 82), HeldVerdict::Refused);
        assert_eq!(decide(&[], "10.0.0.2", 81), HeldVerdict::Refused);
        assert_eq!(decide(&["gone"], "10.0.0.2", 81), HeldVerdict::Refused);
        let unclear = HeldVerdict::Unclear(["r3".into()].into());
        assert_eq!(decide(&["web", "odd"], "10.0.0.2", 82), unclear);
        assert_eq!(decide(&["web", "odd"], "10.0.0.2", 80).is_pass(), Some(true));
    }
}
