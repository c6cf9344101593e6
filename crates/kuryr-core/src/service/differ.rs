//! What has to change at the load balancers that are there. One call for each of them at a time: the most urgent.

use super::outside;
use super::provider::{self, Provider};
use super::told;
use super::want::{Wanted, WantedListener};
use super::{
    Action, Balancer, Call, Listener, Member, NewListener, NewPool, Observed, Ownership, Pool, Socket, State,
    record,
};
use ipnet::IpNet;
use kuryr_api::{ListenerId, LoadBalancerId, PoolId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The Service has load balancers.
pub(super) fn keep(seen: &Observed<'_>, wanted: &[Wanted], actions: &mut Vec<Action>) {
    if seen.record.as_ref().is_some_and(|record| record.deleting) {
        // Whoever deleted it meant no harm to a Service that lives: it is written anew.
        return actions.push(Action::ReleaseRecord);
    }
    if seen.service.is_some_and(|service| !service.is_held) {
        actions.push(Action::HoldService);
    }
    let content = record::content(seen, wanted);
    if seen.record.is_none() {
        actions.push(Action::CreateRecord(content.clone()));
    }
    let before = actions.len();
    let mut waiting = Vec::new();
    for want in wanted {
        match state_of(seen, want) {
            Found::None => actions.push(Action::Call(Call::CreateBalancer(want.balancer.clone()))),
            Found::Foreign(balancer) => actions.push(Action::Tell(told::taken(balancer))),
            Found::Busy(balancer) => waiting.push(balancer.id.clone()),
            Found::Overdue(balancer) => {
                actions.push(Action::Tell(told::stuck(balancer)));
                waiting.push(balancer.id.clone());
            }
            Found::Broken(balancer) => actions.push(repair(balancer, want)),
            Found::Usable(balancer) if is_of_another_provider(balancer, want) => {
                actions
                    .push(Action::Tell(told::provider_changed(balancer, want.balancer.provider.as_deref())));
                actions.push(Action::Call(Call::DeleteBalancer(balancer.id.clone())));
            }
            Found::Usable(balancer) => actions.extend(next_call(balancer, want).map(Action::Call)),
        }
    }
    remove(surplus(seen, wanted), actions, &mut waiting);
    if !waiting.is_empty() {
        actions.push(Action::Await(waiting));
    }
    if actions[before..].iter().all(|action| matches!(action, Action::Tell(_)))
        && let Some(service) = seen.service
    {
        outside::keep(seen, service, wanted, actions);
    }
    // It is written twice in a Service's life, and not after each call.
    let is_settled = actions[before..].iter().all(|action| matches!(action, Action::Tell(_)));
    if is_settled && seen.record.as_ref().is_some_and(|record| !record::says(record, &content)) {
        actions.push(Action::UpdateRecord(content));
    }
}

/// Kuryr serves no Service of that name.
pub(super) fn release(seen: &Observed<'_>, actions: &mut Vec<Action>) {
    let ours: Vec<_> = seen.balancers.iter().map(Arc::as_ref).filter(|one| is_for(seen, one)).collect();
    let mut going = Vec::new();
    let before = actions.len();
    outside::release(seen, actions);
    let is_alone = actions.len() == before;
    remove(ours.iter().copied(), actions, &mut going);
    if !going.is_empty() {
        actions.push(Action::Await(going));
    }
    match &seen.record {
        Some(record) if !record.deleting => actions.push(Action::DeleteRecord),
        Some(_) if ours.is_empty() && is_alone => actions.push(Action::ReleaseRecord),
        None if ours.is_empty() && is_alone && seen.service.is_some_and(|service| service.is_held) => {
            actions.push(Action::ReleaseService);
        }
        _ => {}
    }
}

/// What there is of a load balancer that should be.
enum Found<'a> {
    None,
    Foreign(&'a Balancer),
    Busy(&'a Balancer),
    Overdue(&'a Balancer),
    Broken(&'a Balancer),
    Usable(&'a Balancer),
}

fn state_of<'a>(seen: &Observed<'a>, want: &Wanted) -> Found<'a> {
    let same_address =
        |one: &&Balancer| one.vip == want.balancer.vip && one.subnet.as_ref() == Some(&want.balancer.subnet);
    let Some(balancer) = seen.balancers.iter().map(Arc::as_ref).find(same_address) else {
        return Found::None;
    };
    match balancer.state {
        _ if !is_for(seen, balancer) => Found::Foreign(balancer),
        State::Pending | State::Deleting => Found::Busy(balancer),
        State::Overdue => Found::Overdue(balancer),
        State::Error => Found::Broken(balancer),
        State::Active => Found::Usable(balancer),
    }
}

/// Two providers can't have one address, so that the new one's load balancer can only follow the old one's.
fn is_of_another_provider(balancer: &Balancer, want: &Wanted) -> bool {
    let wanted = want.balancer.provider.as_deref().map(provider::one_name);
    wanted.is_some_and(|wanted| wanted != provider::one_name(&balancer.provider))
}

/// Of this Service, and ours to change.
fn is_for(seen: &Observed<'_>, balancer: &Balancer) -> bool {
    match balancer.ownership {
        Ownership::Foreign => false,
        Ownership::Ours => balancer.name == seen.name,
        Ownership::Kuryr => true,
    }
}

/// Deletes load balancers. Those that Octavia is at work for are waited for.
fn remove<'a>(
    balancers: impl Iterator<Item = &'a Balancer>,
    actions: &mut Vec<Action>,
    waiting: &mut Vec<LoadBalancerId>,
) {
    for balancer in balancers {
        match balancer.state {
            State::Pending | State::Overdue | State::Deleting => waiting.push(balancer.id.clone()),
            State::Active | State::Error => {
                actions.push(Action::Call(Call::DeleteBalancer(balancer.id.clone())));
            }
        }
    }
}

/// Load balancers of this Service at addresses that it has no more.
fn surplus<'a>(seen: &'a Observed<'_>, wanted: &'a [Wanted]) -> impl Iterator<Item = &'a Balancer> {
    let is_surplus =
        |one: &&Balancer| is_for(seen, one) && wanted.iter().all(|want| want.balancer.vip != one.vip);
    seen.balancers.iter().map(Arc::as_ref).filter(is_surplus)
}

