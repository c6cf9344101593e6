//! Which Services lead to nothing but what a policy allows.
//!
//! OVN matches the first packet of a flow with the Service's address and port, and every later one with the endpoint's. So who
//! may go out to the endpoints has to be allowed to go to the Service too, and only if all of its endpoints are allowed: else the
//! first packet would reach one that is not.

use super::{Ends, Family, Grant, Index, Name, PeerId, PeerKey, PodId, PolicyId, Protocol, Service};
use crate::policy::model::ServicePort;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;

impl Index {
    /// A Service, with the endpoints that it leads to now.
    pub fn set_service(&mut self, name: &Name, service: Service) {
        if self.services.get(name) == Some(&service) {
            return;
        }
        let (new, vips) = (endpoints(&service), service.vips.clone());
        let old = self.services.insert(name.clone(), service);
        let gone = old.as_ref().map(endpoints).unwrap_or_default();
        self.unserve(name, gone.difference(&new));
        for address in new {
            self.served_by.entry(address).or_default().insert(name.clone());
        }
        if old.is_none_or(|old| old.vips != vips) {
            self.changes.peers.insert(PeerKey::Services);
        }
        for policy in self.with_egress.clone() {
            self.recheck(policy, name);
        }
    }

    /// A Service is gone.
    pub fn remove_service(&mut self, name: &Name) {
        let Some(old) = self.services.remove(name) else { return };
        self.unserve(name, endpoints(&old).iter());
        if !old.vips.is_empty() {
            self.changes.peers.insert(PeerKey::Services);
        }
        for policy in self.with_egress.clone() {
            self.recheck(policy, name);
        }
    }

    fn unserve<'a>(&mut self, name: &Name, addresses: impl Iterator<Item = &'a IpAddr>) {
        for address in addresses {
            if let Some(services) = self.served_by.get_mut(address) {
                services.remove(name);
                if services.is_empty() {
                    self.served_by.remove(address);
                }
            }
        }
    }

    /// A pod is in these peers, or not any more, or has others than its `old` addresses: so may Services that lead to it be allowed
    /// by other policies.
    pub(super) fn recheck_endpoint(&mut self, pod: PodId, changed: &[(PeerId, u16)], old: Option<&[IpAddr]>) {
        let addresses = self.pods[pod].pod.addresses.iter().chain(old.into_iter().flatten());
        let services: BTreeSet<Name> =
            addresses.filter_map(|address| self.served_by.get(address)).flatten().cloned().collect();
        if services.is_empty() {
            return;
        }
        let policies = if old.is_some() {
            self.with_egress.clone()
        } else {
            let peers: HashSet<PeerId> = changed.iter().map(|(peer, _)| *peer).collect();
            let users = peers.iter().flat_map(|peer| &self.peers[*peer].users);
            users.filter(|user| self.with_egress.contains(user)).copied().collect()
        };
        for policy in policies {
            services.iter().for_each(|service| self.recheck(policy, service));
        }
    }

    /// Looks at all Services for a policy whose rules are others.
    pub(super) fn recheck_policy(&mut self, policy: PolicyId) {
        let services: Vec<Name> = self.services.keys().cloned().collect();
        services.iter().for_each(|service| self.recheck(policy, service));
    }

    /// The policy allows no Service any more.
    pub(super) fn forget_vips(&mut self, policy: PolicyId) {
        let entry = &mut self.policies[policy];
        for (protocol, number) in std::mem::take(&mut entry.vips).into_keys() {
            self.changes.peers.insert(PeerKey::Vips(entry.name.clone(), protocol, number));
        }
    }

    /// Whether a policy allows the ports of a Service. A port that it once did keeps its address group, empty, as long as the
    /// Service has that port: endpoints come and go, and a rule is dearer than an address.
    fn recheck(&mut self, policy: PolicyId, name: &Name) {
        let allowed =
            self.services.get(name).map(|service| self.allowed(policy, service)).unwrap_or_default();
        let entry = &mut self.policies[policy];
        let (mut rules, mut touched) = (false, BTreeSet::new());
        for (port, vips) in &allowed {
            let is_known = entry.vips.get(port).is_some_and(|services| services.contains_key(name));
            if vips.is_empty() && !is_known {
                continue;
            }
            rules |= !entry.vips.contains_key(port);
            let old = entry.vips.entry(*port).or_default().insert(name.clone(), vips.clone());
            if old.as_ref() != Some(vips) {
                touched.insert(*port);
            }
        }
        entry.vips.retain(|port, services| {
            if !allowed.contains_key(port) && services.remove(name).is_some() {
                touched.insert(*port);
            }
            rules |= services.is_empty();
            !services.is_empty()
        });
        let name = entry.name.clone();
        self.changes.peers.extend(touched.into_iter().map(|(p, n)| PeerKey::Vips(name.clone(), p, n)));
        if rules {
            self.changes.policies.insert(name);
        }
    }

    /// For each port of a Service, the addresses at which it leads to nothing but what the policy allows.
    fn allowed(&self, policy: PolicyId, service: &Service) -> BTreeMap<(Protocol, u16), BTreeSet<IpAddr>> {
        let vips = |port: &ServicePort| {
            let leads_well = |vip: &&IpAddr| self.leads_well(policy, port, Family::of(**vip));
            service.vips.iter().filter(leads_well).copied().collect()
        };
        service.ports.iter().map(|port| ((port.protocol, port.number), vips(port))).collect()
    }

    fn leads_well(&self, policy: PolicyId, port: &ServicePort, family: Family) -> bool {
        let mut ends = port.endpoints.iter().filter(|(address, _)| Family::of(*address) == family).peekable();
        ends.peek().is_some()
            && ends.all(|(address, number)| self.lets_out(policy, *address, port.protocol, *number))
    }

    /// Whether a policy allows its pods to connect to this address.
    fn lets_out(&self, policy: PolicyId, to: IpAddr, protocol: Protocol, number: u16) -> bool {
        self.policies[policy].egress.iter().any(|grant| self.grants(grant, to, protocol, number))
    }

    fn grants(&self, grant: &Grant, to: IpAddr, protocol: Protocol, number: u16) -> bool {
        let pod = self.by_address.get(&to).map(|id| &self.pods[*id]);
        let port = grant.port.as_ref();
        if !port.is_none_or(|port| port.means(protocol, number, pod.map(|entry| &entry.pod))) {
            return false;
        }
        match &grant.ends {
            Ends::Anyone => true,
            Ends::Block(block) => block.contains(to),
            Ends::Pods(peer) => {
                let within = self.peers[*peer].key.within.as_ref();
                let is_member =
                    |entry: &super::PodEntry| entry.memberships.iter().any(|(member, _)| member == peer);
                within.is_none_or(|block| block.contains(to)) && pod.is_some_and(is_member)
            }
        }
    }
}

fn endpoints(service: &Service) -> BTreeSet<IpAddr> {
    service.ports.iter().flat_map(|port| &port.endpoints).map(|(address, _)| *address).collect()
}
