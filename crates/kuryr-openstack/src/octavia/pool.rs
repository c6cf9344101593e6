//! Pools and their members.

use super::{Octavia, Of, Status, wire::ids};
use crate::{
    Call, Result, Service,
    wire::{Listed, Query},
};
use http::Method;
use kuryr_api::ids::{HealthMonitorId, ListenerId, LoadBalancerId, MemberId, PoolId, SubnetId};
use serde::{Deserialize, Serialize};
use std::{net::IpAddr, time::Duration};

const ALL: &str = "/lbaas/pools";
const ONE: &str = "/lbaas/pools/{id}";
const MEMBERS: &str = "/lbaas/pools/{id}/members";

/// A change of so many members takes as long as a usual request.
const MEMBERS_IN_TIME: u32 = 200;
/// And of so many more as long as this.
const TIME_FOR_MORE: Duration = Duration::from_secs(10);

/// A pool.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Pool {
    /// Its id.
    pub id: PoolId,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its protocol, as Octavia spells it.
    pub protocol: String,
    /// How connections are spread.
    pub lb_algorithm: String,
    /// How long a client stays with a member.
    #[serde(default)]
    pub session_persistence: Option<SessionPersistence>,
    /// The listeners that forward to it.
    #[serde(default, deserialize_with = "ids")]
    pub listeners: Vec<ListenerId>,
    /// The load balancers that it is at: one.
    #[serde(default, deserialize_with = "ids")]
    pub loadbalancers: Vec<LoadBalancerId>,
    /// Its members.
    #[serde(default, deserialize_with = "ids")]
    pub members: Vec<MemberId>,
    /// What finds out which of them answer.
    #[serde(default)]
    pub healthmonitor_id: Option<HealthMonitorId>,
    /// What Octavia does with it.
    pub provisioning_status: Status,
}

/// How long a client stays with a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionPersistence {
    /// What a client is known by: `SOURCE_IP` is what all providers have.
    #[serde(rename = "type")]
    pub kind: String,
    /// After how many seconds of silence it is forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistence_timeout: Option<u32>,
}

/// A pool to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewPool {
    /// Its name.
    pub name: String,
    /// The listener that will forward to it.
    pub listener_id: ListenerId,
    /// Its protocol, as Octavia spells it.
    pub protocol: String,
    /// What else.
    #[serde(flatten)]
    pub settings: PoolUpdate,
    /// Its tags.
    pub tags: Vec<String>,
}

/// What can change of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PoolUpdate {
    /// How connections are spread.
    pub lb_algorithm: String,
    /// How long a client stays with a member; none: no longer than a connection.
    pub session_persistence: Option<SessionPersistence>,
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Member {
    /// Its id.
    pub id: MemberId,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its address.
    pub address: IpAddr,
    /// Its port.
    pub protocol_port: u16,
    /// The subnet that it is reached from.
    #[serde(default)]
    pub subnet_id: Option<SubnetId>,
    /// What Octavia does with it.
    pub provisioning_status: Status,
}

/// A member that should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewMember {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
    /// Its port.
    pub protocol_port: u16,
    /// The subnet that it is reached from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnet_id: Option<SubnetId>,
}

/// A change that OVN's provider survives: to one of the affinity that does not say that the pool is enabled it reacts with an
/// exception, and the pool is in ERROR.
#[derive(Serialize)]
struct Change<'a> {
    #[serde(flatten)]
    update: &'a PoolUpdate,
    admin_state_up: bool,
}

#[derive(Serialize)]
struct Body<T> {
    pool: T,
}

impl Listed for Pool {
    fn marker(&self) -> &str {
        self.id.as_str()
    }
}

impl Listed for Member {
    fn marker(&self) -> &str {
        self.id.as_str()
    }
}

impl Octavia {
    /// The pools of a project or of a load balancer.
    pub async fn pools(&self, of: Of<'_>) -> Result<Vec<Pool>> {
        self.list(ALL, ALL.into(), &of.query()).await
    }

    /// Makes a pool, which its listener forwards to from then on.
    pub async fn create_pool(&self, new: &NewPool) -> Result<Pool> {
        self.write(Method::POST, ALL, ALL.into(), &Body { pool: new }).await
    }

    /// Changes a pool, which works for one in [`Status::Error`], too. With the provider ovn clients stay with their members until
    /// the pool is deleted, even if the change says that they need not any more.
    pub async fn update_pool(&self, id: &PoolId, update: &PoolUpdate) -> Result<Pool> {
        let change = Change { update, admin_state_up: true };
        self.write(Method::PUT, ONE, format!("{ALL}/{id}"), &Body { pool: change }).await
    }

    /// Deletes a pool and its members.
    pub async fn delete_pool(&self, id: &PoolId) -> Result<()> {
        self.delete(Call::new(Service::LoadBalancer, Method::DELETE, ONE, format!("{ALL}/{id}"))).await
    }

    /// The members of a pool.
    pub async fn members(&self, pool: &PoolId) -> Result<Vec<Member>> {
        self.list(MEMBERS, format!("{ALL}/{pool}/members"), &Query::new()).await
    }

    /// Makes these the members of a pool, whatever it had, in one request. Octavia keeps those that are among them, by address
    /// and port, with their ids.
    pub async fn set_members(&self, pool: &PoolId, members: &[NewMember]) -> Result<()> {
        let more = u32::try_from(members.len()).unwrap_or(u32::MAX) / MEMBERS_IN_TIME;
        let call = Call::new(Service::LoadBalancer, Method::PUT, MEMBERS, format!("{ALL}/{pool}/members"));
        let call = call.extra_time(TIME_FOR_MORE.saturating_mul(more));
        self.session.call(&call.json(&serde_json::json!({ "members": members }))?).await.map(drop)
    }
}
