//! Finds the port of a node that is a virtual machine, by the node's addresses.
//!
//! The Python Kuryr asked for the parent by address and tags. Who made the virtual machine need not have tagged its port, so that the
//! address has to do, on the workers' subnets where the configuration names them.

use kuryr_api::{PortId, SubnetId};
use kuryr_openstack::neutron::{Neutron, Port, PortFilter};
use std::net::IpAddr;
use thiserror::Error;

/// Why a node's port, or its trunk, is not known.
#[derive(Debug, Error)]
pub enum Error {
    /// Neutron did not tell.
    #[error("failed to look for the port of a node")]
    LookUp(#[from] kuryr_openstack::Error),
    /// There is none, for this reason.
    #[error("{0}")]
    None(String),
}

/// The ports that a node with these addresses may have.
pub async fn candidates(
    neutron: &Neutron,
    workers: &[SubnetId],
    addresses: &[IpAddr],
) -> Result<Vec<Port>, Error> {
    let filter = PortFilter { addresses: Some(addresses.to_vec()), ..PortFilter::default() };
    let mut ports = neutron.ports(&filter).await?;
    // An address may be that of others' machines in other projects, and of Neutron's own ports.
    let own = neutron.session().project().await?;
    let is_on_workers = |port: &Port| port.fixed_ips.iter().any(|ip| workers.contains(&ip.subnet_id));
    let is_ours = |port: &Port| own.is_none() || port.project_id == own;
    ports.retain(|port| {
        let is_in_place = if workers.is_empty() { is_ours(port) } else { is_on_workers(port) };
        is_in_place && !port.device_owner.starts_with("network:")
    });
    if ports.is_empty() { Err(Error::None(no_port(addresses, workers))) } else { Ok(ports) }
}

/// Nobody can tell which of these is the node's.
pub fn ambiguous(ports: &[&Port]) -> Error {
    Error::None(format!(
        "{} have its address; name the nodes' subnets in [pod_vif_nested] worker_nodes_subnets",
        named(ports)
    ))
}

/// The addresses of a port.
pub fn addresses(port: &Port) -> impl Iterator<Item = IpAddr> {
    port.fixed_ips.iter().map(|ip| ip.ip_address)
}

/// Ports by their ids, as they stand in a sentence.
pub fn named(ports: &[&Port]) -> String {
    let ids: Vec<&PortId> = ports.iter().map(|port| &port.id).collect();
    let texts: Vec<_> = ids.iter().map(|id| format!("port {id}")).collect();
    texts.join(" and ")
}

fn no_port(addresses: &[IpAddr], workers: &[SubnetId]) -> String {
    let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    let among =
        if workers.is_empty() { "" } else { " on the subnets of [pod_vif_nested] worker_nodes_subnets" };
    format!("no Neutron port has the address {}{among}", addresses.join(" or "))
}
