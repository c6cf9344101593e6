//! Address groups: sets of prefixes that rules of security groups name, and follow.
//!
//! A prefix that comes and goes with a pod then costs one call for all the rules that it is in. Where Neutron refuses to add what is
//! there or to remove what isn't, these calls do the rest and are content: so they may be repeated. Address groups have no tags; they
//! are known by name and description.

use super::{
    Deleted, Neutron, lost,
    network::{is_exactly, with_common},
    wire::any_of,
};
use crate::{
    Call, Effect, Error, Result, Service,
    wire::{Listed, One, Query},
};
use http::Method;
use ipnet::IpNet;
use kuryr_api::ids::{AddressGroupId, ProjectId};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, time::Duration};

const ALL: &str = "/address-groups";
const ONE: &str = "/address-groups/{id}";

/// What an address adds to a request of many on a small cloud, amply.
const TIME_FOR_AN_ADDRESS: Duration = Duration::from_millis(50);

/// How often others may come in between before a change is given up.
const MOST_TRIES: usize = 4;

/// An address group.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AddressGroup {
    /// Its id.
    pub id: AddressGroupId,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// Whose it is.
    #[serde(default)]
    pub project_id: Option<ProjectId>,
    /// What is in it, of either family. No bits are set beyond a prefix.
    #[serde(default)]
    pub addresses: BTreeSet<IpNet>,
}

/// An address group to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct NewAddressGroup {
    /// Its name: up to 255 characters.
    pub name: String,
    /// What it is for, in up to 255 characters: of more Neutron says but that it has failed (500). A create whose answer is lost can be taken up only if this is set: by it and the name
    /// the group is found again.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Whose it is to be; by default the session's project's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
    /// What is to be in it.
    pub addresses: BTreeSet<IpNet>,
}

/// Which address groups to list: those that answer to all that is set. An empty list of ids finds none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressGroupFilter {
    /// One of these.
    pub ids: Option<Vec<AddressGroupId>>,
    /// Of exactly this name.
    pub name: Option<String>,
    /// With exactly this description.
    pub description: Option<String>,
    /// Of this project.
    pub project: Option<ProjectId>,
}

/// What is done to a group's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Add,
    Remove,
}

impl Listed for AddressGroup {
    fn marker(&self) -> &str {
        self.id.as_str()
    }
}

impl NewAddressGroup {
    /// Whether `made` is what this request makes, whatever is in it by now.
    pub fn describes(&self, made: &AddressGroup) -> bool {
        self.name == made.name
            && self.description == made.description
            && self.project_id.as_ref().is_none_or(|asked| made.project_id.as_ref() == Some(asked))
    }
}

impl AddressGroupFilter {
    fn queries(&self) -> Vec<Query> {
        let ids = self.ids.as_ref().map(|ids| ids.iter().map(ToString::to_string).collect());
        let common = [
            ("name", self.name.clone()),
            ("description", self.description.clone()),
            ("project_id", self.project.as_ref().map(ToString::to_string)),
        ];
        with_common(any_of("id", ids), &common)
    }

    fn is_met_by(&self, group: &AddressGroup) -> bool {
        is_exactly(self.name.as_ref(), &group.name)
            && is_exactly(self.description.as_ref(), &group.description)
    }
}

impl Change {
    /// Both take the addresses bare, not as an address group's.
    fn call(self, id: &AddressGroupId) -> Call {
        let (route, verb) = match self {
            Self::Add => ("/address-groups/{id}/add_addresses", "add_addresses"),
            Self::Remove => ("/address-groups/{id}/remove_addresses", "remove_addresses"),
        };
        Call::new(Service::Network, Method::PUT, route, format!("{ALL}/{id}/{verb}"))
    }

    /// What is left to be done of `wanted` where the group has `held`.
    fn left(self, wanted: &BTreeSet<IpNet>, held: &BTreeSet<IpNet>) -> BTreeSet<IpNet> {
        match self {
            Self::Add => wanted.difference(held).copied().collect(),
            Self::Remove => wanted.intersection(held).copied().collect(),
        }
    }
}

impl Neutron {
    /// An address group by its id.
    pub async fn address_group(&self, id: &AddressGroupId) -> Result<AddressGroup> {
        self.get(ONE, format!("{ALL}/{id}")).await
    }

    /// The same; none if Neutron says by name that there is none, of which a list that does not show it is no proof.
    pub async fn find_address_group(&self, id: &AddressGroupId) -> Result<Option<AddressGroup>> {
        Self::if_there(self.address_group(id).await)
    }