/// A load balancer in ERROR is deleted only where nothing that it forwards is right: OVN's goes on forwarding.
fn repair(balancer: &Balancer, want: &Wanted) -> Action {
    if !forwards(balancer, want) {
        return Action::Call(Call::DeleteBalancer(balancer.id.clone()));
    }
    if Provider::named(&balancer.provider).can_fail_over() {
        return Action::Call(Call::FailOver(balancer.id.clone()));
    }
    Action::Tell(told::broken(balancer))
}

fn forwards(balancer: &Balancer, want: &Wanted) -> bool {
    want.listeners.values().any(|want| {
        let pool = listener_of(balancer, want).and_then(|(_, listener)| pool_of(balancer, listener));
        pool.is_some_and(|(_, pool)| pool.members.keys().any(|socket| want.members.contains_key(socket)))
    })
}

/// The most urgent call: where connections go wrong now comes before what is missing, and that before what is too much.
fn next_call(balancer: &Balancer, want: &Wanted) -> Option<Call> {
    if balancer.ownership == Ownership::Kuryr {
        return Some(Call::TagBalancer(balancer.id.clone()));
    }
    too_open(balancer, want)
        .or_else(|| wrong_members(balancer, want))
        .or_else(|| in_the_way(balancer, want))
        .or_else(|| wrong_settings(balancer, want))
        .or_else(|| missing(balancer, want))
        .or_else(|| wrong_monitor(balancer, want))
        .or_else(|| outlived(balancer, want))
        .or_else(|| needless(balancer, want))
}

/// A listener lets in who may not: that ends before any member takes connections which it did not take before.
fn too_open(balancer: &Balancer, want: &Wanted) -> Option<Call> {
    want.listeners.values().find_map(|want| {
        let (id, listener) = listener_of(balancer, want)?;
        let allowed = want.listener.allowed.as_ref()?;
        (!covers(allowed, &listener.allowed))
            .then(|| Call::UpdateListener(balancer.id.clone(), id.clone(), want.listener.clone()))
    })
}

/// Whether all of `is` may connect; none named: all may.
fn covers(allowed: &[IpNet], is: &[IpNet]) -> bool {
    let covered = |one: &IpNet| allowed.iter().any(|range| range.contains(one));
    allowed.is_empty() || (!is.is_empty() && is.iter().all(covered))
}

fn wrong_members(balancer: &Balancer, want: &Wanted) -> Option<Call> {
    want.listeners.values().find_map(|want| {
        let (_, listener) = listener_of(balancer, want)?;
        let (id, pool) = pool_of(balancer, listener)?;
        (pool.state == State::Active && differ(&pool.members, &want.members)).then(|| {
            let members = next_members(balancer, &pool.members, &want.members);
            Call::SetMembers(balancer.id.clone(), id.clone(), members)
        })
    })
}

/// OVN's provider does what is new before what goes, one member after the other: connections would go on being lost to those that
/// end. They are taken off first, by themselves, as long as enough others stay.
fn next_members(
    balancer: &Balancer,
    are: &BTreeMap<Socket, Member>,
    should: &BTreeMap<Socket, Member>,
) -> BTreeMap<Socket, Member> {
    let stays = |socket: &Socket| {
        are.get(socket).map(|member| &member.subnet) == should.get(socket).map(|member| &member.subnet)
    };
    let staying: BTreeMap<_, _> = should
        .iter()
        .filter(|(socket, _)| stays(socket))
        .map(|(socket, member)| (*socket, member.clone()))
        .collect();
    let going = are.len() - staying.len();
    let is_mixed = going > 0 && staying.len() < should.len();
    if is_mixed && staying.len() >= going && Provider::named(&balancer.provider).takes_changes_apart() {
        staying
    } else {
        should.clone()
    }
}

