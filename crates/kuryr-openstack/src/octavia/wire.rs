//! How Octavia is asked, and what its objects have in common.

use super::Octavia;
use crate::{
    Call, Kind, Result, Service,
    wire::{Listed, One, PAGE, Pages, Query},
};
use http::Method;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::fmt;

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

impl Status {
    /// Octavia is at work with it.
    pub fn is_pending(&self) -> bool {
        matches!(self, Self::PendingCreate | Self::PendingUpdate | Self::PendingDelete)
    }
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
#[derive(Deserialize)]
struct Reference<I> {
    id: I,
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

impl Octavia {
    /// All objects that answer to `query`, page by page.
    pub(super) async fn list<T: Listed>(
        &self,
        route: &'static str,
        path: String,
        query: &Query,
    ) -> Result<Vec<T>> {
        let pages = Pages { service: Service::LoadBalancer, route, path, size: PAGE };
        self.session.list(&pages, query).await
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
            Err(error) if error.kind() == Kind::NotFound => Ok(()),
            answer => answer.map(drop),
        }
    }
}
