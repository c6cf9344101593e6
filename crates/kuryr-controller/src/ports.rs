//! The ports that exist in Neutron, as far as they concern us: listed at start, then known from our own calls. A slow re-list
//! corrects what others changed.
//!
//! Whether a pod has a warm port, Neutron does not know: the pod's record names it, and until there is one, it is claimed here.

use kuryr_api::{PortId, SecurityGroupId};
use kuryr_core::port::{Port, Wiring};
use kuryr_k8s::Key;
use parking_lot::RwLock;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

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
    /// The warm ports of each node.
    warm: HashMap<String, Warm>,
    /// The pods that have warm ports.
    claims: HashMap<PortId, Claim>,
    /// Which ports carry a security group.
    carriers: HashMap<SecurityGroupId, BTreeSet<PortId>>,
    makers: HashMap<PortId, Key>,
    /// Ports that records name and Neutron does not have.
    missing: HashSet<PortId>,
    /// Ports that came, changed or went while a re-list was under way, of which its answer may know less.
    fresh: Option<HashSet<PortId>>,
}

/// Warm ports of a node.
#[derive(Default)]
struct Warm {
    /// Those that no pod has, and since when; those that are free for longest in front.
    free: Vec<(PortId, Instant)>,
    /// Those that pods have.
    taken: BTreeSet<PortId>,
}

/// Who has a warm port, and what Neutron has as its `device_id` meanwhile.
struct Claim {
    uid: String,
    device: String,
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

    /// The warm ports of a node that no pod has, and for how long that is so; those that are free for longest in front.
    pub fn free(&self, node: &str) -> Vec<(Arc<Port>, Duration)> {
        let known = self.known.read();
        let free = known.warm.get(node).into_iter().flat_map(|warm| &warm.free);
        free.filter_map(|(id, since)| Some((known.by_id.get(id)?.clone(), since.elapsed()))).collect()
    }

    /// The ports that are of a node's pool, whether a pod has them or not.
    pub fn pooled(&self, node: &str) -> Vec<Arc<Port>> {
        let known = self.known.read();
        let of_node = known.warm.get(node).into_iter();
        let ids = of_node.flat_map(|warm| warm.free.iter().map(|(id, _)| id).chain(&warm.taken));
        ids.filter_map(|id| known.by_id.get(id).cloned()).collect()
    }

    /// The pods that have warm ports of a node.
    pub fn takers(&self, node: &str) -> Vec<Key> {
        let known = self.known.read();
        let taken = known.warm.get(node).into_iter().flat_map(|warm| &warm.taken);
        taken.filter_map(|id| known.makers.get(id).cloned()).collect()
    }

    /// The nodes that have warm ports.
    pub fn nodes_with_warm(&self) -> Vec<String> {
        self.known.read().warm.keys().cloned().collect()
    }

    /// Number of warm ports that no pod has.
    pub fn free_len(&self) -> usize {
        self.known.read().warm.values().map(|warm| warm.free.len()).sum()
    }

    /// The pod called `key` has this warm port from now on. False if it was made for a pod, or one has it already.
    pub fn claim(&self, id: &PortId, key: &Key, uid: &str) -> bool {
        let mut known = self.known.write();
        let is_free = known.by_id.get(id).is_some_and(|port| port.is_warm());
        if is_free {
            known.claim(id, key, uid);
        }
        is_free
    }

    /// Whether a pod has this port, and it was not made for it.
    pub fn is_claimed(&self, id: &PortId) -> bool {
        self.known.read().claims.contains_key(id)
    }

    /// What Neutron has as the `device_id` of a warm port that a pod has, unless the port is named after its pod meanwhile.
    pub fn warm_device(&self, id: &PortId) -> Option<String> {
        self.known.read().claims.get(id).map(|claim| claim.device.clone())
    }

    /// Whose port this is, as far as it was made, or taken, in this life.
    pub fn owner(&self, id: &PortId) -> Option<Key> {
        self.known.read().makers.get(id).cloned()
    }

    /// The pod that had this warm port needs it no more: it is free, for the shortest time of all.
    pub fn unclaim(&self, id: &PortId) {
        self.known.write().unclaim(id);
    }

