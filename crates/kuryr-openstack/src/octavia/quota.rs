//! How much a project may have. Octavia does not tell how much it has.

use super::Octavia;
use crate::{Call, Result, Service, wire::One};
use http::Method;
use kuryr_api::ids::ProjectId;
use serde::Deserialize;

/// The quotas that Kuryr lives within; below zero: as many as you like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Quotas {
    /// Load balancers.
    pub load_balancer: i64,
    /// Listeners of all load balancers together.
    pub listener: i64,
    /// Pools of all load balancers together.
    pub pool: i64,
    /// Members of all pools together.
    pub member: i64,
}

impl Octavia {
    /// The quotas of `project`.
    pub async fn quotas(&self, project: &ProjectId) -> Result<Quotas> {
        let path = format!("/lbaas/quotas/{project}");
        let call = Call::new(Service::LoadBalancer, Method::GET, "/lbaas/quotas/{id}", path);
        Ok(self.session.call(&call).await?.json::<One<Quotas>>()?.item)
    }
}
