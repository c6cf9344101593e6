//! What carries a pod's port to its node.

use super::super::Outcome;
use super::super::error::Error;
use crate::context::Context;
use crate::driver::Driver;
use crate::trunks::{self, FindError};
use kuryr_api::{PortId, TrunkId};
use kuryr_core::pod::Carrier;
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
    if pod.node.is_none() || record.is_some_and(|record| record.pod_uid == pod.uid) {
        return Ok(Carrier::Host);
    }
    match node {
        Some(node) => of_node(context, node).await,
        // A pod may be seen before its node is.
        None if context.defaults.driver == Driver::NeutronVif => Ok(Carrier::Host),
        None => Ok(Carrier::Missing("its Node is not known yet".to_owned())),
    }
}

/// What carries ports to a node.
pub(in super::super) async fn of_node(context: &Context, node: &Node) -> Result<Carrier, Error> {
    match context.defaults.driver.of(node) {
        Ok(Driver::NeutronVif) => Ok(Carrier::Host),
        Ok(Driver::NestedVlan) => find_trunk(context, node).await,
        Err(why) => Ok(Carrier::Missing(why)),
    }
}

async fn find_trunk(context: &Context, node: &Node) -> Result<Carrier, Error> {
    let found = trunks::find(&context.trunks, &context.neutron, &context.defaults.workers, node);
    match found.await {
        Ok(trunk) => Ok(Carrier::Trunk(trunk)),
        Err(FindError::None(why)) => Ok(Carrier::Missing(why)),
        Err(FindError::LookUp(error)) => Err(Error::LookUp(error)),
    }
}

/// Lets a trunk carry a port.
pub(super) async fn attach(
    context: &Context,
    key: &Key,
    id: &PortId,
    trunk: &TrunkId,
) -> Result<Outcome, Error> {
    context.trunks.attach(&context.neutron, trunk, id).await.map_err(Error::Attach)?;
    tracing::info!(pod = %key, port = %id, %trunk, vlan = context.trunks.place(id).map(|place| place.vlan), "put the port on a trunk");
    Ok(Outcome::Visible)
}

/// Takes a port off its trunk.
pub(super) async fn detach(
    context: &Context,
    key: &Key,
    id: &PortId,
    trunk: &TrunkId,
) -> Result<Outcome, Error> {
    context.trunks.detach(&context.neutron, trunk, id).await.map_err(Error::Detach)?;
    tracing::info!(pod = %key, port = %id, %trunk, "took the port off its trunk");
    Ok(Outcome::Visible)
}
