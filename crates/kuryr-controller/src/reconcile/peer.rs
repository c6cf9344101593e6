//! Keeps every address group as the index wants it. Changes that come while one is under way are joined into the next.

use super::Next;
use super::error::Error;
use crate::context::Context;
use crate::policies::Policies;
use ipnet::IpNet;
use kuryr_core::policy::key::PeerKey;
use kuryr_core::policy::plan::{PeerAction, PeerSeen, plan_peer};
use kuryr_openstack::Kind;
use kuryr_openstack::neutron::{AddressGroup, NewAddressGroup};

/// Looks at the address group of `peer` and does what is to be done.
pub async fn reconcile(context: &Context, policies: &Policies, peer: &PeerKey) -> Result<Next, Error> {
    let held = policies.store.held_peers(peer);
    let seen = PeerSeen { wanted: policies.addresses_of(peer), held: &held };
    let mut next = Next::OnChange;
    for action in plan_peer(&seen) {
        match apply(context, policies, peer, action).await {
            Err(Error::DeleteGroup(error)) if error.kind() == Kind::InUse => next = Next::Later,
            Err(error) => {
                // They do without, in the end.
                policies.wake_users(peer);
                return Err(error);
            }
            Ok(()) => {}
        }
    }
    Ok(next)
}

async fn apply(
    context: &Context,
    policies: &Policies,
    peer: &PeerKey,
    action: PeerAction,
) -> Result<(), Error> {
    let neutron = &context.neutron;
    match action {
        PeerAction::Create(addresses) => {
            let new = NewAddressGroup {
                name: peer.name(),
                description: context.own_tag.clone(),
                project_id: policies.project(),
                addresses: addresses.into_iter().collect(),
            };
            let made = neutron.create_address_group(&new).await.map_err(Error::MakeGroup)?;
            tracing::info!(peer = %peer, group = %made.id, addresses = made.addresses.len(), "made an address group");
            noted(policies, peer, made);
            // Rules that wait for it can be made now.
            policies.wake_users(peer);
        }
        PeerAction::Remove(id, addresses) => {
            let left = neutron.remove_addresses(&id, &addresses).await;
            let group = gone_is_news(policies, &id, left)?;
            tracing::info!(peer = %peer, group = %id, addresses = joined(&addresses), "took addresses out");
            noted(policies, peer, group);
            policies.release();
        }
        PeerAction::Add(id, addresses) => {
            let full = neutron.add_addresses(&id, &addresses).await;
            let group = gone_is_news(policies, &id, full)?;
            tracing::info!(peer = %peer, group = %id, addresses = joined(&addresses), "put addresses in");
            noted(policies, peer, group);
        }
        PeerAction::Delete(id) => {
            neutron.delete_address_group(&id).await.map_err(Error::DeleteGroup)?;
            tracing::info!(peer = %peer, group = %id, "deleted an address group");
            policies.store.remove_peer(&id);
            policies.release();
        }
    }
    Ok(())
}

fn noted(policies: &Policies, peer: &PeerKey, group: AddressGroup) {
    policies.store.insert_peer(peer.clone(), group.id, group.addresses);
}

/// One that somebody deleted is made anew by the next look.
fn gone_is_news(
    policies: &Policies,
    id: &kuryr_api::AddressGroupId,
    changed: kuryr_openstack::Result<AddressGroup>,
) -> Result<AddressGroup, Error> {
    changed.map_err(|error| {
        if error.kind() == Kind::NotFound {
            policies.store.remove_peer(id);
        }
        Error::ChangeGroup(error)
    })
}

fn joined(addresses: &[IpNet]) -> String {
    addresses.iter().map(|one| one.addr().to_string()).collect::<Vec<_>>().join(",")
}
