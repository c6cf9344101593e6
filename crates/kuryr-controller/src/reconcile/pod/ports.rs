//! What is done to a pod's port in Neutron.

use super::super::error::Error;
use super::super::{Outcome, translate};
use crate::context::Context;
use crate::policies;
use crate::pools;
use crate::relist;
use kuryr_api::{PortId, SecurityGroupId};
use kuryr_core::network::Naming;
use kuryr_core::pod::PortRequest;
use kuryr_k8s::Key;
use kuryr_openstack::neutron::{PortFilter, PortUpdate};
use kuryr_openstack::{Effect, Kind};
use std::collections::BTreeSet;
use std::time::Duration;

/// An address leaves its address groups in a tenth of a second; a Neutron that does not answer is waited for by the queue.
const RELEASED_WITHIN: Duration = Duration::from_secs(10);

/// Gets a port for a pod: one that is ready, or a new one. One that is ready on a trunk is there already.
pub(super) async fn obtain_port(
    context: &Context,
    key: &Key,
    request: &PortRequest,
) -> Result<Outcome, Error> {
    let Some(pools) = &context.pools else { return create_port(context, key, request).await };
    if let Some(port) = pools::take(context, key, request) {
        tracing::info!(pod = %key, %port, "took a port that was ready");
        rename(context, &port, request).await;
        return Ok(Outcome::Visible);
    }
    let made = create_port(context, key, request).await;
    match &made {
        Ok(_) => pools.note_served(),
        Err(Error::CreatePort(error)) => pools.note_need(context, error.kind()),
        Err(_) => {}
    }
    made
}

/// Where ports carry names (`port_debug`), one that was ready gets its pod's, as the Python Kuryr does it. That is for people: a pod
/// starts without it.
async fn rename(context: &Context, id: &PortId, request: &PortRequest) {
    let Some(name) = &request.name else { return };
    let update = PortUpdate {
        name: Some(name.clone()),
        device_id: request.host.is_some().then(|| request.pod_uid.clone()),
        ..PortUpdate::default()
    };
    match context.neutron.update_port(id, &update).await {
        Ok(port) => context.ports.insert(translate::port(&port, &context.own_tag)),
        Err(error) => {
            tracing::warn!(port = %id, error = error.chain(), "failed to name a port after its pod");
        }
    }
}

async fn create_port(context: &Context, key: &Key, request: &PortRequest) -> Result<Outcome, Error> {
    match context.bulk.create(translate::new_port(request)).await {
        Ok(port) => {
            let addresses: Vec<_> = port.fixed_ips.iter().map(|ip| ip.ip_address.to_string()).collect();
            tracing::info!(pod = %key, port = %port.id, addresses = addresses.join(","), "made a port");
            context.ports.insert_made_for(key, translate::port(&port, &context.own_tag));
            Ok(Outcome::Visible)
        }
        Err(error) => {
            context.capacity.note_failure(error.kind(), context.ports.len());
            if error.effect() == Effect::Unknown {
                find_made(context, key, request).await?;
            }
            Err(Error::CreatePort(error))
        }
    }
}

/// The request may have taken effect though its answer was lost: a port of that pod is found before another is made.
async fn find_made(context: &Context, key: &Key, request: &PortRequest) -> Result<(), Error> {
    let of_pod = Some(vec![request.pod_uid.clone()]);
    let (device_ids, descriptions) = if request.host.is_some() { (of_pod, None) } else { (None, of_pod) };
    let tags = vec![context.own_tag.clone()];
    let filter = PortFilter { device_ids, descriptions, tags, ..PortFilter::default() };
    for port in context.neutron.ports(&filter).await.map_err(Error::LookUp)? {
        tracing::info!(pod = %key, port = %port.id, "found the port of a request whose answer was lost");
        context.ports.insert_made_for(key, translate::port(&port, &context.own_tag));
    }
    Ok(())
}

