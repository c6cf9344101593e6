//! The ports that are Kuryr's: those with the cluster's tag, and those that a record names, which an earlier Kuryr made.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use kube::{Api, Client, api::ListParams};
use kuryr_api::{KuryrPort, PortId, names};
use kuryr_openstack::{
    Neutron,
    neutron::{Port, PortFilter},
};

use super::step::Step;

/// A step for each.
pub(super) async fn ours(client: &Client, neutron: &Neutron, own_tag: &str) -> Result<Vec<Step>> {
    let tagged = PortFilter { tags: vec![own_tag.to_owned()], ..PortFilter::default() };
    let mut found = neutron.ports(&tagged).await.context("cannot list the ports with this cluster's tag")?;
    let recorded = recorded(client).await?;
    if !recorded.is_empty() {
        let filter = PortFilter { ids: Some(recorded), ..PortFilter::default() };
        found.extend(neutron.ports(&filter).await.context("cannot list the ports that records name")?);
    }
    // A record may name any port, also one that is not Kuryr's.
    let ours: BTreeSet<PortId> = found.into_iter().filter(is_of_a_pod).map(|port| port.id).collect();
    Ok(ours.into_iter().map(Step::DeletePort).collect())
}

fn is_of_a_pod(port: &Port) -> bool {
    port.device_owner == names::DEVICE_OWNER
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
