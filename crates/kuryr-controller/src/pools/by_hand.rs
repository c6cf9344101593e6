//! What an operator does with pools: look at them, fill them, empty them.

use super::asked::{Fill, Free, Show, Wrong};
use super::stock::{self, Failure, Wanted};
use super::{Pools, count, is_lost, serves};
use crate::context::Context;
use crate::driver::Driver;
use crate::reconcile::pool::carrier;
use crate::relist;
use futures::future::join_all;
use kuryr_api::ProjectId;
use kuryr_api::pool::{ByHand, Change, Changes, FreePort, Key as PoolKey, NodePool, Part, Pools as AllPools};
use kuryr_core::network::PodNetwork;
use kuryr_core::pod::Carrier;
use kuryr_core::pool::{self, Order, Supply};
use kuryr_k8s::Key;
use kuryr_k8s::slim::Node;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// Why nothing was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The request is wrong.
    Wrong(String),
    /// There is no such pool.
    Unknown(String),
    /// Things are not so that it could be done.
    NotNow(String),
    /// The ports that there are were not found yet.
    NotLoaded,
}

impl From<Wrong> for Refusal {
    fn from(Wrong(why): Wrong) -> Self {
        Self::Wrong(why)
    }
}

/// All pools.
pub(super) async fn list(context: &Context, pools: &Pools) -> AllPools {
    let project = project(context).await;
    let shown = nodes(context, pools).into_iter().map(|node| shown(context, pools, &node, &project));
    AllPools { pools: shown.collect() }
}

/// The pool of a key, or those of a node.
pub(super) async fn show(context: &Context, pools: &Pools, asked: Show) -> Result<NodePool, Refusal> {
    let node = find(context, pools, "pool_key[0]", &asked.node)?;
    let mut pool = shown(context, pools, &node, &project(context).await);
    let Some(project) = asked.project else { return Ok(pool) };
    let is_meant = |PoolKey(_, its, groups): &PoolKey| {
        *its == project && asked.groups.as_ref().is_none_or(|asked| asked == groups)
    };
    pool.parts.iter_mut().for_each(|parts| parts.retain(|part| is_meant(&part.key)));
    let ports = pool.parts.iter().flatten().map(|part| part.ports.len()).sum::<usize>();
    if ports == 0 {
        return Err(Refusal::Unknown("no free port has this key: /listPools tells those that have".into()));
    }
    pool.free = number(ports);
    Ok(pool)
}

/// Makes more ports. What is then too many stays as long as a port may lie idle.
pub(super) async fn fill(context: &Context, pools: &Pools, asked: Fill) -> Result<Changes, Refusal> {
    let nodes = find_all(context, pools, &asked.nodes)?;
    let network =
        context.network().ok_or_else(|| Refusal::NotNow("the pods' network is not known".into()))?;
    for node in &nodes {
        can_grow(context, pools, node, asked.ports)?;
    }
    let filling = nodes.iter().map(|node| fill_one(context, pools, &network, &node.key, asked.ports.get()));
    Ok(Changes { pools: join_all(filling).await })
}

/// Gives back all that is free. Nothing is kept ready there until a pod comes.
pub(super) async fn empty(context: &Context, pools: &Pools, asked: Free) -> Result<Changes, Refusal> {
    let nodes = match asked.nodes {
        Some(names) => find_all(context, pools, &names)?,
        None => nodes(context, pools),
    };
    let emptying = nodes.iter().map(|node| empty_one(context, pools, &node.key));
    Ok(Changes { pools: join_all(emptying).await })
}

async fn fill_one(
    context: &Context,
    pools: &Pools,
    network: &PodNetwork,
    node: &Key,
    wanted: usize,
) -> Change {
    pools.orders.keep(node, pools.sizing().idle);
    let mut change = Change { node: node.name().to_owned(), ..Change::default() };
    let mut left = wanted;
    while left > 0 && change.failure.is_none() {
        let count = left.min(pools.sizing().batch.get());
        left -= count;
        let (made, failure) = more(context, pools, network, node, count).await;
        change.ports += number(made);
        change.failure = failure;
    }
    tracing::info!(node = node.name(), ports = change.ports, wanted, "an operator filled the pool");
    pools.queue.add(node.clone());
    change
}

async fn more(
    context: &Context,
    pools: &Pools,
    network: &PodNetwork,
    node: &Key,
    count: usize,
) -> (usize, Option<String>) {
    let carrier = match carrier(context, node).await {
        Ok(Carrier::Missing(lack)) => return (0, Some(lack.why)),
        Ok(carrier) => carrier,
        Err(error) => return (0, Some(relist::chain(&error))),
    };
    let made = stock::make(context, pools, node, &Wanted { network, carrier: &carrier, count }).await;
    let failure = made.failure.map(|failure| match failure {
        Failure::Refused(error) => error.chain(),
        Failure::CutOff => "its trunk does not take them: the controller's log tells why".to_owned(),
    });
    (made.ports, failure)
}

async fn empty_one(context: &Context, pools: &Pools, node: &Key) -> Change {
    pools.orders.empty(node);
    let mut change = Change { node: node.name().to_owned(), ..Change::default() };
    let free = context.ports.free(node.name());
    let giving = free.iter().map(async |(port, _)| {
        // Whoever fills a pool waits here, too.
        let _place = pools.places.acquire().await;
        stock::give_back(context, node, &port.id).await
    });
    for outcome in join_all(giving).await {
        if let Err(error) = outcome {
            change.failure = Some(relist::chain(&error));
        }
    }
    // The look that follows an order gives back as well.
    change.ports = number(free.iter().filter(|(port, _)| context.ports.get(&port.id).is_none()).count());
    tracing::info!(node = node.name(), ports = change.ports, "an operator emptied the pool");
    // What came meanwhile goes by the next look.
    pools.queue.add(node.clone());
    change
}

