//! How Neutron wraps what it says: `{"port": …}`, `{"ports": […]}`, and pages of a list.

use super::Neutron;
use crate::{Call, Result, Service};
use http::Method;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Values of one kind (ids, say) in one request: servers limit a request line to 4 KiB, a UUID takes 47 bytes of it.
const MOST_VALUES: usize = 50;

/// The parameters of a list.
pub(super) type Query = Vec<(&'static str, String)>;

/// What a list can hold.
pub(super) trait Listed: DeserializeOwned {
    /// Where the next page begins.
    fn marker(&self) -> &str;
}

#[derive(Deserialize)]
pub(super) struct One<T> {
    #[serde(
        alias = "port",
        alias = "network",
        alias = "subnet",
        alias = "security_group",
        alias = "router",
        alias = "quota",
        alias = "network_ip_availability"
    )]
    pub item: T,
}

#[derive(Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
pub(super) struct Many<T> {
    #[serde(
        alias = "ports",
        alias = "networks",
        alias = "subnets",
        alias = "security_groups",
        alias = "routers",
        alias = "extensions"
    )]
    pub items: Vec<T>,
    #[serde(
        default,
        alias = "ports_links",
        alias = "networks_links",
        alias = "subnets_links",
        alias = "security_groups_links",
        alias = "routers_links"
    )]
    links: Vec<Link>,
}

#[derive(Deserialize)]
struct Link {
    rel: String,
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

impl<T> Many<T> {
    fn has_next(&self) -> bool {
        self.links.iter().any(|link| link.rel == "next")
    }
}

impl Neutron {
    /// One object by its path.
    pub(super) async fn get<T: DeserializeOwned>(&self, route: &'static str, path: String) -> Result<T> {
        let call = Call::new(Service::Network, Method::GET, route, path);
        Ok(self.session.call(&call).await?.json::<One<T>>()?.item)
    }

    /// All objects that answer to `query`, page by page.
    pub(super) async fn list<T: Listed>(&self, route: &'static str, query: &Query) -> Result<Vec<T>> {
        let mut found: Vec<T> = Vec::new();
        loop {
            let mut call = Call::new(Service::Network, Method::GET, route, route.into())
                .query("limit", self.page.to_string());
            for (name, value) in query {
                call = call.query(name, value);
            }
            if let Some(last) = found.last() {
                call = call.query("marker", last.marker());
            }
            let mut page: Many<T> = self.session.call(&call).await?.json()?;
            let more = page.has_next() && !page.items.is_empty();
            found.append(&mut page.items);
            if !more {
                return Ok(found);
            }
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

    #[test]
    fn the_next_page_is_announced() {
        let page: Many<u8> = serde_json::from_str(
            r#"{"ports": [1], "ports_links": [{"rel": "next", "href": "http://x"}, {"rel": "previous", "href": ""}]}"#,
        )
        .unwrap();
        assert!(page.has_next());
        assert!(!serde_json::from_str::<Many<u8>>(r#"{"subnets": [1]}"#).unwrap().has_next());
    }
}
