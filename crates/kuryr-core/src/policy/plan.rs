//! What to do about the difference between the groups that a policy should have in Neutron and those that are there.
//!
//! ```text
//!   no group ── CreateGroup ──► group ── AddRules ──► complete ── DeleteRules ──► ready ──► (further ports take it)
//!   policy gone ──► (no port carries the group any more) ── DeleteGroup ──► gone
//! ```
//!
//! At no moment is anything allowed that neither the last state nor the next one allows. So ports that should not carry a group put it
//! down before it gets new rules; new rules are made before old ones go, which is when the ports that carry the group have the shared
//! groups that they should; and other ports take the group when it is as it should be. A group that no port carries grants nothing to
//! anybody, so that its rules go at once.

use super::index::Groups;
use super::key::{GroupKey, GroupRule, PeerKey};
use ipnet::IpNet;
use kuryr_api::{AddressGroupId, SecurityGroupId, SecurityGroupRuleId};
use std::collections::{BTreeMap, BTreeSet};

/// What is wanted of a policy's groups, and what is there.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    /// The groups that it should have.
    pub wanted: &'a Groups,
    /// Those that are there; a name may be there twice.
    pub held: &'a [Held],
    /// Address groups that are there.
    pub peers: &'a BTreeMap<PeerKey, AddressGroupId>,
    /// Whether Neutron makes what it is asked for.
    pub room: Room,
}

/// Whether Neutron makes what it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// It has not refused so far.
    Enough,
    /// A quota is used up: only what is too much can go.
    None,
}

/// A group that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// What it is there for.
    pub key: GroupKey,
    /// Its id.
    pub id: SecurityGroupId,
    /// Its rules.
    pub rules: Vec<HeldRule>,
    /// Which ports carry it.
    pub carriers: Carriers,
}

/// Which ports carry a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Carriers {
    /// None: what is in it matters to nobody.
    None,
    /// Those that should, and nothing that they should have besides is missing but groups of policies.
    Settled,
    /// Those that should, some of which lack a shared group that they are to have.
    Lacking,
    /// Some that should not: they are about to put it down.
    Strangers,
}

/// A rule that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldRule {
    /// Its id.
    pub id: SecurityGroupRuleId,
    /// What it allows. None: nothing that we would ask for.
    pub rule: Option<GroupRule<AddressGroupId>>,
}

/// One effect, idempotent. All of a plan may be done side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make a group.
    CreateGroup(GroupKey),
    /// Look again when these address groups are there.
    AwaitPeers(BTreeSet<PeerKey>),
    /// Make rules.
    AddRules(SecurityGroupId, Vec<GroupRule<AddressGroupId>>),
    /// Delete rules.
    DeleteRules(SecurityGroupId, Vec<SecurityGroupRuleId>),
    /// Look again when the ports that carry a group are those that should, with all that they should have.
    AwaitCarriers,
    /// Look again when no port carries a group any more.
    AwaitRelease,
    /// Delete a group.
    DeleteGroup(SecurityGroupId),
}

/// What to do now. Empty when all is as it should be.
pub fn plan(seen: &Observed<'_>) -> Vec<Action> {
    let mut actions = Vec::new();
    let mut kept = BTreeSet::new();
    for (key, rules) in seen.wanted {
        match the_one(seen.held, key) {
            Some(held) => {
                kept.insert(&held.id);
                change(seen, held, rules, &mut actions);
            }
            None if seen.room == Room::Enough => actions.push(Action::CreateGroup(key.clone())),
            None => {}
        }
    }
    for held in seen.held.iter().filter(|held| !kept.contains(&held.id)) {
        if held.carriers > Carriers::None {
            actions.push(Action::AwaitRelease);
        } else {
            actions.push(Action::DeleteGroup(held.id.clone()));
        }
    }
    actions
}

/// Of groups that are there for the same, the one that all agree on.
pub fn the_one<'h>(held: &'h [Held], key: &GroupKey) -> Option<&'h Held> {
    held.iter().filter(|held| held.key == *key).min_by_key(|held| &held.id)
}

