//! What pools of ports need to know: which pods are on which node, and whether more ports can be had.
//!
//! ```text
//!   pods of a node ──► Queue ──► reconcile::pool ── makes ──► Ports (free) ── take ──► reconcile::pod
//!                        ▲                            ▲
//!   a slow clock ────────┘            Supply: a quota or a subnet is used up, a pod waits
//! ```

mod asked;
pub mod by_hand;
mod orders;
mod pace;
mod pods;
pub mod socket;
pub mod stock;

pub use pace::News;
pub use pods::count;

use crate::context::Context;
use crate::driver::Driver;
use crate::metrics::Gauge;
use crate::queue::Queue;
use crate::relist;
use jiff::Timestamp;
use kuryr_api::{PortId, SecurityGroupId, names};
use kuryr_core::network::PodNetwork;
use kuryr_core::pod::{Plugging, PortRequest};
use kuryr_core::pool::{Fitness, Order, Sizing, Supply};
use kuryr_core::port::{Binding, Port};
use kuryr_k8s::slim::{Network, Node, Phase, PortRecord};
use kuryr_k8s::{Key, node_records, records};
use kuryr_openstack::Kind;
use orders::Orders;
use pace::Pace;
use parking_lot::Mutex;
use pods::PodsOfNodes;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Requests for ports of pools that are under way at the same time, beside those for pods that wait.
const AT_ONCE: usize = 2;
/// A daemon that does not tell for so long that a port is unplugged never will: the port is deleted.
const UNPLUGGED_WITHIN: Duration = Duration::from_mins(2);
/// What was used up is believed to be so for this time.
pub const SHORTAGE: Duration = Duration::from_mins(2);
/// Pods of one burst come within less of each other.
const BURST: Duration = Duration::from_secs(2);

/// How pools are kept, from `[vif_pool]`.
#[derive(Clone, Debug)]
pub struct PoolDefaults {
    /// The drivers whose nodes have pools.
    pub drivers: Vec<Driver>,
    /// How large they are.
    pub sizing: Sizing,
    /// How often they are looked at for ports to give back.
    pub period: Duration,
    /// A node that was not ready for so long has no pool any more, until it is.
    pub lost_after: Option<Duration>,
}

/// What pools need to know.
pub struct Pools {
    /// Nodes to look at.
    pub queue: Arc<Queue<Key>>,
    /// Who may make ports for pools.
    pub places: Semaphore,
    /// When to write KuryrNodes.
    pub pace: Pace,
    defaults: PoolDefaults,
    pods: Mutex<PodsOfNodes>,
    /// When a pod last came to a node.
    arrival: Mutex<Option<Instant>>,
    shortage: Mutex<Shortages>,
    /// What operators asked for.
    orders: Orders,
    /// The ports that there are were found.
    is_loaded: AtomicBool,
    /// Ports whose unplugging is awaited, and since when.
    awaited: Mutex<HashMap<PortId, Instant>>,
    /// Tells ports of this life from those of others.
    life: u64,
    made: AtomicU64,
}

#[derive(Default)]
struct Shortages {
    /// A quota or a subnet.
    until: Option<Instant>,
    /// The log has it.
    is_told: bool,
    /// A pod could not have a port.
    needed_until: Option<Instant>,
    /// Neutron binds no port to these nodes.
    unbindable: HashMap<Key, Instant>,
}

impl Pools {
    /// Pools of which nothing is known yet.
    pub fn new(defaults: PoolDefaults, depth: Gauge) -> Self {
        Self {
            queue: Arc::new(Queue::new(depth)),
            places: Semaphore::new(AT_ONCE),
            defaults,
            pods: Mutex::default(),
            arrival: Mutex::default(),
            shortage: Mutex::default(),
            orders: Orders::default(),
            is_loaded: AtomicBool::default(),
            awaited: Mutex::default(),
            pace: Pace::default(),
            // The standard library's hasher is seeded at random.
            life: RandomState::new().hash_one(()),
            made: AtomicU64::default(),
        }
    }

    /// How large they are.
    pub fn sizing(&self) -> &Sizing {
        &self.defaults.sizing
    }

    /// A `device_id` for a port of a pool that no other port has.
    pub fn device_id(&self) -> String {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        format!("{}{:016x}-{number}", names::WARM_DEVICE, self.life)
    }

    /// A description for a port of the pool of a node that is a virtual machine: nothing else tells whose pool it is.
    pub fn description(&self, node: &str) -> String {
        format!("{}@{node}", self.device_id())
    }

    /// A pod may have come to a node, or left it.
    pub fn refresh_pod(&self, context: &Context, key: &Key) {
        let pod = context.caches.pods.get(key);
        let wants = pod.filter(|pod| pod.network == Network::Own && pod.phase != Phase::Finished);
        let node = wants.and_then(|pod| Some(Key::new("", pod.node.as_deref()?)));
        let changed = self.pods.lock().place(key, node.clone());
        if let Some(node) = node.filter(|_| !changed.is_empty()) {
            *self.arrival.lock() = Some(Instant::now());
            self.orders.pod_came(&node);
        }
        changed.into_iter().for_each(|node| self.queue.add(node));
    }

