//! The definitions of the custom resources.

use crate::{KuryrLoadBalancer, KuryrNetwork, KuryrNetworkPolicy, KuryrNode, KuryrPort};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use schemars::transform::transform_subschemas;

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

/// Kubernetes knows no formats of numbers without a sign, and warns of them whenever a definition is applied.
pub(crate) fn signed(schema: &mut schemars::Schema) {
    if schema.get("format").is_some_and(|format| format == "uint32") {
        schema.insert("format".to_owned(), "int64".into());
    }
    transform_subschemas(&mut signed, schema);
}

/// A schema for a JSON object whose content Kubernetes must neither check nor prune.
pub(crate) fn free_form_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn formats(value: &Value) -> Vec<&str> {
        match value {
            Value::Object(fields) => {
                let own = fields.get("format").and_then(Value::as_str);
                own.into_iter().chain(fields.values().flat_map(formats)).collect()
            }
            Value::Array(values) => values.iter().flat_map(formats).collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn kubernetes_knows_all_formats() {
        let definitions = serde_json::to_value(crds()).unwrap();
        let formats = formats(&definitions);
        assert!(formats.contains(&"int64"));
        assert!(formats.iter().all(|format| ["int32", "int64", "date-time"].contains(format)), "{formats:?}");
    }
}
