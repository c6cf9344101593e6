//! A Service as the caches keep it.

use super::{Slim, Typed, key_of, text};
use crate::key::Key;
use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kuryr_api::names;
use serde::Deserialize;
use std::net::IpAddr;

/// A Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Namespace and name.
    pub key: Key,
    /// Uid.
    pub uid: Box<str>,
    /// Version.
    pub resource_version: Box<str>,
    /// What it is reached by: `ClusterIP`, `NodePort`, `LoadBalancer` or `ExternalName`.
    pub kind: Box<str>,
    /// Cluster IPs, the first family first. None: it is headless, or has none yet.
    pub cluster_ips: Box<[IpAddr]>,
    /// Ports.
    pub ports: Box<[ServicePort]>,
    /// For how many seconds a client stays with an endpoint.
    pub affinity: Option<u32>,
    /// Prefixes that may reach it from outside, as they stand there.
    pub source_ranges: Box<[Box<str>]>,
    /// Address outside that it asks for (`loadBalancerIP`, or else the first of `externalIPs`), as it stands there.
    pub wanted_address: Option<Box<str>>,
    /// Where it is reached from outside, as its status says.
    pub ingress: Box<[IpAddr]>,
    /// Clients are to be served by endpoints of their own node only (`internalTrafficPolicy: Local`).
    pub is_local: bool,
    /// Annotations that ask for something of its load balancer.
    pub annotations: Box<[(Box<str>, Box<str>)]>,
    /// Who makes its load balancer.
    pub class: Option<Box<str>>,
    /// Who holds it, should it be deleted.
    pub held: Held,
    /// It is being deleted.
    pub deleting: bool,
    /// When it was made.
    pub created: Option<Timestamp>,
}

/// Whose finalizers are on an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Kuryr's.
    pub by_us: bool,
    /// Others'.
    pub by_others: bool,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Name; empty if there is only one.
    pub name: Box<str>,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Box<str>,
    /// Port.
    pub port: u16,
    /// Number or name of the pods' port.
    pub target: Box<str>,
}

/// A Service on the wire.
pub type ServiceWire = Typed<core::Service, ServiceSpec, core::ServiceStatus>;

/// The fields of a Service's spec that are read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSpec {
    #[serde(rename = "type")]
    kind: Option<Box<str>>,
    #[serde(rename = "clusterIP")]
    cluster_ip: Option<String>,
    #[serde(rename = "clusterIPs")]
    cluster_ips: Option<Vec<String>>,
    ports: Option<Vec<PortWire>>,
    session_affinity: Option<String>,
    session_affinity_config: Option<core::SessionAffinityConfig>,
    load_balancer_source_ranges: Option<Box<[Box<str>]>>,
    #[serde(rename = "loadBalancerIP")]
    load_balancer_ip: Option<Box<str>>,
    #[serde(rename = "externalIPs")]
    external_ips: Option<Vec<Box<str>>>,
    internal_traffic_policy: Option<String>,
    load_balancer_class: Option<Box<str>>,
}

/// The fields of a port that are read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PortWire {
    name: Option<Box<str>>,
    protocol: Option<Box<str>>,
    port: u16,
    target_port: Option<IntOrString>,
}

/// How annotations begin that ask for something of a load balancer.
const ANNOTATIONS: [&str; 3] =
    ["loadbalancer.openstack.org/", "service.beta.kubernetes.io/openstack-", "openstack.org/kuryr-"];

/// What Kubernetes gives a client where the Service does not say for how long.
const AFFINITY: u32 = 10_800;

impl Slim for Service {
    type Wire = ServiceWire;

    fn trim(wire: ServiceWire) -> Self {
        let meta = &wire.metadata;
        let (ours, others): (Vec<_>, Vec<_>) =
            meta.finalizers.iter().flatten().partition(|name| *name == names::SERVICE_FINALIZER);
        let spec = wire.spec;
        Self {
            key: key_of(meta),
            uid: text(meta.uid.as_deref()),
            resource_version: text(meta.resource_version.as_deref()),
            deleting: meta.deletion_timestamp.is_some(),
            created: meta.creation_timestamp.as_ref().map(|time| time.0),
            held: Held { by_us: !ours.is_empty(), by_others: !others.is_empty() },
            affinity: spec.affinity(),
            cluster_ips: spec.addresses(),
            kind: spec.kind.unwrap_or_else(|| "ClusterIP".into()),
            ports: spec.ports.into_iter().flatten().map(ServicePort::from).collect(),
            source_ranges: spec.load_balancer_source_ranges.unwrap_or_default(),
            wanted_address: spec
                .load_balancer_ip
                .filter(|address| !address.is_empty())
                .or_else(|| spec.external_ips.into_iter().flatten().next()),
            ingress: ingress(&wire.status),
            is_local: spec.internal_traffic_policy.as_deref() == Some("Local"),
            annotations: annotations(meta),
            class: spec.load_balancer_class,
        }
    }

