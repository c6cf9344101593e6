//! The definitions of the custom resources.

use crate::{KuryrLoadBalancer, KuryrNetwork, KuryrNetworkPolicy, KuryrPort};
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
