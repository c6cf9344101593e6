//! What policies allow, and which pods they are for.

use super::{
    Ends, Grant, Index, Name, PeerId, PodEntry, PodId, Pods, Policy, PolicyEntry, PolicyId, Port, Resolution,
    Scope, Selector,
};
use crate::policy::model::{Direction, Namespaces, Peer, Rule, Which};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

impl Index {
    /// A policy.
    pub fn set_policy(&mut self, name: &Name, policy: &Arc<Policy>) {
        match self.policy_ids.get(name).copied() {
            Some(id) if self.policies[id].policy == *policy => {}
            Some(id) => self.change_policy(id, policy),
            None => {
                let id = self.policies.insert(PolicyEntry {
                    name: name.clone(),
                    policy: Arc::default(),
                    ingress: Vec::new(),
                    egress: Vec::new(),
                    peers: Vec::new(),
                    subjects: HashSet::new(),
                    resolutions: BTreeMap::new(),
                    vips: BTreeMap::new(),
                });
                self.policy_ids.insert(name.clone(), id);
                self.change_policy(id, policy);
            }
        }
    }

    /// A policy is gone.
    pub fn remove_policy(&mut self, name: &Name) {
        let Some(id) = self.policy_ids.remove(name) else { return };
        self.retract(id);
        self.forget_vips(id);
        self.with_egress.remove(&id);
        let gone = self.policies.remove(id);
        gone.peers.into_iter().for_each(|peer| self.disuse_peer(peer, id));
        self.forget_empty(&name.namespace);
        self.changes.policies.insert(name.clone());
    }

    /// The policies that are known.
    pub fn policies(&self) -> impl Iterator<Item = (&Name, &Policy)> {
        self.policies.iter().map(|(_, entry)| (&entry.name, &*entry.policy))
    }

    /// A policy.
    pub fn policy(&self, name: &Name) -> Option<&Policy> {
        self.policy_ids.get(name).map(|id| &*self.policies[*id].policy)
    }

    /// The pods that a policy is for.
    pub fn subjects(&self, name: &Name) -> Vec<Name> {
        let Some(id) = self.policy_ids.get(name) else { return Vec::new() };
        self.policies[*id].subjects.iter().map(|pod| self.pods[*pod].name.clone()).collect()
    }

    fn change_policy(&mut self, id: PolicyId, policy: &Arc<Policy>) {
        self.retract(id);
        let name = self.policies[id].name.clone();
        let old = std::mem::take(&mut self.policies[id].peers);
        let mut used = Vec::new();
        let mut compile = |direction| self.compile(id, &name, policy.rules(direction), direction, &mut used);
        let (ingress, egress) = (compile(Direction::Ingress), compile(Direction::Egress));
        used.sort_unstable();
        used.dedup();
        for peer in old.into_iter().filter(|peer| used.binary_search(peer).is_err()) {
            self.disuse_peer(peer, id);
        }
        let entry = &mut self.policies[id];
        (entry.ingress, entry.egress, entry.peers, entry.policy) = (ingress, egress, used, policy.clone());
        self.announce(id);
        self.forget_vips(id);
        if policy.egress.is_some() {
            self.with_egress.insert(id);
            self.recheck_policy(id);
        } else {
            self.with_egress.remove(&id);
        }
        self.changes.policies.insert(name);
    }

    /// Takes a policy off the pods that it is for.
    fn retract(&mut self, id: PolicyId) {
        let PolicyEntry { name, policy, .. } = &self.policies[id];
        let (namespace, subjects) = (name.namespace.clone(), policy.subjects.clone());
        self.namespace(&namespace).subjects.remove(&subjects, id);
        for pod in std::mem::take(&mut self.policies[id].subjects) {
            self.pods[pod].policies.remove(&id);
            self.changes.pods.insert(self.pods[pod].name.clone());
        }
        self.policies[id].resolutions.clear();
    }

    /// Puts a policy on the pods that it is for.
    fn announce(&mut self, id: PolicyId) {
        let PolicyEntry { name, policy, .. } = &self.policies[id];
        let (name, policy) = (name.clone(), policy.clone());
        let namespace = self.namespace(&name.namespace);
        namespace.subjects.insert(&policy.subjects, id);
        for pod in namespace.pods.clone() {
            if policy.subjects.matches(&self.pods[pod].pod.labels) {
                self.select(id, pod);
            }
        }
    }

