//! The groups and address groups of ours that exist in Neutron: listed at start, then known from our own calls. A slow re-list
//! corrects what others changed.

use super::Subject;
use ipnet::IpNet;
use kuryr_api::{AddressGroupId, SecurityGroupId};
use kuryr_core::policy::key::{GroupKey, PeerKey};
use kuryr_core::policy::plan::{HeldPeer, HeldRule};
use parking_lot::RwLock;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

/// What exists.
#[derive(Default)]
pub struct Store {
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    groups: BTreeMap<SecurityGroupId, Group>,
    by_subject: HashMap<Subject, BTreeSet<SecurityGroupId>>,
    peers: BTreeMap<AddressGroupId, Peer>,
    by_peer: HashMap<PeerKey, BTreeSet<AddressGroupId>>,
    /// In how many address groups an address is.
    held: HashMap<IpNet, usize>,
    /// What came or changed while a re-list was under way, which its answer may not know.
    fresh: Option<HashSet<String>>,
}

#[derive(Clone, Debug)]
struct Group {
    key: GroupKey,
    rules: Vec<HeldRule>,
}

#[derive(Clone, Debug)]
struct Peer {
    key: PeerKey,
    addresses: BTreeSet<IpNet>,
}

/// What a re-list found.
#[derive(Debug, Default)]
pub struct Listed {
    /// Groups, with what they are there for.
    pub groups: Vec<(GroupKey, SecurityGroupId, Vec<HeldRule>)>,
    /// Address groups, with what they are there for.
    pub peers: Vec<(PeerKey, AddressGroupId, BTreeSet<IpNet>)>,
}

impl Store {
    /// The group that is there for `key`.
    pub fn id_of(&self, key: &GroupKey) -> Option<SecurityGroupId> {
        let known = self.known.read();
        let ids = known.by_subject.get(&Subject::of(key))?;
        ids.iter().find(|id| known.groups.get(*id).is_some_and(|group| group.key == *key)).cloned()
    }

    /// The address group that is there for `key`.
    pub fn peer_id(&self, key: &PeerKey) -> Option<AddressGroupId> {
        self.known.read().by_peer.get(key)?.first().cloned()
    }

    /// The groups of `subject` that are there, with their rules.
    pub fn held(&self, subject: &Subject) -> Vec<(GroupKey, SecurityGroupId, Vec<HeldRule>)> {
        let known = self.known.read();
        let ids = known.by_subject.get(subject).into_iter().flatten();
        let group = |id: &SecurityGroupId| {
            let group = known.groups.get(id)?;
            Some((group.key.clone(), id.clone(), group.rules.clone()))
        };
        ids.filter_map(group).collect()
    }

    /// Whether `subject` has groups.
    pub fn has_groups(&self, subject: &Subject) -> bool {
        self.known.read().by_subject.contains_key(subject)
    }

    /// The address groups that are there for `key`.
    pub fn held_peers(&self, key: &PeerKey) -> Vec<HeldPeer> {
        let known = self.known.read();
        let ids = known.by_peer.get(key).into_iter().flatten();
        ids.filter_map(|id| {
            let addresses = known.peers.get(id)?.addresses.clone();
            Some(HeldPeer { id: id.clone(), addresses, used: known.is_used(id) })
        })
        .collect()
    }

    /// Whose groups are there.
    pub fn subjects(&self) -> BTreeSet<Subject> {
        self.known.read().by_subject.keys().cloned().collect()
    }

    /// What address groups are there for.
    pub fn peer_keys(&self) -> Vec<PeerKey> {
        self.known.read().by_peer.keys().cloned().collect()
    }

    /// Numbers of groups and of address groups.
    pub fn len(&self) -> (usize, usize) {
        let known = self.known.read();
        (known.groups.len(), known.peers.len())
    }

    /// Whether an address group has one of these.
    pub fn hold(&self, addresses: &[IpAddr]) -> bool {
        let known = self.known.read();
        addresses.iter().any(|address| known.held.contains_key(&IpNet::from(*address)))
    }

    /// A group that exists.
    pub fn insert_group(&self, key: GroupKey, id: SecurityGroupId, rules: Vec<HeldRule>) {
        self.known.write().insert_group(key, id, rules);
    }

