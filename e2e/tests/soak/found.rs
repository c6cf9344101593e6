//! What OpenStack and Kubernetes have of this story's Services, read from themselves, and whether it is what is wanted.

use crate::wanted::{Fronts, Wanted};
use k8s_openapi::api::core::v1::Service;
use kube::api::{ListParams, ResourceExt};
use kuryr_api::{KuryrLoadBalancer, PoolId};
use kuryr_e2e::{Context, Result, Stage, ensure};
use kuryr_openstack::octavia::{Listener, LoadBalancer, Of, Pool, Status};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::net::SocketAddr;

/// Services by their names.
pub type AllWanted = BTreeMap<String, Wanted>;

/// Load balancers by the names of Services.
type Balancers<'b> = BTreeMap<String, &'b LoadBalancer>;

/// Differences that are told at once.
const TOLD: usize = 5;

/// Whether there is what is wanted, and nothing else. What is cheap to read is read first.
pub async fn is_as_wanted(stage: &Stage, wanted: &AllWanted) -> Result<()> {
    let services = stage.api::<Service>().list(&ListParams::default()).await?.items;
    same(
        "Services",
        &services.iter().map(ResourceExt::name_any).collect(),
        &wanted.keys().cloned().collect(),
    )?;
    let served: BTreeMap<_, _> = wanted.iter().filter(|(_, one)| one.is_served()).collect();
    let names: BTreeSet<String> = served.keys().map(|name| (*name).clone()).collect();

    let balancers = stage.balancers_since().await?;
    let prefix = format!("{}/", stage.namespace);
    let name = |one: &'_ LoadBalancer| one.name.strip_prefix(&prefix).unwrap_or(&one.name).to_owned();
    same("load balancers", &balancers.iter().map(name).collect(), &names)?;
    ensure!(balancers.len() == names.len(), "{} load balancers, not {}", balancers.len(), names.len());
    let balancers: Balancers<'_> = balancers.iter().map(|one| (name(one), one)).collect();
    at_rest(&balancers)?;
    same("addresses", &vips(&balancers), &cluster_ips(&services, &served))?;

    recorded(stage, &balancers).await?;
    outside(stage, &balancers, &services, wanted).await?;
    let fronts = fronts(stage, &balancers).await?;
    let should: BTreeSet<_> = served.iter().map(|(name, one)| ((*name).clone(), one.fronts())).collect();
    same("listeners and members", &fronts.into_iter().collect(), &should)
}

/// Tells what is too much on either side.
fn same<T: Ord + Debug>(what: &str, found: &BTreeSet<T>, should: &BTreeSet<T>) -> Result<()> {
    let few = |one: &BTreeSet<T>, other: &BTreeSet<T>| {
        let all: Vec<_> = one.difference(other).map(|one| format!("{one:?}")).collect();
        format!("{}: {:?}", all.len(), all.into_iter().take(TOLD).collect::<Vec<_>>())
    };
    ensure!(
        found == should,
        "{what}: there are {}; there are not {}",
        few(found, should),
        few(should, found)
    );
    Ok(())
}

fn at_rest(balancers: &Balancers<'_>) -> Result<()> {
    let moving = balancers.iter().filter(|(_, one)| one.provisioning_status != Status::Active);
    let moving: Vec<_> = moving.map(|(name, one)| format!("{name} {:?}", one.provisioning_status)).collect();
    ensure!(moving.is_empty(), "{} are not ACTIVE: {:?}", moving.len(), moving.iter().take(TOLD));
    Ok(())
}

fn vips(balancers: &Balancers<'_>) -> BTreeSet<(String, String)> {
    balancers.iter().map(|(name, one)| (name.clone(), one.vip_address.to_string())).collect()
}

fn cluster_ips(services: &[Service], served: &BTreeMap<&String, &Wanted>) -> BTreeSet<(String, String)> {
    let served = services.iter().filter(|one| served.contains_key(&one.name_any()));
    let address = |one: &Service| one.spec.as_ref()?.cluster_ip.clone();
    served.map(|one| (one.name_any(), address(one).unwrap_or_default())).collect()
}