    /// How long the burst of pods lasts that is going on, if none comes any more.
    pub fn burst(&self) -> Option<Duration> {
        let since = (*self.arrival.lock())?.elapsed();
        BURST.checked_sub(since).filter(|left| !left.is_zero())
    }

    /// The pods on a node that have networks of their own.
    pub fn pods_on(&self, node: &Key) -> Vec<Key> {
        self.pods.lock().on(node)
    }

    /// Looks at every node: all ports that there are have been found.
    pub fn look_at_all(&self, context: &Context) {
        self.is_loaded.store(true, Ordering::Release);
        context.caches.pods.all().into_iter().for_each(|pod| self.refresh_pod(context, &pod.key));
        self.look_at_nodes(context);
    }

    /// Whether all ports that there are have been found.
    fn is_loaded(&self) -> bool {
        self.is_loaded.load(Ordering::Acquire)
    }

    fn look_at_nodes(&self, context: &Context) {
        let nodes = context.caches.nodes.all().into_iter().map(|node| node.key.clone());
        let with_ports = context.ports.nodes_with_warm().into_iter().map(|name| Key::new("", &name));
        nodes.chain(with_ports).for_each(|node| self.queue.add(node));
    }

    /// What an operator asked for.
    pub fn order(&self, node: &Key) -> Order {
        self.orders.of(node)
    }

    /// Whether more can be had for `node`.
    pub fn supply(&self, node: &Key) -> Supply {
        let shortage = self.shortage.lock();
        let lasts = |until: Option<&Instant>| until.is_some_and(|until| *until > Instant::now());
        if lasts(shortage.needed_until.as_ref()) {
            Supply::Needed
        } else if lasts(shortage.until.as_ref()) || lasts(shortage.unbindable.get(node)) {
            Supply::UsedUp
        } else {
            Supply::Enough
        }
    }

    /// A pool could not have more ports, for this reason. Returns whether that is news.
    pub fn note_shortage(&self, why: Kind) -> bool {
        let mut shortage = self.shortage.lock();
        if !is_shortage(why) {
            return false;
        }
        shortage.until = Some(Instant::now() + SHORTAGE);
        !std::mem::replace(&mut shortage.is_told, true)
    }

    /// A pool had all the ports that it asked for: another shortage is news.
    pub fn note_plenty(&self) {
        self.shortage.lock().is_told = false;
    }

    /// A pod could not have a port, for this reason: what is free goes.
    pub fn note_need(&self, context: &Context, why: Kind) {
        if !is_shortage(why) {
            return;
        }
        let until = Some(Instant::now() + SHORTAGE);
        let mut shortage = self.shortage.lock();
        (shortage.until, shortage.needed_until) = (until, until);
        drop(shortage);
        self.look_at_nodes(context);
    }

    /// A pod was made a port: none waits in vain.
    pub fn note_served(&self) {
        self.shortage.lock().needed_until = None;
    }

    /// Neutron binds no port to this node. Returns whether that is news.
    pub fn note_unbindable(&self, node: &Key) -> bool {
        let until = Instant::now() + SHORTAGE;
        self.shortage
            .lock()
            .unbindable
            .insert(node.clone(), until)
            .is_none_or(|before| before < Instant::now())
    }

    /// A port that a pod had is in its pool again, or gone.
    pub fn let_go(&self, node: &str, id: &PortId) {
        self.awaited.lock().remove(id);
        self.queue.add(Key::new("", node));
    }

    /// A node is gone.
    pub fn forget(&self, node: &Key) {
        self.pace.forget(node);
        self.orders.forget(node);
        self.shortage.lock().unbindable.remove(node);
    }

    fn is_overdue(&self, id: &PortId) -> bool {
        self.awaited.lock().get(id).is_some_and(|since| since.elapsed() > UNPLUGGED_WITHIN)
    }
}

/// Looks at all nodes now and then, for what has to be given back. Runs until it is dropped.
pub async fn run(context: &Context) {
    let Some(pools) = &context.pools else { return forget_all(context).await };
    loop {
        tokio::time::sleep(pools.defaults.period.max(Duration::from_secs(1))).await;
        pools.look_at_nodes(context);
    }
}

/// Where no ports are kept ready any more, daemons need not tell what they unplug.
async fn forget_all(context: &Context) {
    let forgetting = async {
        for node in node_records::all(&context.client).await? {
            context.metrics.wrote("delete_kuryrnode");
            node_records::delete(&context.client, &node).await?;
            tracing::info!(node = node.name(), "deleted a KuryrNode: no ports are kept ready");
        }
        Ok::<_, records::Error>(())
    };
    if let Err(error) = forgetting.await {
        tracing::warn!(error = relist::chain(&error), "KuryrNodes that nobody needs may be left");
    }
}

/// Whether a node that is still in the cluster counts as gone: nothing has been heard of it for long.
pub fn is_lost(pools: &Pools, node: &Node) -> bool {
    let (Some(since), Some(after)) = (node.lost_since, pools.defaults.lost_after) else { return false };
    // A clock that is behind that of Kubernetes' control plane makes it later, not wrong.
    Duration::try_from(Timestamp::now().duration_since(since)).is_ok_and(|lost| lost >= after)
}