    /// The address groups that answer to `filter`.
    pub async fn address_groups(&self, filter: &AddressGroupFilter) -> Result<Vec<AddressGroup>> {
        let mut found: Vec<AddressGroup> = Vec::new();
        for query in filter.queries() {
            found.append(&mut self.list(ALL, &query).await?);
        }
        found.retain(|group| filter.is_met_by(group));
        Ok(found)
    }

    /// Makes an address group, where the cloud has such ([`Extensions::address_groups`](super::Extensions::address_groups)).
    ///
    /// With a description it survives a lost answer: one that [`NewAddressGroup::describes`] says is the wanted one is taken up, and
    /// gets what it lacks. Neutron fills a group after it has made it, so that an error can leave one that is not full.
    pub async fn create_address_group(&self, new: &NewAddressGroup) -> Result<AddressGroup> {
        let call = Call::new(Service::Network, Method::POST, ALL, ALL.into());
        let call = call.extra_time(time_for(new.addresses.len()));
        let call = call.json(&serde_json::json!({ "address_group": new }))?;
        match self.session.call(&call).await.and_then(|answer| answer.json::<One<_>>()) {
            Ok(made) => Ok(made.item),
            Err(error) if error.effect() == Effect::Unknown => {
                let made = self.look_for_address_group(new, error).await?;
                self.change_addresses(&made.id, Change::Add, new.addresses.iter()).await
            }
            Err(error) => Err(error),
        }
    }

    /// Sees to it that these addresses are in the group. The answer tells all that is in it then.
    pub async fn add_addresses(&self, id: &AddressGroupId, addresses: &[IpNet]) -> Result<AddressGroup> {
        self.change_addresses(id, Change::Add, addresses.iter()).await
    }

    /// Sees to it that these addresses are not in the group. The answer tells all that is in it then.
    pub async fn remove_addresses(&self, id: &AddressGroupId, addresses: &[IpNet]) -> Result<AddressGroup> {
        self.change_addresses(id, Change::Remove, addresses.iter()).await
    }

    /// Deletes an address group. It is [`Kind::InUse`](crate::Kind::InUse) while a rule names it.
    pub async fn delete_address_group(&self, id: &AddressGroupId) -> Result<Deleted> {
        self.delete(ONE, format!("{ALL}/{id}")).await
    }

    async fn change_addresses(
        &self,
        id: &AddressGroupId,
        change: Change,
        addresses: impl Iterator<Item = &IpNet>,
    ) -> Result<AddressGroup> {
        let wanted: BTreeSet<_> = addresses.map(IpNet::trunc).collect();
        if wanted.is_empty() {
            return self.address_group(id).await;
        }
        let mut left = wanted.clone();
        for _ in 1..MOST_TRIES {
            match self.put_addresses(id, change, &left).await {
                Err(error) if is_done_in_part(&error) => {}
                answer => return answer,
            }
            let group = self.address_group(id).await?;
            left = change.left(&wanted, &group.addresses);
            if left.is_empty() {
                return Ok(group);
            }
        }
        self.put_addresses(id, change, &left).await
    }

    async fn put_addresses(
        &self,
        id: &AddressGroupId,
        change: Change,
        addresses: &BTreeSet<IpNet>,
    ) -> Result<AddressGroup> {
        let call = change.call(id).extra_time(time_for(addresses.len()));
        let call = call.json(&serde_json::json!({ "addresses": addresses }))?;
        Ok(self.session.call(&call).await?.json::<One<_>>()?.item)
    }

    /// Finds what a create made whose answer is lost.
    async fn look_for_address_group(&self, new: &NewAddressGroup, lost: Error) -> Result<AddressGroup> {
        if new.description.is_empty() {
            return Err(lost);
        }
        let filter = &AddressGroupFilter {
            name: Some(new.name.clone()),
            description: Some(new.description.clone()),
            project: new.project_id.clone(),
            ..AddressGroupFilter::default()
        };
        let find = || async move {
            let found = self.address_groups(filter).await?;
            Ok(found.into_iter().find(|found| new.describes(found)))
        };
        lost::look_for("address group", lost, find).await
    }
}

/// Whether some of the addresses were there already, or not any more; then nothing is done to the others.
fn is_done_in_part(error: &Error) -> bool {
    matches!(error.neutron_type(), Some("AddressesAlreadyExist" | "AddressesNotFound"))
}

fn time_for(addresses: usize) -> Duration {
    TIME_FOR_AN_ADDRESS.saturating_mul(addresses.try_into().unwrap_or(u32::MAX))
}
