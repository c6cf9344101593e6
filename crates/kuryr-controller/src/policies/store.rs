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
    /// What came or changed while each re-list was under way, which its answer may not know.
    fresh: HashMap<u64, HashSet<String>>,
    next: u64,
}

/// A re-list that is under way. Several may be, since each contradiction of Neutron begins one: the answer of one that began before
/// another ended says nothing of what that one found.
#[must_use = "what comes meanwhile is remembered until its end"]
pub struct Relist<'s> {
    store: &'s Store,
    number: u64,
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
    pub fn begin_relist(&self) -> Relist<'_> {
        let mut known = self.known.write();
        let number = known.next;
        known.next += 1;
        known.fresh.insert(number, HashSet::new());
        Relist { store: self, number }
    }
}

impl Relist<'_> {
    /// The groups that we know and it does not show: it may have left them out, so that they are to be asked for.
    pub fn unseen_groups(&self, listed: &Listed) -> Vec<(GroupKey, SecurityGroupId)> {
        let shown: HashSet<&SecurityGroupId> = listed.groups.iter().map(|(_, id, _)| id).collect();
        let known = self.store.known.read();
        let groups =
            known.groups.iter().filter(|(id, _)| !shown.contains(id) && self.is_old(&known, id.as_str()));
        groups.map(|(id, group)| (group.key.clone(), id.clone())).collect()
    }

    /// The same for address groups.
    pub fn unseen_peers(&self, listed: &Listed) -> Vec<(PeerKey, AddressGroupId)> {
        let shown: HashSet<&AddressGroupId> = listed.peers.iter().map(|(_, id, _)| id).collect();
        let known = self.store.known.read();
        let peers =
            known.peers.iter().filter(|(id, _)| !shown.contains(id) && self.is_old(&known, id.as_str()));
        peers.map(|(id, peer)| (peer.key.clone(), id.clone())).collect()
    }

    fn is_old(&self, known: &Known, id: &str) -> bool {
        known.fresh.get(&self.number).is_none_or(|fresh| !fresh.contains(id))
    }

    /// Its answer.
    pub fn end(self, listed: Listed) {
        let mut known = self.store.known.write();
        let fresh = known.fresh.remove(&self.number).unwrap_or_default();
        let is_old = |id: &str| !fresh.contains(id);
        let gone: Vec<_> = known.groups.keys().filter(|id| is_old(id.as_str())).cloned().collect();
        for id in gone {
            known.freshen(id.as_str());
            known.remove_group(&id);
        }
        let gone: Vec<_> = known.peers.keys().filter(|id| is_old(id.as_str())).cloned().collect();
        for id in gone {
            known.freshen(id.as_str());
            known.remove_peer(&id);
        }
        for (key, id, rules) in listed.groups.into_iter().filter(|(_, id, _)| is_old(id.as_str())) {
            known.insert_group(key, id, rules);
        }
        for (key, id, addresses) in listed.peers.into_iter().filter(|(_, id, _)| is_old(id.as_str())) {
            known.insert_peer(key, id, addresses);
        }
    }
}

impl Drop for Relist<'_> {
    fn drop(&mut self) {
        self.store.known.write().fresh.remove(&self.number);
    }
}

impl Known {
    fn freshen(&mut self, id: &str) {
        for fresh in self.fresh.values_mut() {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> GroupKey {
        GroupKey::Stray("group".into())
    }

    fn listed(ids: &[&str]) -> Listed {
        let group = |id: &&str| (key(), SecurityGroupId::from(*id), Vec::new());
        Listed { groups: ids.iter().map(group).collect(), peers: Vec::new() }
    }

    fn there(store: &Store) -> Vec<String> {
        store.held(&Subject::of(&key())).iter().map(|(_, id, _)| id.to_string()).collect()
    }

    #[test]
    fn a_relist_knows_less_of_what_came_and_went_meanwhile() {
        let store = Store::default();
        store.insert_group(key(), "goes".into(), Vec::new());
        store.insert_group(key(), "hidden".into(), Vec::new());
        let relist = store.begin_relist();
        store.insert_group(key(), "comes".into(), Vec::new());
        store.remove_group(&"goes".into());
        let listed = listed(&["goes", "strange"]);
        assert_eq!(relist.unseen_groups(&listed), [(key(), "hidden".into())]);
        relist.end(listed);
        assert_eq!(there(&store), ["comes", "strange"]);
    }

    #[test]
    fn relists_side_by_side_do_not_undo_each_others_news() {
        let store = Store::default();
        store.insert_group(key(), "goes".into(), Vec::new());
        let slow = store.begin_relist();
        store.insert_group(key(), "comes".into(), Vec::new());
        let quick = store.begin_relist();
        store.remove_group(&"goes".into());
        quick.end(listed(&["comes", "strange"]));
        assert_eq!(there(&store), ["comes", "strange"]);
        slow.end(listed(&["goes"]));
        assert_eq!(there(&store), ["comes", "strange"]);
        drop(store.begin_relist());
        assert!(store.known.read().fresh.is_empty());
    }
}
