//! One call of Octavia, and what is known after it.

use super::balancers::Read;
use super::{Services, inventory, translate};
use kuryr_api::{ListenerId, LoadBalancerId, PoolId};
use kuryr_core::service::{
    Balancer, Call, Listener, NewBalancer, NewListener, NewMonitor, NewPool, Ownership, Pool, Site, State,
};
use kuryr_openstack::octavia::{self, NewHealthMonitor, NewLoadBalancer};
use kuryr_openstack::{Effect, Kind, Result};

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Called {
    /// Octavia is at work with it.
    Taken,
    /// Octavia did not take it now, or what it is about is not as it was: look again.
    Outdated,
}

/// Makes a call. `name` is the Service's.
///
/// # Errors
/// Octavia refuses it, or can't be reached.
pub async fn call(services: &Services, site: &Site, name: &str, call: Call, own_tag: &str) -> Result<Called> {
    let (about, what) = (subject(&call).cloned(), label(&call));
    let turn = services.turns.take().await;
    match make(services, call, own_tag).await {
        Ok(made) => {
            if let Some(id) = made.as_ref().or(about.as_ref()).filter(|id| services.balancers.is_ovns(id)) {
                services.turns.keep(id, turn);
                services.settling.wake();
            }
            tracing::info!(
                service = name,
                load_balancer = about.as_ref().map(LoadBalancerId::as_str),
                what,
                "asked Octavia"
            );
            Ok(Called::Taken)
        }
        Err(error) => outcome(services, site, name, about, own_tag, error).await,
    }
}

/// What a call that failed leaves is read again before the next one is planned.
async fn outcome(
    services: &Services,
    site: &Site,
    name: &str,
    about: Option<LoadBalancerId>,
    own_tag: &str,
    error: kuryr_openstack::Error,
) -> Result<Called> {
    let is_outdated = matches!(error.kind(), Kind::Conflict | Kind::NotFound);
    let Some(id) = about else {
        if is_outdated || error.effect() == Effect::Unknown {
            inventory::read_named(services, site, name, own_tag).await?;
        }
        return Err(error);
    };
    services.balancers.doubt(&id);
    if !is_outdated {
        return Err(error);
    }
    tracing::debug!(service = name, error = error.chain(), "Octavia does not take a call now");
    if error.kind() == Kind::Conflict {
        services.balancers.set_state(&id, State::Pending);
    }
    Ok(Called::Outdated)
}

/// Returns the load balancer that is new.
async fn make(services: &Services, call: Call, own_tag: &str) -> Result<Option<LoadBalancerId>> {
    let (octavia, balancers) = (&services.octavia, &services.balancers);
    match call {
        Call::CreateBalancer(new) => {
            let made = octavia.create_load_balancer(&new_balancer(new)).await?;
            balancers.insert(Read::from(translate::bare(&made, own_tag)));
            return Ok(Some(made.id));
        }
        Call::TagBalancer(id) => tag(services, &id, own_tag).await?,
        Call::DeleteBalancer(id) => {
            octavia.delete_load_balancer(&id).await?;
            balancers.set_state(&id, State::Deleting);
        }
        Call::FailOver(id) => {
            octavia.fail_over(&id).await?;
            balancers.change(&id, |_| {});
        }
        Call::CreateListener(id, new) => create_listener(services, &id, &new).await?,
        Call::UpdateListener(id, listener, new) => {
            let settings = translate::listener_settings(&new, false);
            let updated = octavia.update_listener(&listener, &settings).await?;
            balancers.change(&id, |one| drop(one.listeners.insert(listener, settled(&updated))));
        }
        Call::DeleteListener(id, listener) => {
            octavia.delete_listener(&listener).await?;
            balancers.change(&id, |one| drop(one.listeners.remove(&listener)));
        }
        Call::CreatePool(id, listener, new) => create_pool(services, &id, &listener, &new).await?,
        Call::UpdatePool(id, pool, new) => {
            let updated = octavia.update_pool(&pool, &translate::pool_settings(&new)).await?;
            change_pool(services, &id, &pool, |pool| {
                let (members, monitor) = (std::mem::take(&mut pool.members), pool.monitor.take());
                *pool = Pool { members, monitor, state: State::Active, ..translate::bare_pool(&updated) };
            });
        }
        Call::CreateMonitor(id, pool, new) => {
            let made = octavia.create_health_monitor(&new_monitor(&pool, new)).await?;
            change_pool(services, &id, &pool, |pool| pool.monitor = Some(translate::watched(&made)));
        }
        Call::UpdateMonitor(id, pool, monitor, probing) => {
            octavia.update_health_monitor(&monitor, &translate::probing(probing)).await?;
            change_pool(services, &id, &pool, |pool| pool.monitor = Some((monitor, probing)));
        }
        Call::DeleteMonitor(id, pool, monitor) => {
            octavia.delete_health_monitor(&monitor).await?;
            change_pool(services, &id, &pool, |pool| pool.monitor = None);
        }
        Call::DeletePool(id, pool) => {
            octavia.delete_pool(&pool).await?;
            balancers.change(&id, |one| forget_pool(one, &pool));
        }
        Call::SetMembers(id, pool, members) => {
            let new: Vec<_> = members.iter().map(translate::new_member).collect();
            let old = balancers.sockets(&id, &pool);
            octavia.set_members(&pool, &new).await?;
            if balancers.is_ovns(&id) {
                services.steps.begin(&id, &old, &members);
            }
            balancers.set_members(&id, &pool, members);
        }
    }
    Ok(None)
}

