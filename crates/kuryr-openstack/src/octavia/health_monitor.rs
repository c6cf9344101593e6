//! Health monitors: how a pool finds out which of its members answer.

use super::{Octavia, Status, wire::ids};
use crate::{
    Call, Result, Service,
    wire::{Listed, Query},
};
use http::Method;
use kuryr_api::ids::{HealthMonitorId, PoolId, ProjectId};
use serde::{Deserialize, Serialize};

const ALL: &str = "/lbaas/healthmonitors";
const ONE: &str = "/lbaas/healthmonitors/{id}";

/// A health monitor.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct HealthMonitor {
    /// Its id.
    pub id: HealthMonitorId,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// How it asks, as Octavia spells it.
    #[serde(rename = "type")]
    pub kind: String,
    /// How often it asks and what it makes of the answers.
    #[serde(flatten)]
    pub probing: Probing,
    /// The pools that it watches: one.
    #[serde(default, deserialize_with = "ids")]
    pub pools: Vec<PoolId>,
    /// What Octavia does with it.
    pub provisioning_status: Status,
    /// Its tags; none where Octavia is older than 2.5.
    #[serde(default)]
    pub tags: Vec<String>,
}

/// A health monitor to be made. A pool has one at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewHealthMonitor {
    /// Its name.
    pub name: String,
    /// The pool that it will watch.
    pub pool_id: PoolId,
    /// How it asks: the provider ovn has `TCP`, and `UDP-CONNECT` for pools of UDP and SCTP.
    #[serde(rename = "type")]
    pub kind: String,
    /// How often it asks and what it makes of the answers.
    #[serde(flatten)]
    pub probing: Probing,
    /// Its tags.
    pub tags: Vec<String>,
}

/// How often members are asked, and what is made of the answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probing {
    /// Seconds from one question to the next.
    pub delay: u32,
    /// Seconds that an answer may take.
    pub timeout: u32,
    /// After so many answers a member is up, 1 to 10.
    pub max_retries: u8,
    /// After so many questions without one it is down, 1 to 10.
    #[serde(default = "three")]
    pub max_retries_down: u8,
}

/// Which health monitors to list: those that answer to all that is set. Octavia can't tell those of a load balancer: the pools of
/// one name theirs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HealthMonitorFilter {
    /// Of this project.
    pub project: Option<ProjectId>,
    /// Watching this pool.
    pub pool: Option<PoolId>,
    /// With all of these tags.
    pub tags: Vec<String>,
}

#[derive(Serialize)]
struct Body<T> {
    healthmonitor: T,
}

impl Listed for HealthMonitor {
    fn marker(&self) -> &str {
        self.id.as_str()
    }
}

impl Octavia {
    /// The health monitors that answer to `filter`.
    pub async fn health_monitors(&self, filter: &HealthMonitorFilter) -> Result<Vec<HealthMonitor>> {
        let project = filter.project.iter().map(|project| ("project_id", project.to_string()));
        let pool = filter.pool.iter().map(|pool| ("pool_id", pool.to_string()));
        let tags = (!filter.tags.is_empty()).then(|| ("tags", filter.tags.join(",")));
        let query: Query = project.chain(pool).chain(tags).collect();
        self.list(ALL, ALL.into(), &query).await
    }

    /// Makes a health monitor.
    pub async fn create_health_monitor(&self, new: &NewHealthMonitor) -> Result<HealthMonitor> {
        self.write(Method::POST, ALL, ALL.into(), &Body { healthmonitor: new }).await
    }

    /// Changes how a health monitor asks: all of it, as the provider ovn forgets what a change leaves out. That provider
    /// leaves the pool's listeners in [`Status::PendingUpdate`] afterwards, which keeps nobody from changing them.
    pub async fn update_health_monitor(
        &self,
        id: &HealthMonitorId,
        probing: &Probing,
    ) -> Result<HealthMonitor> {
        self.write(Method::PUT, ONE, format!("{ALL}/{id}"), &Body { healthmonitor: probing }).await
    }

    /// Deletes a health monitor.
    pub async fn delete_health_monitor(&self, id: &HealthMonitorId) -> Result<()> {
        self.delete(Call::new(Service::LoadBalancer, Method::DELETE, ONE, format!("{ALL}/{id}"))).await
    }
}

/// What Octavia takes where nothing is said.
const fn three() -> u8 {
    3
}
