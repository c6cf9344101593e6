//! What is kept of each object. A Pod as the API server sends it takes 30 to 90 KiB in memory; what Kuryr
//! decides from fits in a few hundred bytes.
//!
//! ```text
//!   wire (deserialized, only the fields below) ── trim ──► slim (kept)
//! ```

/// The accessors of [`Slim`], for a type that has fields of their names.
#[macro_export]
macro_rules! known_by_its_fields {
    () => {
        fn key(&self) -> &$crate::Key {
            &self.key
        }

        fn uid(&self) -> &str {
            &self.uid
        }

        fn resource_version(&self) -> &str {
            &self.resource_version
        }
    };
}

mod balancer;
mod endpoint_slice;
mod node_record;
mod pod;
mod policy;
mod port;
mod service;

pub use balancer::BalancerRecord;
pub use endpoint_slice::{Endpoint, EndpointPort, EndpointSlice};
pub use node_record::NodeRecord;
pub use pod::{NamedPort, Network, Phase, Pod, PodWire};
pub use policy::{NetworkPolicy, NetworkPolicyWire, PolicyRecord};
pub use port::{Content, PortRecord};
pub use service::{Held, Service, ServicePort, ServiceWire};

use crate::key::Key;
use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kuryr_api::names;
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::net::IpAddr;

/// An object in a cache, made of what the API server sends.
pub trait Slim: Debug + Send + Sync + Sized + 'static {
    /// What is deserialized from the API: just the fields that [`Slim::trim`] looks at.
    type Wire: kube::Resource<DynamicType: Send + Sync + Clone>
        + DeserializeOwned
        + Clone
        + Debug
        + Send
        + Sync
        + 'static;

    /// Keeps what is needed.
    fn trim(wire: Self::Wire) -> Self;

    /// Namespace and name.
    fn key(&self) -> &Key;

    /// Uid, to tell an object from its successor of the same name.
    fn uid(&self) -> &str;

    /// Version, to tell a newer copy from an older one.
    fn resource_version(&self) -> &str;
}

/// The key of an object by its metadata.
pub(crate) fn key_of(meta: &ObjectMeta) -> Key {
    Key::new(meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
}

/// Labels of an object, sorted by their keys.
pub type Labels = Box<[(Box<str>, Box<str>)]>;

/// A Node.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Name.
    pub key: Key,
    /// Uid.
    pub uid: Box<str>,
    /// Version.
    pub resource_version: Box<str>,
    /// No machine stands behind it (a virtual kubelet), so no daemon of ours can run there.
    pub is_virtual: bool,
    /// How its pods are plugged, where its label says so.
    pub pod_vif: Option<Box<str>>,
    /// Its addresses, sorted.
    pub addresses: Box<[IpAddr]>,
    /// How many pods that ask for a port it is said to take.
    pub pod_ports: Option<u32>,
    /// Since when its kubelet has not been heard of, or says itself that it cannot work.
    pub lost_since: Option<Timestamp>,
}

/// A Namespace.
#[derive(Clone, Debug, PartialEq)]
pub struct Namespace {
    /// Name.
    pub key: Key,
    /// Uid.
    pub uid: Box<str>,
    /// Version.
    pub resource_version: Box<str>,
    /// It is being deleted: nothing new can be created in it.
    pub terminating: bool,
    /// OpenStack project that its annotation names.
    pub project: Option<Box<str>>,
    /// Labels.
    pub labels: Labels,
}

/// A Node on the wire.
pub type NodeWire = Typed<core::Node, NodeSpec, NodeStatus>;
/// A Namespace on the wire.
pub type NamespaceWire = Typed<core::Namespace, Empty, Empty>;

/// Nothing is read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Empty {}

/// The fields of a Node's spec that are read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeSpec {
    taints: Option<Vec<Taint>>,
}

/// The fields of a Node's status that are read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    addresses: Vec<NodeAddress>,
    capacity: Resources,
    conditions: Vec<Condition>,
}

/// The fields of a condition that are read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    last_transition_time: Option<Timestamp>,
}

/// Amounts of resources, by their names.
pub(crate) type Resources = BTreeMap<Box<str>, serde_json::Value>;

/// The fields of a Node's address that are read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeAddress {
    address: Box<str>,
}

/// The field of a taint that is read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Taint {
    key: String,
}