    /// Puts a pod under the policies that are for it, and out of the others.
    pub(super) fn reselect(&mut self, pod: PodId) {
        let PodEntry { name, pod: content, policies: had, .. } = &self.pods[pod];
        let Some(namespace) = self.namespaces.get(&name.namespace) else { return };
        let candidates = namespace.subjects.candidates(&content.labels);
        let is_for = |id: &PolicyId| self.policies[*id].policy.subjects.matches(&content.labels);
        let wanted: BTreeMap<PolicyId, Resolution> =
            candidates.filter(is_for).map(|id| (id, self.resolution(id, pod))).collect();
        if wanted == *had {
            return;
        }
        let had = had.clone();
        for (id, _) in had.iter().filter(|(id, resolution)| wanted.get(id) != Some(*resolution)) {
            self.deselect(*id, pod);
        }
        for (id, _) in wanted.iter().filter(|(id, resolution)| had.get(id) != Some(*resolution)) {
            self.select(*id, pod);
        }
    }

    fn select(&mut self, id: PolicyId, pod: PodId) {
        let resolution = self.resolution(id, pod);
        let entry = &mut self.policies[id];
        entry.subjects.insert(pod);
        if !resolution.is_empty() {
            let count = entry.resolutions.entry(resolution.clone()).or_default();
            *count += 1;
            if *count == 1 {
                self.changes.policies.insert(entry.name.clone());
            }
        }
        self.pods[pod].policies.insert(id, resolution);
        self.changes.pods.insert(self.pods[pod].name.clone());
    }

    pub(super) fn deselect(&mut self, id: PolicyId, pod: PodId) {
        let resolution = self.pods[pod].policies.remove(&id).unwrap_or_default();
        let entry = &mut self.policies[id];
        entry.subjects.remove(&pod);
        if let Some(count) = entry.resolutions.get_mut(&resolution) {
            *count -= 1;
            if *count == 0 {
                entry.resolutions.remove(&resolution);
                self.changes.policies.insert(entry.name.clone());
            }
        }
        self.changes.pods.insert(self.pods[pod].name.clone());
    }

    /// How a pod resolves the names of ports that a policy allows to come in at.
    fn resolution(&self, id: PolicyId, pod: PodId) -> Resolution {
        let named = self.policies[id].ingress.iter().filter_map(|grant| grant.port.as_ref());
        let named = named.filter_map(|port| match &port.which {
            Which::Named(name) => Some((port.protocol, name)),
            Which::All | Which::Range(..) => None,
        });
        let pod = &self.pods[pod].pod;
        named
            .flat_map(|(protocol, name)| {
                let numbers = pod.numbers_of(protocol, name);
                numbers.into_iter().map(move |number| (protocol, name.clone(), number))
            })
            .collect()
    }

    /// Each peer of each rule with each of its ports.
    fn compile(
        &mut self,
        id: PolicyId,
        name: &Name,
        rules: Option<&[Rule]>,
        direction: Direction,
        used: &mut Vec<PeerId>,
    ) -> Vec<Grant> {
        let mut grants = Vec::new();
        for rule in rules.into_iter().flatten() {
            let ports: Vec<Option<&Port>> = match &rule.ports {
                None => vec![None],
                Some(ports) => ports.iter().map(Some).collect(),
            };
            let peers: Vec<Option<&Peer>> = match &rule.peers {
                None => vec![None],
                Some(peers) => peers.iter().map(Some).collect(),
            };
            for peer in &peers {
                for port in &ports {
                    let ends = self.ends(id, name, *peer, *port, direction, used);
                    grants.push(Grant { ends, port: port.cloned() });
                }
            }
        }
        grants
    }

    /// The ends that a peer and a port mean together: who goes out to a named port means just the pods that have one.
    fn ends(
        &mut self,
        id: PolicyId,
        name: &Name,
        peer: Option<&Peer>,
        port: Option<&Port>,
        direction: Direction,
        used: &mut Vec<PeerId>,
    ) -> Ends {
        let named = port.filter(|_| direction == Direction::Egress).and_then(|port| match &port.which {
            Which::Named(name) => Some((port.protocol, name.clone())),
            Which::All | Which::Range(..) => None,
        });
        let everywhere = || (Scope::Matching(Selector::default()), Selector::default());
        let ((scope, pods), within) = match (peer, &named) {
            (None, None) => return Ends::Anyone,
            (Some(Peer::Block(block)), None) => return Ends::Block(block.clone()),
            (None, Some(_)) => (everywhere(), None),
            (Some(Peer::Block(block)), Some(_)) => (everywhere(), Some(block.clone())),
            (Some(Peer::Pods { namespaces, pods }), _) => {
                let scope = match namespaces {
                    Namespaces::Own => Scope::One(name.namespace.clone()),
                    Namespaces::Of(selector) => Scope::Matching(selector.clone()),
                };
                ((scope, pods.clone()), None)
            }
        };
        let peer = self.use_peer(Pods { scope, pods, within, port: named }, id);
        used.push(peer);
        Ends::Pods(peer)
    }
}
