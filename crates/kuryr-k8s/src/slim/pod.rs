//! A Pod as the caches keep it.

use super::{Condition, Labels, Resources, Slim, Typed, amount, key_of, labels, text};
use crate::key::Key;
use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use kuryr_api::names;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Where a pod is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Not all containers run yet; the network may be missing.
    #[default]
    Pending,
    /// At least one container ran.
    Running,
    /// All containers ended, and none starts again.
    Finished,
    /// The node does not answer.
    Unknown,
}

/// A Pod.
#[derive(Clone, Debug, PartialEq)]
pub struct Pod {
    /// Namespace and name.
    pub key: Key,
    /// Uid.
    pub uid: Box<str>,
    /// Version.
    pub resource_version: Box<str>,
    /// Node, once it is bound to one.
    pub node: Option<Box<str>>,
    /// Whose network it lives in.
    pub network: Network,
    /// Where it is in its life.
    pub phase: Phase,
    /// It is being deleted.
    pub deleting: bool,
    /// It comes from a file on the node, so that the kubelet knows it by another uid.
    pub is_static: bool,
    /// The Python Kuryr's finalizer is on it.
    pub has_old_finalizer: bool,
    /// When it was bound to its node.
    pub scheduled: Option<Timestamp>,
    /// Labels, sorted by their keys.
    pub labels: Labels,
    /// Ports of its containers that have names.
    pub ports: Box<[NamedPort]>,
    /// For how many Neutron ports it asks the scheduler.
    pub asks_ports: u32,
    /// Resources of device plugins that its containers request, each once.
    pub devices: Box<[Box<str>]>,
}

/// A port of a pod that has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPort {
    /// Name.
    pub name: Box<str>,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Box<str>,
    /// Number.
    pub number: u16,
}

/// Whose network a pod lives in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// Its own: it needs ports.
    #[default]
    Own,
    /// The node's (`hostNetwork`).
    Host,
}

/// The fields of a Pod's spec that are read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    node_name: Option<Box<str>>,
    host_network: Option<bool>,
    containers: Vec<Container>,
    init_containers: Vec<Container>,
}

/// The fields of a container that are read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container {
    restart_policy: Option<Box<str>>,
    ports: Vec<ContainerPort>,
    resources: ContainerResources,
}

/// What a container asks for. The API server copies limits to requests that are missing.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerResources {
    requests: Option<Resources>,
}

/// The fields of a container's port that are read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerPort {
    name: Option<Box<str>>,
    protocol: Option<Box<str>>,
    #[serde(rename = "containerPort")]
    number: u16,
}

/// The fields of a Pod's status that are read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    phase: Option<String>,
    conditions: Option<Vec<Condition>>,
}

/// A Pod on the wire.
pub type PodWire = Typed<core::Pod, PodSpec, PodStatus>;

impl Slim for Pod {
    type Wire = PodWire;

    fn trim(wire: PodWire) -> Self {
        let meta = &wire.metadata;
        let annotations = meta.annotations.as_ref();
        let source = annotations.and_then(|map| map.get(names::CONFIG_SOURCE_ANNOTATION));
        let finalizers = meta.finalizers.iter().flatten();
        Self {
            key: key_of(meta),
            uid: text(meta.uid.as_deref()),
            resource_version: text(meta.resource_version.as_deref()),
            deleting: meta.deletion_timestamp.is_some(),
            is_static: source.is_some_and(|source| source != "api"),
            has_old_finalizer: finalizers.into_iter().any(|name| name == names::POD_FINALIZER),
            labels: labels(meta),
            ports: named_ports(&wire.spec),
            asks_ports: asked_ports(&wire.spec),
            devices: devices(&wire.spec),
            node: wire.spec.node_name.filter(|name| !name.is_empty()),
            network: if wire.spec.host_network == Some(true) { Network::Host } else { Network::Own },
            phase: phase(wire.status.phase.as_deref()),
            scheduled: scheduled(wire.status.conditions.as_deref()),
        }
    }

    known_by_its_fields!();
}

fn phase(phase: Option<&str>) -> Phase {
    match phase {
        Some("Running") => Phase::Running,
        Some("Succeeded" | "Failed") => Phase::Finished,
        Some("Unknown") => Phase::Unknown,
        _ => Phase::Pending,
    }
}

