//! KuryrNetwork: the Neutron network of a namespace.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which namespace a network is for.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "openstack.org",
    version = "v1",
    kind = "KuryrNetwork",
    plural = "kuryrnetworks",
    singular = "kuryrnetwork",
    shortname = "kns",
    namespaced,
    status = "KuryrNetworkStatus",
    doc = "KuryrNetwork records the Neutron network and subnet of the namespace of the same name.",
    derive = "Default",
    derive = "PartialEq",
    printcolumn = r#"{"name":"SUBNET-CIDR","type":"string","description":"The subnet of the namespace","jsonPath":".status.subnetCIDR"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct KuryrNetworkSpec {
    /// Namespace.
    pub ns_name: String,
    /// OpenStack project that owns the network.
    pub project_id: String,
    /// Labels of the namespace.
    #[schemars(schema_with = "crate::free_form_object")]
    pub ns_labels: BTreeMap<String, String>,
}

/// What exists in Neutron.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KuryrNetworkStatus {
    /// Network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub net_id: Option<String>,
    /// Its ports pools are filled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub populated: Option<bool>,
    /// Router that the subnet is attached to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub router_id: Option<String>,
    /// Prefix of the subnet.
    #[serde(default, rename = "subnetCIDR", skip_serializing_if = "Option::is_none")]
    pub subnet_cidr: Option<String>,
    /// Subnet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnet_id: Option<String>,
    /// Labels of the namespace that the security groups know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::free_form_object")]
    pub ns_labels: Option<BTreeMap<String, String>>,
}
