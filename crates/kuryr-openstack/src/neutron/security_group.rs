//! Security groups, as far as a port needs them.

use super::{
    Neutron,
    network::{joined, with_common},
    wire::{Listed, Query, any_of},
};
use crate::Result;
use kuryr_api::ids::{ProjectId, SecurityGroupId};
use serde::Deserialize;

/// A security group, without its rules.
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
}
