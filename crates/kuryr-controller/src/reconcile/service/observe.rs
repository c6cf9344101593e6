//! What Kubernetes, our record, Octavia and Neutron say of a Service; and whose what is there is.

use super::{Said, Seen};
use crate::context::Context;
use crate::reconcile::error::Error;
use crate::services::{Services, addresses, read_doubted};
use crate::settings::Projects;
use kuryr_api::{LoadBalancerId, PortId};
use kuryr_core::service::{Address, AddressOwnership, Balancer, Ownership, Site, State};
use kuryr_k8s::Key;
use kuryr_k8s::slim::BalancerRecord;
use kuryr_openstack::neutron::FloatingIp;
use std::net::IpAddr;
use std::sync::Arc;

/// The API server's own Service, whose load balancer an installer may have made before there was a cluster.
const API_SERVER: (&str, &str) = ("default", "kubernetes");

pub(super) async fn observe(context: &Context, services: &Services, key: &Key) -> Result<Seen, Error> {
    let caches = &context.caches;
    let namespace = caches.namespaces.get(&Key::new("", key.namespace()));
    let said = Said {
        service: caches.services.get(key),
        slices: caches.slices_of(key),
        record: caches.balancers.get(key),
        project: namespace.and_then(|namespace| namespace.project.clone()),
    };
    let mut seen = look(services, &context.own_tag, key, said).await?;
    if let (None, Some(policies)) = (&seen.guards, &context.policies) {
        policies.let_in(seen.site.service_subnets.iter().map(|(_, range)| *range).collect());
        seen.guards = Some(policies.guards(&seen.slices).ok_or(Error::PoliciesUnknown)?);
    }
    Ok(seen)
}

/// Whether policies are to be enforced at a load balancer, since the pods behind it don't see who connects.
fn hides_clients(services: &Services, seen: &Seen) -> bool {
    let hides = |one: &Arc<Balancer>| one.ownership != Ownership::Foreign && !one.is_ovns();
    services.defaults.guards && seen.balancers.iter().any(hides)
}

/// What OpenStack has of what Kubernetes says.
pub async fn look(services: &Services, own_tag: &str, key: &Key, said: Said) -> Result<Seen, Error> {
    let site = site_of(services, said.project.as_deref())?;
    let recorded = said.record.as_deref().and_then(recorded);
    let vips = said.service.as_ref().map(|service| &*service.cluster_ips).unwrap_or_default();
    let claim = |balancer| claim(services, key, vips, recorded.as_ref(), balancer);
    let named = || services.balancers.of(&key.to_string(), vips, recorded.as_ref());
    let candidates = || named().into_iter().map(claim).collect::<Vec<_>>();
    let doubted = services.balancers.doubted(&candidates());
    read_doubted(services, doubted, own_tag).await.map_err(Error::LookAtBalancer)?;
    let balancers = candidates();
    let mut seen = Seen::new(said, balancers, Vec::new(), site);
    let whose = Whose { name: &key.to_string(), own_tag, record: seen.record.as_deref() };
    let wanted = seen.service.as_ref().and_then(|(_, service)| service.wanted_address);
    if hides_clients(services, &seen) {
        seen.guards = None;
    }
    seen.addresses = observe_addresses(services, &seen.site, &whose, &seen.balancers, wanted).await?;
    Ok(seen)
}

/// Whose addresses are looked for.
struct Whose<'a> {
    name: &'a str,
    own_tag: &'a str,
    record: Option<&'a BalancerRecord>,
}

async fn observe_addresses(
    services: &Services,
    site: &Site,
    whose: &Whose<'_>,
    balancers: &[Arc<Balancer>],
    wanted: Option<IpAddr>,
) -> Result<Vec<Address>, Error> {
    let purpose = addresses::purpose(whose.name, whose.own_tag);
    let is_mine = |one: &&Arc<Balancer>| one.ownership != Ownership::Foreign && one.name == whose.name;
    let ports: Vec<_> = balancers.iter().filter(is_mine).filter_map(|one| one.port.as_ref()).collect();
    let mut found = services.addresses.of(&purpose, &ports, wanted);
    if let Some(wanted) = wanted
        && found.iter().all(|one| one.floating_ip_address != wanted)
    {
        addresses::look_for(services, site, wanted).await.map_err(Error::LookUpAddress)?;
        found = services.addresses.of(&purpose, &ports, Some(wanted));
    }
    Ok(found.into_iter().map(|one| address(whose, &purpose, &ports, one)).collect())
}

/// A floating IP as planners see it. One that says it is for this Service is ours if it has our tag, or leads to it: then its
/// maker died before it could tag it. The Python Kuryr's records say which of them it made.
fn address(whose: &Whose<'_>, purpose: &str, ports: &[&PortId], one: FloatingIp) -> Address {
    let leads_here = one.port_id.as_ref().is_some_and(|port| ports.contains(&port));
    let is_tagged = one.tags.iter().any(|tag| tag == whose.own_tag);
    let info = whose.record.and_then(|record| record.status.service_pub_ip_info.as_ref());
    let recorded = info.is_some_and(|info| info.ip_id == one.id.as_str() && info.alloc_method == "pool");
    let is_ours = recorded || (one.description == purpose && (is_tagged || leads_here));
    Address {
        id: one.id,
        ip: one.floating_ip_address,
        port: one.port_id,
        ownership: if is_ours { AddressOwnership::Ours } else { AddressOwnership::Others },
    }
}

/// How load balancers are made for a namespace.
fn site_of(services: &Services, project: Option<&str>) -> Result<Arc<Site>, Error> {
    let mut site = services.site().ok_or(Error::SiteUnknown)?;
    if let (Projects::ByNamespace, Some(project)) = (services.defaults.projects, project) {
        Arc::make_mut(&mut site).project = project.into();
    }
    Ok(site)
}

/// The load balancer that a record names.
pub fn recorded(record: &BalancerRecord) -> Option<LoadBalancerId> {
    record.status.loadbalancer.as_ref().map(|one| one.id.as_str().into())
}

/// Whose a load balancer is, seen from this Service, and whether Octavia takes too long with it.
///
/// One without any cluster's tag is the Python Kuryr's if a record says so, or if it is called and placed as the Python Kuryr
/// would have; the API server's own has that name and place from its installer as well.
fn claim(
    services: &Services,
    key: &Key,
    vips: &[IpAddr],
    recorded: Option<&LoadBalancerId>,
    mut balancer: Arc<Balancer>,
) -> Arc<Balancer> {
    let is_api_servers = (key.namespace(), key.name()) == API_SERVER;
    let as_made = !is_api_servers && balancer.name == key.to_string() && vips.contains(&balancer.vip);
    if balancer.ownership == Ownership::Kuryr && recorded != Some(&balancer.id) && !as_made {
        Arc::make_mut(&mut balancer).ownership = Ownership::Foreign;
    }
    let busy = services.balancers.busy_for(&balancer.id);
    if balancer.state == State::Pending && busy.is_some_and(|busy| busy > services.defaults.patience) {
        Arc::make_mut(&mut balancer).state = State::Overdue;
    }
    balancer
}
