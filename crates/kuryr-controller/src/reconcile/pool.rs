//! Keeps as many ports ready on every node as the planner wants.

use super::error::Error;
use super::pod::carrier;
use super::{Next, translate};
use crate::context::Context;
use crate::pools::{self, Pools, SHORTAGE};
use crate::relist;
use futures::future::join_all;
use kuryr_api::PortId;
use kuryr_api::names::DEVICE_OWNER;
use kuryr_api::node::{KeptPort, KuryrNodeSpec};
use kuryr_core::network::PodNetwork;
use kuryr_core::pod::Carrier;
use kuryr_core::pool::{Action, Arrivals, Free, Node, Observed, Supply, plan};
use kuryr_core::port::{Binding, Port};
use kuryr_k8s::Key;
use kuryr_k8s::node_records;
use kuryr_k8s::records::Written;
use kuryr_k8s::slim::Phase;
use kuryr_openstack::neutron::{FixedIpRequest, NewPort};
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

/// While ports are given back for others to be made, the next go soon.
const SOON: Duration = Duration::from_secs(1);

/// Looks at the pool of `node` and does what is to be done.
pub async fn reconcile(context: &Context, pools: &Pools, node: &Key) -> Result<Next, Error> {
    let network = context.network().ok_or(Error::NetworkUnknown)?;
    let carrier = match context.caches.nodes.get(node) {
        Some(machine) => carrier::of_node(context, &machine).await?,
        None => Carrier::Host,
    };
    let burst = pools.burst();
    let arrivals = if burst.is_some() { Arrivals::Burst } else { Arrivals::Calm };
    let seen = Observed { arrivals, ..observe(context, pools, &network, node, &carrier) };
    let mut next = burst.map_or(Next::OnChange, Next::Within);
    for action in plan(pools.sizing(), &seen) {
        next = next.or_sooner(match action {
            Action::Make(count) => make(context, pools, &network, node, &carrier, count).await?,
            Action::GiveBack(id) => {
                give_back(context, node, &id).await?;
                Next::Within(SOON)
            }
        });
    }
    Ok(next.or_sooner(tell(context, pools, node, &seen).await?))
}

fn observe(
    context: &Context,
    pools: &Pools,
    network: &PodNetwork,
    node: &Key,
    carrier: &Carrier,
) -> Observed {
    let is_cut_off = matches!(carrier, Carrier::Missing(_));
    let pods: HashSet<_> = pools.pods_on(node).into_iter().collect();
    let known = pods.iter().filter_map(|pod| context.caches.pods.get(pod));
    let (served, others): (Vec<_>, Vec<_>) =
        known.partition(|pod| !context.ports.of(&pod.key, Some(&*pod.uid)).is_empty());
    // One that runs without a port has a network of somebody else's.
    let waiting = others.iter().filter(|pod| pod.phase == Phase::Pending && !pod.deleting).count();
    let takers = context.ports.takers(node.name());
    let free = context.ports.free(node.name()).into_iter().map(|(port, idle)| Free {
        id: port.id.clone(),
        idle,
        fitness: pools::fitness(context, network, &port),
    });
    Observed {
        node: match context.caches.nodes.get(node) {
            Some(node) if pools::serves(context, pools, &node) && !is_cut_off => Node::Serves,
            _ => Node::Gone,
        },
        pods: served.len() + waiting,
        waiting,
        free: free.collect(),
        returning: takers.iter().filter(|pod| !pods.contains(*pod)).count(),
        supply: pools.supply(node),
        arrivals: Arrivals::Calm,
    }
}

/// Keeps the KuryrNode true, which shows a pool to people and by which the daemon tells what is unplugged.
async fn tell(context: &Context, pools: &Pools, node: &Key, seen: &Observed) -> Result<Next, Error> {
    if seen.node == Node::Gone {
        pools.forget(node);
    }
    let (Some(machine), Some(records)) = (context.caches.nodes.get(node), &context.caches.node_records)
    else {
        return Ok(Next::OnChange);
    };
    if !pools::serves(context, pools, &machine) {
        return Ok(Next::OnChange);
    }
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let spec = KuryrNodeSpec {
        pods: count(seen.pods),
        free: count(seen.free.len()),
        target: count(pools.sizing().target(seen.pods)),
        ports: kept(context, node),
    };
    let record = records.get(node);
    if record.as_ref().is_some_and(|record| record.spec == spec) {
        return Ok(Next::OnChange);
    }
    if let Err(pause) = pools.may_write(node) {
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
        Some((port.id.to_string(), KeptPort { mac: port.mac.clone(), bridge: bridge.clone() }))
    };
    context.ports.pooled(node.name()).iter().filter_map(|port| entry(port)).collect()
}

