//! How Octavia wraps what it says: `{"listener": …}`, `{"listeners": […]}`, and pages of a list.

use super::Octavia;
use crate::{Call, Result, Service};
use http::Method;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::fmt;

/// Objects asked for in one page of a list.
const PAGE: &str = "1000";

/// The parameters of a list.
pub(super) type Query = Vec<(&'static str, String)>;

/// What a list can hold.
pub(super) trait Listed: DeserializeOwned {
    /// Where the next page begins.
    fn marker(&self) -> &str;
}

/// What Octavia does with an object (`provisioning_status`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum Status {
    /// Nothing: it can be changed.
    Active,
    /// It is being made.
    PendingCreate,
    /// It, or something that hangs on it, is being changed.
    PendingUpdate,
    /// It is being deleted.
    PendingDelete,
    /// Octavia gave up.
    Error,
    /// It is gone.
    Deleted,
    /// A word that Octavia had not when this was written.
    Other(String),
}

impl From<String> for Status {
    fn from(text: String) -> Self {
        match text.as_str() {
            "ACTIVE" => Self::Active,
            "PENDING_CREATE" => Self::PendingCreate,
            "PENDING_UPDATE" => Self::PendingUpdate,
            "PENDING_DELETE" => Self::PendingDelete,
            "ERROR" => Self::Error,
            "DELETED" => Self::Deleted,
            _ => Self::Other(text),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "ACTIVE",
            Self::PendingCreate => "PENDING_CREATE",
            Self::PendingUpdate => "PENDING_UPDATE",
            Self::PendingDelete => "PENDING_DELETE",
            Self::Error => "ERROR",
            Self::Deleted => "DELETED",
            Self::Other(text) => text,
        })
    }
}

/// Something that is named by its id alone.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Reference<I> {
    pub id: I,
}

/// The ids of those that are named.
pub(super) fn ids<'de, D, I>(from: D) -> Result<Vec<I>, D::Error>
where
    D: serde::Deserializer<'de>,
    I: Deserialize<'de>,
{
    let references = Option::<Vec<Reference<I>>>::deserialize(from)?;
    Ok(references.unwrap_or_default().into_iter().map(|reference| reference.id).collect())
}

#[derive(Deserialize)]
pub(super) struct One<T> {
    #[serde(alias = "loadbalancer", alias = "listener", alias = "pool")]
    pub item: T,
}

#[derive(Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
struct Many<T> {
    #[serde(alias = "loadbalancers", alias = "listeners", alias = "pools", alias = "members")]
    items: Vec<T>,
    #[serde(
        default,
        alias = "loadbalancers_links",
        alias = "listeners_links",
        alias = "pools_links",
        alias = "members_links"
    )]
    links: Vec<Link>,
}

#[derive(Deserialize)]
struct Link {
    rel: String,
}

impl Octavia {
    /// All objects that answer to `query`, page by page.
    pub(super) async fn list<T: Listed>(
        &self,
        route: &'static str,
        path: String,
        query: &Query,
    ) -> Result<Vec<T>> {
        let mut found: Vec<T> = Vec::new();
        loop {
            let mut call =
                Call::new(Service::LoadBalancer, Method::GET, route, path.clone()).query("limit", PAGE);
            for (name, value) in query {
                call = call.query(name, value);
            }
            if let Some(last) = found.last() {
                call = call.query("marker", last.marker());
            }
            let mut page: Many<T> = self.session.call(&call).await?.json()?;
            let more = page.links.iter().any(|link| link.rel == "next") && !page.items.is_empty();
            found.append(&mut page.items);
            if !more {
                return Ok(found);
            }
        }
    }

    /// Sends `body`, and reads what the object is then.
    pub(super) async fn write<T: DeserializeOwned>(
        &self,
        method: Method,
        route: &'static str,
        path: String,
        body: &impl Serialize,
    ) -> Result<T> {
        let call = Call::new(Service::LoadBalancer, method, route, path).json(body)?;
        Ok(self.session.call(&call).await?.json::<One<T>>()?.item)
    }

    /// Deletes what is at `path`; one that is gone is fine.
    pub(super) async fn delete(&self, call: Call) -> Result<()> {
        match self.session.call(&call).await {
            Err(error) if error.kind() == crate::Kind::NotFound => Ok(()),
            answer => answer.map(drop),
        }
    }
}
