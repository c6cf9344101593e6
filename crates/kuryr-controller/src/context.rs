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
use kuryr_k8s::events::{Events, Voice};
use kuryr_k8s::slim::{Namespace, Node, Pod, PortRecord, Slim};
use kuryr_k8s::{Cache, Client, Key, Sync};
use kuryr_openstack::Session;
use kuryr_openstack::neutron::{Bulk, Joining, Neutron};
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

/// What a context is made of.
pub struct Parts {
    /// To read and write Kubernetes.
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
    /// Starts the caches and waits until they are complete; `report` hears what is in the way meanwhile.
    pub async fn build(parts: Parts, report: impl Fn(String)) -> Self {
        let Parts { client, session, metrics, defaults, voice } = parts;
        let queue = Arc::new(Queue::new(metrics.queue_depth.clone()));
        let caches = Caches::start(&client, &queue);
        caches.complete(report).await;
        let neutron = Neutron::new(session);
        Self {
            own_tag: names::ownership_tag(&caches.cluster().await),
            caches,
            ports: Ports::default(),
            queue,
            wiring: Wiring::default(),
            events: Events::new(client.clone(), "kuryr-controller", None, voice),
            client,
            bulk: Bulk::start(neutron.clone(), Joining::default()),
            neutron,
            defaults,
            network: RwLock::new(None),
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

impl Caches {
    /// Changes of pods and records are names of pods to look at.
    fn start(client: &Client, queue: &Arc<Queue<Key>>) -> Self {
        let follow = || watcher::Config::default().page_size(500);
        Self {
            pods: keyed(Api::all(client.clone()), follow(), queue),
            records: keyed(Api::all(client.clone()), follow(), queue),
            nodes: Cache::start(Api::all(client.clone()), follow(), Box::new(|_| {})),
            namespaces: Cache::start(Api::all(client.clone()), follow(), Box::new(|_| {})),
        }
    }

    async fn complete(&self, report: impl Fn(String)) {
        let complete = async {
            tokio::join!(
                self.pods.complete(),
                self.records.complete(),
                self.nodes.complete(),
                self.namespaces.complete()
            );
        };
        let mut sync = self.records.sync();
        let watch = async {
            loop {
                if let Sync::Failing(why) = &*sync.borrow_and_update() {
                    report(why.clone());
                }
                // The cache outlives this future, so that its sender can't go.
                let _ = sync.changed().await;
            }
        };
        tokio::select! {
            () = complete => {}
            () = watch => {}
        }
    }

    /// The uid of the `kube-system` namespace, which lives exactly as long as the cluster.
    async fn cluster(&self) -> String {
        let key = Key::new("", "kube-system");
        self.namespaces.wait_for(|cache| cache.get(&key).map(|namespace| namespace.uid.to_string())).await
    }
}

fn keyed<T: Slim>(api: Api<T::Wire>, follow: watcher::Config, queue: &Arc<Queue<Key>>) -> Cache<T> {
    let queue = queue.clone();
    Cache::start(api, follow, Box::new(move |change| queue.add(change.key().clone())))
}
