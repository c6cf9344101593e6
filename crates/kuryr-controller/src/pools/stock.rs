//! Makes ports of pools, and gives them back.

use super::Pools;
use crate::context::Context;
use crate::reconcile::translate;
use crate::relist;
use crate::trunks::ChangeError;
use futures::future::join_all;
use kuryr_api::PortId;
use kuryr_api::names::DEVICE_OWNER;
use kuryr_core::network::PodNetwork;
use kuryr_core::pod::{Bearer, Carrier};
use kuryr_core::port::{Binding, Port};
use kuryr_k8s::Key;
use kuryr_openstack::neutron::{FixedIpRequest, NewPort};

/// Ports to make for a node.
pub struct Wanted<'w> {
    /// On which network.
    pub network: &'w PodNetwork,
    /// How they get to the node.
    pub carrier: &'w Carrier,
    /// How many.
    pub count: usize,
}

/// What became of it.
#[derive(Default)]
pub struct Made {
    /// So many are ready.
    pub ports: usize,
    /// Why it were no more.
    pub failure: Option<Failure>,
}

/// Why not all ports are there.
pub enum Failure {
    /// Neutron made them not.
    Refused(kuryr_openstack::Error),
    /// The node's trunk did not take them.
    CutOff,
}

/// Makes ports in one request, beside which only few others for pools are under way.
pub async fn make(context: &Context, pools: &Pools, node: &Key, wanted: &Wanted<'_>) -> Made {
    let Ok(_place) = pools.places.acquire().await else { return Made::default() };
    let asked: Vec<_> = (0..wanted.count).map(|_| new_port(pools, node, wanted)).collect();
    let (mut made, mut failure) = (Vec::new(), None);
    for result in context.neutron.make_ports(&asked).await {
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
    let ports = attach(context, wanted.carrier, &made).await;
    let is_cut_off = ports < made.len();
    made.into_iter().for_each(|port| context.ports.insert(port));
    if let Some(error) = &failure {
        context.capacity.note_failure(error.kind(), context.ports.len());
        tell_shortage(pools, error);
    } else if !asked.is_empty() {
        pools.note_plenty();
    }
    if is_cut_off {
        pools.note_unbindable(node);
        return Made { ports, failure: Some(Failure::CutOff) };
    }
    Made { ports, failure: failure.map(Failure::Refused) }
}

fn tell_shortage(pools: &Pools, error: &kuryr_openstack::Error) {
    if pools.note_shortage(error.kind()) {
        tracing::warn!(
            error = error.chain(),
            "no more ports are kept ready: raise the quota or add a subnet. Pods are not concerned as long as there are ports for them"
        );
    }
}

/// Puts ports on their node's trunk, where it has one. One that does not get there is given back by the next look. Returns how many
/// did.
async fn attach(context: &Context, carrier: &Carrier, ports: &[Port]) -> usize {
    let Carrier::Machine(Bearer::Trunk(trunk)) = carrier else { return ports.len() };
    let mut there = 0;
    let attaching = ports.iter().map(|port| context.trunks.attach(&context.neutron, trunk, &port.id));
    for (port, outcome) in ports.iter().zip(join_all(attaching).await) {
        match outcome {
            Ok(()) => {
                there += 1;
                context.wiring.watch(std::slice::from_ref(&port.id));
            }
            Err(error) => {
                tracing::warn!(port = %port.id, %trunk, error = relist::chain(&error), "a port is not kept ready on a trunk");
            }
        }
    }
    there
}

/// A port as the pod's would be that takes it.
fn new_port(pools: &Pools, node: &Key, Wanted { network, carrier, .. }: &Wanted<'_>) -> NewPort {
    let (device_id, description, host) = match carrier {
        Carrier::Machine(_) => (String::new(), pools.description(node.name()), None),
        _ => (pools.device_id(), String::new(), Some(node.name().to_owned())),
    };
    NewPort {
        project_id: network.project.clone(),
        fixed_ips: network.subnets.iter().map(|subnet| FixedIpRequest::any(subnet.id.clone())).collect(),
        device_owner: DEVICE_OWNER.to_owned(),
        device_id,
        description,
        security_groups: Some(super::security_groups(network).into_iter().collect()),
        host,
        tags: network.tags.clone(),
        ..NewPort::on(network.id.clone())
    }
}

/// Deletes a port, unless a pod has taken it.
pub async fn give_back(context: &Context, node: &Key, id: &PortId) -> Result<(), ChangeError> {
    let Some(port) = context.ports.withdraw(id) else { return Ok(()) };
    if let Err(error) = relist::delete(context, id).await {
        context.ports.insert(Port::clone(&port));
        return Err(error);
    }
    context.ports.remove(id);
    tracing::info!(node = node.name(), port = %id, "gave a port back that no pod took");
    Ok(())
}
