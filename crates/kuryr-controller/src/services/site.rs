//! How load balancers are made here: read from Neutron and Keystone.

use crate::network::{self, Error};
use crate::settings::ServiceDefaults;
use ipnet::IpNet;
use kuryr_api::SubnetId;
use kuryr_core::service::Site;
use kuryr_openstack::Session;
use kuryr_openstack::neutron::{Neutron, SubnetFilter};

/// Reads it. `tags` are put on everything that is made.
pub async fn read(session: &Session, defaults: &ServiceDefaults, tags: Vec<String>) -> Result<Site, Error> {
    let neutron = Neutron::new(session.clone());
    let project = match &defaults.project {
        Some(project) => project.as_str().into(),
        None => session.project().await?.ok_or(Error::FindProject)?,
    };
    Ok(Site {
        service_subnets: subnets(&neutron, "service_subnets", &defaults.subnets).await?,
        member_subnets: subnets(&neutron, "pod_subnets", &defaults.member_subnets).await?,
        provider: defaults.provider.clone(),
        algorithm: defaults.algorithm.clone(),
        member_mode: defaults.member_mode,
        project,
        tags,
        timeouts: defaults.timeouts,
        security_groups: Vec::new(),
        external: defaults.external.clone(),
        without_class: defaults.without_class,
    })
}

async fn subnets(
    neutron: &Neutron,
    option: &'static str,
    ids: &[SubnetId],
) -> Result<Vec<(SubnetId, IpNet)>, Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let found = neutron.subnets(&SubnetFilter { ids: Some(ids.to_vec()), ..SubnetFilter::default() }).await?;
    let found = network::in_order(option, ids, &found)?;
    found.into_iter().map(|subnet| Ok((subnet.id.clone(), network::prefix(subnet, &subnet.cidr)?))).collect()
}
