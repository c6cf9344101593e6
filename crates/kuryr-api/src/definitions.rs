//! The definitions of the custom resources.

use crate::{KuryrLoadBalancer, KuryrNetwork, KuryrNetworkPolicy, KuryrNode, KuryrPort};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

/// The definitions of all custom resources, as an installation applies them.
///
/// Those of the Python Kuryr have no status subresource: it wrote `status` through the main resource, and a subresource would make the
/// API server drop what it writes. The status of a KuryrNode is its daemon's, and all that the daemon may write.
pub fn crds() -> Vec<CustomResourceDefinition> {
    let of_python =
        [KuryrPort::crd(), KuryrNetwork::crd(), KuryrLoadBalancer::crd(), KuryrNetworkPolicy::crd()];
    of_python.into_iter().map(without_status_subresource).chain([KuryrNode::crd()]).collect()
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
