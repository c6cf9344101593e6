//! Accounts, and what they may do: the verbs that the programs use, and no other.

use k8s_openapi::api::{
    core::v1::ServiceAccount,
    rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject},
};
use serde::Serialize;

use super::{parameters::Parameters, pod::named};

/// Ours, by their API group.
const CUSTOM: &str = "openstack.org";
const RBAC: &str = "rbac.authorization.k8s.io";

/// An account with its role in the whole cluster, and perhaps one in its namespace.
pub(super) struct Account<'a> {
    pub(super) name: &'a str,
    pub(super) everywhere: Vec<PolicyRule>,
    pub(super) at_home: Vec<PolicyRule>,
}

/// What the controller may do in the whole cluster.
pub(crate) fn controller() -> Vec<PolicyRule> {
    vec![
        rule("", &["pods", "nodes", "namespaces", "services"], &["list", "watch"]),
        rule("discovery.k8s.io", &["endpointslices"], &["list", "watch"]),
        // To take off the finalizers that the Python Kuryr put on pods and network policies, and to hold Services that have load balancers.
        rule("", &["pods", "services"], &["patch"]),
        // To tell how many pods a Node takes that is a virtual machine.
        rule("", &["nodes/status"], &["patch"]),
        // To tell a Service's address outside.
        rule("", &["services/status"], &["patch"]),
        rule("networking.k8s.io", &["networkpolicies"], &["list", "watch", "patch"]),
        rule(
            CUSTOM,
            &["kuryrports", "kuryrloadbalancers", "kuryrnetworkpolicies", "kuryrnodes"],
            &["list", "watch", "create", "patch", "delete"],
        ),
        events(),
    ]
}

/// What the controller may do in its own namespace: be elected.
pub(crate) fn election() -> Vec<PolicyRule> {
    let lease = PolicyRule {
        resource_names: Some(vec![super::controller::NAME.to_owned()]),
        ..rule("coordination.k8s.io", &["leases"], &["get", "update"])
    };
    // What is created has no name yet that a rule could ask for.
    vec![lease, rule("coordination.k8s.io", &["leases"], &["create"])]
}

/// What a daemon may do. Its only writes are events, and what it says of its own node, whose label says how pods are plugged there.
pub(crate) fn daemon() -> Vec<PolicyRule> {
    vec![
        rule("", &["pods", "nodes"], &["list", "watch"]),
        rule(CUSTOM, &["kuryrports", "kuryrnodes"], &["list", "watch"]),
        rule(CUSTOM, &["kuryrnodes/status"], &["patch"]),
        events(),
    ]
}

fn events() -> PolicyRule {
    rule("events.k8s.io", &["events"], &["create", "patch"])
}

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> PolicyRule {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    PolicyRule {
        api_groups: Some(owned(&[group])),
        resources: Some(owned(resources)),
        verbs: owned(verbs),
        ..PolicyRule::default()
    }
}

impl Account<'_> {
    /// All documents of the account.
    pub(super) fn documents(&self, parameters: &Parameters) -> serde_json::Result<Vec<serde_json::Value>> {
        let home = Some(parameters.namespace.as_str());
        let mut documents = vec![
            value(&self.service_account(home))?,
            value(&ClusterRole {
                metadata: named(self.name, None),
                rules: Some(self.everywhere.clone()),
                ..ClusterRole::default()
            })?,
            value(&ClusterRoleBinding {
                // As it has always been called, so that an upgrade replaces it.
                metadata: named(&format!("{}-global", self.name), None),
                role_ref: self.role("ClusterRole"),
                subjects: Some(self.subjects(home)),
            })?,
        ];
        if !self.at_home.is_empty() {
            let rules = Some(self.at_home.clone());
            documents.push(value(&Role { metadata: named(self.name, home), rules })?);
            documents.push(value(&RoleBinding {
                metadata: named(self.name, home),
                role_ref: self.role("Role"),
                subjects: Some(self.subjects(home)),
            })?);
        }
        Ok(documents)
    }

    /// A token is mounted where a pod asks for it.
    fn service_account(&self, home: Option<&str>) -> ServiceAccount {
        ServiceAccount {
            metadata: named(self.name, home),
            automount_service_account_token: Some(false),
            ..ServiceAccount::default()
        }
    }

    fn role(&self, kind: &str) -> RoleRef {
        RoleRef { api_group: RBAC.to_owned(), kind: kind.to_owned(), name: self.name.to_owned() }
    }

    fn subjects(&self, home: Option<&str>) -> Vec<Subject> {
        vec![Subject {
            kind: "ServiceAccount".to_owned(),
            name: self.name.to_owned(),
            namespace: home.map(str::to_owned),
            ..Subject::default()
        }]
    }
}

fn value(object: &impl Serialize) -> serde_json::Result<serde_json::Value> {
    serde_json::to_value(object)
}
