//! Looks at our load balancers in Octavia: once at the start, then slowly, to notice what others changed; and at single ones whose
//! state is unclear.

use super::balancers::{Members, Read};
use super::steps::disbelieve;
use super::translate::{self, Lists};
use super::{Services, addresses, quota, settling, site};
use crate::context::Context;
use crate::network;
use crate::relist::chain;
use futures::{StreamExt, TryStreamExt, stream};
use kuryr_api::{LoadBalancerId, PoolId};
use kuryr_core::service::Site;
use kuryr_openstack::Kind;
use kuryr_openstack::octavia::{self, HealthMonitorFilter, LoadBalancerFilter, Of};
use kuryr_telemetry::Component;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// How often everything is listed again. Nothing depends on it but the repair of what others broke.
const PERIOD: Duration = Duration::from_mins(10);
/// First and longest pause while Octavia does not answer.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// Members of so many pools are read side by side.
const SIDE_BY_SIDE: usize = 4;

/// Why a look failed.
#[derive(Debug, Error)]
pub enum Error {
    /// How load balancers are made is not known.
    #[error(transparent)]
    Site(#[from] network::Error),
    /// Neutron did not tell.
    #[error("failed to list floating IPs in Neutron")]
    ListAddresses(#[source] kuryr_openstack::Error),
    /// Octavia did not tell.
    #[error("failed to list the load balancers in Octavia")]
    List(#[source] kuryr_openstack::Error),
}

/// Looks, and keeps what is under way up to date. Runs until it is dropped.
pub async fn run(context: &Context, component: &Component) {
    let Some(services) = &context.services else {
        component.resting("[neutron_defaults] service_subnet is not set");
        return;
    };
    let looking = async {
        loop {
            once(context, services, component).await;
            services.look_at_all(context);
            tokio::time::sleep(PERIOD).await;
        }
    };
    tokio::join!(looking, settling::run(services));
}

/// A look, repeated until it succeeds.
async fn once(context: &Context, services: &Services, component: &Component) {
    let mut pause = PAUSES.0;
    while let Err(error) = look(context, services).await {
        let why = chain(&error);
        tracing::warn!(why, "failed to look at the load balancers");
        component.resting(format!("Services wait: {why}"));
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
    component.good();
}

async fn look(context: &Context, services: &Services) -> Result<(), Error> {
    let session = services.octavia.session();
    let tags = context.defaults.tags.iter().cloned().chain([context.own_tag.clone()]).collect();
    let site = Arc::new(site::read(session, &services.defaults, tags).await?);
    *services.site.write() = Some(site.clone());
    addresses::list(services, &site).await.map_err(Error::ListAddresses)?;
    services.balancers.begin_list();
    let read = list(services, &site, &context.own_tag).await.map_err(Error::List)?;
    tracing::info!(load_balancers = read.len(), "looked at what is in Octavia");
    services.balancers.end_list(read);
    quota::count(context, services, &site).await;
    Ok(())
}

async fn list(services: &Services, site: &Site, own_tag: &str) -> kuryr_openstack::Result<Vec<Read>> {
    let octavia = &services.octavia;
    let project = services.one_project(site);
    let filter = LoadBalancerFilter { project: project.clone(), ..LoadBalancerFilter::default() };
    let mut balancers = octavia.load_balancers(&filter).await?;
    disbelieve(services, &mut balancers).await?;
    let of = project.as_ref().map_or(Of::All, Of::Project);
    let listeners = octavia.listeners(of).await?;
    let pools = octavia.pools(of).await?;
    let (mut members, mut unknown) = (HashMap::new(), Vec::new());
    for pool in &pools {
        match as_known(services, pool) {
            Some(known) => drop(members.insert(pool.id.clone(), known)),
            None => unknown.push(pool.id.clone()),
        }
    }
    members.extend(read_members(services, unknown).await?);
    let monitors = HealthMonitorFilter { project, ..HealthMonitorFilter::default() };
    let monitors = octavia.health_monitors(&monitors).await?;
    let lists = Lists { listeners, pools, members, monitors };
    Ok(balancers.iter().map(|balancer| translate::read(balancer, &lists, own_tag)).collect())
}

/// The members of a pool that has just those that it had when they were read.
fn as_known(services: &Services, pool: &octavia::Pool) -> Option<Members> {
    let known = services.balancers.members(pool.loadbalancers.first()?, &pool.id)?;
    pool.members.iter().eq(&known.ids).then_some(known)
}

async fn read_members(
    services: &Services,
    pools: Vec<PoolId>,
) -> kuryr_openstack::Result<HashMap<PoolId, Members>> {
    let read = |pool: PoolId| async move {
        let members = services.octavia.members(&pool).await?;
        Ok((pool, translate::members(&members)))
    };
    stream::iter(pools).map(read).buffer_unordered(SIDE_BY_SIDE).try_collect().await
}

/// Reads load balancers again of which we don't know what became of them.
pub async fn read_doubted(
    services: &Services,
    ids: Vec<LoadBalancerId>,
    own_tag: &str,
) -> kuryr_openstack::Result<()> {
    for id in ids {
        match services.octavia.load_balancer(&id).await {
            Ok(balancer) => services.balancers.insert(read_one(services, balancer, own_tag).await?),
            Err(error) if error.kind() == Kind::NotFound => services.forget(&id),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads the load balancers that are called `name`: one may have been made by a call whose answer was lost.
pub async fn read_named(
    services: &Services,
    site: &Site,
    name: &str,
    own_tag: &str,
) -> kuryr_openstack::Result<()> {
    let filter = LoadBalancerFilter {
        project: services.one_project(site),
        name: Some(name.to_owned()),
        ..LoadBalancerFilter::default()
    };
    for balancer in services.octavia.load_balancers(&filter).await? {
        services.balancers.insert(read_one(services, balancer, own_tag).await?);
    }
    Ok(())
}

async fn read_one(
    services: &Services,
    mut balancer: octavia::LoadBalancer,
    own_tag: &str,
) -> kuryr_openstack::Result<Read> {
    disbelieve(services, std::slice::from_mut(&mut balancer)).await?;
    let listeners = services.octavia.listeners(Of::Balancer(&balancer.id)).await?;
    let pools = services.octavia.pools(Of::Balancer(&balancer.id)).await?;
    let ids = pools.iter().map(|pool| pool.id.clone()).collect();
    let mut monitors = Vec::new();
    for pool in pools.iter().filter(|pool| pool.healthmonitor_id.is_some()) {
        let filter = HealthMonitorFilter { pool: Some(pool.id.clone()), ..HealthMonitorFilter::default() };
        monitors.append(&mut services.octavia.health_monitors(&filter).await?);
    }
    let lists = Lists { listeners, members: read_members(services, ids).await?, pools, monitors };
    Ok(translate::read(&balancer, &lists, own_tag))
}
