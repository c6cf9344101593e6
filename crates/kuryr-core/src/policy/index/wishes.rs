//! What is wanted in Neutron: groups of pods' ports, rules of groups, addresses of address groups.

use super::{Ends, Grant, Index, Name, PeerId, PeerKey, PolicyEntry, WHOLE, host};
use crate::policy::key::{GroupKey, GroupRule, Remote, Resolution};
use crate::policy::model::{Direction, Family, Port, Protocol, Which};
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};

/// Groups and the rules that they should have.
pub type Groups = BTreeMap<GroupKey, BTreeSet<GroupRule<PeerKey>>>;

impl Index {
    /// The groups of a pod's port. None: no policy is for it, and it has the cluster's default ones.
    pub fn groups_of(&self, pod: &Name) -> Option<BTreeSet<GroupKey>> {
        let entry = &self.pods[*self.pod_ids.get(pod)?];
        if entry.policies.is_empty() {
            return None;
        }
        let (mut groups, mut open) =
            (BTreeSet::new(), BTreeSet::from([GroupKey::OpenIngress, GroupKey::OpenEgress]));
        for (id, resolution) in &entry.policies {
            let PolicyEntry { name, policy, .. } = &self.policies[*id];
            if policy.ingress.is_some() {
                open.remove(&GroupKey::OpenIngress);
                groups.insert(GroupKey::Isolated);
            }
            if policy.egress.is_some() {
                open.remove(&GroupKey::OpenEgress);
            }
            if self.policies[*id].has_rules() {
                groups.insert(GroupKey::Policy(name.clone()));
            }
            if !resolution.is_empty() {
                groups.insert(GroupKey::Named(name.clone(), resolution.clone()));
            }
        }
        groups.append(&mut open);
        Some(groups)
    }

    /// The policies that are for a pod.
    pub fn policies_for(&self, pod: &Name) -> Vec<&Name> {
        let entry = self.pod_ids.get(pod).map(|id| &self.pods[*id]);
        entry.into_iter().flat_map(|entry| entry.policies.keys()).map(|id| &self.policies[*id].name).collect()
    }

    /// The pods that a policy is for.
    pub fn isolated_pods(&self) -> Vec<Name> {
        let isolated = self.pods.iter().filter(|(_, entry)| !entry.policies.is_empty());
        isolated.map(|(_, entry)| entry.name.clone()).collect()
    }

    /// The groups that do not depend on any policy.
    pub fn shared_groups(&self) -> Groups {
        let open =
            |direction| self.families.iter().map(|family| GroupRule::open(direction, *family)).collect();
        let from = |key: &PeerKey| {
            let remote = Remote::Group(key.clone());
            let rule = GroupRule::open(Direction::Ingress, Family::V4);
            self.families
                .iter()
                .map(move |family| GroupRule { family: *family, remote: remote.clone(), ..rule.clone() })
                .collect::<Vec<_>>()
        };
        let balancers = self.balancers.iter().copied().map(Remote::Prefix);
        let balancers = balancers.flat_map(|one| self.in_families(Direction::Ingress, None, None, &one));
        let isolated = [PeerKey::Nodes, PeerKey::Services].iter().flat_map(from).chain(balancers).collect();
        BTreeMap::from([
            (GroupKey::OpenIngress, open(Direction::Ingress)),
            (GroupKey::OpenEgress, open(Direction::Egress)),
            (GroupKey::Isolated, isolated),
        ])
    }

    /// The groups of a policy. None if there is none of that name, or it allows nothing.
    pub fn groups_of_policy(&self, name: &Name) -> Groups {
        let Some(id) = self.policy_ids.get(name) else { return Groups::new() };
        let entry = &self.policies[*id];
        let named = entry.resolutions.keys().map(|resolution| {
            (GroupKey::Named(name.clone(), resolution.clone()), self.named_rules(entry, resolution))
        });
        let plain = (GroupKey::Policy(name.clone()), self.plain_rules(entry));
        entry.has_rules().then_some(plain).into_iter().chain(named).collect()
    }

    /// The addresses of an address group. None: nobody needs it.
    pub fn addresses_of(&self, key: &PeerKey) -> Option<BTreeSet<IpNet>> {
        match key {
            PeerKey::Nodes => Some(self.nodes.iter().copied().map(host).collect()),
            PeerKey::Services => {
                Some(self.services.values().flat_map(|service| &service.vips).copied().map(host).collect())
            }
            PeerKey::Pods(pods, number) => self.members(*self.peer_ids.get(pods)?, number.unwrap_or(WHOLE)),
            PeerKey::Vips(policy, protocol, number) => {
                let entry = &self.policies[*self.policy_ids.get(policy)?];
                let services = entry.vips.get(&(*protocol, *number))?;
                Some(services.values().flatten().copied().map(host).collect())
            }
            PeerKey::Stray(_) => None,
        }
    }

    /// The address groups that are wanted.
    pub fn peer_keys(&self) -> Vec<PeerKey> {
        let pods = self.peers.iter().flat_map(|(id, _)| self.keys(id));
        let vips = self.policies.iter().flat_map(|(_, entry)| {
            let ports = entry.vips.keys();
            ports.map(|(protocol, number)| PeerKey::Vips(entry.name.clone(), *protocol, *number))
        });
        [PeerKey::Nodes, PeerKey::Services].into_iter().chain(pods).chain(vips).collect()
    }

