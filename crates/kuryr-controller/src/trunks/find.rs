//! Finds a node's trunk by the node's addresses.

use super::Trunks;
use crate::parents::{self, Error, ambiguous, named};
use kuryr_api::{SubnetId, TrunkId};
use kuryr_k8s::slim::Node;
use kuryr_openstack::neutron::{Neutron, Port, TrunkFilter};
use kuryr_openstack::{Kind, Result};
use std::net::IpAddr;

/// The trunk of a node.
pub async fn find(
    trunks: &Trunks,
    neutron: &Neutron,
    workers: &[SubnetId],
    node: &Node,
) -> Result<TrunkId, Error> {
    if let Some(trunk) = trunks.of(&node.addresses) {
        return Ok(trunk);
    }
    let _turn = trunks.looking.lock().await;
    if let Some(trunk) = trunks.of(&node.addresses) {
        return Ok(trunk);
    }
    let parent = parent(neutron, workers, &node.addresses).await?;
    let filter = TrunkFilter { parents: Some(vec![parent.id.clone()]), ..TrunkFilter::default() };
    let found = neutron.trunks(&filter).await?;
    let Some(trunk) = found.first() else {
        return Err(Error::None(format!(
            "port {} has no trunk that Kuryr's OpenStack user may see",
            parent.id
        )));
    };
    trunks.learn(&found);
    trunks.learn_address(parents::addresses(&parent), &trunk.id);
    tracing::info!(node = node.key.name(), trunk = %trunk.id, parent = %parent.id, "found a node's trunk");
    Ok(trunk.id.clone())
}

/// Lists all trunks. A cloud that has none is fine.
pub async fn relist(trunks: &Trunks, neutron: &Neutron) -> Result<()> {
    match neutron.trunks(&TrunkFilter::default()).await {
        Ok(all) => trunks.replace(&all),
        Err(error) if error.kind() == Kind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Puts right what is known of these ports' trunk, after Neutron has contradicted it.
pub(super) async fn refresh(trunks: &Trunks, neutron: &Neutron, trunk: &TrunkId) -> Result<()> {
    let filter = TrunkFilter { ids: Some(vec![trunk.clone()]), ..TrunkFilter::default() };
    match neutron.trunks(&filter).await?.as_slice() {
        [] => trunks.forget(trunk),
        found => trunks.learn(found),
    }
    Ok(())
}

async fn parent(neutron: &Neutron, workers: &[SubnetId], of_node: &[IpAddr]) -> Result<Port, Error> {
    let ports = parents::candidates(neutron, workers, of_node).await?;
    let (with, without): (Vec<_>, Vec<_>) = ports.iter().partition(|port| port.trunk_details.is_some());
    match (with.as_slice(), without.as_slice()) {
        ([one], []) => Ok((*one).clone()),
        ([], others) => Err(Error::None(format!("{} has its address, but no trunk", named(others)))),
        (several, others) => Err(ambiguous(&[several, others].concat())),
    }
}
