//! Everything that a reconciler needs: what is observed, and the means to act.

use crate::capacity::Capacity;
use crate::metrics::{Kind, Metrics};
use crate::pairs::Pairs;
use crate::policies::Policies;
use crate::pools::{PoolDefaults, Pools};
use crate::ports::Ports;
use crate::queue::Queue;
use crate::servers::Servers;
use crate::services::Services;
use crate::settings::{PodDefaults, PolicyDefaults, ServiceDefaults};
use crate::slices::SlicesOf;
use crate::trunks::Trunks;
use crate::wiring::Wiring;
use kube::Api;
use kube::runtime::watcher;
use kuryr_api::names;
use kuryr_core::carrier::Place;
use kuryr_core::network::PodNetwork;
use kuryr_core::port::Port;
use kuryr_k8s::cache::Change;
use kuryr_k8s::events::{Events, Voice};
use kuryr_k8s::slim::{
    BalancerRecord, EndpointSlice, Namespace, NetworkPolicy, Node, NodeRecord, Pod, PolicyRecord, PortRecord,
    Service, Slim,
};
use kuryr_k8s::{Cache, Client, Key, Sync};
use kuryr_openstack::neutron::{Bulk, Joining, Neutron};
use kuryr_openstack::{Nova, Session};
use parking_lot::RwLock;
use std::sync::{Arc, Weak};
use tokio::sync::{Notify, watch};

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
    /// Services.
    pub services: Cache<Service>,
    /// Records of Services' load balancers.
    pub balancers: Cache<BalancerRecord>,
    /// Network policies.
    pub policies: Cache<NetworkPolicy>,
    /// Records of their security groups.
    pub policy_records: Cache<PolicyRecord>,
    /// What daemons say of the ports of pools, where there are pools.
    pub node_records: Option<Cache<NodeRecord>>,
    slices: Cache<EndpointSlice>,
    slices_of: SlicesOf,
}

/// Shared by all tasks of one term as leader.
pub struct Context {
    /// What Kubernetes says.
    pub caches: Caches,
    /// What Neutron has.
    pub ports: Ports,
    /// Names of pods to look at.
    pub queue: Arc<Queue<Key>>,
    /// The trunks of nodes that are virtual machines.
    pub trunks: Trunks,
    /// The ports of nodes that are virtual machines whose link pods share.
    pub pairs: Pairs,
    /// What the quota leaves for pods of such nodes.
    pub capacity: Capacity,
    /// The servers that such nodes are whose pods have interfaces of their own.
    pub servers: Servers,
    /// Ports whose wiring is awaited.
    pub wiring: Wiring,
    /// To write to Kubernetes.
    pub client: Client,
    /// To tell users.
    pub events: Events,
    /// To call Neutron.
    pub neutron: Neutron,
    /// To call Nova.
    pub nova: Nova,
    /// To make ports, those of one moment in one request.
    pub bulk: Bulk,
    /// How pods get their ports.
    pub defaults: PodDefaults,
    /// What serves Services, where they are served.
    pub services: Option<Services>,
    /// What enforces network policies, where they are enforced.
    pub policies: Option<Policies>,
    /// What keeps ports ready, where some are kept.
    pub pools: Option<Pools>,
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
    /// How Services get their load balancers; none: they get none.
    pub services: Option<ServiceDefaults>,
    /// How network policies are enforced; none: they are not.
    pub policies: Option<PolicyDefaults>,
    /// How ports are kept ready for pods to come; none: none are.
    pub pools: Option<PoolDefaults>,
    /// Whether Events are written.
    pub voice: Voice,
}

