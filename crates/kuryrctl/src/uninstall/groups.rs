//! The security groups and address groups of network policies that are Kuryr's: those that its description marks as this
//! cluster's, and those that a record names, which an earlier Kuryr made.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use kube::{Api, Client, api::ListParams};
use kuryr_api::{KuryrNetworkPolicy, SecurityGroupId};
use kuryr_openstack::{
    Kind, Neutron,
    neutron::{AddressGroupFilter, SecurityGroup, SecurityGroupFilter},
};

use super::step::Step;

/// How the descriptions of an earlier Kuryr's groups begin.
const OLD_PURPOSE: &str = "Kuryr-Kubernetes Network Policy ";

/// A step for each: security groups first, since their rules name address groups.
pub(super) async fn ours(client: &Client, neutron: &Neutron, own_tag: &str) -> Result<Vec<Step>> {
    let described =
        SecurityGroupFilter { description: Some(own_tag.to_owned()), ..SecurityGroupFilter::default() };
    let groups =
        neutron.security_groups(&described).await.context("cannot list this cluster's security groups")?;
    let mut found: BTreeMap<SecurityGroupId, String> =
        groups.into_iter().map(|group| (group.id, group.name)).collect();
    let recorded = recorded(client).await?;
    if !recorded.is_empty() {
        let filter = SecurityGroupFilter { ids: Some(recorded), ..SecurityGroupFilter::default() };
        let named = neutron
            .security_groups(&filter)
            .await
            .context("cannot list the security groups that records name")?;
        // A record may name any group, also one that is not Kuryr's.
        found.extend(named.into_iter().filter(is_old).map(|group| (group.id, group.name)));
    }
    let groups = found.into_iter().map(|(id, name)| Step::DeleteSecurityGroup(id, name));
    Ok(groups.chain(address_groups(neutron, own_tag).await?).collect())
}

fn is_old(group: &SecurityGroup) -> bool {
    group.description.starts_with(OLD_PURPOSE)
}

async fn address_groups(neutron: &Neutron, own_tag: &str) -> Result<Vec<Step>> {
    let filter =
        AddressGroupFilter { description: Some(own_tag.to_owned()), ..AddressGroupFilter::default() };
    let found = match neutron.address_groups(&filter).await {
        // A Neutron without the extension has none.
        Err(error) if error.kind() == Kind::NotFound => return Ok(Vec::new()),
        found => found.context("cannot list this cluster's address groups")?,
    };
    Ok(found.into_iter().map(|group| Step::DeleteAddressGroup(group.id, group.name)).collect())
}

async fn recorded(client: &Client) -> Result<Vec<SecurityGroupId>> {
    let records = match Api::<KuryrNetworkPolicy>::all(client.clone()).list(&ListParams::default()).await {
        // Their definition is gone, and they with it.
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(Vec::new()),
        records => records.context("cannot list KuryrNetworkPolicies")?,
    };
    let ids = records.iter().filter_map(|record| record.status.as_ref()?.security_group_id.as_deref());
    Ok(ids.map(Into::into).collect())
}
