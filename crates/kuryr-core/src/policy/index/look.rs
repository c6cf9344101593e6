//! Who is there, for those who ask about a pod or a Service by its name or its address.

use super::{Index, Name, Service};
use crate::policy::model::{Direction, Family, Pod};
use std::collections::BTreeSet;
use std::net::IpAddr;

impl Index {
    /// The families that pods have addresses of.
    pub fn families(&self) -> &BTreeSet<Family> {
        &self.families
    }

    /// A pod that has addresses of its own.
    pub fn pod(&self, name: &Name) -> Option<&Pod> {
        self.pod_ids.get(name).map(|id| &self.pods[*id].pod)
    }

    /// The pods that have addresses of their own.
    pub fn pods(&self) -> impl Iterator<Item = (&Name, &Pod)> {
        self.pods.iter().map(|(_, entry)| (&entry.name, &entry.pod))
    }

    /// The pod that has an address.
    pub fn pod_at(&self, address: IpAddr) -> Option<&Name> {
        self.by_address.get(&address).map(|id| &self.pods[*id].name)
    }

    /// A Service, with the endpoints that it leads to.
    pub fn service(&self, name: &Name) -> Option<&Service> {
        self.services.get(name)
    }

    /// The Service that has an address.
    pub fn service_at(&self, address: IpAddr) -> Option<&Name> {
        self.services.iter().find(|(_, service)| service.vips.contains(&address)).map(|(name, _)| name)
    }

    /// The policies that isolate a pod in a direction, sorted.
    pub fn isolating(&self, pod: &Name, direction: Direction) -> Vec<&Name> {
        let says_something =
            |name: &&Name| self.policy(name).is_some_and(|policy| policy.rules(direction).is_some());
        let mut names: Vec<_> = self.policies_for(pod).into_iter().filter(says_something).collect();
        names.sort();
        names
    }
}
