//! Which pods are in which peers.

use super::{
    Index, Labels, PeerEntry, PeerId, PeerKey, PodId, Pods, PolicyId, Scope, ScopeEntry, ScopeId, Selector,
    Selectors, WHOLE,
};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

impl Index {
    /// The peer of `key`, which `user` uses from now on.
    pub(super) fn use_peer(&mut self, key: Pods, user: PolicyId) -> PeerId {
        let id = match self.peer_ids.get(&key) {
            Some(id) => *id,
            None => self.add_peer(&Arc::new(key)),
        };
        self.peers[id].users.insert(user);
        id
    }

    fn add_peer(&mut self, key: &Arc<Pods>) -> PeerId {
        let members = BTreeMap::new();
        let id = self.peers.insert(PeerEntry { key: key.clone(), users: BTreeSet::new(), members });
        self.peer_ids.insert(key.clone(), id);
        let pods: Vec<PodId> = match &key.scope {
            Scope::One(name) => {
                let namespace = self.namespace(name);
                namespace.own.insert(&key.pods, id);
                namespace.pods.iter().copied().collect()
            }
            Scope::Matching(selector) => {
                let scope = self.scope(selector);
                self.scopes[scope].peers.insert(&key.pods, id);
                let namespaces = self.scopes[scope].namespaces.iter();
                namespaces
                    .filter_map(|name| self.namespaces.get(name))
                    .flat_map(|n| &n.pods)
                    .copied()
                    .collect()
            }
        };
        for pod in pods {
            for number in self.numbers(id, pod) {
                self.join(pod, (id, number));
            }
        }
        self.changes.peers.extend(self.keys(id));
        id
    }

    /// `user` does not use it any more.
    pub(super) fn disuse_peer(&mut self, id: PeerId, user: PolicyId) {
        self.peers[id].users.remove(&user);
        if !self.peers[id].users.is_empty() {
            return;
        }
        self.changes.peers.extend(self.keys(id));
        let PeerEntry { key, members, .. } = self.peers.remove(id);
        self.peer_ids.remove(&key);
        for pod in members.into_values().flatten() {
            self.pods[pod].memberships.retain(|(peer, _)| *peer != id);
        }
        match &key.scope {
            Scope::One(name) => {
                self.namespace(name).own.remove(&key.pods, id);
                self.forget_empty(name);
            }
            Scope::Matching(selector) => {
                let Some(scope) = self.scope_ids.get(selector).copied() else { return };
                self.scopes[scope].peers.remove(&key.pods, id);
                if self.scopes[scope].peers.is_empty() {
                    self.remove_scope(scope);
                }
            }
        }
    }

    fn scope(&mut self, selector: &Selector) -> ScopeId {
        if let Some(id) = self.scope_ids.get(selector) {
            return *id;
        }
        let matches =
            |labels: &Option<Labels>| labels.as_ref().is_some_and(|labels| selector.matches(labels));
        let matching = self.namespaces.iter_mut().filter(|(_, namespace)| matches(&namespace.labels));
        let id = self.scopes.vacant_key();
        let mut namespaces = HashSet::new();
        for (name, namespace) in matching {
            namespace.scopes.push(id);
            namespaces.insert(name.clone());
        }
        self.scope_ids.insert(selector.clone(), id);
        self.scopes.insert(ScopeEntry { selector: selector.clone(), peers: Selectors::default(), namespaces })
    }

    fn remove_scope(&mut self, id: ScopeId) {
        let gone = self.scopes.remove(id);
        self.scope_ids.remove(&gone.selector);
        for name in &gone.namespaces {
            if let Some(namespace) = self.namespaces.get_mut(name) {
                namespace.scopes.retain(|scope| *scope != id);
            }
        }
    }

    /// The labels of a namespace are others: so may be the peers that its pods are in.
    pub(super) fn rescope(&mut self, name: &str) {
        let Some(namespace) = self.namespaces.get_mut(name) else { return };
        let matches = |scope: &ScopeEntry| {
            namespace.labels.as_ref().is_some_and(|labels| scope.selector.matches(labels))
        };
        let scopes = self.scopes.iter().filter(|(_, scope)| matches(scope)).map(|(id, _)| id).collect();
        let old = std::mem::replace(&mut namespace.scopes, scopes);
        if old == namespace.scopes {
            return;
        }
        let (new, pods) = (namespace.scopes.clone(), namespace.pods.clone());
        old.iter().for_each(|id| {
            self.scopes[*id].namespaces.remove(name);
        });
        new.iter().for_each(|id| {
            self.scopes[*id].namespaces.insert(name.into());
        });
        for pod in pods {
            self.rejoin(pod, None);
        }
    }

