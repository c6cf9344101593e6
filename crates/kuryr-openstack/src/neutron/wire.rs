//! How Neutron is asked: one object, a list, many values of one parameter.

use super::Neutron;
use crate::{
    Call, Kind, Result, Service,
    wire::{Listed, One, Pages, Query},
};
use http::Method;
use serde::{Serialize, de::DeserializeOwned};

/// Values of one kind (ids, say) in one request: servers limit a request line to 4 KiB, a UUID takes 47 bytes of it.
const MOST_VALUES: usize = 50;

/// What a delete found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// The object, which is gone now.
    Now,
    /// Nothing: it was gone before.
    Before,
}

/// One object, as a request wraps it.
#[derive(Serialize)]
pub(super) struct PortBody<T> {
    pub port: T,
}

/// Several objects, as a request wraps them.
#[derive(Serialize)]
pub(super) struct PortsBody<T> {
    pub ports: T,
}

impl Neutron {
    /// One object by its path.
    pub(super) async fn get<T: DeserializeOwned>(&self, route: &'static str, path: String) -> Result<T> {
        let call = Call::new(Service::Network, Method::GET, route, path);
        Ok(self.session.call(&call).await?.json::<One<T>>()?.item)
    }

    /// What was asked for by its id; none if Neutron says by name that there is none.
    pub(super) fn if_there<T>(asked: Result<T>) -> Result<Option<T>> {
        match asked {
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            found => found.map(Some),
        }
    }

    /// All objects that answer to `query`, page by page.
    pub(super) async fn list<T: Listed>(&self, route: &'static str, query: &Query) -> Result<Vec<T>> {
        let pages = Pages { service: Service::Network, route, path: route.into(), size: self.page };
        self.session.list(&pages, query).await
    }

    /// Sets the tags of the object at `path`, whatever it had.
    pub(super) async fn set_tags(&self, route: &'static str, path: String, tags: &[String]) -> Result<()> {
        let call = Call::new(Service::Network, Method::PUT, route, path);
        let call = call.json(&serde_json::json!({ "tags": tags }))?;
        self.session.call(&call).await.map(drop)
    }

    /// Deletes the object at `path`.
    pub(super) async fn delete(&self, route: &'static str, path: String) -> Result<Deleted> {
        match self.session.call(&Call::new(Service::Network, Method::DELETE, route, path)).await {
            Ok(_) => Ok(Deleted::Now),
            Err(error) if error.kind() == Kind::NotFound => Ok(Deleted::Before),
            Err(error) => Err(error),
        }
    }
}

/// The queries that together ask for `values` of the parameter `name`; one without it if any value will do.
pub(super) fn any_of(name: &'static str, values: Option<Vec<String>>) -> Vec<Query> {
    let Some(values) = values else { return vec![Query::new()] };
    values
        .chunks(MOST_VALUES)
        .map(|chunk| chunk.iter().map(|value| (name, value.clone())).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_values_are_asked_for_in_turns() {
        let values = |n: usize| Some((0..n).map(|i| i.to_string()).collect());
        assert_eq!(any_of("id", None), vec![Query::new()]);
        assert_eq!(any_of("id", values(0)), Vec::<Query>::new());
        let sizes: Vec<_> = any_of("id", values(101)).iter().map(Vec::len).collect();
        assert_eq!(sizes, [50, 50, 1]);
    }
}
