//! KuryrLoadBalancer: the Octavia load balancer of a Service.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What the load balancer of a Service should be.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "openstack.org",
    version = "v1",
    kind = "KuryrLoadBalancer",
    plural = "kuryrloadbalancers",
    singular = "kuryrloadbalancer",
    shortname = "klb",
    namespaced,
    status = "KuryrLoadBalancerStatus",
    doc = "KuryrLoadBalancer records the Octavia load balancer of the Service of the same name.",
    derive = "Default",
    derive = "PartialEq",
    printcolumn = r#"{"name":"PROJECT-ID","type":"string","description":"The project of the load balancer","jsonPath":".spec.project_id"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
pub struct KuryrLoadBalancerSpec {
    /// Endpoints of the Service.
    #[serde(default, rename = "endpointSlices", skip_serializing_if = "Option::is_none")]
    pub endpoint_slices: Option<Vec<EndpointSlice>>,
    /// ClusterIP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// Address that the Service asks for in `loadBalancerIP`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lb_ip: Option<String>,
    /// Ports of the Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<ServicePort>>,
    /// OpenStack project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// Security groups whose rules guard the VIP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_groups_ids: Option<Vec<String>>,
    /// Subnet of the VIP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnet_id: Option<String>,
    /// `ClusterIP` or `LoadBalancer`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub service_type: Option<String>,
    /// Octavia provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Client inactivity timeout in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_client_data: Option<i64>,
    /// Member inactivity timeout in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_member_data: Option<i64>,
}

/// A port of a Service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServicePort {
    /// Name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Number.
    pub port: i64,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// Number or name of the pods' port.
    #[serde(rename = "targetPort")]
    pub target_port: String,
}

/// A group of endpoints with the same ports.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EndpointSlice {
    /// Endpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Vec<Endpoint>>,
    /// Ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<EndpointPort>>,
}

/// One endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Endpoint {
    /// Addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addresses: Option<Vec<String>>,
    /// State.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conditions: Option<EndpointConditions>,
    /// Host name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Object behind the endpoint.
    #[serde(default, rename = "targetRef", skip_serializing_if = "Option::is_none")]
    pub target_ref: Option<TargetRef>,
    /// Unused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "bare_object")]
    pub topology: Option<Map<String, Value>>,
}

/// State of an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EndpointConditions {
    /// It takes traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
}

/// Object behind an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TargetRef {
    /// Kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Resource version.
    #[serde(default, rename = "resourceVersion", skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
    /// Uid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

/// A port of a group of endpoints.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EndpointPort {
    /// Name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<i64>,
    /// Protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
}

/// What exists in Octavia.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KuryrLoadBalancerStatus {
    /// Listeners.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listeners: Option<Vec<Listener>>,
    /// Load balancer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loadbalancer: Option<LoadBalancer>,
    /// Members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<Vec<Member>>,
    /// Pools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pools: Option<Vec<Pool>>,
    /// Floating IP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_pub_ip_info: Option<PublicIp>,
}

/// An Octavia load balancer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LoadBalancer {
    /// Id.
    pub id: String,
    /// VIP.
    pub ip: String,
    /// Name.
    pub name: String,
    /// Neutron port of the VIP.
    pub port_id: String,
    /// Project.
    pub project_id: String,
    /// Provider.
    pub provider: String,
    /// Security groups of the VIP.
    pub security_groups: Vec<String>,
    /// Subnet of the VIP.
    pub subnet_id: String,
}

/// An Octavia listener.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Listener {
    /// Id.
    pub id: String,
    /// Load balancer.
    pub loadbalancer_id: String,
    /// Name.
    pub name: String,
    /// Port.
    pub port: i64,
    /// Project.
    pub project_id: String,
    /// Protocol.
    pub protocol: String,
    /// Client inactivity timeout in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_client_data: Option<i64>,
    /// Member inactivity timeout in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_member_data: Option<i64>,
}

/// An Octavia pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Pool {
    /// Id.
    pub id: String,
    /// Listener.
    pub listener_id: String,
    /// Load balancer.
    pub loadbalancer_id: String,
    /// Name.
    pub name: String,
    /// Project.
    pub project_id: String,
    /// Protocol.
    pub protocol: String,
}

/// An Octavia member.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Member {
    /// Id.
    pub id: String,
    /// Address.
    pub ip: String,
    /// Name.
    pub name: String,
    /// Pool.
    pub pool_id: String,
    /// Port.
    pub port: i64,
    /// Project.
    pub project_id: String,
    /// Subnet of the address.
    pub subnet_id: String,
}

/// The floating IP of a Service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PublicIp {
    /// Floating IP.
    pub ip_id: String,
    /// Its address.
    pub ip_addr: String,
    /// `pool`: made by Kuryr; `user`: chosen by the user, and left when the Service goes.
    pub alloc_method: String,
}

fn bare_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "object" })
}
