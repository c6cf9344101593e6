//! The floating IPs that exist, as far as they may be Services': listed at start, then known from our own calls.

use super::Services;
use kuryr_api::{FloatingIpId, PortId};
use kuryr_core::service::{AddressCall, NewAddress, Site};
use kuryr_openstack::neutron::{FloatingIp, FloatingIpFilter, NewFloatingIp};
use kuryr_openstack::{Kind, Result};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::net::IpAddr;

/// The floating IPs of the project.
#[derive(Default)]
pub struct Addresses(RwLock<HashMap<FloatingIpId, FloatingIp>>);

/// How the descriptions of our floating IPs begin.
const PURPOSE: &str = "Kuryr: Service ";

/// What a floating IP of a Service says that it is for: nobody else's says so.
pub fn purpose(name: &str, own_tag: &str) -> String {
    format!("{PURPOSE}{name} ({own_tag})")
}

impl Addresses {
    /// Those that were made for `purpose`, lead to one of `ports`, or have the address `wanted`.
    pub fn of(&self, purpose: &str, ports: &[&PortId], wanted: Option<IpAddr>) -> Vec<FloatingIp> {
        let concerns = |one: &&FloatingIp| {
            one.description == purpose
                || one.port_id.as_ref().is_some_and(|port| ports.contains(&port))
                || wanted == Some(one.floating_ip_address)
        };
        let known = self.0.read();
        let mut found: Vec<_> = known.values().filter(concerns).cloned().collect();
        found.sort_by(|one, other| one.id.cmp(&other.id));
        found
    }

    /// Names of the Services that those with our tag were made for.
    pub fn names(&self, own_tag: &str) -> Vec<String> {
        let known = self.0.read();
        let ours = known.values().filter(|one| one.tags.iter().any(|tag| tag == own_tag));
        ours.filter_map(|one| Some(one.description.strip_prefix(PURPOSE)?.split_once(" (")?.0.to_owned()))
            .collect()
    }

    fn replace(&self, all: Vec<FloatingIp>) {
        *self.0.write() = all.into_iter().map(|one| (one.id.clone(), one)).collect();
    }

    fn insert(&self, one: FloatingIp) {
        self.0.write().insert(one.id.clone(), one);
    }

    fn change(&self, id: &FloatingIpId, how: impl FnOnce(&mut FloatingIp)) {
        if let Some(one) = self.0.write().get_mut(id) {
            how(one);
        }
    }

    fn remove(&self, id: &FloatingIpId) {
        self.0.write().remove(id);
    }

    /// Those that led to a port that is gone.
    pub fn forget_port(&self, port: &PortId) {
        for one in self.0.write().values_mut() {
            one.port_id.take_if(|its| its == port);
        }
    }
}

/// Lists all of the project.
pub async fn list(services: &Services, site: &Site) -> Result<()> {
    let filter = FloatingIpFilter { project: services.one_project(site), ..FloatingIpFilter::default() };
    services.addresses.replace(services.neutron.floating_ips(&filter).await?);
    Ok(())
}

/// Looks for an address that a user asks for, and may have made a moment ago.
pub async fn look_for(services: &Services, site: &Site, address: IpAddr) -> Result<()> {
    let filter = FloatingIpFilter {
        address: Some(address),
        project: Some(site.project.clone()),
        ..FloatingIpFilter::default()
    };
    for found in services.neutron.floating_ips(&filter).await? {
        services.addresses.insert(found);
    }
    Ok(())
}

/// Makes a call. `name` is the Service's.
///
/// # Errors
/// Neutron refuses it, or can't be reached. All are listed again then, since nobody knows what became of it.
pub async fn call(
    services: &Services,
    site: &Site,
    name: &str,
    call: AddressCall,
    own_tag: &str,
) -> Result<()> {
    let is_new = matches!(call, AddressCall::Make(_));
    let Err(error) = make(services, name, call, own_tag).await else { return Ok(()) };
    list(services, site).await?;
    // One that a user deleted meanwhile is no failure: the next look goes on without it.
    if !is_new && error.kind() == Kind::NotFound { Ok(()) } else { Err(error) }
}

async fn make(services: &Services, name: &str, call: AddressCall, own_tag: &str) -> Result<()> {
    let (neutron, addresses) = (&services.neutron, &services.addresses);
    match call {
        AddressCall::Make(new) => {
            let made = neutron.create_floating_ip(&request(new, purpose(name, own_tag))).await?;
            tracing::info!(service = name, address = %made.floating_ip_address, "made a floating IP");
            addresses.insert(made);
        }
        AddressCall::Lead(id, port) => {
            let led = neutron.attach_floating_ip(&id, &port).await?;
            tracing::info!(service = name, address = %led.floating_ip_address, "let a floating IP lead to the Service");
            addresses.change(&id, |one| one.port_id = Some(port));
        }
        AddressCall::Detach(id) => {
            neutron.detach_floating_ip(&id).await?;
            tracing::info!(service = name, %id, "detached a floating IP");
            addresses.change(&id, |one| one.port_id = None);
        }
        AddressCall::Leave(id) => {
            let kept = neutron.detach_floating_ip(&id).await?;
            let others: Vec<_> = kept.tags.into_iter().filter(|tag| tag != own_tag).collect();
            neutron.set_floating_ip_tags(&id, &others).await?;
            tracing::info!(service = name, address = %kept.floating_ip_address, "left a floating IP to who asked to keep it");
            addresses.change(&id, |one| (one.port_id, one.tags) = (None, others));
        }
        AddressCall::Delete(id) => {
            neutron.delete_floating_ip(&id).await?;
            tracing::info!(service = name, %id, "deleted a floating IP");
            addresses.remove(&id);
        }
    }
    Ok(())
}

fn request(new: NewAddress, description: String) -> NewFloatingIp {
    NewFloatingIp {
        subnet_id: new.external.subnet,
        floating_ip_address: new.wanted,
        port_id: Some(new.port),
        description,
        project_id: Some(new.project),
        tags: new.tags,
        ..NewFloatingIp::of(new.external.network)
    }
}
