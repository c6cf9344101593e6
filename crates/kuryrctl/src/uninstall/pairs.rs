//! The addresses of pods that the ports of virtual machines may send from. What others have allowed these ports stays.

use std::{collections::HashMap, net::IpAddr};

use anyhow::{Context, Result};
use kuryr_api::PortId;
use kuryr_core::pairs::is_same;
use kuryr_openstack::{
    Kind, Neutron,
    neutron::{AddressPair, Port, PortFilter, PortUpdate},
};

use super::step::Step;

/// How often a port is changed by others while we do, at most.
const ATTEMPTS: usize = 5;
/// What is read of ports that may be machines'.
const FIELDS: &[&str] = &["id", "mac_address", "allowed_address_pairs"];

/// A step for each port that may send from an address of one of `ports`, which are Kuryr's and bound to no host.
pub(super) async fn of(neutron: &Neutron, ports: &[Port], own_tag: &str) -> Result<Vec<Step>> {
    let unbound = ports.iter().filter(|port| port.host.is_empty());
    let owners: HashMap<IpAddr, &str> = unbound
        .flat_map(|port| port.fixed_ips.iter().map(|ip| (ip.ip_address, port.mac_address.as_str())))
        .collect();
    if owners.is_empty() {
        return Ok(Vec::new());
    }
    let project = neutron.session().project().await.context("cannot tell the project")?;
    let filter =
        PortFilter { project, not_tags: vec![own_tag.to_owned()], fields: FIELDS, ..PortFilter::default() };
    let others = neutron.ports(&filter).await.context("cannot list the ports of virtual machines")?;
    let steps = others.into_iter().filter_map(|parent| {
        let ours: Vec<_> = parent
            .allowed_address_pairs
            .iter()
            .filter(|pair| is_ours(pair, &parent, &owners))
            .cloned()
            .collect();
        (!ours.is_empty()).then_some(Step::RemovePairs(parent.id, ours))
    });
    Ok(steps.collect())
}

fn is_ours(pair: &AddressPair, parent: &Port, owners: &HashMap<IpAddr, &str>) -> bool {
    let owner = pair.ip_address.parse().ok().and_then(|address: IpAddr| owners.get(&address));
    let mac = pair.mac_address.as_deref().unwrap_or(&parent.mac_address);
    owner.is_some_and(|own| is_same(mac, own) || is_same(mac, &parent.mac_address))
}

/// Takes pairs away from a port, whoever else changes it.
pub(super) async fn remove(
    neutron: &Neutron,
    id: &PortId,
    pairs: &[AddressPair],
) -> kuryr_openstack::Result<()> {
    let mut failed = 0;
    loop {
        let port = match neutron.port(id).await {
            Err(error) if error.kind() == Kind::NotFound => return Ok(()),
            port => port?,
        };
        let mut left = port.allowed_address_pairs.clone();
        left.retain(|pair| !pairs.contains(pair));
        if left == port.allowed_address_pairs {
            return Ok(());
        }
        let update = PortUpdate { allowed_address_pairs: Some(left), ..PortUpdate::default() };
        match neutron.update_port_at(id, &update, port.revision_number).await {
            Err(error) if error.kind() == Kind::Stale && failed < ATTEMPTS => failed += 1,
            changed => return changed.map(drop),
        }
    }
}