impl Context {
    /// A new context, which knows nothing of Neutron yet. Needs a tokio runtime.
    pub fn new(parts: Parts) -> Self {
        let Parts { caches, own_tag, client, session, metrics, defaults, services, policies, pools, voice } =
            parts;
        let services = services.map(|wanted| Services::new(session.clone(), wanted, &metrics));
        let nova = Nova::new(session.clone());
        let neutron = Neutron::new(session);
        let depth = |kind| metrics.queue_depth.get_or_create_owned(&Kind { kind });
        Self {
            own_tag,
            caches,
            ports: Ports::default(),
            queue: Arc::new(Queue::new(depth("pod"))),
            trunks: Trunks::default(),
            pairs: Pairs::new(defaults.update_attempts),
            capacity: Capacity::default(),
            servers: Servers::default(),
            nova,
            wiring: Wiring::default(),
            events: Events::new(client.clone(), "kuryr-controller", None, voice),
            client,
            bulk: Bulk::start(neutron.clone(), Joining::default()),
            neutron,
            defaults,
            services,
            policies: policies.map(|wanted| Policies::new(wanted, &metrics)),
            pools: pools.map(|wanted| Pools::new(wanted, depth("pool"))),
            network: RwLock::new(None),
            outage_over: Notify::new(),
            metrics,
        }
    }

    /// Where a port is, if a virtual machine carries it.
    pub fn place(&self, port: &Port) -> Option<Place> {
        let on_trunk = || self.trunks.place(&port.id).map(Place::Trunk);
        let attached = port.server.clone().map(Place::Server);
        attached.or_else(on_trunk).or_else(|| self.pairs.place(port))
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
        self.capacity.changed.notify_one();
        if let Some(policies) = &self.policies {
            policies.look_at_all();
        }
        if let Some(pools) = &self.pools {
            pools.look_at_all(self);
        }
    }
}

/// The context of the term in which this process leads now, if it does. Clones share it.
#[derive(Clone, Default)]
pub struct Current(Arc<RwLock<Term>>);

#[derive(Default)]
struct Term {
    context: Weak<Context>,
    /// Who leads instead, as far as it is known.
    leader: Option<String>,
}

impl Current {
    /// A term begins.
    pub fn set(&self, context: &Arc<Context>) {
        *self.0.write() = Term { context: Arc::downgrade(context), leader: None };
    }

    /// The term is over.
    pub fn clear(&self) {
        *self.0.write() = Term::default();
    }

    /// Somebody else leads.
    pub fn stands_by(&self, leader: &str) {
        self.0.write().leader = Some(leader.to_owned());
    }

    /// The context, if this process leads.
    pub fn get(&self) -> Option<Arc<Context>> {
        self.0.read().context.upgrade()
    }

    /// Who leads, if this process does not.
    pub fn leader(&self) -> Option<String> {
        self.0.read().leader.clone()
    }
}

impl Caches {
    /// Starts to follow. Changes are names to look at, for whoever leads. KuryrNodes, which clusters without pools need not have, are
    /// followed where there are `pools`.
    pub fn start(client: &Client, current: &Current, pools: Option<&PoolDefaults>) -> Self {
        let slices_of = SlicesOf::default();
        Self {
            pods: keyed(client, current, add_pod),
            records: keyed(client, current, add_pod),
            nodes: nodes(client, current),
            namespaces: keyed(client, current, |context, key| {
                with_policies(context, |policies| policies.refresh_namespace(context, &key));
            }),
            services: keyed(client, current, add_service),
            balancers: keyed(client, current, add_service),
            policies: keyed(client, current, |context, key| {
                with_policies(context, |policies| policies.refresh_policy(context, &key));
            }),
            policy_records: keyed(client, current, |context, key| {
                with_policies(context, |policies| policies.refresh_policy(context, &key));
            }),
            node_records: pools.map(|_| node_records(client, current)),
            slices: slices(client, current, slices_of.clone()),
            slices_of,
        }
    }

    /// Waits until all are complete.
    pub async fn complete(&self) {
        tokio::join!(
            self.pods.complete(),
            self.records.complete(),
            self.nodes.complete(),
            self.namespaces.complete(),
            self.services.complete(),
            self.balancers.complete(),
            self.slices.complete(),
            self.policies.complete(),
            self.policy_records.complete(),
            async {
                if let Some(records) = &self.node_records {
                    records.complete().await;
                }
            }
        );
    }

