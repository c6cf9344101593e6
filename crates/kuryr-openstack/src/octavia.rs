//! Octavia: the load balancers of Services.
//!
//! A load balancer takes one change at a time: until Octavia is done with it, it answers further ones with 409
//! ([`Kind::Conflict`](crate::Kind::Conflict)), which no call here repeats by itself. What a provider can't do is
//! [`Kind::Unsupported`](crate::Kind::Unsupported).

mod health_monitor;
mod listener;
mod load_balancer;
mod pool;
mod quota;
mod statuses;
mod wire;

pub use health_monitor::{HealthMonitor, HealthMonitorFilter, NewHealthMonitor, Probing};
pub use listener::{Listener, ListenerUpdate, NewListener};
pub use load_balancer::{LoadBalancer, LoadBalancerFilter, NewLoadBalancer};
pub use pool::{Member, NewMember, NewPool, Pool, PoolUpdate, SessionPersistence};
pub use quota::Quotas;
pub use statuses::{ListenerStatus, MemberStatus, PoolStatus, StatusTree, Statuses};
pub use wire::Status;

use crate::{
    Call, Result, Service, Session,
    wire::{Many, Query},
};
use http::Method;
use kuryr_api::ids::{LoadBalancerId, ProjectId};
use serde::Deserialize;

/// Octavia's API. Clones share everything.
#[derive(Debug, Clone)]
pub struct Octavia {
    session: Session,
}

/// What can make load balancers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Provider {
    /// Its name: `amphora`, `ovn`, `octavia` (an old name of amphora).
    pub name: String,
    /// What its operator says of it.
    #[serde(default)]
    pub description: String,
}

/// Whose objects a list holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of<'a> {
    /// All that the user may see: an administrator everybody's.
    All,
    /// All of a project.
    Project(&'a ProjectId),
    /// What hangs on a load balancer.
    Balancer(&'a LoadBalancerId),
}

impl Of<'_> {
    fn query(self) -> Query {
        match self {
            Self::All => Query::new(),
            Self::Project(id) => vec![("project_id", id.to_string())],
            Self::Balancer(id) => vec![("loadbalancer_id", id.to_string())],
        }
    }
}

impl Octavia {
    /// Octavia as `session` finds it.
    pub fn new(session: Session) -> Self {
        Self { session }
    }

    /// The session underneath.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The enabled providers. Octavia does not tell which of them is its default.
    pub async fn providers(&self) -> Result<Vec<Provider>> {
        let route = "/lbaas/providers";
        let call = Call::new(Service::LoadBalancer, Method::GET, route, route.into());
        Ok(self.session.call(&call).await?.json::<Many<Provider>>()?.items)
    }
}