fn scheduled(conditions: Option<&[Condition]>) -> Option<Timestamp> {
    conditions?.iter().find(|condition| condition.kind == "PodScheduled")?.last_transition_time
}

/// Init containers that start again run beside the others, and what they have counts as theirs.
fn containers(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    let beside = spec.init_containers.iter().filter(|one| one.restart_policy.as_deref() == Some("Always"));
    spec.containers.iter().chain(beside)
}

/// Kubernetes' own resources (`cpu`, `hugepages-2Mi`) have no prefix, and ours is no device.
fn devices(spec: &PodSpec) -> Box<[Box<str>]> {
    let is_device = |name: &str| name.contains('/') && name != names::PORTS_RESOURCE;
    let asked = |requests: &Resources, name: &str| amount(requests, name).is_some_and(|amount| amount > 0);
    let requests = containers(spec).filter_map(|container| container.resources.requests.as_ref());
    let devices = requests.flat_map(|all| all.keys().filter(|name| is_device(name) && asked(all, name)));
    devices.cloned().collect::<BTreeSet<_>>().into_iter().collect()
}

fn named_ports(spec: &PodSpec) -> Box<[NamedPort]> {
    let ports = containers(spec).flat_map(|container| &container.ports);
    let named = ports.filter_map(|port| {
        let name = port.name.clone().filter(|name| !name.is_empty())?;
        let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".into());
        Some(NamedPort { name, protocol, number: port.number })
    });
    named.collect()
}

/// As the scheduler adds it up: what containers ask for that run beside each other. No init container asks for ports.
fn asked_ports(spec: &PodSpec) -> u32 {
    let asked = spec
        .containers
        .iter()
        .filter_map(|container| amount(container.resources.requests.as_ref()?, names::PORTS_RESOURCE));
    asked.fold(0, u32::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_containers_ask_for_is_added_up() {
        let asking = |amount| json!({ "resources": { "requests": { "cpu": "100m", "openstack.org/pod-ports": amount } } });
        let pod = json!({
            "metadata": { "name": "p", "namespace": "n" },
            "spec": { "containers": [asking(json!("1")), asking(json!(1)), {}, { "resources": { "requests": null } }] },
        });
        assert_eq!(Pod::trim(serde_json::from_value(pod).unwrap()).asks_ports, 2);
    }

    #[test]
    fn what_it_asks_device_plugins_for_is_kept() {
        let requests = |requests: serde_json::Value| json!({ "resources": { "requests": requests } });
        let pod = json!({
            "metadata": { "name": "p", "namespace": "n" },
            "spec": { "containers": [
                requests(json!({ "cpu": "500m", "intel.com/sriov": "1", "nvidia.com/gpu": 2 })),
                requests(json!({ "intel.com/sriov": "2", "intel.com/none": "0", "openstack.org/pod-ports": "1" })),
                {},
            ] },
        });
        let pod = Pod::trim(serde_json::from_value(pod).unwrap());
        assert_eq!(*pod.devices, ["intel.com/sriov".into(), "nvidia.com/gpu".into()]);
    }

    #[test]
    fn ports_with_names_are_kept_with_those_of_init_containers_that_stay() {
        let pod = json!({
            "metadata": { "name": "p", "namespace": "n", "labels": { "b": "2", "a": "1" } },
            "spec": {
                "containers": [{ "ports": [{ "containerPort": 80, "name": "web" }, { "containerPort": 81 }] }],
                "initContainers": [
                    { "ports": [{ "containerPort": 1, "name": "ends" }] },
                    { "restartPolicy": "Always", "ports": [{ "containerPort": 53, "name": "dns", "protocol": "UDP" }] },
                ],
            },
        });
        let pod = Pod::trim(serde_json::from_value(pod).unwrap());
        let ports: Vec<_> =
            pod.ports.iter().map(|port| (&*port.name, &*port.protocol, port.number)).collect();
        assert_eq!(ports, [("web", "TCP", 80), ("dns", "UDP", 53)]);
        assert_eq!(*pod.labels, [("a".into(), "1".into()), ("b".into(), "2".into())]);
    }
}