/// Lets a port carry these groups, and no others.
pub(super) async fn secure(
    context: &Context,
    key: &Key,
    id: &PortId,
    groups: BTreeSet<SecurityGroupId>,
) -> Result<Outcome, Error> {
    let names: Vec<_> = groups.iter().map(ToString::to_string).collect();
    let update = PortUpdate { security_groups: Some(groups.into_iter().collect()), ..PortUpdate::default() };
    let changed = context.neutron.update_port(id, &update).await;
    let port = match changed {
        Ok(port) => port,
        Err(error) if error.kind() == Kind::NotFound => {
            relist::look_up(context, vec![id.clone()]).await.map_err(Error::LookUp)?;
            if let Some(policies) = &context.policies {
                policies::verify(context, policies).await.map_err(Error::Secure)?;
            }
            return Err(Error::Secure(error));
        }
        Err(error) => return Err(Error::Secure(error)),
    };
    tracing::info!(pod = %key, port = %id, groups = names.join(","), "changed the port's security groups");
    context.ports.insert(translate::port(&port, &context.own_tag));
    if let Some(policies) = &context.policies {
        policies.port_changed();
    }
    Ok(Outcome::Visible)
}

/// An address that leaves its pod has to leave the address groups first: its next owner would be taken for the pod.
async fn release_addresses(context: &Context, key: &Key, id: &PortId) -> Result<(), Error> {
    let (Some(policies), Some(port)) = (&context.policies, context.ports.get(id)) else { return Ok(()) };
    policies.condemn(context, key, id);
    let addresses: Vec<_> = port.addresses.iter().map(|(_, address)| *address).collect();
    let gone = async {
        loop {
            let released = policies.released();
            if !policies.hold(&addresses) {
                return;
            }
            released.await;
        }
    };
    tokio::time::timeout(RELEASED_WITHIN, gone).await.map_err(|_| Error::AddressHeld)
}

/// Deletes a port, after its addresses have left the address groups.
pub(super) async fn delete_port(context: &Context, key: &Key, id: &PortId) -> Result<Outcome, Error> {
    release_addresses(context, key, id).await?;
    relist::delete(context, id).await.map_err(Error::DeletePort)?;
    let port = context.ports.get(id);
    context.ports.remove(id);
    if let Some(policies) = &context.policies {
        policies.buried(id);
    }
    if let (Some(pools), Some(port)) = (&context.pools, port) {
        pools.let_go(&port.host, id);
    }
    tracing::info!(pod = %key, port = %id, "deleted a port");
    Ok(Outcome::Visible)
}

/// Gives a port back to its pool, as it was made and after its addresses have left the address groups.
pub(super) async fn return_port(context: &Context, key: &Key, id: &PortId) -> Result<Outcome, Error> {
    release_addresses(context, key, id).await?;
    let (Some(port), Some(network)) = (context.ports.get(id), context.network()) else {
        return Ok(Outcome::Same);
    };
    let (groups, is_named) = (pools::security_groups(&network), network.naming == Naming::Pod);
    let update = PortUpdate {
        name: is_named.then(String::new),
        device_id: context.ports.warm_device(id).filter(|_| is_named && context.trunks.place(id).is_none()),
        security_groups: (port.security_groups != groups).then(|| groups.into_iter().collect()),
        ..PortUpdate::default()
    };
    if update != PortUpdate::default() {
        let port = context.neutron.update_port(id, &update).await.map_err(Error::Secure)?;
        context.ports.insert(translate::port(&port, &context.own_tag));
    }
    context.ports.unclaim(id);
    if let Some(policies) = &context.policies {
        policies.buried(id);
    }
    if let Some(pools) = &context.pools {
        pools.let_go(&port.host, id);
    }
    tracing::info!(pod = %key, port = %id, "gave a port back to its pool");
    Ok(Outcome::Visible)
}

/// Puts this cluster's tag on a port that the Python Kuryr made. One on a trunk does not say whose it is: it does then.
pub(super) async fn tag_port(context: &Context, key: &Key, id: &PortId) -> Result<Outcome, Error> {
    let mut port = context.neutron.port(id).await.map_err(Error::TagPort)?;
    let tags: Vec<String> = port.tags.iter().cloned().chain([context.own_tag.clone()]).collect();
    let owner = context.caches.records.get(key).map(|record| record.pod_uid.to_string());
    let says_nothing = port.device_id.is_empty() && port.description.is_empty();
    if let Some(description) = owner.filter(|_| says_nothing) {
        let update = PortUpdate { description: Some(description), ..PortUpdate::default() };
        port = context.neutron.update_port(id, &update).await.map_err(Error::TagPort)?;
    }
    context.neutron.set_port_tags(id, &tags).await.map_err(Error::TagPort)?;
    tracing::info!(pod = %key, port = %id, "adopted a port");
    let tagged = kuryr_openstack::neutron::Port { tags, ..port };
    context.ports.insert(translate::port(&tagged, &context.own_tag));
    Ok(Outcome::Visible)
}
