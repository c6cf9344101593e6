//! What carries a pod's port to its node.

use super::super::error::Error;
use super::super::{Outcome, translate};
use crate::context::Context;
use crate::driver::Driver;
use crate::parents::Error as FindError;
use crate::servers::{self, Done};
use crate::{pairs, trunks};
use kuryr_api::PortId;
use kuryr_core::pod::{Bearer, Carrier, Lack, Needs, Sharing};
use kuryr_k8s::Key;
use kuryr_k8s::slim::{Network, Node, Phase, Pod, PortRecord};

/// What carries the port of a pod that may still need one. Who has a record has what it says, whatever became of the node.
pub(super) async fn find(
    context: &Context,
    pod: Option<&Pod>,
    node: Option<&Node>,
    record: Option<&PortRecord>,
) -> Result<Carrier, Error> {
    let needs_port = |pod: &&Pod| pod.network == Network::Own && pod.phase != Phase::Finished;
    let Some(pod) = pod.filter(needs_port) else { return Ok(Carrier::Host) };
    if pod.node.is_none() {
        return Ok(Carrier::Host);
    }
    if let Some(record) = record.filter(|record| record.pod_uid == pod.uid) {
        return of_record(context, node, record).await;
    }
    match node {
        Some(node) if context.defaults.driver.of(node) == Ok(Driver::Sriov) => function(context, pod),
        Some(node) => of_node(context, node).await,
        // A pod may be seen before its node is.
        None if context.defaults.driver == Driver::NeutronVif => Ok(Carrier::Host),
        None if context.defaults.driver == Driver::Sriov => function(context, pod),
        None => Ok(missing(context.defaults.driver, "its Node is not known yet".to_owned())),
    }
}

/// Whose record says that its pod shares a link is on that of its node: others may have taken its pairs away.
async fn of_record(context: &Context, node: Option<&Node>, record: &PortRecord) -> Result<Carrier, Error> {
    let sharing = record.content.vifs().find_map(|(_, entry)| translate::sharing(&entry.vif));
    match (sharing, node) {
        (Some(sharing), Some(node)) => find_parent(context, node, sharing).await,
        _ => Ok(Carrier::Host),
    }
}

/// Whether a pod asks for a virtual function of its network.
fn function(context: &Context, pod: &Pod) -> Result<Carrier, Error> {
    let network = context.network().ok_or(Error::NetworkUnknown)?;
    Ok(match context.defaults.functions.resource_of(&network) {
        Ok(resource) if pod.devices.iter().any(|device| **device == *resource) => Carrier::Function,
        Ok(resource) => missing(
            Driver::Sriov,
            format!(
                "none of its containers requests {resource}. Write `{resource}: \"1\"` into resources.requests and resources.limits of one of \
                 them, or run the pod on a node of another kind (label pod_vif)."
            ),
        ),
        Err(why) => missing(Driver::Sriov, why),
    })
}

/// What carries ports to a node, as far as it does not depend on the pod.
pub(in super::super) async fn of_node(context: &Context, node: &Node) -> Result<Carrier, Error> {
    match context.defaults.driver.of(node) {
        Ok(Driver::NeutronVif | Driver::Sriov) => Ok(Carrier::Host),
        Ok(Driver::NestedVlan) => find_trunk(context, node).await,
        Ok(Driver::NestedMacvlan) => find_parent(context, node, Sharing::Macvlan).await,
        Ok(Driver::NestedIpvlan) => find_parent(context, node, Sharing::Ipvlan).await,
        Ok(Driver::NestedDpdk) => find_server(context, node).await,
        Err(why) => Ok(missing(Driver::NestedVlan, why)),
    }
}

async fn find_trunk(context: &Context, node: &Node) -> Result<Carrier, Error> {
    let found = trunks::find(&context.trunks, &context.neutron, &context.defaults.workers, node);
    match found.await {
        Ok(trunk) => Ok(Carrier::Machine(Bearer::Trunk(trunk))),
        Err(FindError::None(why)) => Ok(missing(Driver::NestedVlan, why)),
        Err(FindError::LookUp(error)) => Err(Error::LookUp(error)),
    }
}

