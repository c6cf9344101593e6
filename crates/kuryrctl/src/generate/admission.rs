//! Ties each daemon to its node: RBAC can't tell one node's daemon from another's, a `ValidatingAdmissionPolicy` can.
//!
//! What a daemon writes are events, and each names the node that it comes from, and the status of its node's KuryrNode. The API server
//! knows by the token which node the daemon runs on.

use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, MatchResources, NamedRuleWithOperations, ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding, ValidatingAdmissionPolicyBindingSpec, ValidatingAdmissionPolicySpec,
    Validation,
};

use super::{cni_account, parameters::Parameters, pod::named};

const NAME: &str = "kuryr-cni-own-node";
const IS_OWN: &str = "request.userInfo.?extra[?'authentication.kubernetes.io/node-name'].orValue(['']).exists(node, \
                      node != '' && node == (request.resource.resource == 'kuryrnodes' ? object.metadata.name : \
                      object.?reportingInstance.orValue('')))";

pub(super) fn policy(parameters: &Parameters) -> ValidatingAdmissionPolicy {
    ValidatingAdmissionPolicy {
        metadata: named(NAME, None),
        spec: Some(ValidatingAdmissionPolicySpec {
            failure_policy: Some("Fail".to_owned()),
            match_constraints: Some(MatchResources {
                match_policy: Some("Equivalent".to_owned()),
                resource_rules: Some(vec![
                    written("events.k8s.io", "events", &["CREATE", "UPDATE"]),
                    written("openstack.org", "kuryrnodes/status", &["UPDATE"]),
                ]),
                ..MatchResources::default()
            }),
            match_conditions: Some(vec![MatchCondition {
                name: "daemons".to_owned(),
                expression: format!(
                    "request.userInfo.username == 'system:serviceaccount:{}:{}'",
                    parameters.namespace,
                    cni_account::NAME
                ),
            }]),
            validations: Some(vec![Validation {
                expression: IS_OWN.to_owned(),
                message: Some(
                    "a Kuryr daemon may write only events whose reportingInstance is its own node, and the status of its own KuryrNode"
                        .to_owned(),
                ),
                reason: Some("Forbidden".to_owned()),
                ..Validation::default()
            }]),
            ..ValidatingAdmissionPolicySpec::default()
        }),
        ..ValidatingAdmissionPolicy::default()
    }
}

pub(super) fn binding() -> ValidatingAdmissionPolicyBinding {
    ValidatingAdmissionPolicyBinding {
        metadata: named(NAME, None),
        spec: Some(ValidatingAdmissionPolicyBindingSpec {
            policy_name: Some(NAME.to_owned()),
            validation_actions: Some(vec!["Deny".to_owned()]),
            ..ValidatingAdmissionPolicyBindingSpec::default()
        }),
    }
}

fn written(group: &str, resource: &str, operations: &[&str]) -> NamedRuleWithOperations {
    let one = |text: &str| Some(vec![text.to_owned()]);
    NamedRuleWithOperations {
        api_groups: one(group),
        api_versions: one("v1"),
        operations: Some(operations.iter().map(|operation| (*operation).to_owned()).collect()),
        resources: one(resource),
        ..NamedRuleWithOperations::default()
    }
}
