//! Networks and their subnets.

use super::{Neutron, wire::any_of};
use crate::{
    Call, Result, Service,
    wire::{Listed, One, Query},
};
use http::Method;
use kuryr_api::ids::{NetworkId, ProjectId, SubnetId};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// A network.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Network {
    /// Its id.
    pub id: NetworkId,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Whose it is.
    #[serde(default)]
    pub project_id: Option<ProjectId>,
    /// The largest packet that it carries; 0 if Neutron does not say.
    #[serde(default)]
    pub mtu: u32,
    /// Its subnets.
    #[serde(default)]
    pub subnets: Vec<SubnetId>,
    /// `ACTIVE`, `DOWN`.
    #[serde(default)]
    pub status: String,
    /// Whether routers may lead to it as to the outside.
    #[serde(default, rename = "router:external")]
    pub external: bool,
    /// Whether every project may use it.
    #[serde(default)]
    pub shared: bool,
    /// Its tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// `vlan`, `geneve`, …; shown to administrators only.
    #[serde(default, rename = "provider:network_type")]
    pub provider_type: Option<String>,
    /// VLAN id or VNI; shown to administrators only.
    #[serde(default, rename = "provider:segmentation_id")]
    pub segmentation_id: Option<u32>,
    /// What stands behind it; shown to administrators only.
    #[serde(default, rename = "provider:physical_network")]
    pub physical_network: Option<String>,
}

/// A subnet.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Subnet {
    /// Its id.
    pub id: SubnetId,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// The network that it belongs to.
    pub network_id: NetworkId,
    /// Whose it is.
    #[serde(default)]
    pub project_id: Option<ProjectId>,
    /// Its prefix, as Neutron writes it.
    pub cidr: String,
    /// 4 or 6.
    pub ip_version: u8,
    /// The router's address, if there is one.
    #[serde(default)]
    pub gateway_ip: Option<IpAddr>,
    /// Whether Neutron serves DHCP there.
    #[serde(default)]
    pub enable_dhcp: bool,
    /// Who resolves names.
    #[serde(default)]
    pub dns_nameservers: Vec<IpAddr>,
    /// Routes that each host should have.
    #[serde(default)]
    pub host_routes: Vec<HostRoute>,
    /// What Neutron gives addresses from.
    #[serde(default)]
    pub allocation_pools: Vec<AllocationPool>,
    /// Its tags.
    #[serde(default)]
    pub tags: Vec<String>,
}

/// A route that each host on a subnet should have.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct HostRoute {
    /// Where to, as a prefix.
    pub destination: String,
    /// By way of.
    pub nexthop: IpAddr,
}

/// A range of addresses that Neutron gives from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllocationPool {
    /// The first.
    pub start: IpAddr,
    /// The last.
    pub end: IpAddr,
}

/// A subnet to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewSubnet {
    /// Its name.
    pub name: String,
    /// Its network.
    pub network_id: NetworkId,
    /// Its prefix.
    pub cidr: String,
    /// 4 or 6.
    pub ip_version: u8,
    /// The router's address; without one, the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway_ip: Option<IpAddr>,
    /// What Neutron gives from; if there is none, all but the gateway.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allocation_pools: Vec<AllocationPool>,
    /// Whether Neutron is to serve DHCP there.
    pub enable_dhcp: bool,
}

/// Which networks to list: those that answer to all that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkFilter {
    /// One of these.
    pub ids: Option<Vec<NetworkId>>,
    /// Of this name.
    pub name: Option<String>,
    /// With all of these tags.
    pub tags: Vec<String>,
}

/// Which subnets to list: those that answer to all that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubnetFilter {
    /// One of these.
    pub ids: Option<Vec<SubnetId>>,
    /// Of this network.
    pub network: Option<NetworkId>,
    /// With all of these tags.
    pub tags: Vec<String>,
}

impl Listed for Network {
    fn marker(&self) -> &str {
        self.id.as_str()
    }
}

impl Listed for Subnet {
    fn marker(&self) -> &str {
        self.id.as_str()
    }
}

impl Network {
    /// Whether a project may work with it. An administrator sees others' networks, too.
    pub fn usable_by(&self, project: &ProjectId) -> bool {
        self.external || self.shared || self.project_id.as_ref() == Some(project)
    }
}

impl NetworkFilter {
    fn queries(&self) -> Vec<Query> {
        let ids = self.ids.as_ref().map(|ids| ids.iter().map(ToString::to_string).collect());
        let common = [("name", self.name.clone()), ("tags", joined(&self.tags))];
        with_common(any_of("id", ids), &common)
    }
}

impl SubnetFilter {
    fn queries(&self) -> Vec<Query> {
        let ids = self.ids.as_ref().map(|ids| ids.iter().map(ToString::to_string).collect());
        let network = self.network.as_ref().map(ToString::to_string);
        with_common(any_of("id", ids), &[("network_id", network), ("tags", joined(&self.tags))])
    }
}

impl Neutron {
    /// A network by its id.
    pub async fn network(&self, id: &NetworkId) -> Result<Network> {
        self.get("/networks/{id}", format!("/networks/{id}")).await
    }

    /// The networks that answer to `filter`.
    pub async fn networks(&self, filter: &NetworkFilter) -> Result<Vec<Network>> {
        let mut found = Vec::new();
        for query in filter.queries() {
            found.append(&mut self.list("/networks", &query).await?);
        }
        Ok(found)
    }

    /// Makes a network.
    pub async fn create_network(&self, name: &str) -> Result<Network> {
        let call = Call::new(Service::Network, Method::POST, "/networks", "/networks".into());
        let call = call.json(&serde_json::json!({ "network": { "name": name } }))?;
        Ok(self.session.call(&call).await?.json::<One<Network>>()?.item)
    }

    /// Makes a subnet.
    pub async fn create_subnet(&self, subnet: &NewSubnet) -> Result<Subnet> {
        let call = Call::new(Service::Network, Method::POST, "/subnets", "/subnets".into());
        let call = call.json(&serde_json::json!({ "subnet": subnet }))?;
        Ok(self.session.call(&call).await?.json::<One<Subnet>>()?.item)
    }

    /// A subnet by its id.
    pub async fn subnet(&self, id: &SubnetId) -> Result<Subnet> {
        self.get("/subnets/{id}", format!("/subnets/{id}")).await
    }

    /// The subnets that answer to `filter`.
    pub async fn subnets(&self, filter: &SubnetFilter) -> Result<Vec<Subnet>> {
        let mut found = Vec::new();
        for query in filter.queries() {
            found.append(&mut self.list("/subnets", &query).await?);
        }
        Ok(found)
    }
}

pub(super) fn joined(tags: &[String]) -> Option<String> {
    (!tags.is_empty()).then(|| tags.join(","))
}

/// Whether `found` is what was asked for. Neutron's database often overlooks case and spaces at the end.
pub(super) fn is_exactly(asked: Option<&String>, found: &str) -> bool {
    asked.is_none_or(|asked| asked == found)
}

pub(super) fn with_common<const N: usize>(
    mut queries: Vec<Query>,
    common: &[(&'static str, Option<String>); N],
) -> Vec<Query> {
    for query in &mut queries {
        query.extend(common.iter().filter_map(|(name, value)| Some((*name, value.clone()?))));
    }
    queries
}
