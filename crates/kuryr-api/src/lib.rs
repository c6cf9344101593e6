//! Kuryr's data, and nothing but data: what stands in the Kubernetes API and who may read it.
//!
//! ```text
//!   Pod ◄── owns ── KuryrPort ── status.vifs ──► Vif (os-vif JSON) ── id ──► Neutron port
//!   Service ◄─────── KuryrLoadBalancer
//!   Namespace ◄───── KuryrNetwork
//!   NetworkPolicy ◄─ KuryrNetworkPolicy
//! ```
//!
//! The custom resources keep the group, version, field names and JSON of the Python Kuryr-Kubernetes, so that
//! either implementation reads what the other wrote.
//!
//! - [`ids`]: newtypes for OpenStack identifiers
//! - [`names`]: finalizers, labels, annotations, event reasons
//! - [`vif`]: os-vif's versioned objects
//! - [`port`], [`load_balancer`], [`network`], [`network_policy`]: the custom resources

pub mod ids;
pub mod load_balancer;
pub mod names;
pub mod network;
pub mod network_policy;
pub mod port;
pub mod vif;

pub use ids::{NetworkId, PortId, ProjectId, SecurityGroupId, SubnetId};
pub use load_balancer::KuryrLoadBalancer;
pub use network::KuryrNetwork;
pub use network_policy::KuryrNetworkPolicy;
pub use port::KuryrPort;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

/// The definitions of all custom resources, as an installation applies them.
///
/// They have no status subresource: the Python Kuryr wrote `status` through the main resource, and a
/// subresource would make the API server drop what it writes.
pub fn crds() -> Vec<CustomResourceDefinition> {
    [KuryrPort::crd(), KuryrNetwork::crd(), KuryrLoadBalancer::crd(), KuryrNetworkPolicy::crd()]
        .into_iter()
        .map(without_status_subresource)
        .collect()
}

fn without_status_subresource(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        version.subresources = None;
    }
    crd
}

/// A schema for a JSON object whose content Kubernetes must neither check nor prune.
pub(crate) fn free_form_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}
