//! What of Kuryr is in Kubernetes.

use std::time::Duration;

use anyhow::{Result, bail};
use k8s_openapi::{
    api::{
        admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
        apps::v1::{DaemonSet, Deployment},
        coordination::v1::Lease,
        core::v1::{ConfigMap, Node, Pod, Secret, Service, ServiceAccount},
        networking::v1::NetworkPolicy,
        rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Resource,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams},
};
use kuryr_api::{
    KuryrLoadBalancer, KuryrNetwork, KuryrNetworkPolicy, KuryrNode, KuryrPort, names::PORTS_RESOURCE,
};
use tokio::time::{Instant, sleep};

use super::step::{Object, Step};
use crate::connect::said;

/// All that `kuryrctl generate` makes has it.
const OURS: &str = "app.kubernetes.io/name=kuryr";
/// A program: the name of what runs it, and the label of its pods. The Python Kuryr's have the same.
struct Program {
    name: &'static str,
    pods: &'static str,
}

/// Makes what is in OpenStack.
const CONTROLLER: Program = Program { name: "kuryr-controller", pods: "name=kuryr-controller" };
/// Makes what is on the nodes.
const DAEMON: Program = Program { name: "kuryr-cni-ds", pods: "app=kuryr-cni" };
/// The domain of all finalizers that any Kuryr has set, or its end: `KuryrNetwork` has `kuryrnetwork.finalizers.kuryr.openstack.org`.
const DOMAIN: &str = "kuryr.openstack.org";
/// Programs finish what is in flight within 20 s.
const STOPPED_WITHIN: Duration = Duration::from_mins(1);
const PAGE: u32 = 500;

/// What of Kuryr runs.
#[derive(Clone, Copy)]
pub(super) enum Running {
    /// The controllers.
    Controllers,
    /// The daemons.
    Daemons,
}

impl Running {
    fn program(self) -> Program {
        match self {
            Self::Controllers => CONTROLLER,
            Self::Daemons => DAEMON,
        }
    }

    /// Ends them.
    pub(super) async fn end(self, client: &Client, namespace: &str) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        for resource in [kind::<Deployment>(), kind::<DaemonSet>()] {
            let found = list(client, &resource, Some(namespace), None).await?;
            let name = self.program().name;
            let named = found.iter().filter(|object| object.metadata.name.as_deref() == Some(name));
            steps.extend(named.map(|object| Step::Delete(Object::of(&resource, object))));
        }
        Ok(steps)
    }

    /// Waits until none of their pods is left.
    pub(super) async fn wait(self, client: &Client, namespace: &str) -> Result<()> {
        let deadline = Instant::now() + STOPPED_WITHIN;
        loop {
            match list(client, &kind::<Pod>(), Some(namespace), Some(self.program().pods)).await?.len() {
                0 => return Ok(()),
                left if Instant::now() >= deadline => {
                    bail!("{left} pods of Kuryr have not ended: look at them, then call this again")
                }
                _ => sleep(Duration::from_millis(500)).await,
            }
        }
    }
}

/// Ports that daemons keep wired without pods.
pub(super) async fn wired(client: &Client) -> Result<Vec<Step>> {
    let found = list(client, &kind::<KuryrNode>(), None, None).await?;
    let keeps =
        |node: &&DynamicObject| node.data["spec"]["ports"].as_object().is_some_and(|ports| !ports.is_empty());
    let nodes: Vec<_> = found.iter().filter(keeps).filter_map(|node| node.metadata.name.clone()).collect();
    Ok(if nodes.is_empty() { Vec::new() } else { vec![Step::Unwire(nodes)] })
}

/// What would keep objects, their namespaces and definitions from going.
pub(super) async fn finalizers(client: &Client) -> Result<Vec<Step>> {
    let others = [kind::<Pod>(), kind::<Service>(), kind::<NetworkPolicy>()];
    let mut steps = Vec::new();
    for resource in record_kinds().into_iter().chain(others) {
        let found = list(client, &resource, None, None).await?;
        steps.extend(found.iter().filter_map(|object| release(&resource, object)));
    }
    Ok(steps)
}

fn release(resource: &ApiResource, object: &DynamicObject) -> Option<Step> {
    let all = object.metadata.finalizers.as_deref().unwrap_or_default();
    let stay: Vec<_> = all.iter().filter(|name| !is_ours(name)).cloned().collect();
    (stay.len() < all.len()).then(|| Step::Release(Object::of(resource, object), stay))
}

fn is_ours(finalizer: &str) -> bool {
    finalizer.split('/').next().is_some_and(|domain| domain.ends_with(DOMAIN))
}

/// Our custom resources.
pub(super) async fn records(client: &Client) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    for resource in record_kinds() {
        steps.extend(deletions(client, &resource, None, None).await?);
    }
    Ok(steps)
}

