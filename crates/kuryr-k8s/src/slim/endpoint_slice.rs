//! An EndpointSlice as the caches keep it.

use super::{Slim, key_of, text};
use crate::key::Key;
use k8s_openapi::api::discovery::v1 as discovery;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Deserialize;
use std::net::IpAddr;

/// The label that tells whose a slice is.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// Endpoints of a Service that have the same ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSlice {
    /// Namespace and name.
    pub key: Key,
    /// Uid.
    pub uid: Box<str>,
    /// Version.
    pub resource_version: Box<str>,
    /// Name of the Service; empty where it is nobody's.
    pub service: Box<str>,
    /// Ports.
    pub ports: Box<[EndpointPort]>,
    /// Endpoints.
    pub endpoints: Box<[Endpoint]>,
}

/// A port of endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointPort {
    /// Name of the Service's port.
    pub name: Box<str>,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Box<str>,
    /// Number. None: every port.
    pub port: Option<u16>,
}

/// An endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Address; further ones are the same endpoint's by the API's word.
    pub address: IpAddr,
    /// It takes connections.
    pub ready: bool,
    /// It serves, though it may be ending.
    pub serving: bool,
    /// Pod behind it.
    pub pod: Option<Box<str>>,
}

/// An EndpointSlice on the wire.
#[derive(Clone, Debug, Deserialize, Resource)]
#[resource(inherit = "discovery::EndpointSlice")]
pub struct EndpointSliceWire {
    #[serde(default, deserialize_with = "super::metadata")]
    metadata: ObjectMeta,
    #[serde(default)]
    ports: Option<Vec<PortWire>>,
    #[serde(default)]
    endpoints: Option<Vec<EndpointWire>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct PortWire {
    name: Option<Box<str>>,
    protocol: Option<Box<str>>,
    port: Option<u16>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct EndpointWire {
    addresses: Vec<String>,
    conditions: Conditions,
    target_ref: Option<TargetRef>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Conditions {
    ready: Option<bool>,
    serving: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct TargetRef {
    kind: Option<String>,
    name: Option<Box<str>>,
}

impl Slim for EndpointSlice {
    type Wire = EndpointSliceWire;

    fn trim(wire: EndpointSliceWire) -> Self {
        let meta = &wire.metadata;
        let labels = meta.labels.as_ref();
        Self {
            key: key_of(meta),
            uid: text(meta.uid.as_deref()),
            resource_version: text(meta.resource_version.as_deref()),
            service: text(labels.and_then(|labels| labels.get(SERVICE_LABEL)).map(String::as_str)),
            ports: wire.ports.into_iter().flatten().map(EndpointPort::from).collect(),
            endpoints: wire.endpoints.into_iter().flatten().filter_map(endpoint).collect(),
        }
    }

    known_by_its_fields!();
}

impl From<PortWire> for EndpointPort {
    fn from(port: PortWire) -> Self {
        Self {
            name: port.name.unwrap_or_default(),
            protocol: port.protocol.unwrap_or_else(|| "TCP".into()),
            port: port.port,
        }
    }
}

/// Nothing where the address is a name (`FQDN`), which no load balancer has.
fn endpoint(wire: EndpointWire) -> Option<Endpoint> {
    // What is not said is true, by the API's word.
    let ready = wire.conditions.ready.unwrap_or(true);
    let pod = wire.target_ref.filter(|target| target.kind.as_deref() == Some("Pod"));
    Some(Endpoint {
        address: wire.addresses.first()?.parse().ok()?,
        ready,
        serving: wire.conditions.serving.unwrap_or(ready),
        pod: pod.and_then(|pod| pod.name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn conditions_that_are_not_said_are_true() {
        let slice = json!({
            "metadata": { "name": "web-x", "namespace": "n", "labels": { "kubernetes.io/service-name": "web" } },
            "ports": [{ "name": "", "protocol": "TCP", "port": 8080 }, { "name": "any" }],
            "endpoints": [
                { "addresses": ["10.1.0.1"], "targetRef": { "kind": "Pod", "name": "web-1" } },
                { "addresses": ["10.1.0.2"], "conditions": { "ready": false, "serving": true, "terminating": true } },
                { "addresses": ["10.1.0.3"], "conditions": { "ready": false }, "targetRef": { "kind": "Node", "name": "x" } },
                { "addresses": ["example.org"] },
            ],
        });
        let slice = EndpointSlice::trim(serde_json::from_value(slice).unwrap());
        assert_eq!((&*slice.service, slice.ports[1].port), ("web", None));
        let states: Vec<_> = slice.endpoints.iter().map(|one| (one.ready, one.serving)).collect();
        assert_eq!(states, [(true, true), (false, true), (false, false)]);
        let pods: Vec<_> = slice.endpoints.iter().map(|one| one.pod.as_deref()).collect();
        assert_eq!(pods, [Some("web-1"), None, None]);
    }

    #[test]
    fn a_slice_without_anything_is_one() {
        let slice = EndpointSlice::trim(serde_json::from_value(json!({ "endpoints": null })).unwrap());
        assert!(slice.service.is_empty() && slice.endpoints.is_empty() && slice.ports.is_empty());
    }
}