/// A pool must neither starve a pod nor be larger than the configuration lets it, and a lost node's would lose the ports at once.
fn can_grow(context: &Context, pools: &Pools, node: &Node, more: NonZeroUsize) -> Result<(), Refusal> {
    let name = node.key.name();
    if is_lost(pools, node) {
        return Err(Refusal::NotNow(format!(
            "{name} was not ready for longer than [vif_pool] ports_pool_lost: its pool is filled by itself when the node is ready"
        )));
    }
    if pools.supply(&node.key) == Supply::Needed {
        return Err(Refusal::NotNow(
            "a pod waits for a port, since a quota or a subnet is used up: raise the quota or add a subnet first".into(),
        ));
    }
    let Some(most) = pools.sizing().max else { return Ok(()) };
    let free = context.ports.free(name).len();
    if free + more.get() <= most.get() {
        return Ok(());
    }
    Err(Refusal::NotNow(format!(
        "num_ports is {more}: {name} has {free} free ports, and [vif_pool] ports_pool_max lets it have {most}: ask for {} at most, or raise it",
        most.get().saturating_sub(free)
    )))
}

/// The nodes that have pools, by name.
fn nodes(context: &Context, pools: &Pools) -> Vec<Arc<Node>> {
    let mut nodes = context.caches.nodes.all();
    nodes.retain(|node| serves(context, pools, node));
    nodes.sort_by(|one, other| one.key.cmp(&other.key));
    nodes
}

/// Those that are meant, each once.
fn find_all(context: &Context, pools: &Pools, names: &[String]) -> Result<Vec<Arc<Node>>, Refusal> {
    let mut found: Vec<Arc<Node>> = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let node = find(context, pools, &format!("trunks[{at}]"), name)?;
        if !found.iter().any(|other| other.key == node.key) {
            found.push(node);
        }
    }
    Ok(found)
}

/// The node of a name or an address. `field` is where that stands.
fn find(context: &Context, pools: &Pools, field: &str, name: &str) -> Result<Arc<Node>, Refusal> {
    let address = name.parse().ok();
    let is_meant = |node: &&Arc<Node>| {
        node.key.name() == name || address.is_some_and(|address| node.addresses.contains(&address))
    };
    let all = context.caches.nodes.all();
    let Some(node) = all.iter().find(is_meant) else {
        let why = format!(
            "{field} is {name:?}, and no node has this name or address: kubectl get nodes -o wide tells them"
        );
        return Err(Refusal::Wrong(why));
    };
    if serves(context, pools, node) {
        return Ok(node.clone());
    }
    let why = format!(
        "{field} is {name:?}, a node that has no pool: [kubernetes] vif_pool_driver or [vif_pool] vif_pool_mapping names none for its driver"
    );
    Err(Refusal::Wrong(why))
}

fn shown(context: &Context, pools: &Pools, node: &Node, project: &str) -> NodePool {
    let counted = count(context, pools, &node.key);
    let (pods, order) = (counted.served + counted.waiting, pools.order(&node.key));
    let free = context.ports.free(node.key.name());
    let standing = if is_lost(pools, node) { pool::Node::Gone } else { pool::Node::Serves };
    let target = pools.sizing().target_of(standing, order, pods);
    let mut parts: BTreeMap<_, Vec<FreePort>> = BTreeMap::new();
    for (port, idle) in &free {
        let vlan = context.trunks.place(&port.id).map(|place| place.vlan);
        parts.entry(port.security_groups.clone()).or_default().push(FreePort {
            id: port.id.clone(),
            mac: port.mac.clone(),
            addresses: port.addresses.iter().map(|(_, address)| *address).collect(),
            vlan,
            idle: idle.as_secs(),
        });
    }
    let key = |groups| PoolKey(place(context, node), project.to_owned(), groups);
    NodePool {
        node: node.key.name().to_owned(),
        pods: number(pods),
        free: number(free.len()),
        target: number(target),
        warm: warm(context, &node.key),
        by_hand: match order {
            Order::None => None,
            Order::Keep => Some(ByHand::Filled),
            Order::Empty => Some(ByHand::Emptied),
        },
        parts: Some(parts.into_iter().map(|(groups, ports)| Part { key: key(groups), ports }).collect()),
    }
}

/// What the node's daemon says of them.
fn warm(context: &Context, node: &Key) -> Option<u32> {
    let record = context.caches.node_records.as_ref()?.get(node)?;
    record.status.daemon.as_ref().map(|_| record.status.warm)
}

/// What keys call a node: the Python Kuryr took the address of a trunk's parent, and else the name.
fn place(context: &Context, node: &Node) -> String {
    let address = node
        .addresses
        .first()
        .filter(|_| context.defaults.driver.of(node).is_ok_and(|driver| driver == Driver::NestedVlan));
    address.map_or_else(|| node.key.name().to_owned(), ToString::to_string)
}

/// The project that ports of pools are in.
async fn project(context: &Context) -> String {
    let named = context.network().and_then(|network| network.project.clone());
    let project: Option<ProjectId> = match named {
        Some(project) => Some(project),
        None => context.neutron.session().project().await.ok().flatten(),
    };
    project.map(|project| project.to_string()).unwrap_or_default()
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