/// Whether ports are kept ready on a node.
pub fn serves(context: &Context, pools: &Pools, node: &Node) -> bool {
    let driver = context.defaults.driver.of(node);
    !node.is_virtual && driver.is_ok_and(|driver| pools.defaults.drivers.contains(&driver))
}

/// The security groups that ports of pools are made with: those of a pod that no policy is for.
pub fn security_groups(network: &PodNetwork) -> BTreeSet<SecurityGroupId> {
    network.security_groups.iter().cloned().collect()
}

/// Gives a port of the node's pool to the pod that asks for one, if there is one: one with its security groups, else the one that is
/// free for longest.
pub fn take(context: &Context, key: &Key, request: &PortRequest) -> Option<PortId> {
    let network = context.network()?;
    let free = context.ports.free(&request.node).into_iter().map(|(port, _)| port);
    let mut fit: Vec<_> = free.filter(|port| fitness(context, &network, port) == Fitness::Fit).collect();
    fit.sort_by_key(|port| port.security_groups != request.security_groups);
    // Another pod may take one meanwhile.
    let taken = fit.into_iter().find(|port| context.ports.claim(&port.id, key, &request.pod_uid))?;
    Some(taken.id.clone())
}

/// Which of a pod's ports are of its node's pool, and whether they are plugged: what the daemon says counts. Where no daemon tells, a
/// port is nobody's.
pub fn plugging<'p>(
    context: &Context,
    record: Option<&PortRecord>,
    ports: impl IntoIterator<Item = &'p Arc<Port>>,
) -> BTreeMap<PortId, Plugging> {
    let (Some(pools), Some(network)) = (&context.pools, context.network()) else { return BTreeMap::new() };
    let pooled = ports.into_iter().filter(|port| context.ports.is_claimed(&port.id));
    let pooled = pooled.filter(|port| is_as_made(context, &network, port));
    let state = |port: &Arc<Port>| {
        let recorded = record.filter(|record| names_port(record, &port.id));
        let Some(recorded) = recorded else { return Some(Plugging::Unplugged) };
        let node = Key::new("", &port.host);
        let said = context.caches.node_records.as_ref()?.get(&node)?;
        said.status.daemon.as_ref()?;
        match said.status.unplugged.get(port.id.as_str()) {
            Some(uid) if **uid == *recorded.pod_uid => Some(Plugging::Unplugged),
            _ if pools.is_overdue(&port.id) => None,
            _ => Some(Plugging::Plugged),
        }
    };
    pooled.filter_map(|port| Some((port.id.clone(), state(port)?))).collect()
}

/// Looks at the pod of these ports again when their daemon says that they are unplugged, which what it says does by itself, or when
/// it has not said so for too long.
pub fn await_unplugging(context: &Context, ids: &[PortId]) {
    let Some(pools) = &context.pools else { return };
    let mut awaited = pools.awaited.lock();
    for id in ids {
        awaited.entry(id.clone()).or_insert_with(Instant::now);
        if let Some(pod) = context.ports.owner(id) {
            context.queue.add_after(pod, UNPLUGGED_WITHIN + Duration::from_secs(1));
        }
    }
}

fn names_port(record: &PortRecord, id: &PortId) -> bool {
    record.content.vifs().any(|(_, entry)| entry.vif.base().id == id.as_str())
}

/// Whether a port is as a pod's would be made now. Its groups can be changed, which is done where policies are enforced.
pub fn fitness(context: &Context, network: &PodNetwork, port: &Port) -> Fitness {
    let is_fit = is_as_made(context, network, port)
        && (context.policies.is_some() || port.security_groups == security_groups(network));
    if is_fit { Fitness::Fit } else { Fitness::Unfit }
}

fn is_as_made(context: &Context, network: &PodNetwork, port: &Port) -> bool {
    let wanted: BTreeSet<_> = network.subnets.iter().map(|subnet| &subnet.id).collect();
    let subnets: BTreeSet<_> = port.addresses.iter().map(|(subnet, _)| subnet).collect();
    port.network == network.id && subnets == wanted && is_in_reach(context, port)
}

/// Whether a port gets to the node that it is kept ready for, in the way that the node's ports do now.
fn is_in_reach(context: &Context, port: &Port) -> bool {
    let Some(node) = context.caches.nodes.get(&Key::new("", &port.host)) else { return false };
    let place = context.trunks.place(&port.id);
    match context.defaults.driver.of(&node) {
        Ok(Driver::NeutronVif) => place.is_none() && matches!(port.binding, Binding::Bound(_)),
        Ok(Driver::NestedVlan) => {
            place.is_some_and(|place| context.trunks.of(&node.addresses) == Some(place.trunk))
        }
        // None is kept ready on these.
        Ok(Driver::NestedMacvlan | Driver::NestedIpvlan | Driver::NestedDpdk | Driver::Sriov) | Err(_) => {
            false
        }
    }
}

fn is_shortage(why: Kind) -> bool {
    matches!(why, Kind::OverQuota | Kind::NoFreeAddress)
}
