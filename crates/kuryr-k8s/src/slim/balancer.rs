//! A KuryrLoadBalancer as the caches keep it.

use super::{Slim, Typed, key_of, text};
use crate::key::Key;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kuryr_api::load_balancer::{KuryrLoadBalancerSpec, KuryrLoadBalancerStatus};
use kuryr_api::{KuryrLoadBalancer, names};
use serde_json::Value;

/// A KuryrLoadBalancer. What cannot be read of it is empty: it is written anew.
#[derive(Clone, Debug, PartialEq)]
pub struct BalancerRecord {
    /// Namespace and name; the Service's.
    pub key: Key,
    /// Its own uid.
    pub uid: Box<str>,
    /// Version.
    pub resource_version: Box<str>,
    /// It is being deleted.
    pub deleting: bool,
    /// Finalizers of others on it, which are not ours to take off.
    pub other_finalizers: Box<[Box<str>]>,
    /// What should be.
    pub spec: KuryrLoadBalancerSpec,
    /// What is.
    pub status: KuryrLoadBalancerStatus,
}

/// A KuryrLoadBalancer on the wire. Users write these by hand, and older versions wrote them before.
pub type BalancerWire = Typed<KuryrLoadBalancer, Value, Value>;

impl Slim for BalancerRecord {
    type Wire = BalancerWire;

    fn trim(wire: BalancerWire) -> Self {
        let spec = serde_json::from_value(wire.spec).unwrap_or_default();
        let status = serde_json::from_value(wire.status).unwrap_or_default();
        Self::new(&wire.metadata, spec, status)
    }

    known_by_its_fields!();
}

impl From<KuryrLoadBalancer> for BalancerRecord {
    fn from(record: KuryrLoadBalancer) -> Self {
        Self::new(&record.metadata, record.spec, record.status.unwrap_or_default())
    }
}

impl BalancerRecord {
    fn new(meta: &ObjectMeta, spec: KuryrLoadBalancerSpec, status: KuryrLoadBalancerStatus) -> Self {
        let finalizers = meta.finalizers.iter().flatten();
        let others = finalizers.filter(|name| *name != names::KURYRLOADBALANCER_FINALIZER);
        Self {
            key: key_of(meta),
            uid: text(meta.uid.as_deref()),
            resource_version: text(meta.resource_version.as_deref()),
            deleting: meta.deletion_timestamp.is_some(),
            other_finalizers: others.map(|name| name.as_str().into()).collect(),
            spec,
            status,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: Value) -> BalancerRecord {
        BalancerRecord::trim(serde_json::from_value(value).unwrap())
    }

    #[test]
    fn a_record_without_spec_and_status_is_still_a_record() {
        let record = read(json!({ "metadata": { "name": "s", "namespace": "n" } }));
        assert_eq!(record.key.to_string(), "n/s");
        assert_eq!(record.status, KuryrLoadBalancerStatus::default());
    }

    #[test]
    fn nonsense_is_nothing() {
        let record = read(json!({
            "metadata": { "name": "s", "namespace": "n" }, "spec": { "ip": "10.96.0.7" }, "status": { "pools": 7 },
        }));
        assert_eq!(record.spec.ip.as_deref(), Some("10.96.0.7"));
        assert_eq!(record.status, KuryrLoadBalancerStatus::default());
    }
}
