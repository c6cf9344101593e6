//! Finds the port of a node whose link pods share, and what ports may send from.

use super::{Pairs, Seen};
use crate::parents::{self, Error, ambiguous};
use kuryr_api::{NetworkId, SubnetId};
use kuryr_core::carrier::{Parent, Sharing};
use kuryr_k8s::slim::Node;
use kuryr_openstack::Result;
use kuryr_openstack::neutron::{Neutron, PortFilter};
use std::sync::Arc;

/// What is read of ports that may be nodes'.
const FIELDS: &[&str] =
    &["id", "mac_address", "network_id", "fixed_ips", "allowed_address_pairs", "revision_number"];

/// The port of a node. It has to be on the network of its pods: frames of theirs leave by it as they are.
pub async fn find(
    pairs: &Pairs,
    neutron: &Neutron,
    workers: &[SubnetId],
    node: &Node,
    sharing: Sharing,
    network: &NetworkId,
) -> Result<Parent, Error> {
    let seen = seen(pairs, neutron, workers, node).await?;
    match &seen.network {
        Some(other) if other != network => Err(Error::None(format!(
            "port {} has its address, but is on network {other}, and pods are on {network}",
            seen.id
        ))),
        _ => Ok(seen.as_parent(sharing)),
    }
}

async fn seen(
    pairs: &Pairs,
    neutron: &Neutron,
    workers: &[SubnetId],
    node: &Node,
) -> Result<Arc<Seen>, Error> {
    let known = || pairs.of(&node.addresses).and_then(|id| pairs.seen(&id));
    if let Some(seen) = known() {
        return Ok(seen);
    }
    let _turn = pairs.looking.lock().await;
    if let Some(seen) = known() {
        return Ok(seen);
    }
    let ports = parents::candidates(neutron, workers, &node.addresses).await?;
    let [parent] = ports.as_slice() else { return Err(ambiguous(&ports.iter().collect::<Vec<_>>())) };
    let seen = pairs.learn(parent);
    pairs.learn_address(parents::addresses(parent), &parent.id);
    tracing::info!(node = node.key.name(), parent = %parent.id, "found a node's port");
    Ok(seen)
}

/// Lists all ports that may be nodes': those of the workers' subnets, or else of the project, that are not ours.
pub async fn relist(pairs: &Pairs, neutron: &Neutron, workers: &[SubnetId], own_tag: &str) -> Result<()> {
    let among = PortFilter { not_tags: vec![own_tag.to_owned()], fields: FIELDS, ..PortFilter::default() };
    let filter = if workers.is_empty() {
        PortFilter { project: neutron.session().project().await?, ..among }
    } else {
        PortFilter { subnets: Some(workers.to_vec()), ..among }
    };
    pairs.replace(&neutron.ports(&filter).await?);
    Ok(())
}
