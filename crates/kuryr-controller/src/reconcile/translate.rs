//! From Neutron's and Kubernetes' words to the planners'.

use kuryr_api::names::DEVICE_OWNER;
use kuryr_core::pod;
use kuryr_core::port::{Binding, Bound, Confirmation, Ownership, Plug, Port, Wiring};
use kuryr_k8s::slim;
use kuryr_openstack::neutron::{self, FixedIpRequest, NewPort, PortStatus};
use serde_json::Value;

/// A port as planners see it.
pub fn port(port: &neutron::Port, own_tag: &str) -> Port {
    Port {
        id: port.id.clone(),
        network: port.network_id.clone().unwrap_or_else(|| "".into()),
        mac: port.mac_address.clone(),
        addresses: port.fixed_ips.iter().map(|ip| (ip.subnet_id.clone(), ip.ip_address)).collect(),
        pod_uid: port.device_id.clone(),
        host: port.host.clone(),
        security_groups: port.security_groups.iter().cloned().collect(),
        wiring: if port.status == PortStatus::Active { Wiring::Active } else { Wiring::Pending },
        binding: binding(port),
        ownership: ownership(port, own_tag),
    }
}

fn ownership(port: &neutron::Port, own_tag: &str) -> Ownership {
    if port.tags.iter().any(|tag| tag == own_tag) {
        return Ownership::Ours;
    }
    if port.device_owner == DEVICE_OWNER { Ownership::Kuryr } else { Ownership::Foreign }
}

fn binding(port: &neutron::Port) -> Binding {
    match port.vif_type.as_str() {
        "" | "unbound" => Binding::Unbound,
        _ if port.binding_failed() => Binding::Failed,
        vif_type => Binding::Bound(Bound {
            vif_type: vif_type.to_owned(),
            bridge: detail(port, "bridge_name").and_then(Value::as_str).map(ToOwned::to_owned),
            plug: if is_set(port, "ovs_hybrid_plug") { Plug::Hybrid } else { Plug::Direct },
            filters: is_set(port, "port_filter"),
            confirmation: if port.bound_by_ovn() { Confirmation::Node } else { Confirmation::Neutron },
            vhostuser_mode: detail(port, "vhostuser_mode").and_then(Value::as_str).map(ToOwned::to_owned),
        }),
    }
}

fn detail<'p>(port: &'p neutron::Port, name: &str) -> Option<&'p Value> {
    port.vif_details.get(name)
}

fn is_set(port: &neutron::Port, name: &str) -> bool {
    detail(port, name).and_then(Value::as_bool).unwrap_or(false)
}

/// A pod as planners see it.
pub fn pod<'p>(pod: &'p slim::Pod, node: Option<&slim::Node>) -> pod::Pod<'p> {
    let on_machine = node.is_none_or(|node| !node.is_virtual);
    pod::Pod {
        uid: &pod.uid,
        node: pod.node.as_deref(),
        wants: match pod.network {
            slim::Network::Own if on_machine => pod::Wants::Port,
            _ => pod::Wants::Nothing,
        },
        stage: match pod.phase {
            slim::Phase::Finished => pod::Stage::Finished,
            slim::Phase::Pending if !pod.deleting => pod::Stage::Starting,
            _ => pod::Stage::Running,
        },
        is_static: pod.is_static,
        has_old_finalizer: pod.has_old_finalizer,
    }
}

/// A record as planners see it.
pub fn record(record: &slim::PortRecord) -> pod::Record<'_> {
    let interface = |(name, entry): (&str, &kuryr_api::port::VifEntry)| pod::Interface {
        name: name.to_owned(),
        port: entry.vif.base().id.as_str().into(),
        active: entry.vif.base().active,
    };
    pod::Record {
        pod_uid: &record.pod_uid,
        node: &record.node,
        deleting: record.deleting,
        content: match &record.content {
            slim::Content::Nonsense(why) => pod::Content::Nonsense(why.clone()),
            content @ slim::Content::Vifs(_) => {
                pod::Content::Interfaces(content.vifs().map(interface).collect())
            }
        },
    }
}

/// The request for a port, as the Python Kuryr makes it, with our tag.
pub fn new_port(request: &pod::PortRequest) -> NewPort {
    NewPort {
        project_id: request.project.clone(),
        name: request.name.clone().unwrap_or_default(),
        fixed_ips: request.subnets.iter().cloned().map(FixedIpRequest::any).collect(),
        device_owner: DEVICE_OWNER.to_owned(),
        device_id: request.device_id.clone(),
        security_groups: Some(request.security_groups.iter().cloned().collect()),
        host: Some(request.host.clone()),
        tags: request.tags.clone(),
        ..NewPort::on(request.network.clone())
    }
}