fn change(
    seen: &Observed<'_>,
    held: &Held,
    wanted: &BTreeSet<GroupRule<PeerKey>>,
    actions: &mut Vec<Action>,
) {
    let mut missing_peers = BTreeSet::new();
    let mut rules = BTreeSet::new();
    for rule in wanted {
        match rule.with_group(|key| seen.peers.get(key).cloned()) {
            Some(rule) => {
                rules.insert(rule);
            }
            None => missing_peers.extend(rule.group().cloned()),
        }
    }
    let there: BTreeSet<_> = held.rules.iter().filter_map(|held| held.rule.as_ref()).collect();
    let missing: Vec<_> = rules.iter().filter(|rule| !there.contains(rule)).cloned().collect();
    let stale = held.rules.iter().filter(|held| held.rule.as_ref().is_none_or(|rule| !rules.contains(rule)));
    let stale: Vec<_> = stale.map(|held| held.id.clone()).collect();
    let is_complete = missing.is_empty() && missing_peers.is_empty();
    if seen.room == Room::Enough {
        if !missing_peers.is_empty() {
            actions.push(Action::AwaitPeers(missing_peers));
        }
        // What is new is not for those that are about to put the group down.
        match held.carriers {
            _ if missing.is_empty() => {}
            Carriers::Strangers => actions.push(Action::AwaitCarriers),
            _ => actions.push(Action::AddRules(held.id.clone(), missing)),
        }
    }
    let may_go = match held.carriers {
        Carriers::None => true,
        Carriers::Settled => is_complete || seen.room == Room::None,
        Carriers::Lacking | Carriers::Strangers => seen.room == Room::None,
    };
    if !stale.is_empty() && may_go {
        actions.push(Action::DeleteRules(held.id.clone(), stale));
    } else if !stale.is_empty() && is_complete {
        actions.push(Action::AwaitCarriers);
    }
}

/// Whether a plan leaves a group that grants too much or too little: no further pod may take it yet.
pub fn is_unready(plan: &[Action]) -> bool {
    plan.iter().any(|action| match action {
        Action::AwaitRelease | Action::DeleteGroup(_) => false,
        Action::CreateGroup(_)
        | Action::AwaitPeers(_)
        | Action::AddRules(..)
        | Action::DeleteRules(..)
        | Action::AwaitCarriers => true,
    })
}

/// What is wanted of an address group, and what is there.
#[derive(Clone, Debug)]
pub struct PeerSeen<'a> {
    /// The addresses that it should have; none: nobody needs it.
    pub wanted: Option<BTreeSet<IpNet>>,
    /// Those that are there; a name may be there twice.
    pub held: &'a [HeldPeer],
}

/// An address group that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldPeer {
    /// Its id.
    pub id: AddressGroupId,
    /// Its addresses.
    pub addresses: BTreeSet<IpNet>,
    /// A rule names it.
    pub used: bool,
}

/// One effect on an address group, idempotent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerAction {
    /// Make it, with these addresses.
    Create(Vec<IpNet>),
    /// Take addresses out.
    Remove(AddressGroupId, Vec<IpNet>),
    /// Put addresses in.
    Add(AddressGroupId, Vec<IpNet>),
    /// Delete it.
    Delete(AddressGroupId),
}

/// What to do now, in this order: what an address does not grant any more comes first.
pub fn plan_peer(seen: &PeerSeen<'_>) -> Vec<PeerAction> {
    let kept = seen.wanted.as_ref().and_then(|_| seen.held.iter().min_by_key(|held| &held.id));
    let mut actions = Vec::new();
    match (&seen.wanted, kept) {
        (Some(wanted), None) => actions.push(PeerAction::Create(wanted.iter().copied().collect())),
        (Some(wanted), Some(held)) => {
            let (gone, new) = (difference(&held.addresses, wanted), difference(wanted, &held.addresses));
            let change = |addresses: Vec<IpNet>, action: fn(AddressGroupId, Vec<IpNet>) -> PeerAction| {
                (!addresses.is_empty()).then(|| action(held.id.clone(), addresses))
            };
            actions.extend(change(gone, PeerAction::Remove));
            actions.extend(change(new, PeerAction::Add));
        }
        (None, _) => {}
    }
    let useless = seen.held.iter().filter(|held| !held.used && kept.is_none_or(|kept| kept.id != held.id));
    actions.extend(useless.map(|held| PeerAction::Delete(held.id.clone())));
    actions
}

fn difference(one: &BTreeSet<IpNet>, other: &BTreeSet<IpNet>) -> Vec<IpNet> {
    one.difference(other).copied().collect()
}
