//! Security groups: sets of rules that ports are given.
//!
//! Neutron takes no tags as it makes one, so a group is known by its description until it has them.

use super::{
    Deleted, HeldRule, Neutron, lost,
    network::{is_exactly, joined, with_common},
    wire::any_of,
};
use crate::{
    Call, Effect, Error, Result, Service,
    wire::{Listed, One, Query},
};
use http::Method;
use kuryr_api::ids::{ProjectId, SecurityGroupId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

const ALL: &str = "/security-groups";
const ONE: &str = "/security-groups/{id}";

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
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// Its tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// What it lets through. Neutron lists its rules in no order.
    #[serde(default, rename = "security_group_rules")]
    pub rules: BTreeSet<HeldRule>,
}

/// A security group to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct NewSecurityGroup {
    /// Its name: up to 255 characters, and not `default`.
    pub name: String,
    /// What it is for, in up to 255 characters. A create whose answer is lost can be taken up only if this is set: by it and the name
    /// the group is found again.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Whose it is to be; by default the session's project's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
}

/// Which groups to list: those that answer to all that is set. An empty list of ids finds none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecurityGroupFilter {
    /// One of these.
    pub ids: Option<Vec<SecurityGroupId>>,
    /// Of exactly this name.
    pub name: Option<String>,
    /// Of this project.
    pub project: Option<ProjectId>,
    /// With exactly this description.
    pub description: Option<String>,
    /// With all of these tags.
    pub tags: Vec<String>,
}

impl Listed for SecurityGroup {
    fn marker(&self) -> &str {
        self.id.as_str()
    }
}

impl NewSecurityGroup {
    /// Whether `made` is what this request makes, whatever its rules are by now.
    pub fn describes(&self, made: &SecurityGroup) -> bool {
        self.name == made.name
            && self.description == made.description
            && self.project_id.as_ref().is_none_or(|asked| made.project_id.as_ref() == Some(asked))
    }
}

impl SecurityGroupFilter {
    fn queries(&self) -> Vec<Query> {
        let ids = self.ids.as_ref().map(|ids| ids.iter().map(ToString::to_string).collect());
        let common = [
            ("name", self.name.clone()),
            ("project_id", self.project.as_ref().map(ToString::to_string)),
            ("description", self.description.clone()),
            ("tags", joined(&self.tags)),
        ];
        with_common(any_of("id", ids), &common)
    }

    fn is_met_by(&self, group: &SecurityGroup) -> bool {
        is_exactly(self.name.as_ref(), &group.name)
            && is_exactly(self.description.as_ref(), &group.description)
    }
}

impl Neutron {
    /// A security group by its id.
    pub async fn security_group(&self, id: &SecurityGroupId) -> Result<SecurityGroup> {
        self.get(ONE, format!("{ALL}/{id}")).await
    }

    /// The same; none if Neutron says by name that there is none, of which a list that does not show it is no proof.
    pub async fn find_security_group(&self, id: &SecurityGroupId) -> Result<Option<SecurityGroup>> {
        Self::if_there(self.security_group(id).await)
    }

    /// The security groups that answer to `filter`.
    pub async fn security_groups(&self, filter: &SecurityGroupFilter) -> Result<Vec<SecurityGroup>> {
        let mut found: Vec<SecurityGroup> = Vec::new();
        for query in filter.queries() {
            found.append(&mut self.list(ALL, &query).await?);
        }
        found.retain(|group| filter.is_met_by(group));
        Ok(found)
    }

    /// Makes a security group. By default Neutron gives it two rules, which let all out; an administrator can have it give others.
    ///
    /// With a description it survives a lost answer: one that [`NewSecurityGroup::describes`] says is the wanted one is taken up.
    pub async fn create_security_group(&self, new: &NewSecurityGroup) -> Result<SecurityGroup> {
        let call = Call::new(Service::Network, Method::POST, ALL, ALL.into());
        let call = call.json(&serde_json::json!({ "security_group": new }))?;
        match self.session.call(&call).await.and_then(|answer| answer.json::<One<_>>()) {
            Ok(made) => Ok(made.item),
            Err(error) if error.effect() == Effect::Unknown => self.look_for_security_group(new, error).await,
            Err(error) => Err(error),
        }
    }

    /// Sets a security group's tags, whatever it had.
    pub async fn set_security_group_tags(&self, id: &SecurityGroupId, tags: &[String]) -> Result<()> {
        self.set_tags("/security-groups/{id}/tags", format!("{ALL}/{id}/tags"), tags).await
    }

    /// Deletes a security group, with its rules and those of other groups that name it. It is
    /// [`Kind::InUse`](crate::Kind::InUse) while a port has it.
    pub async fn delete_security_group(&self, id: &SecurityGroupId) -> Result<Deleted> {
        self.delete(ONE, format!("{ALL}/{id}")).await
    }

    /// Finds what a create made whose answer is lost.
    async fn look_for_security_group(&self, new: &NewSecurityGroup, lost: Error) -> Result<SecurityGroup> {
        if new.description.is_empty() {
            return Err(lost);
        }
        let filter = &SecurityGroupFilter {
            name: Some(new.name.clone()),
            description: Some(new.description.clone()),
            project: new.project_id.clone(),
            ..SecurityGroupFilter::default()
        };
        let find = || async move {
            let found = self.security_groups(filter).await?;
            Ok(found.into_iter().find(|found| new.describes(found)))
        };
        lost::look_for("security group", lost, find).await
    }
}
