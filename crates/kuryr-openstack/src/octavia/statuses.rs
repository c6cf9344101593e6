//! How a load balancer and all that hangs on it do, in one request.

use super::{Octavia, Status};
use crate::{Call, Result, Service};
use http::Method;
use kuryr_api::ids::{ListenerId, LoadBalancerId, PoolId};
use serde::Deserialize;
use std::net::IpAddr;

/// How an object does.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Statuses {
    /// What Octavia does with it.
    pub provisioning_status: Status,
    /// Whether it forwards, as its provider sees it: `ONLINE`, `OFFLINE`, `DEGRADED`, `ERROR`, `NO_MONITOR`, `DRAINING`.
    #[serde(default)]
    pub operating_status: String,
}

/// A load balancer's.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct StatusTree {
    /// Its own.
    #[serde(flatten)]
    pub own: Statuses,
    /// Its listeners'.
    #[serde(default)]
    pub listeners: Vec<ListenerStatus>,
}

impl StatusTree {
    /// Octavia is at work with any of it.
    pub fn is_pending(&self) -> bool {
        let pools = || self.listeners.iter().flat_map(|listener| &listener.pools);
        let members = || pools().flat_map(|pool| &pool.members);
        let parts = self.listeners.iter().map(|one| &one.own);
        let parts = parts.chain(pools().map(|one| &one.own)).chain(members().map(|one| &one.own));
        [&self.own].into_iter().chain(parts).any(|one| one.provisioning_status.is_pending())
    }
}

/// A listener's.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ListenerStatus {
    /// Listener.
    pub id: ListenerId,
    /// Its own.
    #[serde(flatten)]
    pub own: Statuses,
    /// Its pools'.
    #[serde(default)]
    pub pools: Vec<PoolStatus>,
}

/// A pool's.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PoolStatus {
    /// Pool.
    pub id: PoolId,
    /// Its own.
    #[serde(flatten)]
    pub own: Statuses,
    /// Its members'.
    #[serde(default)]
    pub members: Vec<MemberStatus>,
}

/// A member's.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct MemberStatus {
    /// Address.
    pub address: IpAddr,
    /// Port.
    pub protocol_port: u16,
    /// Its own.
    #[serde(flatten)]
    pub own: Statuses,
}

#[derive(Deserialize)]
struct Body {
    statuses: Tree,
}

#[derive(Deserialize)]
struct Tree {
    loadbalancer: StatusTree,
}

impl Octavia {
    /// How the load balancer with this id does, and all that hangs on it.
    pub async fn statuses(&self, id: &LoadBalancerId) -> Result<StatusTree> {
        let route = "/lbaas/loadbalancers/{id}/status";
        let path = format!("/lbaas/loadbalancers/{id}/status");
        let call = Call::new(Service::LoadBalancer, Method::GET, route, path);
        Ok(self.session.call(&call).await?.json::<Body>()?.statuses.loadbalancer)
    }
}