    /// Puts a pod into the peers that it belongs to, and out of the others. `old` are its former addresses, if it has others
    /// now.
    pub(super) fn rejoin(&mut self, pod: PodId, old: Option<&[IpAddr]>) {
        let wanted = self.memberships(pod);
        let had = std::mem::take(&mut self.pods[pod].memberships);
        let mut changed = Vec::new();
        for membership in had.iter().filter(|membership| wanted.binary_search(membership).is_err()) {
            self.quit(pod, *membership);
            changed.push(*membership);
        }
        for membership in &wanted {
            let is_new = had.binary_search(membership).is_err();
            if is_new {
                self.join_peer(pod, *membership);
            }
            if is_new || old.is_some() {
                changed.push(*membership);
            }
        }
        self.pods[pod].memberships = wanted;
        self.changed(pod, &changed, old);
    }

    /// Takes a pod out of all of its peers.
    pub(super) fn leave(&mut self, pod: PodId) {
        let had = std::mem::take(&mut self.pods[pod].memberships);
        had.iter().for_each(|membership| self.quit(pod, *membership));
        self.changed(pod, &had, None);
    }

    /// A pod came into these peers, or left them, or has other addresses in them.
    fn changed(&mut self, pod: PodId, memberships: &[(PeerId, u16)], old: Option<&[IpAddr]>) {
        if self.pods[pod].pod.addresses.is_empty() && old.is_none_or(<[_]>::is_empty) {
            return;
        }
        for (peer, number) in memberships {
            let key = self.peers[*peer].key.clone();
            self.changes.peers.insert(PeerKey::Pods(key, (*number != WHOLE).then_some(*number)));
        }
        self.recheck_endpoint(pod, memberships, old);
    }

    /// The memberships that a pod should have, sorted.
    fn memberships(&self, pod: PodId) -> Vec<(PeerId, u16)> {
        let entry = &self.pods[pod];
        let Some(namespace) = self.namespaces.get(&entry.name.namespace) else { return Vec::new() };
        let labels = &entry.pod.labels;
        let scoped = namespace.scopes.iter().flat_map(|id| self.scopes[*id].peers.candidates(labels));
        let peers = namespace.own.candidates(labels).chain(scoped);
        let mut found: Vec<_> =
            peers.flat_map(|peer| self.numbers(peer, pod).into_iter().map(move |n| (peer, n))).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The partitions of a peer that a pod of its namespaces belongs to.
    fn numbers(&self, peer: PeerId, pod: PodId) -> Vec<u16> {
        let (key, pod) = (&self.peers[peer].key, &self.pods[pod].pod);
        let is_within =
            key.within.as_ref().is_none_or(|block| pod.addresses.iter().any(|one| block.contains(*one)));
        if !is_within || !key.pods.matches(&pod.labels) {
            return Vec::new();
        }
        match &key.port {
            None => vec![WHOLE],
            Some((protocol, name)) => pod.numbers_of(*protocol, name).into_iter().collect(),
        }
    }

    fn join(&mut self, pod: PodId, membership: (PeerId, u16)) {
        self.join_peer(pod, membership);
        let memberships = &mut self.pods[pod].memberships;
        if let Err(at) = memberships.binary_search(&membership) {
            memberships.insert(at, membership);
        }
    }

    fn join_peer(&mut self, pod: PodId, (peer, number): (PeerId, u16)) {
        let entry = &mut self.peers[peer];
        if !entry.members.contains_key(&number) && number != WHOLE {
            self.changes.policies.extend(entry.users.iter().map(|user| self.policies[*user].name.clone()));
        }
        entry.members.entry(number).or_default().insert(pod);
    }

    fn quit(&mut self, pod: PodId, (peer, number): (PeerId, u16)) {
        let entry = &mut self.peers[peer];
        let Some(members) = entry.members.get_mut(&number) else { return };
        members.remove(&pod);
        if members.is_empty() {
            entry.members.remove(&number);
            if number != WHOLE {
                self.changes
                    .policies
                    .extend(entry.users.iter().map(|user| self.policies[*user].name.clone()));
            }
        }
    }

    pub(super) fn keys(&self, peer: PeerId) -> Vec<PeerKey> {
        let PeerEntry { key, members, .. } = &self.peers[peer];
        match key.port {
            None => vec![PeerKey::Pods(key.clone(), None)],
            Some(_) => members.keys().map(|number| PeerKey::Pods(key.clone(), Some(*number))).collect(),
        }
    }
}
