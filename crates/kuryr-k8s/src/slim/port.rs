//! A KuryrPort as the caches keep it.

use super::{Slim, Typed, key_of, text};
use crate::key::Key;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kuryr_api::KuryrPort;
use kuryr_api::names;
use kuryr_api::port::{VifEntry, Vifs};
use serde::Deserialize;
use std::collections::BTreeMap;

/// A KuryrPort. It can hold anything: users write these by hand, and older versions wrote them before.
#[derive(Clone, Debug, PartialEq)]
pub struct PortRecord {
    /// Namespace and name; the pod's.
    pub key: Key,
    /// Its own uid.
    pub uid: Box<str>,
    /// Version.
    pub resource_version: Box<str>,
    /// Uid of the pod; empty where the record lacks it.
    pub pod_uid: Box<str>,
    /// Node of the pod; empty where the record lacks it.
    pub node: Box<str>,
    /// The pod is static.
    pub pod_static: bool,
    /// It is being deleted.
    pub deleting: bool,
    /// Finalizers of others on it, which are not ours to take off.
    pub other_finalizers: Box<[Box<str>]>,
    /// The interfaces.
    pub content: Content,
}

/// What a record says of the pod's interfaces.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Interfaces by name; the Python Kuryr writes none at first.
    Vifs(BTreeMap<String, VifEntry>),
    /// Not readable, with the reason.
    Nonsense(String),
}

impl Content {
    /// The interfaces that can be read.
    pub fn vifs(&self) -> impl Iterator<Item = (&str, &VifEntry)> {
        let vifs = match self {
            Self::Vifs(vifs) => Some(vifs),
            Self::Nonsense(_) => None,
        };
        vifs.into_iter().flatten().map(|(name, entry)| (name.as_str(), entry))
    }
}

/// A KuryrPort on the wire.
pub type PortWire = Typed<KuryrPort, Spec, Option<Status>>;

/// The fields of a record's spec.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Spec {
    #[serde(rename = "podUid")]
    uid: Option<Box<str>>,
    #[serde(rename = "podNodeName")]
    node: Option<Box<str>>,
    #[serde(rename = "podStatic")]
    is_static: Option<bool>,
}

/// The field of a record's status.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Status {
    vifs: Vifs,
}

impl Slim for PortRecord {
    type Wire = PortWire;

    fn trim(wire: PortWire) -> Self {
        let status = wire.status.unwrap_or_default();
        let spec = wire.spec;
        Self::new(
            &wire.metadata,
            spec.uid.unwrap_or_default(),
            spec.node.unwrap_or_default(),
            spec.is_static,
            status.vifs,
        )
    }

    known_by_its_fields!();
}

impl From<KuryrPort> for PortRecord {
    fn from(port: KuryrPort) -> Self {
        let vifs = port.status.unwrap_or_default().vifs;
        let spec = port.spec;
        Self::new(&port.metadata, spec.pod_uid.into(), spec.pod_node_name.into(), spec.pod_static, vifs)
    }
}

impl PortRecord {
    fn new(
        meta: &ObjectMeta,
        pod_uid: Box<str>,
        node: Box<str>,
        pod_static: Option<bool>,
        vifs: Vifs,
    ) -> Self {
        let finalizers = meta.finalizers.iter().flatten();
        let others = finalizers.filter(|name| *name != names::KURYRPORT_FINALIZER);
        Self {
            key: key_of(meta),
            uid: text(meta.uid.as_deref()),
            resource_version: text(meta.resource_version.as_deref()),
            deleting: meta.deletion_timestamp.is_some(),
            other_finalizers: others.map(|name| name.as_str().into()).collect(),
            pod_uid,
            node,
            pod_static: pod_static.unwrap_or(false),
            content: match vifs {
                Vifs::Read(vifs) => Content::Vifs(vifs),
                Vifs::Unreadable { error, .. } => Content::Nonsense(error),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: serde_json::Value) -> PortRecord {
        PortRecord::trim(serde_json::from_value(value).unwrap())
    }

    #[test]
    fn a_record_without_spec_and_status_is_still_a_record() {
        let record = read(json!({ "metadata": { "name": "p", "namespace": "n" } }));
        assert_eq!(record.key.to_string(), "n/p");
        assert!(record.pod_uid.is_empty());
        assert_eq!(record.content, Content::Vifs(BTreeMap::new()));
    }

    #[test]
    fn nonsense_is_kept_as_the_reason_why_it_is_nonsense() {
        let record = read(json!({
            "metadata": { "name": "p", "namespace": "n" },
            "spec": { "podUid": "u", "podNodeName": "node" },
            "status": { "vifs": { "eth0": 7 } },
        }));
        assert!(matches!(&record.content, Content::Nonsense(why) if why.contains("invalid type")));
        assert_eq!(record.content.vifs().count(), 0);
    }
}