async fn tag(services: &Services, id: &LoadBalancerId, own_tag: &str) -> Result<()> {
    let mut tags = services.octavia.load_balancer(id).await?.tags;
    tags.push(own_tag.to_owned());
    services.octavia.set_load_balancer_tags(id, &tags).await?;
    services.balancers.change(id, |one| one.ownership = Ownership::Ours);
    Ok(())
}

async fn create_listener(services: &Services, id: &LoadBalancerId, new: &NewListener) -> Result<()> {
    let request = octavia::NewListener {
        name: new.name.clone(),
        loadbalancer_id: id.clone(),
        protocol: new.front.protocol.as_str().to_owned(),
        protocol_port: new.front.port,
        settings: translate::listener_settings(new, true),
        tags: new.tags.clone(),
    };
    let made = services.octavia.create_listener(&request).await?;
    services.balancers.change(id, |one| drop(one.listeners.insert(made.id.clone(), settled(&made))));
    Ok(())
}

async fn create_pool(
    services: &Services,
    id: &LoadBalancerId,
    listener: &ListenerId,
    new: &NewPool,
) -> Result<()> {
    let request = octavia::NewPool {
        name: new.name.clone(),
        listener_id: listener.clone(),
        protocol: new.protocol.as_str().to_owned(),
        settings: translate::pool_settings(new),
        tags: new.tags.clone(),
    };
    let made = services.octavia.create_pool(&request).await?;
    services.balancers.change(id, |one| {
        let pool = Pool { state: State::Active, ..translate::bare_pool(&made) };
        one.pools.insert(made.id.clone(), pool);
        if let Some(listener) = one.listeners.get_mut(listener) {
            listener.pool = Some(made.id.clone());
        }
    });
    Ok(())
}

fn change_pool(services: &Services, id: &LoadBalancerId, pool: &PoolId, how: impl FnOnce(&mut Pool)) {
    services.balancers.change(id, |one| {
        if let Some(pool) = one.pools.get_mut(pool) {
            how(pool);
        }
    });
}

fn new_monitor(pool: &PoolId, new: NewMonitor) -> NewHealthMonitor {
    NewHealthMonitor {
        name: new.name,
        pool_id: pool.clone(),
        kind: new.kind.to_owned(),
        probing: translate::probing(new.probing),
        tags: new.tags,
    }
}

/// A listener as it will be when Octavia is done with it.
fn settled(one: &octavia::Listener) -> Listener {
    Listener { state: State::Active, ..translate::listener(one) }
}

fn forget_pool(balancer: &mut Balancer, pool: &PoolId) {
    balancer.pools.remove(pool);
    for listener in balancer.listeners.values_mut() {
        listener.pool.take_if(|its| its == pool);
    }
}

fn new_balancer(new: NewBalancer) -> NewLoadBalancer {
    NewLoadBalancer {
        name: new.name,
        project_id: Some(new.project),
        vip_address: Some(new.vip),
        vip_subnet_id: Some(new.subnet),
        provider: new.provider,
        flavor_id: new.flavor,
        availability_zone: new.availability_zone,
        tags: new.tags,
    }
}

/// The load balancer that a call changes; none where it makes one.
fn subject(call: &Call) -> Option<&LoadBalancerId> {
    match call {
        Call::CreateBalancer(_) => None,
        Call::TagBalancer(id)
        | Call::DeleteBalancer(id)
        | Call::FailOver(id)
        | Call::CreateListener(id, _)
        | Call::UpdateListener(id, ..)
        | Call::DeleteListener(id, _)
        | Call::CreatePool(id, ..)
        | Call::UpdatePool(id, ..)
        | Call::DeletePool(id, _)
        | Call::CreateMonitor(id, ..)
        | Call::UpdateMonitor(id, ..)
        | Call::DeleteMonitor(id, ..)
        | Call::SetMembers(id, ..) => Some(id),
    }
}

/// What a call does, for logs.
fn label(call: &Call) -> &'static str {
    match call {
        Call::CreateBalancer(_) => "make a load balancer",
        Call::TagBalancer(_) => "adopt a load balancer",
        Call::DeleteBalancer(_) => "delete a load balancer",
        Call::FailOver(_) => "fail over",
        Call::CreateListener(..) => "make a listener",
        Call::UpdateListener(..) => "change a listener",
        Call::DeleteListener(..) => "delete a listener",
        Call::CreatePool(..) => "make a pool",
        Call::UpdatePool(..) => "change a pool",
        Call::DeletePool(..) => "delete a pool",
        Call::CreateMonitor(..) => "make a health monitor",
        Call::UpdateMonitor(..) => "change a health monitor",
        Call::DeleteMonitor(..) => "delete a health monitor",
        Call::SetMembers(..) => "set members",
    }
}
