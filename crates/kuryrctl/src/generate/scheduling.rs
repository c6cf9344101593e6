//! Lets pods ask for what the controller says of Nodes that are virtual machines (`openstack.org/pod-ports`), so that the scheduler counts
//! them: a `MutatingAdmissionPolicy`, and no webhook.
//!
//! It is for pods of Namespaces that have the label, and for pods that have it themselves.

use kuryr_api::names::{PORTS_RESOURCE, SCHEDULE_BY_PORTS_LABEL};
use serde_json::{Value, json};

use super::pod::named;

const API: &str = "admissionregistration.k8s.io/v1";
const NAME: &str = "kuryr-schedule-by-ports";

/// The policy, and what binds it to the pods of labelled Namespaces and to labelled pods.
pub(super) fn documents() -> Vec<Value> {
    let labelled = json!({ "matchLabels": { SCHEDULE_BY_PORTS_LABEL: "true" } });
    vec![
        policy(),
        binding("namespaces", &json!({ "namespaceSelector": labelled })),
        binding("pods", &json!({ "objectSelector": labelled })),
    ]
}

fn policy() -> Value {
    let made =
        json!({ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"] });
    json!({
        "apiVersion": API,
        "kind": "MutatingAdmissionPolicy",
        "metadata": named(NAME, None),
        "spec": {
            // A pod that nobody counts is better than one that can't be made.
            "failurePolicy": "Ignore",
            "reinvocationPolicy": "Never",
            "matchConstraints": { "matchPolicy": "Equivalent", "resourceRules": [made] },
            "matchConditions": [
                { "name": "own-network", "expression": "!object.spec.?hostNetwork.orValue(false)" },
                { "name": "asks-not-yet", "expression": format!(
                    "!object.spec.containers.exists(one, '{PORTS_RESOURCE}' in one.?resources.?requests.orValue({{}}))"
                ) },
            ],
            "mutations": [{ "patchType": "JSONPatch", "jsonPatch": { "expression": format!("[{}, {}]", asks("requests"), asks("limits")) } }],
        },
    })
}

/// An extended resource is to be in both, with one amount.
fn asks(what: &str) -> String {
    let path = format!("/spec/containers/0/resources/{what}");
    format!(
        "object.spec.containers[0].?resources.?{what}.hasValue() \
         ? JSONPatch{{op: 'add', path: '{path}/' + jsonpatch.escapeKey('{PORTS_RESOURCE}'), value: '1'}} \
         : JSONPatch{{op: 'add', path: '{path}', value: {{'{PORTS_RESOURCE}': '1'}}}}"
    )
}

fn binding(of: &str, matching: &Value) -> Value {
    json!({
        "apiVersion": API,
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": named(&format!("{NAME}-{of}"), None),
        "spec": { "policyName": NAME, "matchResources": matching },
    })
}
