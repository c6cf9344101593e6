//! How OpenStack's services wrap what they say: `{"port": …}`, `{"ports": […]}`, and pages of a list.

use crate::{Call, Result, Service, Session};
use http::Method;
use serde::{Deserialize, de::DeserializeOwned};

/// The parameters of a list.
pub(crate) type Query = Vec<(&'static str, String)>;

/// Objects asked for in one page of a list. A server that wants smaller pages makes them smaller.
pub(crate) const PAGE: u32 = 1000;

/// What a list can hold.
pub(crate) trait Listed: DeserializeOwned {
    /// Where the next page begins.
    fn marker(&self) -> &str;
}

/// A list: whose it is, its route, the path where that differs, and how many objects a page has.
pub(crate) struct Pages {
    pub service: Service,
    pub route: &'static str,
    pub path: String,
    pub size: u32,
}

#[derive(Deserialize)]
pub(crate) struct One<T> {
    #[serde(
        alias = "port",
        alias = "network",
        alias = "subnet",
        alias = "security_group",
        alias = "address_group",
        alias = "router",
        alias = "floatingip",
        alias = "trunk",
        alias = "quota",
        alias = "network_ip_availability",
        alias = "loadbalancer",
        alias = "listener",
        alias = "pool",
        alias = "healthmonitor"
    )]
    pub item: T,
}

#[derive(Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
pub(crate) struct Many<T> {
    #[serde(
        alias = "ports",
        alias = "networks",
        alias = "subnets",
        alias = "security_groups",
        alias = "security_group_rules",
        alias = "address_groups",
        alias = "routers",
        alias = "floatingips",
        alias = "trunks",
        alias = "extensions",
        alias = "loadbalancers",
        alias = "listeners",
        alias = "pools",
        alias = "members",
        alias = "healthmonitors",
        alias = "providers"
    )]
    pub items: Vec<T>,
    #[serde(
        default,
        alias = "ports_links",
        alias = "networks_links",
        alias = "subnets_links",
        alias = "security_groups_links",
        alias = "security_group_rules_links",
        alias = "address_groups_links",
        alias = "routers_links",
        alias = "floatingips_links",
        alias = "trunks_links",
        alias = "loadbalancers_links",
        alias = "listeners_links",
        alias = "pools_links",
        alias = "members_links",
        alias = "healthmonitors_links"
    )]
    links: Vec<Link>,
}

#[derive(Deserialize)]
struct Link {
    rel: String,
}

impl<T> Many<T> {
    fn has_next(&self) -> bool {
        self.links.iter().any(|link| link.rel == "next")
    }
}

impl Session {
    /// All objects that answer to `query`, page by page.
    pub(crate) async fn list<T: Listed>(&self, pages: &Pages, query: &Query) -> Result<Vec<T>> {
        let mut found: Vec<T> = Vec::new();
        loop {
            let mut call = Call::new(pages.service, Method::GET, pages.route, pages.path.clone())
                .query("limit", pages.size.to_string());
            for (name, value) in query {
                call = call.query(name, value);
            }
            if let Some(last) = found.last() {
                call = call.query("marker", last.marker());
            }
            let mut page: Many<T> = self.call(&call).await?.json()?;
            let more = page.has_next() && !page.items.is_empty();
            found.append(&mut page.items);
            if !more {
                return Ok(found);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
