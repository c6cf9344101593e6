//! Everything that a reconciler needs: what is observed, and the means to act.

use crate::metrics::Metrics;
use crate::ports::Ports;
use crate::queue::Queue;
use crate::settings::PodDefaults;
use crate::wiring::Wiring;
use kube::Api;
use kube::runtime::watcher;
use kuryr_api::names;
use kuryr_core::network::PodNetwork;
use kuryr_k8s::cache::Change;
use kuryr_k8s::events::{Events, Voice};
use kuryr_k8s::slim::{Namespace, Node, Pod, PortRecord, Slim};
use kuryr_k8s::{Cache, Client, Key};
use kuryr_openstack::Session;
use kuryr_openstack::neutron::{Bulk, Joining, Neutron};
use parking_lot::RwLock;
use std::sync::{Arc, Weak};
use tokio::sync::Notify;

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

/// Shared by all tasks of one term as leader.
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
    /// Told when OpenStack answers again after a time in which it did not.
    pub outage_over: Notify,
    /// What is counted.
    pub metrics: Metrics,
}

/// What a context is made of.
pub struct Parts {
    /// What Kubernetes says; complete.
    pub caches: Caches,
    /// The tag of what is ours.
    pub own_tag: String,
    /// To write to Kubernetes.
    pub client: Client,
    /// To call OpenStack.
    pub session: Session,
    /// What is counted.
    pub metrics: Metrics,
    /// How pods get their ports.
    pub defaults: PodDefaults,
    /// Whether Events are written.
    pub voice: Voice,
}

impl Context {
    /// A new context, which knows nothing of Neutron yet. Needs a tokio runtime.
    pub fn new(parts: Parts) -> Self {
        let Parts { caches, own_tag, client, session, metrics, defaults, voice } = parts;
        let neutron = Neutron::new(session);
        Self {
            own_tag,
            caches,
            ports: Ports::default(),
            queue: Arc::new(Queue::new(metrics.queue_depth.clone())),
            wiring: Wiring::default(),
            events: Events::new(client.clone(), "kuryr-controller", None, voice),
            client,
            bulk: Bulk::start(neutron.clone(), Joining::default()),
            neutron,
            defaults,
            network: RwLock::new(None),
            outage_over: Notify::new(),
            metrics,
        }
    }

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

/// The context of the term in which this process leads now, if it does. Clones share it.
#[derive(Clone, Default)]
pub struct Current(Arc<RwLock<Weak<Context>>>);

impl Current {
    /// A term begins.
    pub fn set(&self, context: &Arc<Context>) {
        *self.0.write() = Arc::downgrade(context);
    }

    /// The term is over.
    pub fn clear(&self) {
        *self.0.write() = Weak::new();
    }

    /// The context, if this process leads.
    pub fn get(&self) -> Option<Arc<Context>> {
        self.0.read().upgrade()
    }
}

impl Caches {
    /// Starts to follow. Changes of pods and records are names of pods to look at, for whoever leads.
    pub fn start(client: &Client, current: &Current) -> Self {
        let follow = || watcher::Config::default().page_size(500);
        Self {
            pods: keyed(Api::all(client.clone()), follow(), current),
            records: keyed(Api::all(client.clone()), follow(), current),
            nodes: Cache::start(Api::all(client.clone()), follow(), Box::new(|_| {})),
            namespaces: Cache::start(Api::all(client.clone()), follow(), Box::new(|_| {})),
        }
    }

    /// Waits until all are complete.
    pub async fn complete(&self) {
        tokio::join!(
            self.pods.complete(),
            self.records.complete(),
            self.nodes.complete(),
            self.namespaces.complete()
        );
    }

    /// The tag of everything that is ours, by the uid of the `kube-system` namespace, which lives exactly as long as the
    /// cluster.
    pub async fn own_tag(&self) -> String {
        let key = Key::new("", "kube-system");
        let cluster =
            self.namespaces.wait_for(|cache| cache.get(&key).map(|namespace| namespace.uid.to_string()));
        names::ownership_tag(&cluster.await)
    }
}

fn keyed<T: Slim>(api: Api<T::Wire>, follow: watcher::Config, current: &Current) -> Cache<T> {
    let current = current.clone();
    let on_change = move |change: &Change<T>| {
        // A standby needs no names: who begins to lead looks at all of them.
        if let Some(context) = current.get() {
            context.queue.add(change.key().clone());
        }
    };
    Cache::start(api, follow, Box::new(on_change))
}
