//! Keeps what Nodes that are virtual machines say of how many pods fit there: an extended resource, that the scheduler counts.

use super::error::Error;
use super::pod::carrier;
use super::{Outcome, noted};
use crate::context::Context;
use crate::driver::Driver;
use crate::relist::chain;
use kuryr_core::capacity::Observed;
use kuryr_core::pod::Carrier;
use kuryr_k8s::nodes;
use kuryr_k8s::slim::{Network, Node, Phase};
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// A Node is written at most so often.
const PERIOD: Duration = Duration::from_secs(1);
/// What could not be told is told after this time, if nothing else changes.
const AGAIN: Duration = Duration::from_secs(10);

/// Tells whenever something changes. Runs until it is dropped.
pub async fn run(context: &Context) {
    let mut is_told = true;
    loop {
        let changed = context.capacity.changed.notified();
        if is_told {
            changed.await;
        } else {
            let _ = timeout(AGAIN, changed).await;
        }
        is_told = tell_all(context).await;
        sleep(PERIOD).await;
    }
}

/// Returns whether all Nodes say now what they should.
async fn tell_all(context: &Context) -> bool {
    let pods = pods_of_nodes(context);
    let mut are_told = true;
    for node in context.caches.nodes.all() {
        match tell(context, &node, pods.get(node.key.name()).copied().unwrap_or_default()).await {
            Ok(is_told) => are_told &= is_told,
            Err(error) => {
                are_told = false;
                tracing::warn!(
                    node = node.key.name(),
                    error = chain(&error),
                    "failed to tell how many pods fit on a node"
                );
            }
        }
    }
    are_told
}

async fn tell(context: &Context, node: &Node, pods: Pods) -> Result<bool, Error> {
    let wanted = match observe(context, node, pods).await? {
        Seen::NoMachine => None,
        Seen::Lacking => Some(0),
        Seen::Room(room) => Some(room.capacity()),
        Seen::Unknown => return Ok(false),
    };
    if node.pod_ports.map(usize::try_from) == wanted.map(Ok) {
        return Ok(true);
    }
    context.metrics.wrote("update_node");
    let written = nodes::set_ports(&context.client, &node.key, wanted).await?;
    let outcome = noted(written, |node| context.caches.nodes.note(node));
    tracing::debug!(node = node.key.name(), ports = wanted, "told how many pods fit on a node");
    Ok(matches!(outcome, Outcome::Visible))
}

/// What is seen of one node.
enum Seen {
    /// Neutron binds ports to it, and nobody counts them there.
    NoMachine,
    /// It has no port or trunk that would carry any.
    Lacking,
    /// What there is.
    Room(Observed),
    /// Its port is not known yet.
    Unknown,
}

/// The pods of one node that have their own network, as far as they have ports.
#[derive(Clone, Copy, Default)]
struct Pods {
    /// What those of them ask for that ask.
    held: usize,
    /// All of them.
    all: usize,
}

async fn observe(context: &Context, node: &Node, pods: Pods) -> Result<Seen, Error> {
    let driver = match context.defaults.driver.of(node) {
        Ok(driver) if !node.is_virtual && driver.is_nested() => driver,
        _ => return Ok(Seen::NoMachine),
    };
    let mut carried = carried(context, node, driver, pods);
    // It is looked for before the first pod comes.
    if carried.is_none() && context.capacity.seeks(&node.key) {
        if let Carrier::Missing(_) = carrier::of_node(context, node).await? {
            return Ok(Seen::Lacking);
        }
        carried = self::carried(context, node, driver, pods);
    }
    let Some(carried) = carried else {
        return Ok(if node.pod_ports == Some(0) { Seen::Lacking } else { Seen::Unknown });
    };
    Ok(Seen::Room(Observed {
        held: pods.held,
        ready: context.ports.free(node.key.name()).len(),
        carried,
        quota: context.capacity.left(context.ports.len()),
    }))
}

/// How many ports a node carries, if what carries them is known.
fn carried(context: &Context, node: &Node, driver: Driver, pods: Pods) -> Option<usize> {
    match driver {
        Driver::NestedVlan => {
            context.trunks.of(&node.addresses).map(|trunk| context.trunks.carried_len(&trunk))
        }
        Driver::NestedMacvlan | Driver::NestedIpvlan => context.pairs.of(&node.addresses).map(|_| pods.all),
        Driver::NestedDpdk => context.servers.of(&node.addresses).map(|_| pods.all),
        Driver::NeutronVif | Driver::Sriov => None,
    }
}

fn pods_of_nodes(context: &Context) -> HashMap<String, Pods> {
    let mut of_nodes: HashMap<String, Pods> = HashMap::new();
    for pod in context.caches.pods.all() {
        let Some(node) = pod.node.as_deref().filter(|_| pod.network == Network::Own) else { continue };
        if context.ports.of(&pod.key, Some(&*pod.uid)).is_empty() {
            continue;
        }
        let pods = of_nodes.entry(node.to_owned()).or_default();
        pods.all += 1;
        // The scheduler does not count one whose containers have ended.
        if pod.phase != Phase::Finished {
            pods.held += usize::try_from(pod.asks_ports).unwrap_or(usize::MAX);
        }
    }
    of_nodes
}
