//! The KuryrNetworkPolicy of a policy: tells people, and a Python Kuryr that takes over, which group a policy has and what is in it.
//! Nothing depends on it but the adoption of groups that the Python Kuryr made. It goes with its policy, whose it is.

use crate::context::Context;
use crate::policies::{self, Policies, Subject};
use crate::reconcile::error::Error;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::ObjectMeta;
use kuryr_api::network_policy::{
    Condition, KuryrNetworkPolicy, KuryrNetworkPolicySpec, KuryrNetworkPolicyStatus, PolicyRule,
    SecurityGroupRule,
};
use kuryr_core::policy::key::{GroupKey, GroupRule, PeerKey, Remote};
use kuryr_core::policy::model::{Direction, Family, Name};
use kuryr_k8s::records::{self, Written};
use kuryr_k8s::slim::{NetworkPolicy, PolicyRecord};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The condition that tells whether a policy is enforced.
const ENFORCED: &str = "Enforced";
/// Annotation that the Python Kuryr needs on its records: the policy's path.
const LINK: &str = "networkPolicyLink";

/// Keeps the record of a policy as it should be, and takes the Python Kuryr's finalizers off.
pub async fn keep(
    context: &Context,
    policies: &Policies,
    name: &Name,
    policy: Option<&NetworkPolicy>,
    error: Option<&Error>,
) -> Result<(), Error> {
    let key = policies::key(name);
    let record = context.caches.policy_records.get(&key);
    match policy.filter(|policy| !policy.deleting) {
        Some(policy) => write(context, policies, name, policy, record.as_deref(), error).await,
        // Its groups have to be gone before anybody forgets them.
        None if error.is_some() || policies.store.has_groups(&Subject::Policy(name.clone())) => Ok(()),
        None => release(context, policy, record.as_deref()).await,
    }
}

