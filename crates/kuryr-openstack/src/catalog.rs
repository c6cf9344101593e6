//! The service catalogue: which address a service has for us.

use kuryr_api::cloud::Interface;
use serde::Deserialize;
use std::{collections::BTreeMap, fmt};

/// A service that we call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Keystone.
    Identity,
    /// Neutron.
    Network,
    /// Octavia.
    LoadBalancer,
    /// Nova.
    Compute,
}

/// What Keystone lists with a token.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct Catalog(Vec<Entry>);

#[derive(Debug, Clone, Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    service_type: String,
    #[serde(default)]
    endpoints: Vec<Endpoint>,
}

#[derive(Debug, Clone, Deserialize)]
struct Endpoint {
    interface: String,
    region_id: Option<String>,
    region: Option<String>,
    url: String,
}

/// Which address to take where there are several, and which to use instead.
#[derive(Debug, Clone, Default)]
pub struct Endpoints {
    /// The region; without one the first that has the service.
    pub region: Option<String>,
    /// The interface.
    pub interface: Interface,
    /// Addresses that take the place of the catalogue's, as they stand (`endpoint_override`).
    pub overrides: BTreeMap<Service, String>,
}

impl Service {
    /// The names that clouds list it by, the official one first.
    fn types(self) -> &'static [&'static str] {
        match self {
            Self::Identity => &["identity"],
            Self::Network => &["network"],
            Self::LoadBalancer => &["load-balancer", "octavia"],
            Self::Compute => &["compute"],
        }
    }

    /// The part of the address that says which version of the API is meant.
    fn version(self) -> &'static str {
        match self {
            Self::Identity => "v3",
            Self::Network | Self::LoadBalancer => "v2.0",
            Self::Compute => "v2.1",
        }
    }

    /// The address of the API's version: catalogues name it with and without one.
    pub(crate) fn versioned(self, url: &str) -> String {
        let url = url.trim_end_matches('/');
        let last = url.rsplit('/').next().unwrap_or_default();
        let is_version =
            last.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if is_version { url.to_owned() } else { format!("{url}/{}", self.version()) }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.types()[0])
    }
}

impl Catalog {
    /// The address of `service`, versioned.
    pub(crate) fn find(&self, service: Service, wanted: &Endpoints) -> Option<String> {
        self.0
            .iter()
            .filter(|entry| service.types().contains(&entry.service_type.as_str()))
            .flat_map(|entry| &entry.endpoints)
            .find(|endpoint| endpoint.suits(wanted))
            .map(|endpoint| service.versioned(&endpoint.url))
    }
}

impl Endpoint {
    fn suits(&self, wanted: &Endpoints) -> bool {
        let region = self.region_id.as_ref().or(self.region.as_ref());
        self.interface.parse().is_ok_and(|interface: Interface| interface == wanted.interface)
            && wanted.region.as_ref().is_none_or(|wanted| region == Some(wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Catalog {
        serde_json::from_str(
            r#"[{"type": "network", "name": "neutron", "endpoints": [
                    {"interface": "public", "region": "One", "region_id": "One", "url": "http://one:9696/"},
                    {"interface": "internal", "region": "One", "region_id": "One", "url": "http://one.internal:9696"},
                    {"interface": "public", "region": "Two", "region_id": "Two", "url": "https://two/network/v2.0"}]},
                {"type": "octavia", "endpoints": [{"interface": "publicURL", "region": "One", "url": "http://lb"}]}]"#,
        )
        .unwrap()
    }

    fn wanted(region: Option<&str>, interface: Interface) -> Endpoints {
        Endpoints { region: region.map(Into::into), interface, overrides: BTreeMap::new() }
    }

    #[test]
    fn region_and_interface_choose() {
        let find = |region, interface| catalog().find(Service::Network, &wanted(region, interface));
        assert_eq!(find(None, Interface::Public).as_deref(), Some("http://one:9696/v2.0"));
        assert_eq!(find(Some("Two"), Interface::Public).as_deref(), Some("https://two/network/v2.0"));
        assert_eq!(find(Some("One"), Interface::Internal).as_deref(), Some("http://one.internal:9696/v2.0"));
        assert_eq!(find(Some("Two"), Interface::Internal), None);
    }

    #[test]
    fn old_names_are_known() {
        let url = catalog().find(Service::LoadBalancer, &wanted(Some("One"), Interface::Public));
        assert_eq!(url.as_deref(), Some("http://lb/v2.0"));
        assert!("private".parse::<Interface>().is_err());
    }

    #[test]
    fn a_version_is_added_where_none_is() {
        assert_eq!(Service::Identity.versioned("http://k/identity"), "http://k/identity/v3");
        assert_eq!(Service::Identity.versioned("http://k:5000/v3/"), "http://k:5000/v3");
        assert_eq!(Service::Network.versioned("http://vip"), "http://vip/v2.0");
        assert_eq!(Service::Compute.versioned("http://c/compute/v2.1"), "http://c/compute/v2.1");
        assert_eq!(Service::Compute.versioned("http://c/compute"), "http://c/compute/v2.1");
    }
}