async fn find_parent(context: &Context, node: &Node, sharing: Sharing) -> Result<Carrier, Error> {
    let network = context.network().ok_or(Error::NetworkUnknown)?;
    let (neutron, workers) = (&context.neutron, &context.defaults.workers);
    match pairs::find(&context.pairs, neutron, workers, node, sharing, &network.id).await {
        Ok(parent) => Ok(Carrier::Machine(Bearer::Pairs(parent))),
        Err(FindError::None(why)) => Ok(missing(Driver::NestedIpvlan, why)),
        Err(FindError::LookUp(error)) => Err(Error::LookUp(error)),
    }
}

async fn find_server(context: &Context, node: &Node) -> Result<Carrier, Error> {
    match servers::find(&context.servers, &context.neutron, &context.defaults.workers, node).await {
        Ok(server) => Ok(Carrier::Machine(Bearer::Server(server))),
        Err(FindError::None(why)) => Ok(missing(Driver::NestedDpdk, why)),
        Err(FindError::LookUp(error)) => Err(Error::LookUp(error)),
    }
}

fn missing(driver: Driver, why: String) -> Carrier {
    let needs = match driver {
        Driver::NestedMacvlan | Driver::NestedIpvlan => Needs::Port,
        Driver::NestedDpdk => Needs::Server,
        Driver::Sriov => Needs::Function,
        Driver::NeutronVif | Driver::NestedVlan => Needs::Trunk,
    };
    Carrier::Missing(Lack { needs, why })
}

/// Lets a virtual machine carry a port.
pub(super) async fn attach(
    context: &Context,
    key: &Key,
    id: &PortId,
    bearer: &Bearer,
) -> Result<Outcome, Error> {
    match bearer {
        Bearer::Trunk(trunk) => {
            context.trunks.attach(&context.neutron, trunk, id).await.map_err(Error::Attach)?;
            tracing::info!(pod = %key, port = %id, %trunk, vlan = context.trunks.place(id).map(|place| place.vlan), "put the port on a trunk");
        }
        Bearer::Pairs(parent) => {
            let Some(port) = context.ports.get(id) else { return Ok(Outcome::Same) };
            context.pairs.attach(&context.neutron, parent, &port).await.map_err(Error::AddPairs)?;
            tracing::info!(pod = %key, port = %id, parent = %parent.port, "let the node's port send from the port's addresses");
        }
        Bearer::Server(server) => {
            let done = servers::attach(context, id, server).await.map_err(Error::AttachInterface)?;
            tracing::info!(pod = %key, port = %id, %server, "attached the port to its node");
            return Ok(outcome(done));
        }
    }
    Ok(Outcome::Visible)
}

/// Takes a port off what carries it.
pub(super) async fn detach(
    context: &Context,
    key: &Key,
    id: &PortId,
    bearer: &Bearer,
) -> Result<Outcome, Error> {
    match bearer {
        Bearer::Trunk(trunk) => {
            context.trunks.detach(&context.neutron, trunk, id).await.map_err(Error::Detach)?;
            tracing::info!(pod = %key, port = %id, %trunk, "took the port off its trunk");
        }
        Bearer::Pairs(parent) => {
            let Some(port) = context.ports.get(id) else { return Ok(Outcome::Same) };
            context.pairs.detach(&context.neutron, parent, &port).await.map_err(Error::RemovePairs)?;
            tracing::info!(pod = %key, port = %id, parent = %parent.port, "took the port's addresses off the node's port");
        }
        Bearer::Server(server) => {
            let done = servers::detach(context, id, server).await.map_err(Error::DetachInterface)?;
            tracing::info!(pod = %key, port = %id, %server, "detached the port from its node");
            return Ok(outcome(done));
        }
    }
    Ok(Outcome::Visible)
}

fn outcome(done: Done) -> Outcome {
    match done {
        Done::Now => Outcome::Visible,
        Done::Soon => Outcome::Later,
    }
}
