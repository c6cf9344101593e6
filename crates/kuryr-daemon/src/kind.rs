//! What kind of node this is: one whose pods are ports of its own Open vSwitch, a VM whose pods are on top of its own link and that has
//! no Open vSwitch at all, or one whose pods have virtual functions of its network cards, which needs none either.
//!
//! ```text
//!   label `pod_vif` of the Node ──┐
//!   else [kubernetes]             ├─► Kind ──► what is connected to, waited for, swept and said to be healthy
//!     pod_vif_driver ─────────────┘
//! ```
//!
//! Until the API server has told of the Node nobody knows. What takes pods away does not wait for it: it looks into their namespaces.

use std::{net::IpAddr, time::Duration};

use k8s_openapi::api::core::v1 as core;
use kube::{Api, runtime::watcher};
use kuryr_api::names::POD_VIF_LABEL;
use kuryr_k8s::{
    Cache, Client, Key, Sync,
    slim::{Empty, Slim, Typed},
};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

/// What the Python Kuryr looks for as well.
const NESTED: &str = "nested-";
const SRIOV: &str = "sriov";
const INTERNAL_IP: &str = "InternalIP";
/// After this long without a word of the API server, what the configuration says must do: pods are to go in any case.
const SILENCE: Duration = Duration::from_secs(5);

/// How pods are connected on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Each is a port of the node's Open vSwitch.
    OpenVSwitch,
    /// Each is on top of the node's own link.
    Nested,
    /// Each has a virtual function of one of the node's network cards.
    Sriov,
}

/// What the daemon needs to know of its Node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Its label `pod_vif`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_vif: Option<String>,
    /// Its internal addresses.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
}

/// The daemon's own node, as far as it is known now. Clones share it.
#[derive(Clone)]
pub struct Own {
    source: Source,
    name: String,
    /// `[kubernetes] pod_vif_driver`
    driver: String,
    /// When it was first asked for.
    since: Instant,
}

#[derive(Clone)]
enum Source {
    /// The API server tells.
    Api(Cache<OwnNode>),
    /// Somebody else has asked it.
    Told(Facts),
}

/// A Node as the daemon keeps its own.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnNode {
    key: Key,
    uid: Box<str>,
    resource_version: Box<str>,
    facts: Facts,
}

/// The fields of a Node's status that are read.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Status {
    addresses: Vec<Address>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Address {
    #[serde(rename = "type")]
    kind: String,
    address: String,
}

impl Kind {
    /// The kind of nodes that a driver of pods' interfaces is for.
    pub fn of_driver(driver: &str) -> Self {
        match driver {
            SRIOV => Self::Sriov,
            nested if nested.starts_with(NESTED) => Self::Nested,
            _ => Self::OpenVSwitch,
        }
    }
}

impl Own {
    /// Follows the Node of that name. `driver` is for Nodes without the label.
    pub fn watch(client: &Client, name: &str, driver: &str) -> Self {
        let named = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let source = Source::Api(Cache::start(client, Api::all, named, Box::new(|_| {})));
        Self { source, name: name.to_owned(), driver: driver.to_owned(), since: Instant::now() }
    }

    /// Believes what it is told.
    pub fn told(facts: Facts, name: &str, driver: &str) -> Self {
        Self {
            source: Source::Told(facts),
            name: name.to_owned(),
            driver: driver.to_owned(),
            since: Instant::now(),
        }
    }

    /// What is known of the Node.
    pub fn facts(&self) -> Option<Facts> {
        match &self.source {
            Source::Told(facts) => Some(facts.clone()),
            Source::Api(nodes) => nodes.get(&Key::new("", &self.name)).map(|node| node.facts.clone()),
        }
    }

    /// The node's kind, once it is known. Where the API server keeps silent, or does not allow to ask, it is what the configuration
    /// says after a while: pods that run are to go, and most nodes are as most are.
    pub fn kind(&self) -> Option<Kind> {
        let told = self.facts().map(|facts| self.kind_by(&facts));
        told.or_else(|| (self.since.elapsed() >= SILENCE).then(|| Kind::of_driver(&self.driver)))
    }

    /// Waits until the node's kind is known.
    pub async fn known(&self) -> Kind {
        let patience = SILENCE.saturating_sub(self.since.elapsed());
        match timeout(patience, self.facts_known()).await {
            Ok(facts) => self.kind_by(&facts),
            Err(_) => self.kind().unwrap_or_else(|| Kind::of_driver(&self.driver)),
        }
    }

    /// Waits until the API server has told of the Node.
    pub async fn facts_known(&self) -> Facts {
        match &self.source {
            Source::Told(facts) => facts.clone(),
            Source::Api(nodes) => nodes.wait_for(|_| self.facts()).await,
        }
    }

    /// Waits until there is reason to talk to Open vSwitch: for ever where pods are connected otherwise.
    pub async fn has_switch(&self) {
        if self.known().await != Kind::OpenVSwitch {
            self.becomes(Kind::OpenVSwitch).await;
        }
    }

    /// By what the node's kind is known, for people.
    pub fn reason(&self) -> String {
        match self.facts().and_then(|facts| facts.pod_vif) {
            Some(label) => format!("the node's label {POD_VIF_LABEL} is {label}"),
            None => {
                format!(
                    "[kubernetes] pod_vif_driver is {} and the node has no label {POD_VIF_LABEL}",
                    self.driver
                )
            }
        }
    }

