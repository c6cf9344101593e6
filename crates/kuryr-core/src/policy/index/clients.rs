//! Who may connect to an endpoint. A load balancer that hides its clients from the pods behind it has to tell them apart itself:
//! the pods let it in, whoever it connects for.

use super::{Changes, Ends, Index, Name, PeerKey, PodEntry, PolicyEntry, Protocol, WHOLE, host};
use ipnet::IpNet;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Who may connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clients {
    /// No policy isolates the endpoint, or one lets everybody in.
    Everybody,
    /// These.
    Only(BTreeSet<IpNet>),
}

impl Index {
    /// Where load balancers are that hide their clients; none: there are no such.
    pub fn set_balancers(&mut self, ranges: BTreeSet<IpNet>) -> bool {
        let is_news = self.balancers != ranges;
        self.balancers = ranges;
        is_news
    }

    /// Who may connect to a port of an address: a pod's, or one that policies know nothing of.
    pub fn clients_of(&self, address: IpAddr, protocol: Protocol, number: u16) -> Clients {
        let Some(PodEntry { pod, policies, .. }) = self.by_address.get(&address).map(|id| &self.pods[*id])
        else {
            return Clients::Everybody;
        };
        let mut isolating = policies
            .keys()
            .map(|id| &self.policies[*id])
            .filter(|entry| entry.policy.ingress.is_some())
            .peekable();
        if isolating.peek().is_none() {
            return Clients::Everybody;
        }
        // Nodes reach every pod, and a pod itself.
        let mut only: BTreeSet<IpNet> = self.nodes.iter().chain(&pod.addresses).copied().map(host).collect();
        for grant in isolating.flat_map(|entry| &entry.ingress) {
            if !grant.port.as_ref().is_none_or(|port| port.means(protocol, number, Some(pod))) {
                continue;
            }
            match &grant.ends {
                Ends::Anyone => return Clients::Everybody,
                Ends::Block(block) => only.extend(block.prefixes()),
                Ends::Pods(peer) => only.extend(self.members(*peer, WHOLE).into_iter().flatten()),
            }
        }
        Clients::Only(only)
    }

    /// Services whose load balancers may have to tell others apart after `changes`.
    pub fn guarded_by(&self, changes: &Changes) -> BTreeSet<Name> {
        if self.balancers.is_empty() {
            return BTreeSet::new();
        }
        let users = changes.peers.iter().flat_map(|peer| self.users_of(peer));
        let policies: BTreeSet<Name> = changes.policies.iter().cloned().chain(users).collect();
        let entries = policies.iter().filter_map(|name| Some(&self.policies[*self.policy_ids.get(name)?]));
        let subjects = entries.flat_map(|entry: &PolicyEntry| &entry.subjects).copied();
        let pods = changes.pods.iter().filter_map(|name| self.pod_ids.get(name).copied());
        let isolated = self.pods.iter().filter(|(_, entry)| !entry.policies.is_empty()).map(|(id, _)| id);
        let isolated = isolated.filter(|_| changes.peers.contains(&PeerKey::Nodes));
        let pods: BTreeSet<_> = subjects.chain(pods).chain(isolated).collect();
        let addresses = pods.into_iter().flat_map(|id| &self.pods[id].pod.addresses);
        addresses.filter_map(|address| self.served_by.get(address)).flatten().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::model::Pod;
    use crate::policy::testing::{CLIENT, NODE, OTHER, WEB, cluster, name};

    fn only(index: &Index, address: &str, number: u16) -> Option<Vec<String>> {
        match index.clients_of(address.parse().unwrap(), Protocol::Tcp, number) {
            Clients::Everybody => None,
            Clients::Only(only) => Some(only.iter().map(|one| one.addr().to_string()).collect()),
        }
    }

    #[test]
    fn clients_are_those_whom_policies_let_in() {
        let index = cluster();
        assert_eq!(only(&index, WEB, 80), Some(vec![WEB.into(), CLIENT.into(), NODE.into()]));
        assert_eq!(only(&index, WEB, 81), Some(vec![WEB.into(), NODE.into()]));
        assert_eq!(only(&index, OTHER, 80), None, "no policy isolates it");
        assert_eq!(only(&index, "192.0.2.1", 80), None, "it is no pod");
    }

    #[test]
    fn a_change_concerns_the_services_in_front_of_those_whom_it_concerns() {
        let mut index = cluster();
        index.take_changes();
        let relabel = |index: &mut Index, app: &str| {
            let (labels, addresses) = ([("app".into(), app.into())].into(), vec![OTHER.parse().unwrap()]);
            index.set_pod(&name("other"), Pod { labels, addresses, ports: Vec::new() });
            let changes = index.take_changes();
            index.guarded_by(&changes)
        };
        assert_eq!(relabel(&mut index, "client"), BTreeSet::new(), "no load balancer hides anybody");
        assert!(index.set_balancers(["10.96.0.0/16".parse().unwrap()].into()));
        assert_eq!(relabel(&mut index, "other"), [name("web")].into());
        assert_eq!(relabel(&mut index, "another"), BTreeSet::new(), "nobody asks for it");
    }
}