    known_by_its_fields!();
}

fn ingress(status: &core::ServiceStatus) -> Box<[IpAddr]> {
    let balancer = status.load_balancer.as_ref();
    let ingress = balancer.and_then(|balancer| balancer.ingress.as_ref()).into_iter().flatten();
    ingress.filter_map(|one| one.ip.as_ref()?.parse().ok()).collect()
}

fn annotations(meta: &ObjectMeta) -> Box<[(Box<str>, Box<str>)]> {
    let all = meta.annotations.iter().flatten();
    let ours = all.filter(|(name, _)| ANNOTATIONS.iter().any(|prefix| name.starts_with(prefix)));
    ours.map(|(name, value)| (name.as_str().into(), value.as_str().into())).collect()
}

impl ServiceSpec {
    /// `None` and an empty text are no addresses, and stand for headless and not given yet.
    fn addresses(&self) -> Box<[IpAddr]> {
        let one = self.cluster_ip.iter();
        let all = self.cluster_ips.as_ref().filter(|all| !all.is_empty());
        let read = |text: &String| text.parse().ok();
        all.map_or_else(|| one.filter_map(read).collect(), |all| all.iter().filter_map(read).collect())
    }

    fn affinity(&self) -> Option<u32> {
        if self.session_affinity.as_deref() != Some("ClientIP") {
            return None;
        }
        let config = self.session_affinity_config.as_ref();
        let seconds = config.and_then(|config| config.client_ip.as_ref()?.timeout_seconds);
        Some(seconds.and_then(|seconds| seconds.try_into().ok()).unwrap_or(AFFINITY))
    }
}

impl From<PortWire> for ServicePort {
    fn from(port: PortWire) -> Self {
        Self {
            name: port.name.unwrap_or_default(),
            protocol: port.protocol.unwrap_or_else(|| "TCP".into()),
            target: match port.target_port {
                None => port.port.to_string().into(),
                Some(IntOrString::Int(number)) => number.to_string().into(),
                Some(IntOrString::String(name)) => name.into(),
            },
            port: port.port,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(spec: &serde_json::Value) -> Service {
        let whole = json!({ "metadata": { "name": "s", "namespace": "n" }, "spec": spec });
        Service::trim(serde_json::from_value(whole).unwrap())
    }

    #[test]
    fn what_is_not_said_is_as_kubernetes_has_it() {
        let service = read(&json!({ "clusterIP": "10.96.0.1", "ports": [{ "port": 80 }] }));
        assert_eq!(&*service.kind, "ClusterIP");
        assert_eq!(*service.cluster_ips, ["10.96.0.1".parse::<IpAddr>().unwrap()]);
        let port = &service.ports[0];
        assert_eq!((&*port.name, &*port.protocol, port.port, &*port.target), ("", "TCP", 80, "80"));
        assert_eq!(service.affinity, None);
    }

    #[test]
    fn what_is_outside_is_kept() {
        let service = json!({
            "metadata": { "name": "s", "namespace": "n", "annotations": {
                "loadbalancer.openstack.org/keep-floatingip": "true", "example.org/other": "x",
            } },
            "spec": { "type": "LoadBalancer", "externalIPs": ["192.0.2.9"], "internalTrafficPolicy": "Local" },
            "status": { "loadBalancer": { "ingress": [{ "ip": "192.0.2.9", "ipMode": "VIP" }, { "hostname": "x" }] } },
        });
        let service = Service::trim(serde_json::from_value(service).unwrap());
        assert_eq!(service.wanted_address.as_deref(), Some("192.0.2.9"));
        assert_eq!(*service.ingress, ["192.0.2.9".parse::<IpAddr>().unwrap()]);
        assert_eq!((service.is_local, service.annotations.len()), (true, 1));
    }

    #[test]
    fn headless_ones_have_no_address() {
        assert!(read(&json!({ "clusterIP": "None", "clusterIPs": ["None"] })).cluster_ips.is_empty());
        assert!(read(&json!({ "type": "ExternalName" })).cluster_ips.is_empty());
    }

    #[test]
    fn all_families_and_named_ports_are_kept() {
        let service = read(&json!({
            "clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1", "fd00::1"],
            "sessionAffinity": "ClientIP", "sessionAffinityConfig": { "clientIP": { "timeoutSeconds": 60 } },
            "ports": [{ "name": "dns", "port": 53, "protocol": "UDP", "targetPort": "dns-udp" }],
        }));
        assert_eq!((service.cluster_ips.len(), service.affinity), (2, Some(60)));
        assert_eq!(&*service.ports[0].target, "dns-udp");
        assert_eq!(read(&json!({ "sessionAffinity": "ClientIP" })).affinity, Some(AFFINITY));
    }
}