    /// What keeps the Node from being known, if anything does.
    pub fn trouble(&self) -> Option<String> {
        let Source::Api(nodes) = &self.source else { return None };
        match &*nodes.sync().borrow() {
            Sync::Following if self.facts().is_some() => None,
            Sync::Following => Some(format!(
                "there is no Node {} (the daemon's --node-name must be the kubelet's)",
                self.name
            )),
            Sync::Starting => Some(format!("the API server has not told of Node {} yet", self.name)),
            Sync::Behind(reason) | Sync::Failing(reason) => {
                Some(format!("the API server does not tell of Node {}: {reason}", self.name))
            }
        }
    }

    /// News of whether the Node is known; none where nobody will bring any.
    pub fn sync(&self) -> Option<watch::Receiver<Sync>> {
        match &self.source {
            Source::Told(_) => None,
            Source::Api(nodes) => Some(nodes.sync()),
        }
    }

    fn kind_by(&self, facts: &Facts) -> Kind {
        Kind::of_driver(facts.pod_vif.as_deref().unwrap_or(&self.driver))
    }

    async fn becomes(&self, wanted: Kind) {
        let is_so = || self.facts().filter(|facts| self.kind_by(facts) == wanted).map(drop);
        match &self.source {
            Source::Api(nodes) => nodes.wait_for(|_| is_so()).await,
            Source::Told(_) if is_so().is_some() => {}
            Source::Told(_) => std::future::pending().await,
        }
    }
}

impl Slim for OwnNode {
    type Wire = Typed<core::Node, Empty, Status>;

    fn trim(wire: Self::Wire) -> Self {
        let text = |value: Option<String>| value.unwrap_or_default().into_boxed_str();
        let metadata = wire.metadata;
        let addresses = wire.status.addresses.iter().filter(|address| address.kind == INTERNAL_IP);
        let label = metadata.labels.and_then(|mut labels| labels.remove(POD_VIF_LABEL));
        Self {
            facts: Facts {
                pod_vif: label.filter(|label| !label.is_empty()),
                addresses: addresses.filter_map(|address| address.address.parse().ok()).collect(),
            },
            key: Key::new("", &metadata.name.unwrap_or_default()),
            uid: text(metadata.uid),
            resource_version: text(metadata.resource_version),
        }
    }

    kuryr_k8s::known_by_its_fields!();
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(labels: &serde_json::Value) -> OwnNode {
        let addresses = json!([
            {"type": "Hostname", "address": "node1"}, {"type": "ExternalIP", "address": "172.24.4.7"},
            {"type": "InternalIP", "address": "10.2.0.7"}, {"type": "InternalIP", "address": "fd00::7"},
        ]);
        let wire =
            json!({"metadata": {"name": "node1", "labels": labels}, "status": {"addresses": addresses}});
        OwnNode::trim(serde_json::from_value(wire).unwrap())
    }

    #[test]
    fn of_a_node_its_label_and_internal_addresses_are_kept() {
        let facts = node(&json!({"pod_vif": "nested-vlan", "other": "x"})).facts;
        assert_eq!(facts.pod_vif.as_deref(), Some("nested-vlan"));
        assert_eq!(facts.addresses, ["10.2.0.7", "fd00::7"].map(|text| text.parse::<IpAddr>().unwrap()));
        assert_eq!(node(&json!({"pod_vif": ""})).facts.pod_vif, None);
    }

    #[test]
    fn the_label_counts_and_without_it_the_configuration() {
        use Kind::{Nested, OpenVSwitch, Sriov};
        for (label, driver, expected) in [
            (None, "neutron-vif", OpenVSwitch),
            (None, "nested-vlan", Nested),
            (Some("neutron-vif"), "nested-vlan", OpenVSwitch),
            (Some("nested-vlan"), "neutron-vif", Nested),
            (Some("nested-macvlan"), "neutron-vif", Nested),
            (Some("nested-ipvlan"), "neutron-vif", Nested),
            (Some("sriov"), "neutron-vif", Sriov),
            (None, "sriov", Sriov),
        ] {
            let facts = Facts { pod_vif: label.map(str::to_owned), addresses: Vec::new() };
            let own = Own::told(facts, "node1", driver);
            assert_eq!(own.kind(), Some(expected), "{label:?} {driver}");
            assert!(own.reason().contains(label.unwrap_or(driver)), "{}", own.reason());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_vm_never_has_reason_to_talk_to_open_vswitch() {
        let facts = |label: &str| Facts { pod_vif: Some(label.to_owned()), addresses: Vec::new() };
        let hour = Duration::from_hours(1);
        let vm = Own::told(facts("nested-vlan"), "node1", "neutron-vif");
        assert!(timeout(hour, vm.has_switch()).await.is_err());
        let machine = Own::told(facts("neutron-vif"), "node1", "nested-vlan");
        assert!(timeout(hour, machine.has_switch()).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_api_server_is_silent_the_configuration_has_to_do() {
        let silent = Client::new(
            axum::Router::new().fallback(std::future::pending::<axum::http::StatusCode>),
            "default",
        );
        let (hour, driver) = (Duration::from_hours(1), Kind::of_driver);
        assert_eq!((driver("nested-vlan"), driver("neutron-vif")), (Kind::Nested, Kind::OpenVSwitch));
        assert!(timeout(hour, Own::watch(&silent, "node1", "neutron-vif").has_switch()).await.is_ok());
        let vm = Own::watch(&silent, "node1", "nested-vlan");
        assert!(timeout(hour, vm.has_switch()).await.is_err());
        assert!(vm.kind() == Some(Kind::Nested) && vm.trouble().unwrap().contains("node1"));
        assert_eq!(Own::watch(&silent, "node1", "nested-vlan").kind(), None, "it was not asked for long");
    }
}