/// A member's name is told to nobody: it alone is no reason for a call.
fn differ(are: &BTreeMap<Socket, Member>, should: &BTreeMap<Socket, Member>) -> bool {
    let reached = |(socket, member): (&Socket, &Member)| (*socket, member.subnet.clone());
    !are.iter().map(reached).eq(should.iter().map(reached))
}

/// A listener or pool in ERROR is made anew, and a pool that speaks otherwise to its members, which can't be changed.
fn in_the_way(balancer: &Balancer, want: &Wanted) -> Option<Call> {
    want.listeners.values().find_map(|want| {
        let (id, listener) = listener_of(balancer, want)?;
        let is_wrong = |pool: &Pool| pool.state == State::Error || pool.protocol != Some(want.pool.protocol);
        if let Some((pool, _)) = pool_of(balancer, listener).filter(|(_, pool)| is_wrong(pool)) {
            return Some(Call::DeletePool(balancer.id.clone(), pool.clone()));
        }
        (listener.state == State::Error).then(|| Call::DeleteListener(balancer.id.clone(), id.clone()))
    })
}

fn wrong_settings(balancer: &Balancer, want: &Wanted) -> Option<Call> {
    let can_change_pools = Provider::named(&balancer.provider).can_change_pools();
    want.listeners.values().find_map(|want| {
        let (id, listener) = listener_of(balancer, want)?;
        if !listens_right(listener, &want.listener) {
            return Some(Call::UpdateListener(balancer.id.clone(), id.clone(), want.listener.clone()));
        }
        let (id, pool) = pool_of(balancer, listener).filter(|_| can_change_pools)?;
        (!spreads_right(pool, &want.pool))
            .then(|| Call::UpdatePool(balancer.id.clone(), id.clone(), want.pool.clone()))
    })
}

/// A pool that can't be changed is made anew, when nothing else is missing: its port has no members meanwhile.
fn outlived(balancer: &Balancer, want: &Wanted) -> Option<Call> {
    want.listeners.values().find_map(|want| {
        let (_, listener) = listener_of(balancer, want)?;
        let (id, pool) = pool_of(balancer, listener)?;
        (!spreads_right(pool, &want.pool)).then(|| Call::DeletePool(balancer.id.clone(), id.clone()))
    })
}

fn listens_right(is: &Listener, should: &NewListener) -> bool {
    let kept = |is: Option<u32>, should: Option<u32>| should.is_none() || is == should;
    should.allowed.as_ref().is_none_or(|allowed| is.allowed == *allowed)
        && kept(is.timeouts.client, should.timeouts.client)
        && kept(is.timeouts.member, should.timeouts.member)
}

fn spreads_right(is: &Pool, should: &NewPool) -> bool {
    is.algorithm == should.algorithm && is.affinity == should.affinity
}

fn missing(balancer: &Balancer, want: &Wanted) -> Option<Call> {
    want.listeners.values().find_map(|want| match listener_of(balancer, want) {
        None => Some(Call::CreateListener(balancer.id.clone(), want.listener.clone())),
        Some((id, listener)) if pool_of(balancer, listener).is_none() => {
            Some(Call::CreatePool(balancer.id.clone(), id.clone(), want.pool.clone()))
        }
        Some(_) => None,
    })
}

fn wrong_monitor(balancer: &Balancer, want: &Wanted) -> Option<Call> {
    want.listeners.values().find_map(|want| {
        let (_, listener) = listener_of(balancer, want)?;
        let (pool_id, pool) = pool_of(balancer, listener)?;
        let (balancer, pool_id) = (balancer.id.clone(), pool_id.clone());
        match (&pool.monitor, &want.monitor) {
            (None, Some(new)) => Some(Call::CreateMonitor(balancer, pool_id, new.clone())),
            (Some((id, _)), None) => Some(Call::DeleteMonitor(balancer, pool_id, id.clone())),
            (Some((id, is)), Some(new)) if *is != new.probing => {
                Some(Call::UpdateMonitor(balancer, pool_id, id.clone(), new.probing))
            }
            _ => None,
        }
    })
}

fn needless(balancer: &Balancer, want: &Wanted) -> Option<Call> {
    let is_wanted =
        |listener: &Listener| listener.front.is_some_and(|front| want.listeners.contains_key(&front));
    let used = |id: &PoolId| {
        balancer.listeners.values().any(|listener| is_wanted(listener) && listener.pool.as_ref() == Some(id))
    };
    let listener = balancer.listeners.iter().find(|(_, listener)| !is_wanted(listener));
    listener.map(|(id, _)| Call::DeleteListener(balancer.id.clone(), id.clone())).or_else(|| {
        let pool = balancer.pools.keys().find(|id| !used(id))?;
        Some(Call::DeletePool(balancer.id.clone(), pool.clone()))
    })
}

fn listener_of<'a>(balancer: &'a Balancer, want: &WantedListener) -> Option<(&'a ListenerId, &'a Listener)> {
    balancer.listeners.iter().find(|(_, listener)| listener.front == Some(want.listener.front))
}

fn pool_of<'a>(balancer: &'a Balancer, listener: &Listener) -> Option<(&'a PoolId, &'a Pool)> {
    balancer.pools.get_key_value(listener.pool.as_ref()?)
}
