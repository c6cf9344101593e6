//! OpenStack, where something of Kuryr's may be.

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, ResourceExt};
use kuryr_api::{LoadBalancerId, PortId, ServerId, names};
use kuryr_openstack::{Kind, Neutron, Nova, Octavia, Session, nova::server_of, octavia::Status};
use tokio::time::{Instant, sleep};

/// What the controller asked for last is done by then.
const FREE_WITHIN: Duration = Duration::from_secs(30);
/// How often Octavia is asked.
const PERIOD: Duration = Duration::from_millis(250);
/// A hypervisor takes an interface away within seconds, if the machine lets it.
const DETACHED_WITHIN: Duration = Duration::from_secs(30);
/// Octavia deletes one of OVN's within a second, and one of amphorae within a minute; it does many side by side.
const GONE_WITHIN: Duration = Duration::from_mins(3);

/// To call OpenStack.
pub(super) struct Cloud {
    pub(super) neutron: Neutron,
    pub(super) octavia: Octavia,
    nova: Nova,
}

impl Cloud {
    pub(super) fn new(session: Session) -> Self {
        let (neutron, octavia) = (Neutron::new(session.clone()), Octavia::new(session.clone()));
        Self { neutron, octavia, nova: Nova::new(session) }
    }

    /// Deletes a port that a server has, once the server has given it back: the machine would keep an interface that leads nowhere.
    pub(super) async fn delete_interface(&self, id: &PortId, server: &ServerId) -> Result<(), String> {
        self.nova.detach_interface(server, id).await.map_err(|error| error.chain())?;
        let deadline = Instant::now() + DETACHED_WITHIN;
        while self.has(server, id).await? {
            if Instant::now() >= deadline {
                return Err(format!("Nova has not detached it within {} s", DETACHED_WITHIN.as_secs()));
            }
            sleep(PERIOD).await;
        }
        self.neutron.delete_port(id).await.map(drop).map_err(|error| error.chain())
    }

    async fn has(&self, server: &ServerId, id: &PortId) -> Result<bool, String> {
        let found = self.neutron.find_port(id).await.map_err(|error| error.chain())?;
        Ok(found.is_some_and(|port| server_of(&port).as_ref() == Some(server)))
    }

    /// Asks Octavia to delete a load balancer, once it takes a change of it. What it deletes already needs no second word.
    pub(super) async fn delete_balancer(&self, id: &LoadBalancerId) -> Result<(), String> {
        let deadline = Instant::now() + FREE_WITHIN;
        loop {
            match self.octavia.delete_load_balancer(id).await {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == Kind::Conflict && self.is_going(id).await? => return Ok(()),
                Err(error) if error.kind() == Kind::Conflict && Instant::now() < deadline => {
                    sleep(PERIOD).await;
                }
                Err(error) => return Err(error.chain()),
            }
        }
    }

    async fn is_going(&self, id: &LoadBalancerId) -> Result<bool, String> {
        match self.octavia.load_balancer(id).await {
            Ok(one) => Ok(matches!(one.provisioning_status, Status::PendingDelete | Status::Deleted)),
            Err(error) if error.kind() == Kind::NotFound => Ok(true),
            Err(error) => Err(error.chain()),
        }
    }

    /// Waits until Octavia has deleted load balancers, since their subnet can't be deleted before.
    pub(super) async fn wait_for(&self, ids: &[LoadBalancerId]) -> Result<(), String> {
        let deadline = Instant::now() + GONE_WITHIN;
        for id in ids {
            loop {
                match self.octavia.load_balancer(id).await {
                    Ok(one) if one.provisioning_status == Status::Deleted => break,
                    Err(error) if error.kind() == Kind::NotFound => break,
                    Err(error) => return Err(error.chain()),
                    Ok(one) if Instant::now() >= deadline => {
                        return Err(format!("load balancer {id} is {} still", one.provisioning_status));
                    }
                    Ok(_) => sleep(PERIOD).await,
                }
            }
        }
        Ok(())
    }
}

/// The tag of all that is this cluster's.
pub(super) async fn own_tag(client: &Client) -> Result<String> {
    let system = Api::<Namespace>::all(client.clone()).get("kube-system").await;
    let system = system.context("cannot read the namespace kube-system")?;
    Ok(names::ownership_tag(&system.uid().unwrap_or_default()))
}