    /// Each cache's name, whether it is current, and its size.
    pub fn states(&self) -> [(&'static str, watch::Receiver<Sync>, usize); 9] {
        [
            ("pod", self.pods.sync(), self.pods.len()),
            ("kuryrport", self.records.sync(), self.records.len()),
            ("node", self.nodes.sync(), self.nodes.len()),
            ("namespace", self.namespaces.sync(), self.namespaces.len()),
            ("service", self.services.sync(), self.services.len()),
            ("kuryrloadbalancer", self.balancers.sync(), self.balancers.len()),
            ("endpointslice", self.slices.sync(), self.slices.len()),
            ("networkpolicy", self.policies.sync(), self.policies.len()),
            ("kuryrnetworkpolicy", self.policy_records.sync(), self.policy_records.len()),
        ]
    }

    /// The slices of a Service, in the order of their names.
    pub fn slices_of(&self, service: &Key) -> Vec<Arc<EndpointSlice>> {
        self.slices_of.of(service).iter().filter_map(|key| self.slices.get(key)).collect()
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

fn follow<T: Slim<Wire: kube::Resource<DynamicType = ()>>>(
    client: &Client,
    on_change: impl Fn(&Change<T>) + Send + std::marker::Sync + 'static,
) -> Cache<T> {
    let selectors = watcher::Config::default().page_size(500);
    Cache::start(client, Api::all, selectors, Box::new(on_change))
}

/// A cache whose changes are names to look at. A standby needs none: who begins to lead looks at all of them.
fn keyed<T: Slim<Wire: kube::Resource<DynamicType = ()>>>(
    client: &Client,
    current: &Current,
    add: fn(&Context, Key),
) -> Cache<T> {
    let current = current.clone();
    follow(client, move |change: &Change<T>| {
        if let Some(context) = current.get() {
            add(&context, change.key().clone());
        }
    })
}

/// Who is in which address group changes first: a pod's look waits for it where it has to.
fn add_pod(context: &Context, key: Key) {
    with_policies(context, |policies| policies.refresh_pod(context, &key));
    with_pools(context, |pools| pools.refresh_pod(context, &key));
    context.queue.add(key);
}

fn with_policies(context: &Context, change: impl FnOnce(&Policies)) {
    if let Some(policies) = &context.policies {
        change(policies);
    }
}

fn with_pools(context: &Context, change: impl FnOnce(&Pools)) {
    if let Some(pools) = &context.pools {
        change(pools);
    }
}

/// A node tells every few seconds that it is alive: that changes nothing for policies and pools.
fn nodes(client: &Client, current: &Current) -> Cache<Node> {
    let current = current.clone();
    follow(client, move |change: &Change<Node>| {
        let is_as_before = match change {
            Change::Set { old: Some(old), new } => {
                (&old.addresses, &old.pod_vif) == (&new.addresses, &new.pod_vif)
            }
            Change::Set { old: None, .. } | Change::Gone(_) => false,
        };
        let is_told = matches!(change, Change::Set { old: Some(old), new } if old.pod_ports == new.pod_ports);
        let Some(context) = current.get().filter(|_| !is_as_before || !is_told) else { return };
        if !is_as_before {
            with_policies(&context, Policies::refresh_nodes);
        }
        with_pools(&context, |pools| pools.queue.add(change.key().clone()));
        context.capacity.changed.notify_one();
    })
}

/// What a daemon says is of concern to the pods whose ports it names.
fn node_records(client: &Client, current: &Current) -> Cache<NodeRecord> {
    keyed(client, current, |context, key| {
        let record = context.caches.node_records.as_ref().and_then(|records| records.get(&key));
        let ports = record.iter().flat_map(|record| record.status.unplugged.keys());
        let owners = ports.filter_map(|port| context.ports.owner(&port.as_str().into()));
        owners.for_each(|pod| context.queue.add(pod));
        with_pools(context, |pools| pools.queue.add(key));
    })
}

fn add_service(context: &Context, key: Key) {
    with_policies(context, |policies| policies.refresh_service(context, &key));
    if let Some(services) = &context.services {
        services.queue.add(key);
    }
}

/// Endpoints change in crowds, so that their Services are looked at when they are quiet.
fn slices(client: &Client, current: &Current, index: SlicesOf) -> Cache<EndpointSlice> {
    let current = current.clone();
    follow(client, move |change: &Change<EndpointSlice>| {
        for service in index.follow(change) {
            let Some(context) = current.get() else { continue };
            with_policies(&context, |policies| policies.refresh_service(&context, &service));
            let Some(services) = &context.services else { continue };
            let queue = services.queue.clone();
            services.endpoints.add(&service, move |service| queue.add(service));
        }
    })
}
