//! Load balancers.

use super::{Octavia, Status, wire::ids};
use crate::{
    Call, Result, Service,
    wire::{Listed, One, Query},
};
use http::Method;
use kuryr_api::ids::{ListenerId, LoadBalancerId, PoolId, PortId, ProjectId, SubnetId};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

const ALL: &str = "/lbaas/loadbalancers";
const ONE: &str = "/lbaas/loadbalancers/{id}";

/// A load balancer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LoadBalancer {
    /// Its id.
    pub id: LoadBalancerId,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Whose it is.
    pub project_id: ProjectId,
    /// Its address.
    pub vip_address: IpAddr,
    /// The subnet of its address.
    #[serde(default)]
    pub vip_subnet_id: Option<SubnetId>,
    /// The Neutron port of its address.
    #[serde(default)]
    pub vip_port_id: Option<PortId>,
    /// What makes it.
    #[serde(default)]
    pub provider: String,
    /// What Octavia does with it.
    pub provisioning_status: Status,
    /// The listeners that hang on it.
    #[serde(default, deserialize_with = "ids")]
    pub listeners: Vec<ListenerId>,
    /// The pools that hang on it.
    #[serde(default, deserialize_with = "ids")]
    pub pools: Vec<PoolId>,
    /// Its tags; none where Octavia is older than 2.5.
    #[serde(default)]
    pub tags: Vec<String>,
}

/// A load balancer to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct NewLoadBalancer {
    /// Its name.
    pub name: String,
    /// Whose it will be; that of the credentials if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
    /// Its address; any of the subnet if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vip_address: Option<IpAddr>,
    /// The subnet of its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vip_subnet_id: Option<SubnetId>,
    /// What is to make it; Octavia's default if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Its flavor, where the provider has such; the provider's own if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flavor_id: Option<String>,
    /// Where it is to be, where the provider has such.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub availability_zone: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
}

/// Which load balancers to list: those that answer to all that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadBalancerFilter {
    /// Of this project.
    pub project: Option<ProjectId>,
    /// Of this name.
    pub name: Option<String>,
    /// With all of these tags.
    pub tags: Vec<String>,
}

#[derive(Serialize)]
struct Body<T> {
    loadbalancer: T,
}

impl Listed for LoadBalancer {
    fn marker(&self) -> &str {
        self.id.as_str()
    }
}

impl Octavia {
    /// The load balancers that answer to `filter`.
    pub async fn load_balancers(&self, filter: &LoadBalancerFilter) -> Result<Vec<LoadBalancer>> {
        let project = filter.project.iter().map(|project| ("project_id", project.to_string()));
        let name = filter.name.iter().map(|name| ("name", name.clone()));
        let tags = (!filter.tags.is_empty()).then(|| ("tags", filter.tags.join(",")));
        let query: Query = project.chain(name).chain(tags).collect();
        self.list(ALL, ALL.into(), &query).await
    }

    /// The load balancer with this id.
    pub async fn load_balancer(&self, id: &LoadBalancerId) -> Result<LoadBalancer> {
        let call = Call::new(Service::LoadBalancer, Method::GET, ONE, format!("{ALL}/{id}"));
        Ok(self.session.call(&call).await?.json::<One<LoadBalancer>>()?.item)
    }

    /// Makes a load balancer.
    pub async fn create_load_balancer(&self, new: &NewLoadBalancer) -> Result<LoadBalancer> {
        self.write(Method::POST, ALL, ALL.into(), &Body { loadbalancer: new }).await
    }

    /// Sets a load balancer's tags, whatever it had.
    pub async fn set_load_balancer_tags(&self, id: &LoadBalancerId, tags: &[String]) -> Result<LoadBalancer> {
        let body = Body { loadbalancer: serde_json::json!({ "tags": tags }) };
        self.write(Method::PUT, ONE, format!("{ALL}/{id}"), &body).await
    }

    /// Deletes a load balancer and all that hangs on it. Octavia takes its time: it is gone when no list shows it any more.
    pub async fn delete_load_balancer(&self, id: &LoadBalancerId) -> Result<()> {
        let call = Call::new(Service::LoadBalancer, Method::DELETE, ONE, format!("{ALL}/{id}"));
        self.delete(call.query("cascade", "true")).await
    }

    /// Has Octavia make a broken load balancer anew. Not every provider can.
    pub async fn fail_over(&self, id: &LoadBalancerId) -> Result<()> {
        let route = "/lbaas/loadbalancers/{id}/failover";
        let call = Call::new(Service::LoadBalancer, Method::PUT, route, format!("{ALL}/{id}/failover"));
        self.session.call(&call).await.map(drop)
    }
}
