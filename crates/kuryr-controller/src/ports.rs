//! The ports that exist in Neutron, as far as they concern us: listed at start, then known from our own calls. A slow re-list
//! corrects what others changed.

use kuryr_api::{PortId, SecurityGroupId};
use kuryr_core::port::{Port, Wiring};
use kuryr_k8s::Key;
use parking_lot::RwLock;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// The ports that exist.
#[derive(Default)]
pub struct Ports {
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    by_id: HashMap<PortId, Arc<Port>>,
    by_pod: HashMap<String, BTreeSet<PortId>>,
    /// For whom we made a port in this life: finds it after its pod went before it had a record.
    made_for: HashMap<Key, BTreeSet<PortId>>,
    /// Which ports carry a security group.
    carriers: HashMap<SecurityGroupId, BTreeSet<PortId>>,
    makers: HashMap<PortId, Key>,
    /// Ports that records name and Neutron does not have.
    missing: HashSet<PortId>,
    /// Ports that came while a re-list was under way, which its answer may lack.
    fresh: Option<HashSet<PortId>>,
}

impl Ports {
    /// A port of that id.
    pub fn get(&self, id: &PortId) -> Option<Arc<Port>> {
        self.known.read().by_id.get(id).cloned()
    }

    /// Neutron was asked for this port, and had none.
    pub fn is_missing(&self, id: &PortId) -> bool {
        self.known.read().missing.contains(id)
    }

    /// The ports that were made for the pod with `uid`, or in this life for a pod called `key`.
    pub fn of(&self, key: &Key, uid: Option<&str>) -> Vec<Arc<Port>> {
        let known = self.known.read();
        let by_uid = uid.and_then(|uid| known.by_pod.get(uid));
        let ids: BTreeSet<_> = by_uid.into_iter().chain(known.made_for.get(key)).flatten().collect();
        ids.into_iter().filter_map(|id| known.by_id.get(id).cloned()).collect()
    }

    /// The ports that we know to carry this security group.
    pub fn carriers(&self, group: &SecurityGroupId) -> Vec<Arc<Port>> {
        let known = self.known.read();
        let ids = known.carriers.get(group).into_iter().flatten();
        ids.filter_map(|id| known.by_id.get(id).cloned()).collect()
    }

    /// All ports.
    pub fn all(&self) -> Vec<Arc<Port>> {
        self.known.read().by_id.values().cloned().collect()
    }

    /// Number of ports.
    pub fn len(&self) -> usize {
        self.known.read().by_id.len()
    }

    /// A port that exists.
    pub fn insert(&self, port: Port) {
        self.known.write().insert(port);
    }

    /// A port that we made for a pod called `key`.
    pub fn insert_made_for(&self, key: &Key, port: Port) {
        let mut known = self.known.write();
        known.made_for.entry(key.clone()).or_default().insert(port.id.clone());
        known.makers.insert(port.id.clone(), key.clone());
        known.insert(port);
    }

    /// Neutron was asked for `ids` and `found` these.
    pub fn looked_up(&self, ids: &[PortId], found: Vec<Port>) {
        let mut known = self.known.write();
        let existing: HashSet<PortId> = found.iter().map(|port| port.id.clone()).collect();
        for id in ids.iter().filter(|id| !existing.contains(*id)) {
            known.remove(id);
            known.missing.insert(id.clone());
        }
        found.into_iter().for_each(|port| known.insert(port));
    }

    /// A port that is gone.
    pub fn remove(&self, id: &PortId) {
        let mut known = self.known.write();
        known.remove(id);
        known.missing.insert(id.clone());
    }

    /// A port that Neutron calls ACTIVE.
    pub fn set_wired(&self, id: &PortId) {
        let mut known = self.known.write();
        if let Some(port) = known.by_id.get_mut(id) {
            Arc::make_mut(port).wiring = Wiring::Active;
        }
    }

    /// A re-list begins: from now on, what comes is remembered.
    pub fn begin_relist(&self) {
        self.known.write().fresh = Some(HashSet::new());
    }

    /// The answer of a re-list. `keep` are ports that it can't show, since they lack our tag.
    pub fn end_relist(&self, listed: Vec<Port>, keep: &HashSet<PortId>) {
        let mut known = self.known.write();
        let fresh = known.fresh.take().unwrap_or_default();
        let shown: HashSet<PortId> = listed.iter().map(|port| port.id.clone()).collect();
        let stale = |id: &PortId| !shown.contains(id) && !fresh.contains(id) && !keep.contains(id);
        let gone: Vec<PortId> = known.by_id.keys().filter(|id| stale(id)).cloned().collect();
        gone.iter().for_each(|id| known.remove(id));
        known.missing.clear();
        listed.into_iter().for_each(|port| known.insert(port));
    }
}

impl Known {
    fn insert(&mut self, port: Port) {
        self.missing.remove(&port.id);
        self.fresh.iter_mut().for_each(|fresh| {
            fresh.insert(port.id.clone());
        });
        self.by_pod.entry(port.pod_uid.clone()).or_default().insert(port.id.clone());
        if let Some(old) = self.by_id.get(&port.id).cloned() {
            self.put_down(&old);
        }
        for group in &port.security_groups {
            self.carriers.entry(group.clone()).or_default().insert(port.id.clone());
        }
        self.by_id.insert(port.id.clone(), Arc::new(port));
    }

    fn remove(&mut self, id: &PortId) {
        let Some(port) = self.by_id.remove(id) else { return };
        self.put_down(&port);
        drop_from(&mut self.by_pod, &port.pod_uid, id);
        if let Some(key) = self.makers.remove(id) {
            drop_from(&mut self.made_for, &key, id);
        }
    }

    /// A port does not carry its groups any more.
    fn put_down(&mut self, port: &Port) {
        for group in &port.security_groups {
            drop_from(&mut self.carriers, group, &port.id);
        }
    }
}

fn drop_from<K: std::hash::Hash + Eq>(index: &mut HashMap<K, BTreeSet<PortId>>, key: &K, id: &PortId) {
    if let Some(ids) = index.get_mut(key) {
        ids.remove(id);
        if ids.is_empty() {
            index.remove(key);
        }
    }
}
