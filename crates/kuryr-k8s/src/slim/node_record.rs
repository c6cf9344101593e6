//! A KuryrNode as the caches keep it.

use super::{Slim, Typed, key_of, text};
use crate::key::Key;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kuryr_api::KuryrNode;
use kuryr_api::node::{KuryrNodeSpec, KuryrNodeStatus};

/// A KuryrNode. What a user has written into it by hand counts as nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeRecord {
    /// Name; the node's.
    pub key: Key,
    /// Uid.
    pub uid: Box<str>,
    /// Version.
    pub resource_version: Box<str>,
    /// What the controller keeps ready.
    pub spec: KuryrNodeSpec,
    /// What the daemon says.
    pub status: KuryrNodeStatus,
}

/// A KuryrNode on the wire.
pub type NodeRecordWire = Typed<KuryrNode, KuryrNodeSpec, Option<KuryrNodeStatus>>;

impl Slim for NodeRecord {
    type Wire = NodeRecordWire;

    fn trim(wire: NodeRecordWire) -> Self {
        Self::new(&wire.metadata, wire.spec, wire.status)
    }

    known_by_its_fields!();
}

impl From<KuryrNode> for NodeRecord {
    fn from(node: KuryrNode) -> Self {
        Self::new(&node.metadata, node.spec, node.status)
    }
}

impl NodeRecord {
    fn new(meta: &ObjectMeta, spec: KuryrNodeSpec, status: Option<KuryrNodeStatus>) -> Self {
        Self {
            key: key_of(meta),
            uid: text(meta.uid.as_deref()),
            resource_version: text(meta.resource_version.as_deref()),
            spec,
            status: status.unwrap_or_default(),
        }
    }
}