    /// Changes the rules of a group that exists.
    pub fn change_rules(&self, id: &SecurityGroupId, change: impl FnOnce(&mut Vec<HeldRule>)) {
        let mut known = self.known.write();
        known.freshen(id.as_str());
        if let Some(group) = known.groups.get_mut(id) {
            change(&mut group.rules);
        }
    }

    /// A group that is gone.
    pub fn remove_group(&self, id: &SecurityGroupId) {
        let mut known = self.known.write();
        known.freshen(id.as_str());
        known.remove_group(id);
    }

    /// An address group that exists.
    pub fn insert_peer(&self, key: PeerKey, id: AddressGroupId, addresses: BTreeSet<IpNet>) {
        self.known.write().insert_peer(key, id, addresses);
    }

    /// An address group that is gone.
    pub fn remove_peer(&self, id: &AddressGroupId) {
        let mut known = self.known.write();
        known.freshen(id.as_str());
        known.remove_peer(id);
    }

    /// A re-list begins: from now on, what comes is remembered.
    pub fn begin_list(&self) {
        self.known.write().fresh = Some(HashSet::new());
    }

    /// The answer of a re-list.
    pub fn end_list(&self, listed: Listed) {
        let mut known = self.known.write();
        let fresh = known.fresh.take().unwrap_or_default();
        let gone: Vec<_> = known.groups.keys().filter(|id| !fresh.contains(id.as_str())).cloned().collect();
        gone.iter().for_each(|id| known.remove_group(id));
        let gone: Vec<_> = known.peers.keys().filter(|id| !fresh.contains(id.as_str())).cloned().collect();
        gone.iter().for_each(|id| known.remove_peer(id));
        for (key, id, rules) in listed.groups.into_iter().filter(|(_, id, _)| !fresh.contains(id.as_str())) {
            known.insert_group(key, id, rules);
        }
        for (key, id, addresses) in listed.peers.into_iter().filter(|(_, id, _)| !fresh.contains(id.as_str()))
        {
            known.insert_peer(key, id, addresses);
        }
    }
}

impl Known {
    fn freshen(&mut self, id: &str) {
        if let Some(fresh) = &mut self.fresh {
            fresh.insert(id.to_owned());
        }
    }

    fn insert_group(&mut self, key: GroupKey, id: SecurityGroupId, rules: Vec<HeldRule>) {
        self.freshen(id.as_str());
        self.remove_group(&id);
        self.by_subject.entry(Subject::of(&key)).or_default().insert(id.clone());
        self.groups.insert(id, Group { key, rules });
    }

    fn remove_group(&mut self, id: &SecurityGroupId) {
        let Some(gone) = self.groups.remove(id) else { return };
        let subject = Subject::of(&gone.key);
        if let Some(ids) = self.by_subject.get_mut(&subject) {
            ids.remove(id);
            if ids.is_empty() {
                self.by_subject.remove(&subject);
            }
        }
    }

    fn insert_peer(&mut self, key: PeerKey, id: AddressGroupId, addresses: BTreeSet<IpNet>) {
        self.freshen(id.as_str());
        self.remove_peer(&id);
        addresses.iter().for_each(|one| *self.held.entry(*one).or_default() += 1);
        self.by_peer.entry(key.clone()).or_default().insert(id.clone());
        self.peers.insert(id, Peer { key, addresses });
    }

    fn remove_peer(&mut self, id: &AddressGroupId) {
        let Some(gone) = self.peers.remove(id) else { return };
        for address in &gone.addresses {
            let Some(count) = self.held.get_mut(address) else { continue };
            *count -= 1;
            if *count == 0 {
                self.held.remove(address);
            }
        }
        if let Some(ids) = self.by_peer.get_mut(&gone.key) {
            ids.remove(id);
            if ids.is_empty() {
                self.by_peer.remove(&gone.key);
            }
        }
    }

    fn is_used(&self, id: &AddressGroupId) -> bool {
        let mut rules = self.groups.values().flat_map(|group| &group.rules);
        rules.any(|held| held.rule.as_ref().is_some_and(|rule| rule.group() == Some(id)))
    }
}
