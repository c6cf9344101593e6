//! KuryrNetworkPolicy: the security group of a NetworkPolicy.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What the security group of a policy should hold.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "openstack.org",
    version = "v1",
    kind = "KuryrNetworkPolicy",
    plural = "kuryrnetworkpolicies",
    singular = "kuryrnetworkpolicy",
    shortname = "knp",
    namespaced,
    status = "KuryrNetworkPolicyStatus",
    doc = "KuryrNetworkPolicy records the Neutron security group of the NetworkPolicy of the same name.",
    derive = "Default",
    derive = "PartialEq",
    printcolumn = r#"{"name":"SG-ID","type":"string","description":"The security group of the policy","jsonPath":".status.securityGroupId"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct KuryrNetworkPolicySpec {
    /// Rules for traffic from the selected pods.
    pub egress_sg_rules: Vec<PolicyRule>,
    /// Rules for traffic to the selected pods.
    pub ingress_sg_rules: Vec<PolicyRule>,
    /// The policy's own pod selector.
    #[schemars(schema_with = "crate::free_form_object")]
    pub pod_selector: Map<String, Value>,
    /// `Ingress`, `Egress` or both.
    pub policy_types: Vec<String>,
}

/// A rule, and whom it was made for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyRule {
    /// The rule.
    pub sg_rule: SecurityGroupRule,
    /// Namespace that the rule's peer is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Pods that gave the rule its named port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affected_pods: Option<Vec<AffectedPod>>,
}

/// A pod behind a rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AffectedPod {
    /// Address.
    #[serde(rename = "podIP")]
    pub pod_ip: String,
    /// Namespace.
    #[serde(rename = "podNamespace")]
    pub pod_namespace: String,
}

/// A Neutron security group rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SecurityGroupRule {
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `ingress` or `egress`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<String>,
    /// `IPv4` or `IPv6`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ethertype: Option<String>,
    /// Last port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port_range_max: Option<i64>,
    /// First port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port_range_min: Option<i64>,
    /// `tcp`, `udp`, `sctp` or a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// Peers by prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_ip_prefix: Option<String>,
    /// Peers by address group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_address_group_id: Option<String>,
}

/// What exists in Neutron.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KuryrNetworkPolicyStatus {
    /// Security group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_group_id: Option<String>,
    /// Its rules.
    pub security_group_rules: Vec<CreatedRule>,
    /// Pod selector that the pods' ports follow now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::free_form_object")]
    pub pod_selector: Option<Map<String, Value>>,
    /// Whether the policy is enforced as it stands, and if not, why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// Something that holds of a policy, or does not.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Condition {
    /// `Enforced`: its groups grant what they should. What they lack is forbidden.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True` or `False`.
    pub status: String,
    /// `CamelCase`, for programs.
    pub reason: String,
    /// What is in the way and what to do, for people.
    #[serde(default)]
    pub message: String,
}

/// A rule that exists.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CreatedRule {
    /// Rule.
    pub id: String,
    /// Security group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_group_id: Option<String>,
    /// What it allows.
    #[serde(flatten)]
    pub rule: SecurityGroupRule,
}