/// Accounts, rights, configuration, login.
pub(super) async fn installation(client: &Client, namespace: &str) -> Result<Vec<Step>> {
    let at_home = [
        kind::<ConfigMap>(),
        kind::<Secret>(),
        kind::<RoleBinding>(),
        kind::<Role>(),
        kind::<ServiceAccount>(),
    ];
    let everywhere = [
        kind::<ClusterRoleBinding>(),
        kind::<ClusterRole>(),
        kind::<ValidatingAdmissionPolicyBinding>(),
        kind::<ValidatingAdmissionPolicy>(),
    ];
    let mut steps = Vec::new();
    for resource in at_home {
        steps.extend(deletions(client, &resource, Some(namespace), Some(OURS)).await?);
    }
    for resource in everywhere.into_iter().chain(mutating()) {
        steps.extend(deletions(client, &resource, None, Some(OURS)).await?);
    }
    let leases = list(client, &kind::<Lease>(), Some(namespace), None).await?;
    let lease = leases.iter().filter(|lease| lease.metadata.name.as_deref() == Some(CONTROLLER.name));
    steps.extend(lease.map(|lease| Step::Delete(Object::of(&kind::<Lease>(), lease))));
    Ok(steps)
}

/// What Kubernetes knows since 1.36 alone.
fn mutating() -> impl Iterator<Item = ApiResource> {
    let kinds = [
        ("MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings"),
        ("MutatingAdmissionPolicy", "mutatingadmissionpolicies"),
    ];
    let group = "admissionregistration.k8s.io";
    kinds.into_iter().map(move |(kind, plural)| {
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, "v1", kind), plural)
    })
}

/// What Nodes say of how many pods they take.
pub(super) async fn capacities(client: &Client) -> Result<Vec<Step>> {
    let nodes = list(client, &kind::<Node>(), None, None).await?;
    let says = |node: &&DynamicObject| !node.data["status"]["capacity"][PORTS_RESOURCE].is_null();
    let names = nodes.iter().filter(says).filter_map(|node| node.metadata.name.clone());
    Ok(names.map(Step::DropCapacity).collect())
}

/// The definitions of our custom resources.
pub(super) async fn definitions(client: &Client) -> Result<Vec<Step>> {
    let resource = kind::<CustomResourceDefinition>();
    let kinds = record_kinds().into_iter().chain([kind::<KuryrNode>()]);
    let ours: Vec<_> = kinds.map(|kind| format!("{}.{}", kind.plural, kind.group)).collect();
    let found = list(client, &resource, None, None).await?;
    let found =
        found.iter().filter(|object| object.metadata.name.as_ref().is_some_and(|name| ours.contains(name)));
    Ok(found.map(|object| Step::Delete(Object::of(&resource, object))).collect())
}

fn record_kinds() -> [ApiResource; 4] {
    [kind::<KuryrPort>(), kind::<KuryrLoadBalancer>(), kind::<KuryrNetwork>(), kind::<KuryrNetworkPolicy>()]
}

fn kind<K: Resource<DynamicType = ()>>() -> ApiResource {
    ApiResource::erase::<K>(&())
}

async fn deletions(
    client: &Client,
    resource: &ApiResource,
    namespace: Option<&str>,
    label: Option<&str>,
) -> Result<Vec<Step>> {
    let found = list(client, resource, namespace, label).await?;
    Ok(found.iter().map(|object| Step::Delete(Object::of(resource, object))).collect())
}

/// All objects of a kind; none where the cluster does not know the kind.
async fn list(
    client: &Client,
    resource: &ApiResource,
    namespace: Option<&str>,
    label: Option<&str>,
) -> Result<Vec<DynamicObject>> {
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
        None => Api::all_with(client.clone(), resource),
    };
    let mut params =
        ListParams { label_selector: label.map(str::to_owned), limit: Some(PAGE), ..ListParams::default() };
    let mut found = Vec::new();
    loop {
        let page = match api.list(&params).await {
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(found),
            Err(error) => bail!("cannot list {}: {}", resource.plural, said(&error)),
            Ok(page) => page,
        };
        found.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn with(finalizers: &[&str]) -> DynamicObject {
        serde_json::from_value(
            json!({ "metadata": { "name": "web", "namespace": "n", "finalizers": finalizers } }),
        )
        .unwrap()
    }

    #[test]
    fn only_kuryrs_finalizers_are_taken_off() {
        let resource = kind::<Service>();
        let both =
            with(&["service.kubernetes.io/load-balancer-cleanup", "kuryr.openstack.org/service-finalizer"]);
        let step = release(&resource, &both).unwrap();
        assert_eq!(step.to_string(), "take Kuryr's finalizers off Service n/web");
        assert!(
            matches!(step, Step::Release(_, stay) if stay == ["service.kubernetes.io/load-balancer-cleanup"])
        );
        assert!(release(&resource, &with(&["service.kubernetes.io/load-balancer-cleanup"])).is_none());
        assert!(release(&resource, &with(&[])).is_none());
        assert!(release(&resource, &with(&["kuryrnetwork.finalizers.kuryr.openstack.org"])).is_some());
    }
}
