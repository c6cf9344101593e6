//! What a security group lets through, rule by rule, and when two rules are the same.
//!
//! Neutron refuses a rule that its group has already, in whatever spelling: `tcp` and `6`, no prefix and `0.0.0.0/0`, all ports and
//! none named. Whoever looks for a rule among those of a group has to see through the same spellings.

use crate::wire::Listed;
use ipnet::IpNet;
use kuryr_api::ids::{AddressGroupId, ProjectId, SecurityGroupId, SecurityGroupRuleId};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What a rule lets through: traffic that has all that is set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Rule {
    /// Whither, seen from the port.
    pub direction: Direction,
    /// The family of addresses.
    pub ethertype: EtherType,
    /// The protocol's name or number.
    #[serde(default)]
    pub protocol: Option<String>,
    /// The first of the ports, or the ICMP type.
    #[serde(default)]
    pub port_range_min: Option<u16>,
    /// The last of the ports, or the ICMP code.
    #[serde(default)]
    pub port_range_max: Option<u16>,
    /// The other end's prefix.
    #[serde(default)]
    pub remote_ip_prefix: Option<String>,
    /// The other end's group.
    #[serde(default)]
    pub remote_group_id: Option<SecurityGroupId>,
    /// The address group that the other end is in.
    #[serde(default)]
    pub remote_address_group_id: Option<AddressGroupId>,
}

/// A rule that a group has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct HeldRule {
    /// Its id.
    pub id: SecurityGroupRuleId,
    /// What it lets through.
    #[serde(flatten)]
    pub rule: Rule,
    /// What somebody wrote about it.
    #[serde(default)]
    pub description: Option<String>,
}

/// A rule to be made. No more than one of the three remotes may be set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewRule {
    /// The group that gets it.
    pub security_group_id: SecurityGroupId,
    /// Whose it is to be, and whose quota it counts against: by default the session's project's, even if the group is another's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
    /// Whither, seen from the port.
    pub direction: Direction,
    /// The family of addresses.
    pub ethertype: EtherType,
    /// The protocol's name or number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// The first of the ports, or the ICMP type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port_range_min: Option<u16>,
    /// The last of the ports, or the ICMP code. Ports need both ends, and a protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port_range_max: Option<u16>,
    /// The other end's prefix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_ip_prefix: Option<String>,
    /// The other end's group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_group_id: Option<SecurityGroupId>,
    /// The address group that the other end is in, where the cloud has such ([`Extensions::address_groups`]).
    ///
    /// [`Extensions::address_groups`]: super::Extensions::address_groups
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_address_group_id: Option<AddressGroupId>,
    /// What it is for. It makes no difference to Neutron: rules that differ in nothing else are the same.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// Of traffic, seen from the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// To the port.
    Ingress,
    /// From the port.
    Egress,
}

/// A family of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EtherType {
    /// Version 4.
    IPv4,
    /// Version 6.
    IPv6,
}

impl Listed for HeldRule {
    fn marker(&self) -> &str {
        self.id.as_str()
    }
}

impl Rule {
    /// Whether nothing but direction and family is asked of the traffic.
    pub fn is_open(&self) -> bool {
        self.protocol.is_none()
            && self.port_range_min.is_none()
            && self.remote_ip_prefix.as_deref().is_none_or(|prefix| prefix.ends_with("/0"))
            && self.remote_group_id.is_none()
            && self.remote_address_group_id.is_none()
    }

    /// Whether a group that has this rule can't have `other` besides: they are the same to Neutron, however they are spelled.
    pub fn is_like(&self, other: &Self) -> bool {
        self.canonical() == other.canonical()
    }

    fn canonical(&self) -> Self {
        let all_ports = (self.port_range_min, self.port_range_max) == (Some(1), Some(u16::MAX));
        Self {
            protocol: self.protocol.as_deref().map(|name| number(name, self.ethertype)),
            port_range_min: self.port_range_min.filter(|_| !all_ports),
            port_range_max: self.port_range_max.filter(|_| !all_ports),
            remote_ip_prefix: self.remote_ip_prefix.as_deref().and_then(canonical_prefix),
            ..self.clone()
        }
    }
}

impl NewRule {
    /// A rule that lets everything of a family through in a direction.
    pub fn open(group: SecurityGroupId, direction: Direction, ethertype: EtherType) -> Self {
        Self {
            security_group_id: group,
            project_id: None,
            direction,
            ethertype,
            protocol: None,
            port_range_min: None,
            port_range_max: None,
            remote_ip_prefix: None,
            remote_group_id: None,
            remote_address_group_id: None,
            description: String::new(),
        }
    }

    /// What it lets through.
    pub fn rule(&self) -> Rule {
        Rule {
            direction: self.direction,
            ethertype: self.ethertype,
            protocol: self.protocol.clone(),
            port_range_min: self.port_range_min,
            port_range_max: self.port_range_max,
            remote_ip_prefix: self.remote_ip_prefix.clone(),
            remote_group_id: self.remote_group_id.clone(),
            remote_address_group_id: self.remote_address_group_id.clone(),
        }
    }
}

