//! Takes away pairs of ours that nobody needs: those that a controller left that died, or that was cut off, between two calls.

use super::{Pairs, Seen};
use crate::context::Context;
use crate::relist::chain;
use kuryr_api::PortId;
use kuryr_core::pairs::{Home, stray};
use kuryr_core::port::{Ownership, Port};
use kuryr_k8s::Key;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

/// One look at the ports of all nodes. A failure waits for the next.
pub async fn sweep(context: &Context) {
    let pairs = &context.pairs;
    let nodes = context.caches.nodes.all();
    let machines: HashSet<PortId> = nodes.iter().filter_map(|node| pairs.of(&node.addresses)).collect();
    if machines.is_empty() {
        return;
    }
    let homes = Homes::of(context);
    for seen in pairs.all().iter().filter(|seen| machines.contains(&seen.id)) {
        remove_stray(context, pairs, seen, &homes).await;
    }
}

async fn remove_stray(context: &Context, pairs: &Pairs, seen: &Seen, homes: &Homes) {
    let stray = stray(&seen.id, &seen.mac, &seen.pairs, |address| homes.owner(context, address));
    if stray.is_empty() {
        return;
    }
    let count = stray.len();
    let removed = pairs.remove(&context.neutron, &seen.id, stray).await;
    if let Err(error) = removed {
        tracing::warn!(parent = %seen.id, error = chain(&error), "failed to take address pairs away that no pod needs");
    } else {
        tracing::info!(parent = %seen.id, pairs = count, "took address pairs away that no pod needs");
    }
}

/// Which port has which address, and on which node it is needed.
struct Homes {
    ports: HashMap<IpAddr, Arc<Port>>,
    nodes: HashMap<PortId, String>,
}

impl Homes {
    fn of(context: &Context) -> Self {
        let ours = context.ports.all().into_iter().filter(|port| port.ownership == Ownership::Ours);
        let with_address = |port: Arc<Port>| {
            let addresses: Vec<_> = port.addresses.iter().map(|(_, address)| *address).collect();
            addresses.into_iter().map(move |address| (address, port.clone()))
        };
        let ports: HashMap<_, _> = ours.flat_map(with_address).collect();
        let pods = context.caches.pods.all();
        let of_pods: HashMap<&str, &str> =
            pods.iter().filter_map(|pod| Some((&*pod.uid, pod.node.as_deref()?))).collect();
        let made = ports
            .values()
            .filter_map(|port| Some((port.id.clone(), (*of_pods.get(port.pod_uid.as_str())?).to_owned())));
        let records = context.caches.records.all();
        let recorded = records.iter().flat_map(|record| {
            record
                .content
                .vifs()
                .map(|(_, entry)| (entry.vif.base().id.as_str().into(), record.node.to_string()))
        });
        let nodes = made.chain(recorded).collect();
        Self { ports, nodes }
    }

    /// Who has an address, by its MAC address, and where it belongs. A port that nobody needs is deleted with its pairs.
    fn owner(&self, context: &Context, address: IpAddr) -> Option<(String, Home)> {
        let port = self.ports.get(&address)?;
        let home = if !port.host.is_empty() || context.trunks.place(&port.id).is_some() {
            Home::Elsewhere
        } else {
            self.nodes
                .get(&port.id)
                .and_then(|node| machine_of(context, node))
                .map_or(Home::Unknown, Home::Pairs)
        };
        Some((port.mac.clone(), home))
    }
}

fn machine_of(context: &Context, node: &str) -> Option<PortId> {
    let node = context.caches.nodes.get(&Key::new("", node))?;
    context.pairs.of(&node.addresses)
}