    /// Takes a port that no pod has away from all pods, before it is deleted. None: a pod has it by now.
    pub fn withdraw(&self, id: &PortId) -> Option<Arc<Port>> {
        let mut known = self.known.write();
        let port = known.by_id.get(id).filter(|port| port.is_warm()).cloned()?;
        known.remove(id);
        Some(port)
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
        known.made_for(key, &port.id);
        known.insert(port);
    }

    /// Neutron was asked for `ids` and `found` these.
    pub fn looked_up(&self, ids: &[PortId], found: Vec<Port>) {
        self.known.write().looked_up(ids, found, &HashSet::new());
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

    /// The ports that we know and a re-list does not show: it may have left them out, so that they are to be asked for.
    pub fn unseen(&self, listed: &HashSet<PortId>) -> Vec<PortId> {
        let known = self.known.read();
        let is_old = |id: &PortId| known.fresh.as_ref().is_none_or(|fresh| !fresh.contains(id));
        known.by_id.keys().filter(|id| !listed.contains(*id) && is_old(id)).cloned().collect()
    }

    /// The answer of a re-list, for which Neutron was asked for `ids` besides: `found` exist.
    pub fn end_relist(&self, ids: &[PortId], found: Vec<Port>) {
        let mut known = self.known.write();
        let fresh = known.fresh.take().unwrap_or_default();
        known.missing.clear();
        known.looked_up(ids, found, &fresh);
    }
}

impl Known {
    /// Neutron was asked for `ids` and `found` these. It may know less of those that are `fresh`.
    fn looked_up(&mut self, ids: &[PortId], found: Vec<Port>, fresh: &HashSet<PortId>) {
        let existing: HashSet<PortId> = found.iter().map(|port| port.id.clone()).collect();
        for id in ids.iter().filter(|id| !existing.contains(*id) && !fresh.contains(*id)) {
            self.remove(id);
            self.missing.insert(id.clone());
        }
        found.into_iter().filter(|port| !fresh.contains(&port.id)).for_each(|port| self.insert(port));
    }

    fn insert(&mut self, mut port: Port) {
        self.missing.remove(&port.id);
        self.freshen(&port.id);
        if let Some(claim) = self.claims.get(&port.id) {
            port.pod_uid.clone_from(&claim.uid);
        }
        if let Some(old) = self.by_id.get(&port.id).cloned() {
            self.put_down(&old);
        }
        self.by_pod.entry(port.pod_uid.clone()).or_default().insert(port.id.clone());
        for group in &port.security_groups {
            self.carriers.entry(group.clone()).or_default().insert(port.id.clone());
        }
        self.sort_in(&port);
        self.by_id.insert(port.id.clone(), Arc::new(port));
    }

    fn remove(&mut self, id: &PortId) {
        self.freshen(id);
        let Some(port) = self.by_id.remove(id) else { return };
        self.put_down(&port);
        self.sort_out(&port);
        self.claims.remove(id);
        if let Some(key) = self.makers.remove(id) {
            drop_from(&mut self.made_for, &key, id);
        }
    }

    /// A re-list that is under way may be older than what is known of this port.
    fn freshen(&mut self, id: &PortId) {
        if let Some(fresh) = &mut self.fresh {
            fresh.insert(id.clone());
        }
    }

    fn claim(&mut self, id: &PortId, key: &Key, uid: &str) {
        let Some(port) = self.by_id.get(id).cloned() else { return };
        let claim = Claim { uid: uid.to_owned(), device: port.pod_uid.clone() };
        self.claims.insert(id.clone(), claim);
        self.made_for(key, id);
        self.insert((*port).clone());
    }

    fn unclaim(&mut self, id: &PortId) {
        let (Some(claim), Some(port)) = (self.claims.remove(id), self.by_id.get(id).cloned()) else { return };
        if let Some(key) = self.makers.remove(id) {
            drop_from(&mut self.made_for, &key, id);
        }
        self.insert(Port { pod_uid: claim.device, ..(*port).clone() });
    }

    fn made_for(&mut self, key: &Key, id: &PortId) {
        self.made_for.entry(key.clone()).or_default().insert(id.clone());
        self.makers.insert(id.clone(), key.clone());
    }

    /// A port is not any more what is known of it.
    fn put_down(&mut self, port: &Port) {
        drop_from(&mut self.by_pod, &port.pod_uid, &port.id);
        for group in &port.security_groups {
            drop_from(&mut self.carriers, group, &port.id);
        }
    }

