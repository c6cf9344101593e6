//! The address outside of a Service of type LoadBalancer: a floating IP that leads to its load balancer.
//!
//! ```text
//!   asked for by the user, and there ── Lead ──┐
//!   not there ─────────────────────── Make ────┼──► it leads to the load balancer's port ──► SetIngress
//!   not wanted any more: ours ── Delete (or Leave, if it is to be kept);  a user's ── Detach
//! ```

use super::provider::Provider;
use super::told;
use super::want::{Wanted, is_exposed};
use super::{
    Action, Address, AddressCall, AddressOwnership, Balancer, Exposure, External, NewAddress, Observed,
    Service,
};
use kuryr_api::PortId;
use std::net::IpAddr;

/// What a Service should have outside.
enum Outside<'a> {
    /// An address that leads to this port.
    Floating { port: &'a PortId, external: External },
    /// Its address there is the load balancer's own.
    Internal(IpAddr),
    /// Nothing.
    Nothing,
}

/// The Service has load balancers, and Octavia is done with them.
pub(super) fn keep(seen: &Observed<'_>, service: &Service, wanted: &[Wanted], actions: &mut Vec<Action>) {
    let balancer = wanted.iter().find(|want| want.balancer.vip.is_ipv4()).and_then(|want| made(seen, want));
    let outside = wanted_outside(seen, service, balancer, actions);
    let ingress = match &outside {
        Outside::Nothing => Vec::new(),
        Outside::Internal(vip) => vec![*vip],
        Outside::Floating { port, external } => lead(seen, service, port, external, actions),
    };
    if !matches!(outside, Outside::Floating { .. }) {
        give_back(seen, service, actions);
    }
    // Another one's load balancer has another one's address.
    let is_others = service.exposure == Exposure::LoadBalancer && !is_exposed(seen.site, service);
    if !is_others && service.ingress != ingress {
        actions.push(Action::SetIngress(ingress));
    }
}

/// The Service is to have no load balancer.
pub(super) fn release(seen: &Observed<'_>, actions: &mut Vec<Action>) {
    let nobody = Service::default();
    give_back(seen, seen.service.unwrap_or(&nobody), actions);
}

/// The floating IP that leads to a load balancer now.
pub(super) fn current<'a>(seen: &'a Observed<'_>, balancer: &Balancer) -> Option<&'a Address> {
    seen.addresses.iter().find(|one| one.port.is_some() && one.port == balancer.port)
}

fn made<'a>(seen: &'a Observed<'_>, want: &Wanted) -> Option<&'a Balancer> {
    seen.balancers.iter().find(|one| one.vip == want.balancer.vip).map(AsRef::as_ref)
}

fn wanted_outside<'a>(
    seen: &Observed<'_>,
    service: &Service,
    balancer: Option<&'a Balancer>,
    actions: &mut Vec<Action>,
) -> Outside<'a> {
    let Some(balancer) = balancer.filter(|_| is_exposed(seen.site, service)) else {
        return Outside::Nothing;
    };
    if service.wishes.internal {
        return Outside::Internal(balancer.vip);
    }
    // An address that everybody could use would be worse than none.
    if !service.source_ranges.is_empty() && !Provider::named(&balancer.provider).has_source_ranges() {
        return Outside::Nothing;
    }
    let network = service.wishes.network.clone().map(|network| External { network, subnet: None });
    let Some(mut external) = network.or_else(|| seen.site.external.clone()) else {
        actions.push(Action::Tell(told::no_external()));
        return Outside::Nothing;
    };
    external.subnet = service.wishes.subnet.clone().or(external.subnet);
    match &balancer.port {
        Some(port) => Outside::Floating { port, external },
        None => Outside::Nothing,
    }
}

/// Sees to it that an address leads to `port`. Returns where the Service is reached then.
fn lead(
    seen: &Observed<'_>,
    service: &Service,
    port: &PortId,
    external: &External,
    actions: &mut Vec<Action>,
) -> Vec<IpAddr> {
    let leads = |one: &&Address| one.port.as_ref() == Some(port);
    let fits = |one: &&Address| service.wanted_address.is_none_or(|wanted| wanted == one.ip);
    if let Some(right) = seen.addresses.iter().find(|one| leads(one) && fits(one)) {
        give_back_others(seen, service, right, actions);
        return vec![right.ip];
    }
    // A port has one floating IP of a network: the wrong one goes first, and the next look takes the right one.
    if seen.addresses.iter().any(|one| leads(&one)) {
        give_back(seen, service, actions);
        return service.ingress.clone();
    }
    let is_ours = |one: &&Address| one.ownership == AddressOwnership::Ours;
    let candidate =
        seen.addresses.iter().filter(fits).find(|one| service.wanted_address.is_some() || is_ours(one));
    match candidate {
        Some(free) if free.port.is_none() => {
            actions.push(Action::Address(AddressCall::Lead(free.id.clone(), port.clone())));
        }
        Some(used) => actions.push(Action::Tell(told::in_use(used))),
        None => actions.push(Action::Address(AddressCall::Make(NewAddress {
            external: external.clone(),
            wanted: service.wanted_address,
            port: port.clone(),
            project: seen.site.project.clone(),
            tags: seen.site.tags.clone(),
        }))),
    }
    service.ingress.clone()
}

/// Addresses that were ours for this Service, or lead to its load balancers.
fn give_back(seen: &Observed<'_>, service: &Service, actions: &mut Vec<Action>) {
    let all = seen.addresses.iter();
    actions.extend(all.filter_map(|one| farewell(seen, service, one)).map(Action::Address));
}

fn give_back_others(seen: &Observed<'_>, service: &Service, kept: &Address, actions: &mut Vec<Action>) {
    let others = seen.addresses.iter().filter(|one| one.id != kept.id);
    actions.extend(others.filter_map(|one| farewell(seen, service, one)).map(Action::Address));
}

fn farewell(seen: &Observed<'_>, service: &Service, address: &Address) -> Option<AddressCall> {
    let leads_here = seen.balancers.iter().any(|one| one.port.is_some() && one.port == address.port);
    match address.ownership {
        AddressOwnership::Ours if service.wishes.keep_address => Some(AddressCall::Leave(address.id.clone())),
        AddressOwnership::Ours => Some(AddressCall::Delete(address.id.clone())),
        AddressOwnership::Others => leads_here.then(|| AddressCall::Detach(address.id.clone())),
    }
}
