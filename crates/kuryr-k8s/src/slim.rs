//! What is kept of each object. A Pod as the API server sends it takes 30 to 90 KiB in memory; what Kuryr
//! decides from fits in a few hundred bytes.
//!
//! ```text
//!   wire (deserialized, only the fields below) ── trim ──► slim (kept)
//! ```

/// The accessors of [`Slim`], for a type that has fields of their names.
macro_rules! known_by_its_fields {
    () => {
        fn key(&self) -> &Key {
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
mod port;
mod service;

pub use balancer::BalancerRecord;
pub use endpoint_slice::{Endpoint, EndpointPort, EndpointSlice};
pub use port::{Content, PortRecord};
pub use service::{Held, Service, ServicePort, ServiceWire};

use crate::key::Key;
use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kuryr_api::names;
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;
use std::fmt::Debug;

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

/// Where a pod is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Not all containers run yet; the network may be missing.
    #[default]
    Pending,
    /// At least one container ran.
    Running,
    /// All containers ended, and none starts again.
    Finished,
    /// The node does not answer.
    Unknown,
}

/// A Pod.
#[derive(Clone, Debug, PartialEq)]
pub struct Pod {
    /// Namespace and name.
    pub key: Key,
    /// Uid.
    pub uid: Box<str>,
    /// Version.
    pub resource_version: Box<str>,
    /// Node, once it is bound to one.
    pub node: Option<Box<str>>,
    /// Whose network it lives in.
    pub network: Network,
    /// Where it is in its life.
    pub phase: Phase,
    /// It is being deleted.
    pub deleting: bool,
    /// It comes from a file on the node, so that the kubelet knows it by another uid.
    pub is_static: bool,
    /// The Python Kuryr's finalizer is on it.
    pub has_old_finalizer: bool,
    /// When it was bound to its node.
    pub scheduled: Option<Timestamp>,
}

/// Whose network a pod lives in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// Its own: it needs ports.
    #[default]
    Own,
    /// The node's (`hostNetwork`).
    Host,
}

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
}

/// The fields of a Pod's spec that are read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    node_name: Option<Box<str>>,
    host_network: Option<bool>,
}

/// The fields of a Pod's status that are read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    phase: Option<String>,
    conditions: Option<Vec<Condition>>,
}

/// The fields of a condition that are read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Condition {
    #[serde(rename = "type")]
    kind: String,
    last_transition_time: Option<Timestamp>,
}

/// A Pod on the wire.
pub type PodWire = Typed<core::Pod, PodSpec, PodStatus>;
/// A Node on the wire.
pub type NodeWire = Typed<core::Node, NodeSpec, Empty>;
/// A Namespace on the wire.
pub type NamespaceWire = Typed<core::Namespace, Empty, PodStatus>;

/// Nothing is read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Empty {}

/// The fields of a Node's spec that are read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeSpec {
    taints: Option<Vec<Taint>>,
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

impl Slim for Pod {
    type Wire = PodWire;

    fn trim(wire: PodWire) -> Self {
        let meta = &wire.metadata;
        let annotations = meta.annotations.as_ref();
        let source = annotations.and_then(|map| map.get(names::CONFIG_SOURCE_ANNOTATION));
        let finalizers = meta.finalizers.iter().flatten();
        Self {
            key: key_of(meta),
            uid: text(meta.uid.as_deref()),
            resource_version: text(meta.resource_version.as_deref()),
            deleting: meta.deletion_timestamp.is_some(),
            is_static: source.is_some_and(|source| source != "api"),
            has_old_finalizer: finalizers.into_iter().any(|name| name == names::POD_FINALIZER),
            node: wire.spec.node_name.filter(|name| !name.is_empty()),
            network: if wire.spec.host_network == Some(true) { Network::Host } else { Network::Own },
            phase: phase(wire.status.phase.as_deref()),
            scheduled: scheduled(wire.status.conditions.as_deref()),
        }
    }

    known_by_its_fields!();
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

fn text(value: Option<&str>) -> Box<str> {
    value.unwrap_or_default().into()
}

fn phase(phase: Option<&str>) -> Phase {
    match phase {
        Some("Running") => Phase::Running,
        Some("Succeeded" | "Failed") => Phase::Finished,
        Some("Unknown") => Phase::Unknown,
        _ => Phase::Pending,
    }
}

fn scheduled(conditions: Option<&[Condition]>) -> Option<Timestamp> {
    conditions?.iter().find(|condition| condition.kind == "PodScheduled")?.last_transition_time
}