/// An object of kind `K` of which only a part is deserialized. Every field may be missing: what stands in
/// the API may have been written before its schema.
#[derive(Clone, Debug, Deserialize)]
#[serde(bound(deserialize = "P: DeserializeOwned + Default, S: DeserializeOwned + Default"))]
pub struct Typed<K, P, S> {
    /// Metadata, as far as it is read.
    #[serde(default, deserialize_with = "metadata")]
    pub metadata: ObjectMeta,
    /// Specification.
    #[serde(default)]
    pub spec: P,
    /// Status.
    #[serde(default)]
    pub status: S,
    #[serde(skip)]
    kind: std::marker::PhantomData<K>,
}

impl<K, P, S> kube::Resource for Typed<K, P, S>
where
    K: kube::Resource<DynamicType = ()>,
{
    type DynamicType = ();
    type Scope = K::Scope;

    fn kind(dt: &()) -> std::borrow::Cow<'_, str> {
        K::kind(dt)
    }

    fn group(dt: &()) -> std::borrow::Cow<'_, str> {
        K::group(dt)
    }

    fn version(dt: &()) -> std::borrow::Cow<'_, str> {
        K::version(dt)
    }

    fn plural(dt: &()) -> std::borrow::Cow<'_, str> {
        K::plural(dt)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl Slim for Node {
    type Wire = NodeWire;

    fn trim(wire: NodeWire) -> Self {
        let labels = wire.metadata.labels.as_ref();
        let labelled = labels.and_then(|map| map.get("type")).is_some_and(|kind| kind == "virtual-kubelet");
        let taints = wire.spec.taints.iter().flatten();
        Self {
            key: key_of(&wire.metadata),
            uid: text(wire.metadata.uid.as_deref()),
            resource_version: text(wire.metadata.resource_version.as_deref()),
            is_virtual: labelled
                || taints.into_iter().any(|taint| taint.key.starts_with("virtual-kubelet.io/")),
            pod_vif: labels
                .and_then(|map| map.get(names::POD_VIF_LABEL))
                .filter(|kind| !kind.is_empty())
                .map(|kind| kind.as_str().into()),
            addresses: addresses(&wire.status),
            pod_ports: amount(&wire.status.capacity, names::PORTS_RESOURCE),
            lost_since: lost_since(&wire.status.conditions),
        }
    }

    known_by_its_fields!();
}

impl Slim for Namespace {
    type Wire = NamespaceWire;

    fn trim(wire: NamespaceWire) -> Self {
        let annotations = wire.metadata.annotations.as_ref();
        let project = annotations.and_then(|map| map.get(names::PROJECT_ANNOTATION));
        Self {
            project: project.filter(|project| !project.is_empty()).map(|project| project.as_str().into()),
            key: key_of(&wire.metadata),
            uid: text(wire.metadata.uid.as_deref()),
            resource_version: text(wire.metadata.resource_version.as_deref()),
            terminating: wire.metadata.deletion_timestamp.is_some(),
            labels: labels(&wire.metadata),
        }
    }

    known_by_its_fields!();
}

/// The fields of the metadata that are read. Who wrote which field (`managedFields`) takes more memory than all the rest
/// of a Pod, for as long as a page of a LIST is held.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Meta {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    finalizers: Option<Vec<String>>,
}

fn metadata<'de, D: Deserializer<'de>>(from: D) -> Result<ObjectMeta, D::Error> {
    let meta = Meta::deserialize(from)?;
    Ok(ObjectMeta {
        name: meta.name,
        namespace: meta.namespace,
        uid: meta.uid,
        resource_version: meta.resource_version,
        creation_timestamp: meta.creation_timestamp,
        deletion_timestamp: meta.deletion_timestamp,
        labels: meta.labels,
        annotations: meta.annotations,
        finalizers: meta.finalizers,
        ..ObjectMeta::default()
    })
}

/// Host names among them are no addresses.
fn addresses(status: &NodeStatus) -> Box<[IpAddr]> {
    let addresses = status.addresses.iter().filter_map(|one| one.address.parse().ok());
    addresses.collect::<BTreeSet<IpAddr>>().into_iter().collect()
}

/// Since when a node is not ready. One that nobody has said anything about yet is not lost.
fn lost_since(conditions: &[Condition]) -> Option<Timestamp> {
    let ready = conditions.iter().find(|condition| condition.kind == "Ready")?;
    ready.last_transition_time.filter(|_| ready.status != "True")
}

/// How much of a resource that is counted in whole ones.
pub(crate) fn amount(resources: &Resources, name: &str) -> Option<u32> {
    let amount = resources.get(name)?;
    amount.as_str().map_or_else(|| amount.as_u64()?.try_into().ok(), |text| text.parse().ok())
}

fn labels(meta: &ObjectMeta) -> Labels {
    let labels = meta.labels.iter().flatten();
    labels.map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect()
}

fn text(value: Option<&str>) -> Box<str> {
    value.unwrap_or_default().into()
}
