//! Listeners: the ports of load balancers.

use super::{Octavia, Of, Status, wire::ids};
use crate::{Call, Result, Service, wire::Listed};
use http::Method;
use kuryr_api::ids::{ListenerId, LoadBalancerId, PoolId};
use serde::{Deserialize, Serialize};

const ALL: &str = "/lbaas/listeners";
const ONE: &str = "/lbaas/listeners/{id}";

/// A listener.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Listener {
    /// Its id.
    pub id: ListenerId,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its protocol, as Octavia spells it.
    pub protocol: String,
    /// Its port.
    pub protocol_port: u16,
    /// The load balancers that it is at: one.
    #[serde(default, deserialize_with = "ids")]
    pub loadbalancers: Vec<LoadBalancerId>,
    /// The pool that it forwards to.
    #[serde(default)]
    pub default_pool_id: Option<PoolId>,
    /// For how many milliseconds a client may be silent.
    #[serde(default)]
    pub timeout_client_data: Option<u32>,
    /// For how many milliseconds a member may be silent.
    #[serde(default)]
    pub timeout_member_data: Option<u32>,
    /// Prefixes of clients that may connect; none: all may.
    #[serde(default)]
    pub allowed_cidrs: Option<Vec<String>>,
    /// What Octavia does with it.
    pub provisioning_status: Status,
}

/// A listener to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewListener {
    /// Its name.
    pub name: String,
    /// The load balancer that it will be at.
    pub loadbalancer_id: LoadBalancerId,
    /// Its protocol, as Octavia spells it.
    pub protocol: String,
    /// Its port.
    pub protocol_port: u16,
    /// What else.
    #[serde(flatten)]
    pub settings: ListenerUpdate,
    /// Its tags.
    pub tags: Vec<String>,
}

/// What can change of a listener. What is not set stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ListenerUpdate {
    /// For how many milliseconds a client may be silent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_client_data: Option<u32>,
    /// For how many milliseconds a member may be silent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_member_data: Option<u32>,
    /// Prefixes of clients that may connect; `Some(None)`: all may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_cidrs: Option<Option<Vec<String>>>,
}

#[derive(Serialize)]
struct Body<T> {
    listener: T,
}

impl Listed for Listener {
    fn marker(&self) -> &str {
        self.id.as_str()
    }
}

impl Octavia {
    /// The listeners of a project or of a load balancer.
    pub async fn listeners(&self, of: Of<'_>) -> Result<Vec<Listener>> {
        self.list(ALL, ALL.into(), &of.query()).await
    }

    /// Makes a listener.
    pub async fn create_listener(&self, new: &NewListener) -> Result<Listener> {
        self.write(Method::POST, ALL, ALL.into(), &Body { listener: new }).await
    }

    /// Changes a listener.
    pub async fn update_listener(&self, id: &ListenerId, update: &ListenerUpdate) -> Result<Listener> {
        self.write(Method::PUT, ONE, format!("{ALL}/{id}"), &Body { listener: update }).await
    }

    /// Deletes a listener. Its pool stays.
    pub async fn delete_listener(&self, id: &ListenerId) -> Result<()> {
        self.delete(Call::new(Service::LoadBalancer, Method::DELETE, ONE, format!("{ALL}/{id}"))).await
    }
}