async fn make(
    context: &Context,
    pools: &Pools,
    network: &PodNetwork,
    node: &Key,
    carrier: &Carrier,
    count: usize,
) -> Result<Next, Error> {
    let Ok(_place) = pools.places.acquire().await else { return Ok(Next::Later) };
    let wanted: Vec<_> = (0..count).map(|_| new_port(pools, network, node, carrier)).collect();
    let (mut made, mut failure) = (Vec::new(), None);
    for result in context.neutron.make_ports(&wanted).await {
        match result {
            Ok(port) => made.push(translate::port(&port, &context.own_tag)),
            Err(error) => failure = Some(error),
        }
    }
    tracing::info!(node = node.name(), ports = made.len(), "made ports for pods to come");
    if made.iter().any(|port| port.binding == Binding::Failed) && pools.note_unbindable(node) {
        tracing::warn!(
            node = node.name(),
            "Neutron binds no port to the node: no ports are kept ready for it (openstack network agent list --host)"
        );
    }
    let is_cut_off = !attach(context, carrier, &made).await;
    made.into_iter().for_each(|port| context.ports.insert(port));
    if is_cut_off {
        pools.note_unbindable(node);
        return Ok(Next::Within(SHORTAGE));
    }
    let Some(error) = failure else { return Ok(Next::Within(SOON)) };
    if pools.note_shortage(error.kind()) {
        tracing::warn!(
            error = error.chain(),
            "no more ports are kept ready: raise the quota or add a subnet. Pods are not concerned as long as there are ports for them"
        );
    }
    match pools.supply(node) {
        Supply::Enough => Err(Error::CreatePort(error)),
        _ => Ok(Next::Within(SHORTAGE)),
    }
}

/// Puts ports on their node's trunk, where it has one. One that does not get there is given back by the next look. Returns whether all
/// did.
async fn attach(context: &Context, carrier: &Carrier, ports: &[Port]) -> bool {
    let Carrier::Trunk(trunk) = carrier else { return true };
    let mut are_there = true;
    let attaching = ports.iter().map(|port| context.trunks.attach(&context.neutron, trunk, &port.id));
    for (port, outcome) in ports.iter().zip(join_all(attaching).await) {
        match outcome {
            Ok(()) => context.wiring.watch(std::slice::from_ref(&port.id)),
            Err(error) => {
                are_there = false;
                tracing::warn!(port = %port.id, %trunk, error = relist::chain(&error), "a port is not kept ready on a trunk");
            }
        }
    }
    are_there
}

/// A port as the pod's would be that takes it.
fn new_port(pools: &Pools, network: &PodNetwork, node: &Key, carrier: &Carrier) -> NewPort {
    let (device_id, description, host) = match carrier {
        Carrier::Trunk(_) => (String::new(), pools.description(node.name()), None),
        _ => (pools.device_id(), String::new(), Some(node.name().to_owned())),
    };
    NewPort {
        project_id: network.project.clone(),
        fixed_ips: network.subnets.iter().map(|subnet| FixedIpRequest::any(subnet.id.clone())).collect(),
        device_owner: DEVICE_OWNER.to_owned(),
        device_id,
        description,
        security_groups: Some(pools::security_groups(network).into_iter().collect()),
        host,
        tags: network.tags.clone(),
        ..NewPort::on(network.id.clone())
    }
}

async fn give_back(context: &Context, node: &Key, id: &PortId) -> Result<(), Error> {
    let Some(port) = context.ports.withdraw(id) else { return Ok(()) };
    if let Err(error) = relist::delete(context, id).await {
        context.ports.insert(Port::clone(&port));
        return Err(Error::DeletePort(error));
    }
    context.ports.remove(id);
    tracing::info!(node = node.name(), port = %id, "gave a port back that no pod took");
    Ok(())
}
