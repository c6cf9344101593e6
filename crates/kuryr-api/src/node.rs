//! KuryrNode: what the controller and a node's daemon tell each other of the ports that are kept ready there.
//!
//! ```text
//!   controller ──► spec:   how many ports there are, and which are to be wired before a pod needs them
//!   daemon     ──► status: how many are wired, and which ports of pods that go are plugged no more
//! ```

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the controller keeps ready on the node of the same name.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "openstack.org",
    version = "v1",
    kind = "KuryrNode",
    plural = "kuryrnodes",
    singular = "kuryrnode",
    shortname = "kn",
    status = "KuryrNodeStatus",
    doc = "KuryrNode tells how many ports are kept ready on the node of the same name, and which its daemon has unplugged.",
    derive = "Default",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Pods","type":"integer","description":"Pods on the node that have a port or need one","jsonPath":".spec.pods"}"#,
    printcolumn = r#"{"name":"Free","type":"integer","description":"Ports that no pod has","jsonPath":".spec.free"}"#,
    printcolumn = r#"{"name":"Target","type":"integer","description":"How many ports are to be free","jsonPath":".spec.target"}"#,
    printcolumn = r#"{"name":"Warm","type":"integer","description":"Free ports that are wired on the node already","jsonPath":".status.warm"}"#,
    printcolumn = r#"{"name":"Capacity","type":"integer","description":"Pods that ask for a port and fit on the node, where it is a virtual machine","jsonPath":".spec.capacity"}"#,
    printcolumn = r#"{"name":"Daemon","type":"string","description":"Version of the node's daemon","jsonPath":".status.daemon"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = crate::definitions::signed)]
pub struct KuryrNodeSpec {
    /// Pods on the node that have a port or need one.
    #[serde(default)]
    pub pods: u32,
    /// Ports bound to the node that no pod has.
    #[serde(default)]
    pub free: u32,
    /// How many of them there are to be.
    #[serde(default)]
    pub target: u32,
    /// How many pods that ask for one of `openstack.org/pod-ports` fit on the node, as the Node says it; none: it is no virtual machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u32>,
    /// Ports that the daemon keeps wired in Open vSwitch, whether a pod has them or not, by their ids.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ports: BTreeMap<String, KeptPort>,
}

/// What the daemon needs to know of a port that it keeps wired.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeptPort {
    /// The port's MAC address.
    pub mac: String,
    /// The bridge of Open vSwitch that it belongs to.
    pub bridge: String,
    /// The port's addresses, of which its neighbours are told when it is wired.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
}

/// What the node's daemon says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = crate::definitions::signed)]
pub struct KuryrNodeStatus {
    /// Version of the daemon. Without one nobody tells what was unplugged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daemon: Option<String>,
    /// Ports of KuryrPorts that are being deleted, and that are plugged no more: ids of ports, and uids of the pods that had them. An
    /// entry goes with its KuryrPort.
    #[serde(default)]
    pub unplugged: BTreeMap<String, String>,
    /// Ports that are wired and that no pod has.
    #[serde(default)]
    pub warm: u32,
}
