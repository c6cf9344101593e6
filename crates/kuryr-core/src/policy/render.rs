//! For clouds without address groups: the same grants by a rule for each address.

use super::index::{Groups, Index};
use super::key::{GroupRule, PeerKey, Remote};
use super::model::Family;
use ipnet::IpNet;
use std::collections::BTreeSet;

/// `groups` without address groups.
pub fn by_address(groups: &Groups, index: &Index) -> Groups {
    let expand =
        |rules: &BTreeSet<GroupRule<PeerKey>>| rules.iter().flat_map(|rule| expand(rule, index)).collect();
    groups.iter().map(|(key, rules)| (key.clone(), expand(rules))).collect()
}

fn expand(rule: &GroupRule<PeerKey>, index: &Index) -> Vec<GroupRule<PeerKey>> {
    let Remote::Group(key) = &rule.remote else { return vec![rule.clone()] };
    let addresses = index.addresses_of(key).unwrap_or_default();
    let of_family = addresses.into_iter().filter(|one: &IpNet| Family::of(one.addr()) == rule.family);
    of_family.map(|one| GroupRule { remote: Remote::Prefix(one), ..rule.clone() }).collect()
}
