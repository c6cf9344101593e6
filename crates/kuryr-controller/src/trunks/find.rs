//! Finds a node's trunk by the node's addresses.
//!
//! The Python Kuryr asked for the parent by address and tags. Who made the virtual machine need not have tagged its port, so that the
//! address has to do, on the workers' subnets where the configuration names them.

use super::Trunks;
use kuryr_api::{PortId, SubnetId, TrunkId};
use kuryr_k8s::slim::Node;
use kuryr_openstack::neutron::{Neutron, Port, PortFilter, TrunkFilter};
use kuryr_openstack::{Kind, Result};
use std::net::IpAddr;
use thiserror::Error;

/// Why a node's trunk is not known.
#[derive(Debug, Error)]
pub enum Error {
    /// Neutron did not tell.
    #[error("failed to look for the trunk of a node")]
    LookUp(#[from] kuryr_openstack::Error),
    /// There is none, for this reason.
    #[error("{0}")]
    None(String),
}

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
    trunks.learn_address(addresses(&parent), &trunk.id);
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
    let filter = PortFilter { addresses: Some(of_node.to_vec()), ..PortFilter::default() };
    let ports = neutron.ports(&filter).await?;
    // An address may be that of others' machines in other projects, and of Neutron's own ports.
    let own = neutron.session().project().await?;
    let is_on_workers = |port: &Port| port.fixed_ips.iter().any(|ip| workers.contains(&ip.subnet_id));
    let is_ours = |port: &Port| own.is_none() || port.project_id == own;
    let is_workers = |port: &&Port| {
        let is_in_place = if workers.is_empty() { is_ours(port) } else { is_on_workers(port) };
        is_in_place && !port.device_owner.starts_with("network:")
    };
    let (with, without): (Vec<_>, Vec<_>) =
        ports.iter().filter(is_workers).partition(|port| port.trunk_details.is_some());
    match (with.as_slice(), without.as_slice()) {
        ([one], []) => Ok((*one).clone()),
        ([], []) => Err(Error::None(no_port(of_node, workers))),
        ([], others) => Err(Error::None(format!("{} has its address, but no trunk", named(others)))),
        (several, others) => Err(Error::None(format!(
            "{} have its address; name the nodes' subnets in [pod_vif_nested] worker_nodes_subnets",
            named(&[several, others].concat())
        ))),
    }
}

fn addresses(port: &Port) -> impl Iterator<Item = IpAddr> {
    port.fixed_ips.iter().map(|ip| ip.ip_address)
}

fn no_port(addresses: &[IpAddr], workers: &[SubnetId]) -> String {
    let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    let among =
        if workers.is_empty() { "" } else { " on the subnets of [pod_vif_nested] worker_nodes_subnets" };
    format!("no Neutron port has the address {}{among}", addresses.join(" or "))
}

fn named(ports: &[&Port]) -> String {
    let ids: Vec<&PortId> = ports.iter().map(|port| &port.id).collect();
    let texts: Vec<_> = ids.iter().map(|id| format!("port {id}")).collect();
    texts.join(" and ")
}
