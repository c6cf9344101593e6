//! What a path of the API is about.

use std::collections::BTreeMap;

/// Query parameters.
pub(super) type Query = BTreeMap<String, String>;

/// A collection or one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// `v1`, `openstack.org/v1`.
    pub api_version: String,
    /// `pods`, `kuryrports`.
    pub resource: String,
    /// Namespace; empty for cluster-scoped objects and lists over all namespaces.
    pub namespace: String,
    /// Name, unless it is a collection.
    pub name: Option<String>,
}

impl Target {
    /// `/api/v1/namespaces/NS/pods/NAME`, `/apis/GROUP/VERSION/RESOURCE`, …
    pub(super) fn parse(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let (api_version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ((*version).to_owned(), rest),
            ["apis", group, version, rest @ ..] => (format!("{group}/{version}"), rest),
            _ => return None,
        };
        let target = |resource: &str, namespace: &str, name: Option<&str>| Self {
            api_version,
            resource: resource.to_owned(),
            namespace: namespace.to_owned(),
            name: name.map(ToOwned::to_owned),
        };
        match rest {
            ["namespaces", namespace, resource] => Some(target(resource, namespace, None)),
            ["namespaces", namespace, resource, name, ..] => Some(target(resource, namespace, Some(name))),
            [resource] => Some(target(resource, "", None)),
            [resource, name] | [resource, name, "status"] => Some(target(resource, "", Some(name))),
            _ => None,
        }
    }
}

/// Parameters; none that Kuryr sends needs decoding beyond `%3D` and `%2F`.
pub(super) fn query(text: &str) -> Query {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.replace("%3D", "=").replace("%2F", "/"))).collect()
}
