//! Everything that a reconciler needs: what is observed, and the means to act.

use crate::metrics::Metrics;
use crate::ports::Ports;
use crate::queue::Queue;
use crate::settings::PodDefaults;
use crate::wiring::Wiring;
use kuryr_core::network::PodNetwork;
use kuryr_k8s::events::Events;
use kuryr_k8s::slim::{Namespace, Node, Pod, PortRecord};
use kuryr_k8s::{Cache, Client, Key};
use kuryr_openstack::neutron::{Bulk, Neutron};
use parking_lot::RwLock;
use std::sync::Arc;

/// What Kubernetes says.
#[derive(Clone)]
pub struct Caches {
    /// Pods.
    pub pods: Cache<Pod>,
    /// Records.
    pub records: Cache<PortRecord>,
    /// Nodes.
    pub nodes: Cache<Node>,
    /// Namespaces.
    pub namespaces: Cache<Namespace>,
}

/// Shared by all tasks.
pub struct Context {
    /// What Kubernetes says.
    pub caches: Caches,
    /// What Neutron has.
    pub ports: Ports,
    /// Names of pods to look at.
    pub queue: Arc<Queue<Key>>,
    /// Ports whose wiring is awaited.
    pub wiring: Wiring,
    /// To write to Kubernetes.
    pub client: Client,
    /// To tell users.
    pub events: Events,
    /// To call Neutron.
    pub neutron: Neutron,
    /// To make ports, those of one moment in one request.
    pub bulk: Bulk,
    /// How pods get their ports.
    pub defaults: PodDefaults,
    /// The tag of what is ours.
    pub own_tag: String,
    /// The pods' network, once it is known.
    pub network: RwLock<Option<Arc<PodNetwork>>>,
    /// What is counted.
    pub metrics: Metrics,
}

impl Context {
    /// The pods' network, if it is known yet.
    pub fn network(&self) -> Option<Arc<PodNetwork>> {
        self.network.read().clone()
    }

    /// Looks at every name that a pod or a record has.
    pub fn look_at_all(&self) {
        let pods = self.caches.pods.all().into_iter().map(|pod| pod.key.clone());
        let records = self.caches.records.all().into_iter().map(|record| record.key.clone());
        pods.chain(records).for_each(|key| self.queue.add(key));
    }
}
