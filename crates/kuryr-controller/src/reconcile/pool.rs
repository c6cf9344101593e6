//! Keeps as many ports ready on every node as the planner wants.

use super::Next;
use super::error::Error;
use super::pod::carrier;
use crate::context::Context;
use crate::pools::stock::{self, Failure, Wanted};
use crate::pools::{self, News, Pools, SHORTAGE};
use crate::queue::jitter;
use kuryr_api::node::{KeptPort, KuryrNodeSpec};
use kuryr_core::network::PodNetwork;
use kuryr_core::pod::Carrier;
use kuryr_core::pool::{Action, Arrivals, Free, Node, Observed, Supply, plan};
use kuryr_core::port::{Binding, Port};
use kuryr_k8s::Key;
use kuryr_k8s::node_records;
use kuryr_k8s::records::Written;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

/// While ports are given back, the next go soon: not all nodes' at the same time, though they may have been made together.
const SOON: Duration = Duration::from_secs(1);

/// Looks at the pool of `node` and does what is to be done.
pub async fn reconcile(context: &Context, pools: &Pools, node: &Key) -> Result<Next, Error> {
    let network = context.network().ok_or(Error::NetworkUnknown)?;
    let carrier = carrier(context, node).await?;
    let burst = pools.burst();
    let arrivals = if burst.is_some() { Arrivals::Burst } else { Arrivals::Calm };
    let seen = Observed { arrivals, ..observe(context, pools, &network, node, &carrier) };
    let mut next = burst.map_or(Next::OnChange, Next::Within);
    for action in plan(pools.sizing(), &seen) {
        next = next.or_sooner(match action {
            Action::Make(count) => {
                let wanted = Wanted { network: &network, carrier: &carrier, count };
                make(context, pools, node, &wanted).await?
            }
            Action::GiveBack(id) => {
                stock::give_back(context, node, &id).await.map_err(Error::DeletePort)?;
                Next::Within(SOON.mul_f64(2.0 * jitter()))
            }
        });
    }
    Ok(next.or_sooner(tell(context, pools, node, &seen).await?))
}

/// What carries ports to a node.
pub(crate) async fn carrier(context: &Context, node: &Key) -> Result<Carrier, Error> {
    match context.caches.nodes.get(node) {
        Some(machine) => carrier::of_node(context, &machine).await,
        None => Ok(Carrier::Host),
    }
}

fn observe(
    context: &Context,
    pools: &Pools,
    network: &PodNetwork,
    node: &Key,
    carrier: &Carrier,
) -> Observed {
    let is_cut_off = matches!(carrier, Carrier::Missing(_));
    let has_pool =
        |node: &_| pools::serves(context, pools, node) && !pools::is_lost(pools, node) && !is_cut_off;
    let pods: HashSet<_> = pools.pods_on(node).into_iter().collect();
    let counted = pools::count(context, pools, node);
    let takers = context.ports.takers(node.name());
    let free = context.ports.free(node.name()).into_iter().map(|(port, idle)| Free {
        id: port.id.clone(),
        idle,
        fitness: pools::fitness(context, network, &port),
    });
    Observed {
        node: match context.caches.nodes.get(node) {
            Some(node) if has_pool(&node) => Node::Serves,
            _ => Node::Gone,
        },
        pods: counted.served + counted.waiting,
        waiting: counted.waiting,
        free: free.collect(),
        returning: takers.iter().filter(|pod| !pods.contains(*pod)).count(),
        supply: pools.supply(node),
        arrivals: Arrivals::Calm,
        order: pools.order(node),
    }
}

/// Keeps the KuryrNode true, which shows a pool to people and by which the daemon tells what is unplugged.
async fn tell(context: &Context, pools: &Pools, node: &Key, seen: &Observed) -> Result<Next, Error> {
    let Some(machine) = context.caches.nodes.get(node) else {
        pools.forget(node);
        return Ok(Next::OnChange);
    };
    let Some(records) = &context.caches.node_records else { return Ok(Next::OnChange) };
    let record = records.get(node);
    if !pools::serves(context, pools, &machine) && context.ports.pooled(node.name()).is_empty() {
        // Its daemon need neither wire nor tell anything any more.
        if record.is_some() {
            context.metrics.wrote("delete_kuryrnode");
            node_records::delete(&context.client, node).await?;
        }
        return Ok(Next::OnChange);
    }
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let spec = KuryrNodeSpec {
        pods: count(seen.pods),
        free: count(seen.free.len()),
        target: count(seen.target(pools.sizing())),
        ports: kept(context, node),
        capacity: machine.pod_ports,
    };
    let Some(news) = News::of(record.as_ref().map(|record| &record.spec), &spec) else {
        return Ok(Next::OnChange);
    };
    if let Err(pause) = pools.pace.allows(node, news) {
        return Ok(Next::Within(pause));
    }
    let written = if let Some(record) = record {
        context.metrics.wrote("update_kuryrnode");
        node_records::change_spec(&context.client, node, &record.spec, &spec).await?
    } else {
        context.metrics.wrote("create_kuryrnode");
        node_records::create(&context.client, node, &machine.uid, &spec).await?
    };
    if let Written::Done(record) = written {
        records.note(record);
    }
    Ok(Next::OnChange)
}

/// The ports of a node's pool that its daemon can have wired before a pod needs them: those of OVN, whose own word counts on the node.
fn kept(context: &Context, node: &Key) -> BTreeMap<String, KeptPort> {
    let Some(network) = context.network() else { return BTreeMap::new() };
    let entry = |port: &Port| {
        let Binding::Bound(bound) = &port.binding else { return None };
        let bridge = bound.bridge.as_ref().or(network.bridge.as_ref()).filter(|_| bound.is_plain_ovn())?;
        let addresses = port.addresses.iter().map(|(_, address)| address.to_string());
        let kept = KeptPort { mac: port.mac.clone(), bridge: bridge.clone(), addresses: addresses.collect() };
        Some((port.id.to_string(), kept))
    };
    context.ports.pooled(node.name()).iter().filter_map(|port| entry(port)).collect()
}

async fn make(context: &Context, pools: &Pools, node: &Key, wanted: &Wanted<'_>) -> Result<Next, Error> {
    let made = stock::make(context, pools, node, wanted).await;
    match made.failure {
        None => Ok(Next::Within(SOON)),
        Some(Failure::CutOff) => Ok(Next::Within(SHORTAGE)),
        Some(Failure::Refused(error)) => match pools.supply(node) {
            Supply::Enough => Err(Error::CreatePort(error)),
            _ => Ok(Next::Within(SHORTAGE)),
        },
    }
}
