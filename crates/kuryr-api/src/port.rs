//! KuryrPort: the record of a pod's Neutron ports, and the order to the node to plug them.

use crate::vif::Vif;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::collections::BTreeMap;

/// Which pod on which node a record is for.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "openstack.org",
    version = "v1",
    kind = "KuryrPort",
    plural = "kuryrports",
    singular = "kuryrport",
    shortname = "kp",
    namespaced,
    status = "KuryrPortStatus",
    doc = "KuryrPort records the Neutron ports of the pod of the same name, and tells its node how to plug them.",
    derive = "Default",
    derive = "PartialEq",
    printcolumn = r#"{"name":"PodUID","type":"string","description":"The pod's uid","jsonPath":".spec.podUid"}"#,
    printcolumn = r#"{"name":"Nodename","type":"string","description":"The node of the pod","jsonPath":".spec.podNodeName"}"#,
    printcolumn = r#"{"name":"labels","type":"string","description":"Labels of the record","jsonPath":".metadata.labels"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct KuryrPortSpec {
    /// Uid of the pod. A record whose uid is not the pod's belongs to an earlier pod of the same name.
    pub pod_uid: String,
    /// Node that the pod is bound to.
    pub pod_node_name: String,
    /// The pod is static: its uid in the API differs from the one that the kubelet passes to CNI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_static: Option<bool>,
}

/// The ports of the pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KuryrPortStatus {
    /// One entry for each interface of the pod, by the interface's name; the default one is always called eth0.
    #[schemars(schema_with = "crate::free_form_object")]
    pub vifs: Vifs,
}

/// One interface of a pod.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VifEntry {
    /// This interface carries the default route and the pod's address.
    pub default: bool,
    /// The port.
    pub vif: Vif,
}

/// `status.vifs`, which a user can fill with anything: the API server does not look inside.
#[derive(Clone, Debug, PartialEq)]
pub enum Vifs {
    /// What Kuryr wrote, by interface name.
    Read(BTreeMap<String, VifEntry>),
    /// What nobody can plug.
    Unreadable {
        /// The content as it stands.
        raw: Value,
        /// Why it cannot be read.
        error: String,
    },
}

impl Default for Vifs {
    fn default() -> Self {
        Self::Read(BTreeMap::new())
    }
}

impl Serialize for Vifs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Read(entries) => entries.serialize(serializer),
            Self::Unreadable { raw, .. } => raw.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Vifs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Value::deserialize(deserializer)?;
        Ok(match BTreeMap::deserialize(&raw) {
            Ok(entries) => Self::Read(entries),
            Err(error) => Self::Unreadable { raw, error: error.to_string() },
        })
    }
}

impl KuryrPort {
    /// The interfaces of the pod; none where the record has no status yet or nonsense in it.
    pub fn vifs(&self) -> impl Iterator<Item = (&str, &VifEntry)> {
        let entries = match &self.status {
            Some(KuryrPortStatus { vifs: Vifs::Read(entries) }) => Some(entries),
            _ => None,
        };
        entries.into_iter().flatten().map(|(name, entry)| (name.as_str(), entry))
    }

    /// The entry with the pod's address.
    pub fn default_vif(&self) -> Option<&Vif> {
        self.vifs().find(|(_, entry)| entry.default).map(|(_, entry)| &entry.vif)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nonsense_in_a_status_is_kept_and_named() {
        let raw = json!({ "eth0": { "default": true, "vif": { "versioned_object.name": "VIFDesk" } } });
        let status: KuryrPortStatus = serde_json::from_value(json!({ "vifs": raw })).unwrap();
        let Vifs::Unreadable { error, .. } = &status.vifs else { panic!("read: {status:?}") };
        assert!(error.contains("versioned_object.version"), "{error}");
        assert_eq!(serde_json::to_value(&status).unwrap(), json!({ "vifs": raw }));
    }

    #[test]
    fn the_record_of_the_python_kuryr_before_it_has_ports_is_read() {
        let port: KuryrPort = serde_json::from_value(json!({
            "apiVersion": "openstack.org/v1", "kind": "KuryrPort",
            "metadata": { "name": "pod-1", "namespace": "default" },
            "spec": { "podUid": "u", "podNodeName": "n", "podStatic": false },
            "status": { "vifs": {} },
        }))
        .unwrap();
        assert_eq!(port.vifs().count(), 0);
        assert_eq!(port.spec.pod_static, Some(false));
    }
}