/// A record for each, of the load balancer that there is.
async fn recorded(stage: &Stage, balancers: &Balancers<'_>) -> Result<()> {
    let records = stage.api::<KuryrLoadBalancer>().list(&ListParams::default()).await?.items;
    let recorded = records.into_iter().map(|record| {
        let name = record.name_any();
        (name, record.status.and_then(|status| status.loadbalancer).map(|one| one.id))
    });
    let should = balancers.iter().map(|(name, one)| (name.clone(), Some(one.id.to_string())));
    same("records", &recorded.collect(), &should.collect())
}

/// A floating IP for each that is reached from outside, told in its status.
async fn outside(
    stage: &Stage,
    balancers: &Balancers<'_>,
    services: &[Service],
    wanted: &AllWanted,
) -> Result<()> {
    let addresses = stage.floating_ips_since().await?;
    let lead = addresses.iter().map(|one| one.port_id.as_ref().map(ToString::to_string));
    let is_outside = |name: &str| wanted.get(name).is_some_and(Wanted::is_outside);
    let exposed = balancers.iter().filter(|(name, _)| is_outside(name));
    let ports: BTreeSet<_> =
        exposed.map(|(_, one)| one.vip_port_id.as_ref().map(ToString::to_string)).collect();
    ensure!(addresses.len() == ports.len(), "{} floating IPs, not {}", addresses.len(), ports.len());
    same("ports of floating IPs", &lead.collect(), &ports)?;

    let port = |name: &str| balancers.get(name).and_then(|one| one.vip_port_id.as_ref());
    for service in services {
        let (name, told) = (service.name_any(), ingress(service));
        let its = addresses.iter().filter(|one| is_outside(&name) && one.port_id.as_ref() == port(&name));
        let its: Vec<_> = its.map(|one| one.floating_ip_address.to_string()).collect();
        ensure!(told == its, "{name} tells {told:?}, it has {its:?}");
    }
    Ok(())
}

fn ingress(service: &Service) -> Vec<String> {
    let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = status.and_then(|status| status.ingress.as_ref());
    ingress.into_iter().flatten().filter_map(|one| one.ip.clone()).collect()
}

/// Listeners of each, with the members behind them. Each has a pool, and there is no other pool.
async fn fronts(stage: &Stage, balancers: &Balancers<'_>) -> Result<BTreeMap<String, Fronts>> {
    let (listeners, pools) =
        tokio::try_join!(stage.octavia.listeners(Of::All), stage.octavia.pools(Of::All))?;
    let mut all = BTreeMap::new();
    for (name, balancer) in balancers {
        let listeners: Vec<_> =
            listeners.iter().filter(|one| one.loadbalancers.contains(&balancer.id)).collect();
        let pools: Vec<_> = pools.iter().filter(|one| one.loadbalancers.contains(&balancer.id)).collect();
        // Octavia may forget to say that a listener is done with: it reads the status that a request is about to change, and takes
        // it for the right one. It goes by the load balancer's.
        let states = listeners.iter().map(|one| &one.provisioning_status);
        let mut states = states.chain(pools.iter().map(|one| &one.provisioning_status));
        ensure!(!states.any(|status| *status == Status::Error), "{name} is partly in ERROR");
        let fronts = fronts_of(stage, &listeners, &pools).await.with_context(|| name.clone())?;
        all.insert(name.clone(), fronts);
    }
    Ok(all)
}

async fn fronts_of(stage: &Stage, listeners: &[&Listener], pools: &[&Pool]) -> Result<Fronts> {
    let used: BTreeSet<_> = listeners.iter().filter_map(|one| one.default_pool_id.as_ref()).collect();
    let exist: BTreeSet<_> = pools.iter().map(|one| &one.id).collect();
    same("pools", &exist, &used)?;
    ensure!(used.len() == listeners.len(), "{} pools, {} listeners", used.len(), listeners.len());
    let mut fronts = Fronts::new();
    for listener in listeners {
        let pool = listener.default_pool_id.as_ref().context("a listener has no pool")?;
        let front = format!("{}:{}", listener.protocol, listener.protocol_port);
        ensure!(fronts.insert(front.clone(), members(stage, pool).await?).is_none(), "two listen at {front}");
    }
    Ok(fronts)
}

async fn members(stage: &Stage, pool: &PoolId) -> Result<BTreeSet<SocketAddr>> {
    let members = stage.octavia.members(pool).await?;
    let sockets: BTreeSet<_> =
        members.iter().map(|one| SocketAddr::new(one.address, one.protocol_port)).collect();
    ensure!(sockets.len() == members.len(), "{} members at {sockets:?}", members.len());
    Ok(sockets)
}