    /// A warm port is free, or a pod has it; another port is neither.
    fn sort_in(&mut self, port: &Port) {
        let since = self.sort_out(port);
        let is_taken = self.claims.contains_key(&port.id);
        if !is_taken && !port.is_warm() {
            return;
        }
        let warm = self.warm.entry(port.host.clone()).or_default();
        if is_taken {
            warm.taken.insert(port.id.clone());
        } else {
            warm.free.push((port.id.clone(), since.unwrap_or_else(Instant::now)));
            warm.free.sort_by_key(|(_, since)| *since);
        }
    }

    /// Returns since when it was free, if it was.
    fn sort_out(&mut self, port: &Port) -> Option<Instant> {
        let warm = self.warm.get_mut(&port.host)?;
        warm.taken.remove(&port.id);
        let free = warm.free.iter().position(|(id, _)| *id == port.id);
        let since = free.map(|at| warm.free.remove(at).1);
        if warm.free.is_empty() && warm.taken.is_empty() {
            self.warm.remove(&port.host);
        }
        since
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

#[cfg(test)]
mod tests {
    use super::*;
    use kuryr_core::port::{Binding, Ownership, Vnic};

    const NODE: &str = "node1";

    fn port(id: &str, device: &str) -> Port {
        Port {
            id: id.into(),
            network: "net".into(),
            mac: String::new(),
            addresses: Vec::new(),
            pod_uid: device.to_owned(),
            host: NODE.to_owned(),
            security_groups: BTreeSet::new(),
            wiring: Wiring::Pending,
            vnic: Vnic::Normal,
            binding: Binding::Unbound,
            server: None,
            ownership: Ownership::Ours,
        }
    }

    fn free(ports: &Ports) -> Vec<String> {
        ports.free(NODE).into_iter().map(|(port, _)| port.id.to_string()).collect()
    }

    #[test]
    fn a_list_knows_less_of_what_came_and_went_meanwhile() {
        let ports = Ports::default();
        ports.insert(port("old", "a"));
        ports.begin_relist();
        ports.insert(port("new", "b"));
        ports.remove(&"old".into());
        assert!(ports.unseen(&HashSet::from(["old".into()])).is_empty());
        ports.end_relist(&["new".into()], vec![port("old", "a")]);
        assert!(ports.get(&"old".into()).is_none() && ports.get(&"new".into()).is_some());
    }

    #[test]
    fn what_a_list_does_not_show_is_kept_unless_it_is_gone() {
        let ports = Ports::default();
        ["hidden", "gone"].iter().for_each(|id| ports.insert(port(id, "a")));
        ports.begin_relist();
        assert_eq!(ports.unseen(&HashSet::from(["shown".into(), "gone".into()])), ["hidden".into()]);
        ports.end_relist(
            &["hidden", "gone"].map(Into::into),
            ["shown", "hidden"].map(|id| port(id, "b")).into(),
        );
        let is_there = |id: &str| ports.get(&id.into()).is_some();
        assert!(is_there("hidden") && is_there("shown") && !is_there("gone"));
        assert!(ports.is_missing(&"gone".into()) && !ports.is_missing(&"hidden".into()));
    }

    #[test]
    fn a_warm_port_is_its_pods_until_it_is_given_back() {
        let (ports, pod) = (Ports::default(), Key::new("default", "web"));
        for id in ["1", "2"] {
            ports.insert(port(id, &format!("kuryr-pool:{id}")));
        }
        assert_eq!(free(&ports), ["1", "2"]);
        assert!(ports.claim(&"1".into(), &pod, "uid"));
        assert!(!ports.claim(&"1".into(), &Key::new("default", "other"), "another"));
        // Neutron knows nothing of it.
        ports.insert(port("1", "kuryr-pool:1"));
        assert_eq!((free(&ports), ports.takers(NODE)), (vec!["2".to_owned()], vec![pod.clone()]));
        assert_eq!(ports.pooled(NODE).len(), 2);
        assert_eq!(ports.of(&pod, Some("uid")).len(), 1);
        assert!(ports.withdraw(&"1".into()).is_none());

        ports.unclaim(&"1".into());
        assert_eq!((free(&ports), ports.takers(NODE)), (vec!["2".to_owned(), "1".to_owned()], vec![]));
        assert!(ports.of(&pod, Some("uid")).is_empty());
        assert!(ports.withdraw(&"1".into()).is_some());
        assert_eq!(free(&ports), ["2"]);
    }
}