/// The number of a protocol that rules of ours can name; another's name as it is.
fn number(protocol: &str, family: EtherType) -> String {
    let protocol = protocol.to_ascii_lowercase();
    let number = match (protocol.as_str(), family) {
        ("tcp", _) => "6",
        ("udp", _) => "17",
        ("sctp", _) => "132",
        // ICMP of either version means that of the family.
        ("icmp" | "1", EtherType::IPv6) | ("icmpv6" | "ipv6-icmp", _) => "58",
        ("icmp", EtherType::IPv4) => "1",
        (other, _) => other,
    };
    number.to_owned()
}

/// A prefix in one spelling; none if it holds every address. Neutron keeps bits beyond the prefix, and tells rules apart by them.
fn canonical_prefix(prefix: &str) -> Option<String> {
    let parsed = prefix.parse::<IpNet>().or_else(|_| prefix.parse::<IpAddr>().map(IpNet::from));
    match parsed {
        Ok(prefix) if prefix.prefix_len() == 0 => None,
        Ok(prefix) => Some(prefix.to_string()),
        Err(_) => Some(prefix.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(change: impl FnOnce(&mut NewRule)) -> Rule {
        let mut rule = NewRule::open("group".into(), Direction::Ingress, EtherType::IPv4);
        change(&mut rule);
        rule.rule()
    }

    fn to(protocol: &str, ports: Option<(u16, u16)>) -> Rule {
        rule(|rule| {
            rule.protocol = Some(protocol.into());
            rule.port_range_min = ports.map(|ports| ports.0);
            rule.port_range_max = ports.map(|ports| ports.1);
        })
    }

    fn from(prefix: &str) -> Rule {
        rule(|rule| {
            rule.ethertype = if prefix.contains(':') { EtherType::IPv6 } else { EtherType::IPv4 };
            rule.remote_ip_prefix = Some(prefix.into());
        })
    }

    #[test]
    fn a_rule_is_known_in_any_spelling() {
        let v6 = |protocol: &str| Rule { ethertype: EtherType::IPv6, ..to(protocol, None) };
        for (one, other) in [
            (to("tcp", Some((80, 80))), to("6", Some((80, 80)))),
            (to("UDP", None), to("17", None)),
            (to("sctp", Some((1, 65535))), to("132", None)),
            (to("icmp", Some((8, 0))), to("1", Some((8, 0)))),
            (v6("icmp"), v6("ipv6-icmp")),
            (v6("icmpv6"), v6("1")),
            (from("0.0.0.0/0"), rule(|_| ())),
            (from("10.0.0.1"), from("10.0.0.1/32")),
            (from("FD00:0::1/128"), from("fd00::1/128")),
        ] {
            assert!(one.is_like(&other) && other.is_like(&one), "{one:?} {other:?}");
        }
    }

    #[test]
    fn different_rules_are_told_apart() {
        for (one, other) in [
            (to("tcp", Some((80, 80))), to("udp", Some((80, 80)))),
            (to("tcp", Some((80, 80))), to("tcp", Some((80, 81)))),
            (to("tcp", Some((1, 65534))), to("tcp", None)),
            (to("icmp", None), to("ipv6-icmp", None)),
            (from("10.0.0.1/24"), from("10.0.0.0/24")),
            (from("::/0"), from("0.0.0.0/0")),
            (rule(|_| ()), rule(|rule| rule.direction = Direction::Egress)),
            (rule(|_| ()), rule(|rule| rule.remote_address_group_id = Some("group".into()))),
            (rule(|_| ()), rule(|rule| rule.remote_group_id = Some("group".into()))),
        ] {
            assert!(!one.is_like(&other), "{one:?} {other:?}");
        }
    }

    #[test]
    fn a_rule_is_read_and_written() {
        let text = r#"{"id": "r", "direction": "egress", "ethertype": "IPv6", "protocol": null, "description": null,
            "port_range_min": null, "port_range_max": 7, "remote_ip_prefix": "fd00::/64", "normalized_cidr": "fd00::/64",
            "remote_group_id": null, "remote_address_group_id": "a", "revision_number": 0}"#;
        let held: HeldRule = serde_json::from_str(text).unwrap();
        assert_eq!((held.id.as_str(), &held.description), ("r", &None));
        assert_eq!((held.rule.direction, held.rule.port_range_max), (Direction::Egress, Some(7)));
        assert_eq!(held.rule.remote_address_group_id, Some("a".into()));
        let written = serde_json::to_value(NewRule::open("g".into(), Direction::Egress, EtherType::IPv6));
        let bare =
            serde_json::json!({ "security_group_id": "g", "direction": "egress", "ethertype": "IPv6" });
        assert_eq!(written.unwrap(), bare);
    }
}