async fn write(
    context: &Context,
    policies: &Policies,
    name: &Name,
    policy: &NetworkPolicy,
    record: Option<&PolicyRecord>,
    error: Option<&Error>,
) -> Result<(), Error> {
    let key = &policy.key;
    let (spec, status) = (spec(policies, name, policy), status(policies, name, policy, error));
    let Some(record) = record.filter(|record| !record.deleting) else {
        context.metrics.wrote("create_kuryrnetworkpolicy");
        let created = records::create(&context.client, key, &whole(policy, spec, status)).await;
        return match created {
            Ok(Written::Done(record)) => {
                context.caches.policy_records.note(record);
                Ok(())
            }
            Ok(Written::Outdated) | Err(records::Error::NamespaceTerminating { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        };
    };
    if record.spec == spec && record.status == status {
        return Ok(());
    }
    context.metrics.wrote("update_kuryrnetworkpolicy");
    let mut patch = json!({ "spec": spec, "status": status });
    patch["status"]["conditions"] = json!(status.conditions);
    let updated = records::update::<KuryrNetworkPolicy>(&context.client, key, &record.uid, patch).await?;
    if let Written::Done(record) = updated {
        context.caches.policy_records.note(record);
    }
    Ok(())
}

/// The policy is gone, and its groups are. The record goes with it, unless the Python Kuryr's finalizer holds it.
async fn release(
    context: &Context,
    policy: Option<&NetworkPolicy>,
    record: Option<&PolicyRecord>,
) -> Result<(), Error> {
    if let Some(policy) = policy.filter(|policy| policy.has_old_finalizer) {
        context.metrics.wrote("release_networkpolicy");
        records::release_policy(&context.client, &policy.key, &policy.uid).await?;
    }
    let Some(record) = record else { return Ok(()) };
    if record.has_old_finalizer {
        context.metrics.wrote("release_kuryrnetworkpolicy");
        let others = &record.other_finalizers;
        records::release::<KuryrNetworkPolicy>(&context.client, &record.key, &record.uid, others).await?;
    }
    if !record.deleting {
        context.metrics.wrote("delete_kuryrnetworkpolicy");
        records::delete::<KuryrNetworkPolicy>(&context.client, &record.key, &record.uid).await?;
    }
    context.caches.policy_records.note_gone(record);
    Ok(())
}

fn whole(
    policy: &NetworkPolicy,
    spec: KuryrNetworkPolicySpec,
    status: KuryrNetworkPolicyStatus,
) -> KuryrNetworkPolicy {
    let owner = OwnerReference {
        api_version: "networking.k8s.io/v1".to_owned(),
        kind: "NetworkPolicy".to_owned(),
        name: policy.key.name().to_owned(),
        uid: policy.uid.to_string(),
        ..OwnerReference::default()
    };
    let (namespace, name) = (policy.key.namespace(), policy.key.name());
    let link = format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies/{name}");
    KuryrNetworkPolicy {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(namespace.to_owned()),
            annotations: Some(BTreeMap::from([(LINK.to_owned(), link)])),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec,
        status: Some(status),
    }
}

fn spec(policies: &Policies, name: &Name, policy: &NetworkPolicy) -> KuryrNetworkPolicySpec {
    let groups = policies.ask(|index| index.groups_of_policy(name)).unwrap_or_default();
    let rules = groups.values().flatten();
    let of = |direction| {
        let its = rules.clone().filter(move |rule| rule.direction == direction);
        its.map(|rule| PolicyRule { sg_rule: described(policies, rule), ..PolicyRule::default() }).collect()
    };
    let types = policy.spec.policy_types.clone().unwrap_or_default();
    KuryrNetworkPolicySpec {
        ingress_sg_rules: of(Direction::Ingress),
        egress_sg_rules: of(Direction::Egress),
        pod_selector: pod_selector(policy),
        policy_types: types,
    }
}

fn described(policies: &Policies, rule: &GroupRule<PeerKey>) -> SecurityGroupRule {
    let (prefix, group) = match &rule.remote {
        Remote::Anyone => (None, None),
        Remote::Prefix(prefix) => (Some(prefix.to_string()), None),
        Remote::Group(peer) => (None, policies.store.peer_id(peer)),
    };
    SecurityGroupRule {
        description: rule.group().map(ToString::to_string),
        direction: Some(if rule.direction == Direction::Ingress { "ingress" } else { "egress" }.to_owned()),
        ethertype: Some(if rule.family == Family::V4 { "IPv4" } else { "IPv6" }.to_owned()),
        protocol: rule.protocol.map(|protocol| protocol.in_rules().to_owned()),
        port_range_min: rule.ports.map(|(first, _)| first.into()),
        port_range_max: rule.ports.map(|(_, last)| last.into()),
        remote_ip_prefix: prefix,
        remote_address_group_id: group.map(|id| id.to_string()),
    }
}

fn status(
    policies: &Policies,
    name: &Name,
    policy: &NetworkPolicy,
    error: Option<&Error>,
) -> KuryrNetworkPolicyStatus {
    let group = policies.store.id_of(&GroupKey::Policy(name.clone()));
    let enforced = match error {
        None => condition("True", "Enforced", String::new()),
        Some(error) => {
            let news = error.news();
            let reason = news.as_ref().map_or("Failed", |news| news.reason);
            let message = news.map_or_else(|| crate::relist::chain(error), |news| news.message);
            condition("False", reason, message)
        }
    };
    KuryrNetworkPolicyStatus {
        security_group_id: group.map(|id| id.to_string()),
        security_group_rules: Vec::new(),
        pod_selector: Some(pod_selector(policy)),
        conditions: vec![enforced],
    }
}

fn pod_selector(policy: &NetworkPolicy) -> Map<String, Value> {
    match serde_json::to_value(&policy.spec.pod_selector) {
        Ok(Value::Object(selector)) => selector,
        _ => Map::new(),
    }
}

fn condition(status: &str, reason: &str, message: String) -> Condition {
    Condition { kind: ENFORCED.to_owned(), status: status.to_owned(), reason: reason.to_owned(), message }
}
