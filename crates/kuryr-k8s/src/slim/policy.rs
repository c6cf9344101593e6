//! A NetworkPolicy and a KuryrNetworkPolicy as the caches keep them.

use super::{Empty, Slim, Typed, key_of, text};
use crate::key::Key;
use k8s_openapi::api::networking::v1 as networking;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kuryr_api::network_policy::{KuryrNetworkPolicySpec, KuryrNetworkPolicyStatus};
use kuryr_api::{KuryrNetworkPolicy, names};
use serde_json::Value;

/// A NetworkPolicy. There are few, so that all of what they say is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkPolicy {
    /// Namespace and name.
    pub key: Key,
    /// Uid.
    pub uid: Box<str>,
    /// Version.
    pub resource_version: Box<str>,
    /// It is being deleted.
    pub deleting: bool,
    /// The Python Kuryr's finalizer is on it.
    pub has_old_finalizer: bool,
    /// What it says.
    pub spec: networking::NetworkPolicySpec,
}

/// A NetworkPolicy on the wire.
pub type NetworkPolicyWire = Typed<networking::NetworkPolicy, networking::NetworkPolicySpec, Empty>;

/// A KuryrNetworkPolicy. What cannot be read of it is empty: it is written anew.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyRecord {
    /// Namespace and name; the policy's.
    pub key: Key,
    /// Its own uid.
    pub uid: Box<str>,
    /// Version.
    pub resource_version: Box<str>,
    /// It is being deleted.
    pub deleting: bool,
    /// The Python Kuryr's finalizer is on it.
    pub has_old_finalizer: bool,
    /// Finalizers of others on it, which are not ours to take off.
    pub other_finalizers: Box<[Box<str>]>,
    /// What should be.
    pub spec: KuryrNetworkPolicySpec,
    /// What is.
    pub status: KuryrNetworkPolicyStatus,
}

/// A KuryrNetworkPolicy on the wire. Users write these by hand, and older versions wrote them before.
pub type PolicyRecordWire = Typed<KuryrNetworkPolicy, Value, Value>;

impl Slim for NetworkPolicy {
    type Wire = NetworkPolicyWire;

    fn trim(wire: NetworkPolicyWire) -> Self {
        let meta = &wire.metadata;
        Self {
            key: key_of(meta),
            uid: text(meta.uid.as_deref()),
            resource_version: text(meta.resource_version.as_deref()),
            deleting: meta.deletion_timestamp.is_some(),
            has_old_finalizer: finalizers(meta).any(|name| name == names::NETWORK_POLICY_FINALIZER),
            spec: wire.spec,
        }
    }

    known_by_its_fields!();
}

impl Slim for PolicyRecord {
    type Wire = PolicyRecordWire;

    fn trim(wire: PolicyRecordWire) -> Self {
        let spec = serde_json::from_value(wire.spec).unwrap_or_default();
        let status = serde_json::from_value(wire.status).unwrap_or_default();
        Self::new(&wire.metadata, spec, status)
    }

    known_by_its_fields!();
}

impl From<KuryrNetworkPolicy> for PolicyRecord {
    fn from(record: KuryrNetworkPolicy) -> Self {
        Self::new(&record.metadata, record.spec, record.status.unwrap_or_default())
    }
}

impl PolicyRecord {
    fn new(meta: &ObjectMeta, spec: KuryrNetworkPolicySpec, status: KuryrNetworkPolicyStatus) -> Self {
        let is_old = |name: &&str| *name == names::NETWORK_POLICY_FINALIZER;
        Self {
            key: key_of(meta),
            uid: text(meta.uid.as_deref()),
            resource_version: text(meta.resource_version.as_deref()),
            deleting: meta.deletion_timestamp.is_some(),
            has_old_finalizer: finalizers(meta).any(|name| is_old(&name)),
            other_finalizers: finalizers(meta).filter(|name| !is_old(name)).map(Into::into).collect(),
            spec,
            status,
        }
    }
}

fn finalizers(meta: &ObjectMeta) -> impl Iterator<Item = &str> {
    meta.finalizers.iter().flatten().map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_old_finalizer_is_told_from_others() {
        let finalizers = json!([names::NETWORK_POLICY_FINALIZER, "example.org/other"]);
        let meta = json!({ "name": "p", "namespace": "n", "finalizers": finalizers });
        let record = PolicyRecord::trim(
            serde_json::from_value(json!({ "metadata": meta, "spec": 7, "status": {} })).unwrap(),
        );
        assert!(record.has_old_finalizer);
        assert_eq!(*record.other_finalizers, ["example.org/other".into()]);
        assert_eq!(record.spec, KuryrNetworkPolicySpec::default());
    }
}
