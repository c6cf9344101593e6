//! What the controller sees of one Service, for programs that explain it: read by the same code, from OpenStack as it is now. What
//! would be done about it is the planner's word (`kuryr_core::service::plan`). Nothing is changed.

pub mod policies;

pub use crate::reconcile::service::{Said, Seen};

use crate::metrics::Metrics;
use crate::reconcile::service;
use crate::services::{Services, addresses, read_doubted, site};
use crate::settings;
use anyhow::Context as _;
use kuryr_config::Config;
use kuryr_k8s::Key;
use kuryr_openstack::Session;
use kuryr_openstack::octavia::LoadBalancerFilter;
use std::sync::Arc;

/// Looks at the Service called `key`, of which Kubernetes has said `said`. Nothing where Services are not served by this
/// configuration.
///
/// # Errors
/// OpenStack can't be asked, or lacks what the configuration names.
pub async fn look(
    session: Session,
    config: &Config,
    own_tag: &str,
    key: &Key,
    said: Said,
) -> anyhow::Result<Option<Seen>> {
    let Some(defaults) = settings::service_defaults(config) else { return Ok(None) };
    let tags = config.neutron_defaults.resource_tags.iter().cloned().chain([own_tag.to_owned()]).collect();
    let site = Arc::new(site::read(&session, &defaults, tags).await?);
    let services = Services::new(session, defaults, &Metrics::default());
    *services.site.write() = Some(site.clone());
    addresses::list(&services, &site).await.context("failed to list floating IPs in Neutron")?;
    let filter = LoadBalancerFilter { project: services.one_project(&site), ..LoadBalancerFilter::default() };
    let all = services.octavia.load_balancers(&filter).await;
    let all = all.context("failed to list the load balancers in Octavia")?;
    let name = key.to_string();
    let vips = said.service.as_ref().map(|service| &*service.cluster_ips).unwrap_or_default();
    let recorded = said.record.as_deref().and_then(service::recorded);
    let is_candidate = |one: &&kuryr_openstack::octavia::LoadBalancer| {
        one.name == name || vips.contains(&one.vip_address) || recorded.as_ref() == Some(&one.id)
    };
    let candidates = all.iter().filter(is_candidate).map(|one| one.id.clone()).collect();
    read_doubted(&services, candidates, own_tag).await.context("failed to look at a load balancer")?;
    Ok(Some(service::look(&services, own_tag, key, said).await?))
}
