//! The ports that are Kuryr's: those with the cluster's tag, and those that a record names, which an earlier Kuryr made.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use kube::{Api, Client, api::ListParams};
use kuryr_api::{KuryrPort, PortId, names};
use kuryr_openstack::{
    Neutron,
    neutron::{Port, PortFilter, TrunkFilter},
    nova::server_of,
};

use super::{pairs, step::Step};

/// A step for each.
pub(super) async fn ours(client: &Client, neutron: &Neutron, own_tag: &str) -> Result<Vec<Step>> {
    let tagged = PortFilter { tags: vec![own_tag.to_owned()], ..PortFilter::default() };
    let mut found = neutron.ports(&tagged).await.context("cannot list the ports with this cluster's tag")?;
    let recorded = recorded(client).await?;
    if !recorded.is_empty() {
        let filter = PortFilter { ids: Some(recorded), ..PortFilter::default() };
        found.extend(neutron.ports(&filter).await.context("cannot list the ports that records name")?);
    }
    // A record may name any port, also one that is not Kuryr's. One that has just left a trunk or a server has no owner.
    let is_of_a_pod = |port: &Port| match port.device_owner.as_str() {
        names::DEVICE_OWNER | names::SRIOV_OWNER | names::SUBPORT_OWNER => true,
        owner => {
            (owner.is_empty() || server_of(port).is_some()) && port.tags.iter().any(|tag| tag == own_tag)
        }
    };
    found.retain(is_of_a_pod);
    let on_trunks: BTreeSet<&PortId> =
        found.iter().filter(|port| port.device_owner == names::SUBPORT_OWNER).map(|port| &port.id).collect();
    let detaching = detaching(neutron, &on_trunks).await?;
    let unpairing = pairs::of(neutron, &found, own_tag).await?;
    let ours: BTreeMap<&PortId, &Port> = found.iter().map(|port| (&port.id, port)).collect();
    Ok(detaching.into_iter().chain(unpairing).chain(ours.into_values().map(deletion)).collect())
}

fn deletion(port: &Port) -> Step {
    match server_of(port) {
        Some(server) => Step::DeleteInterface(port.id.clone(), server),
        None => Step::DeletePort(port.id.clone()),
    }
}

/// Neutron deletes no port that a trunk carries.
async fn detaching(neutron: &Neutron, ports: &BTreeSet<&PortId>) -> Result<Vec<Step>> {
    if ports.is_empty() {
        return Ok(Vec::new());
    }
    let trunks = neutron.trunks(&TrunkFilter::default()).await.context("cannot list trunks")?;
    let steps = trunks.into_iter().map(|trunk| {
        let ours = trunk.sub_ports.into_iter().map(|sub| sub.port_id).filter(|port| ports.contains(port));
        Step::Detach(trunk.id, ours.collect())
    });
    Ok(steps.filter(|step| !matches!(step, Step::Detach(_, ports) if ports.is_empty())).collect())
}

async fn recorded(client: &Client) -> Result<Vec<PortId>> {
    let records = match Api::<KuryrPort>::all(client.clone()).list(&ListParams::default()).await {
        // Their definition is gone, and they with it.
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(Vec::new()),
        records => records.context("cannot list KuryrPorts")?,
    };
    let ids = records.iter().flat_map(|record| {
        record.vifs().map(|(_, entry)| PortId::from(entry.vif.base().id.as_str())).collect::<Vec<_>>()
    });
    Ok(ids.collect())
}
