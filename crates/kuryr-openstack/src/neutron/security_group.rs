//! Security groups, as far as a port needs them.

use super::{
    Neutron,
    network::{joined, with_common},
    wire::any_of,
};
use crate::{
    Call, Result, Service,
    wire::{Listed, One, Query},
};
use http::Method;
use kuryr_api::ids::{ProjectId, SecurityGroupId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A security group.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SecurityGroup {
    /// Its id.
    pub id: SecurityGroupId,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Whose it is.
    #[serde(default)]
    pub project_id: Option<ProjectId>,
    /// What somebody wrote about it.
    #[serde(default)]
    pub description: String,
    /// Its tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// What it lets through. Neutron lists its rules in no order.
    #[serde(default, rename = "security_group_rules")]
    pub rules: BTreeSet<Rule>,
}

/// What a group lets through: traffic that has all that is set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Rule {
    /// Whither, seen from the port.
    pub direction: Direction,
    /// The family of addresses.
    pub ethertype: EtherType,
    /// The protocol's name or number.
    #[serde(default)]
    pub protocol: Option<String>,
    /// The first of the ports, or the ICMP type.
    #[serde(default)]
    pub port_range_min: Option<u16>,
    /// The last of the ports, or the ICMP code.
    #[serde(default)]
    pub port_range_max: Option<u16>,
    /// The other end's prefix.
    #[serde(default)]
    pub remote_ip_prefix: Option<String>,
    /// The other end's group.
    #[serde(default)]
    pub remote_group_id: Option<SecurityGroupId>,
    /// The address group that the other end is in.
    #[serde(default)]
    pub remote_address_group_id: Option<String>,
}

/// A rule to be made, which lets everything of a family through in a direction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewRule {
    /// The group that gets it.
    pub security_group_id: SecurityGroupId,
    /// Whither, seen from the port.
    pub direction: Direction,
    /// The family of addresses.
    pub ethertype: EtherType,
}

/// Of traffic, seen from the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// To the port.
    Ingress,
    /// From the port.
    Egress,
}

/// A family of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EtherType {
    /// Version 4.
    IPv4,
    /// Version 6.
    IPv6,
}

/// Which groups to list: those that answer to all that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecurityGroupFilter {
    /// One of these.
    pub ids: Option<Vec<SecurityGroupId>>,
    /// Of this name.
    pub name: Option<String>,
    /// Of this project.
    pub project: Option<ProjectId>,
    /// With all of these tags.
    pub tags: Vec<String>,
}

impl Listed for SecurityGroup {
    fn marker(&self) -> &str {
        self.id.as_str()
    }
}

impl Rule {
    /// Whether nothing but direction and family is asked of the traffic.
    pub fn is_open(&self) -> bool {
        self.protocol.is_none()
            && self.port_range_min.is_none()
            && self.remote_ip_prefix.as_deref().is_none_or(|prefix| prefix.ends_with("/0"))
            && self.remote_group_id.is_none()
            && self.remote_address_group_id.is_none()
    }
}

impl SecurityGroupFilter {
    fn queries(&self) -> Vec<Query> {
        let ids = self.ids.as_ref().map(|ids| ids.iter().map(ToString::to_string).collect());
        let project = self.project.as_ref().map(ToString::to_string);
        let common = [("name", self.name.clone()), ("project_id", project), ("tags", joined(&self.tags))];
        with_common(any_of("id", ids), &common)
    }
}

impl Neutron {
    /// A security group by its id.
    pub async fn security_group(&self, id: &SecurityGroupId) -> Result<SecurityGroup> {
        self.get("/security-groups/{id}", format!("/security-groups/{id}")).await
    }

    /// The security groups that answer to `filter`.
    pub async fn security_groups(&self, filter: &SecurityGroupFilter) -> Result<Vec<SecurityGroup>> {
        let mut found = Vec::new();
        for query in filter.queries() {
            found.append(&mut self.list("/security-groups", &query).await?);
        }
        Ok(found)
    }

    /// Makes a security group. Neutron gives it rules that let all out.
    pub async fn create_security_group(&self, name: &str, description: &str) -> Result<SecurityGroup> {
        let call = Call::new(Service::Network, Method::POST, "/security-groups", "/security-groups".into());
        let group = serde_json::json!({ "security_group": { "name": name, "description": description } });
        Ok(self.session.call(&call.json(&group)?).await?.json::<One<SecurityGroup>>()?.item)
    }

    /// Makes a rule. It is an error if there is one like it.
    pub async fn create_security_group_rule(&self, rule: &NewRule) -> Result<()> {
        let route = "/security-group-rules";
        let call = Call::new(Service::Network, Method::POST, route, route.into());
        let call = call.json(&serde_json::json!({ "security_group_rule": rule }))?;
        self.session.call(&call).await.map(drop)
    }
}