    /// The policies whose rules name an address group.
    pub fn users_of(&self, key: &PeerKey) -> Vec<Name> {
        match key {
            PeerKey::Nodes | PeerKey::Services | PeerKey::Stray(_) => Vec::new(),
            PeerKey::Vips(policy, ..) => vec![policy.clone()],
            PeerKey::Pods(pods, _) => {
                let users = self.peer_ids.get(pods).into_iter().flat_map(|id| &self.peers[*id].users);
                users.map(|user| self.policies[*user].name.clone()).collect()
            }
        }
    }

    pub(super) fn members(&self, peer: PeerId, number: u16) -> Option<BTreeSet<IpNet>> {
        let entry = &self.peers[peer];
        if number != WHOLE && !entry.members.contains_key(&number) {
            return None;
        }
        let pods = entry.members.get(&number).into_iter().flatten();
        let addresses = pods.flat_map(|pod| &self.pods[*pod].pod.addresses);
        let meant =
            addresses.filter(|one| entry.key.within.as_ref().is_none_or(|block| block.contains(**one)));
        Some(meant.copied().map(host).collect())
    }

    /// The rules that hold for all pods of a policy.
    fn plain_rules(&self, entry: &PolicyEntry) -> BTreeSet<GroupRule<PeerKey>> {
        let mut rules = BTreeSet::new();
        for grant in entry.ingress.iter().filter(|grant| !grant.is_named()) {
            self.add(&mut rules, Direction::Ingress, grant, range(grant.port.as_ref()), None);
        }
        for grant in &entry.egress {
            match &grant.ends {
                Ends::Pods(peer) if grant.is_named() => {
                    for number in self.peers[*peer].members.keys() {
                        let ports = Some((*number, *number));
                        self.add(&mut rules, Direction::Egress, grant, ports, Some(*number));
                    }
                }
                _ => self.add(&mut rules, Direction::Egress, grant, range(grant.port.as_ref()), None),
            }
        }
        for (protocol, number) in entry.vips.keys() {
            let key = PeerKey::Vips(entry.name.clone(), *protocol, *number);
            let ports = Some((*number, *number));
            rules.extend(self.in_families(Direction::Egress, Some(*protocol), ports, &Remote::Group(key)));
        }
        rules
    }

    /// The rules that hold for the pods that resolve the names of ports in this way.
    fn named_rules(&self, entry: &PolicyEntry, resolution: &Resolution) -> BTreeSet<GroupRule<PeerKey>> {
        let mut rules = BTreeSet::new();
        for grant in entry.ingress.iter().filter(|grant| grant.is_named()) {
            let meant = resolution.iter().filter(|(protocol, name, _)| grant.names(*protocol, name));
            for (_, _, number) in meant {
                self.add(&mut rules, Direction::Ingress, grant, Some((*number, *number)), None);
            }
        }
        rules
    }

    fn add(
        &self,
        rules: &mut BTreeSet<GroupRule<PeerKey>>,
        direction: Direction,
        grant: &Grant,
        ports: Option<(u16, u16)>,
        number: Option<u16>,
    ) {
        let protocol = grant.port.as_ref().map(|port| port.protocol);
        let remotes = match &grant.ends {
            Ends::Anyone => vec![Remote::Anyone],
            Ends::Pods(peer) => vec![Remote::Group(PeerKey::Pods(self.peers[*peer].key.clone(), number))],
            Ends::Block(block) => block.prefixes().into_iter().map(Remote::Prefix).collect(),
        };
        for remote in &remotes {
            rules.extend(self.in_families(direction, protocol, ports, remote));
        }
    }

    /// A rule for each family that the other ends can have. All addresses of a family are no prefix, as Neutron sees it too.
    fn in_families(
        &self,
        direction: Direction,
        protocol: Option<Protocol>,
        ports: Option<(u16, u16)>,
        remote: &Remote<PeerKey>,
    ) -> Vec<GroupRule<PeerKey>> {
        let rule = |family, remote| GroupRule { direction, family, protocol, ports, remote };
        match remote {
            Remote::Prefix(prefix) => {
                let family = Family::of(prefix.addr());
                let remote = if prefix.prefix_len() == 0 { Remote::Anyone } else { remote.clone() };
                self.families.contains(&family).then(|| rule(family, remote)).into_iter().collect()
            }
            _ => self.families.iter().map(|family| rule(*family, remote.clone())).collect(),
        }
    }
}

impl PolicyEntry {
    /// Whether it may ever allow anything to all of its pods. Told by what it says, not by who is there: else pods' groups would
    /// change as others come and go.
    fn has_rules(&self) -> bool {
        self.ingress.iter().any(|grant| !grant.is_named()) || !self.egress.is_empty()
    }
}

impl Grant {
    fn is_named(&self) -> bool {
        matches!(&self.port, Some(Port { which: Which::Named(_), .. }))
    }

    fn names(&self, protocol: Protocol, name: &str) -> bool {
        matches!(&self.port, Some(Port { protocol: ours, which: Which::Named(called) })
            if *ours == protocol && &**called == name)
    }
}

fn range(port: Option<&Port>) -> Option<(u16, u16)> {
    match port?.which {
        // All of them are no range, as Neutron sees it too.
        Which::Range(1, u16::MAX) | Which::All | Which::Named(_) => None,
        Which::Range(first, last) => Some((first, last)),
    }
}
