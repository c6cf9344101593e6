//! From Neutron's and Kubernetes' words to the planners'.

use kuryr_api::names::{DEVICE_OWNER, SRIOV_OWNER, SUBPORT_OWNER, WARM_DEVICE};
use kuryr_api::vif::{VLAN_IDS, Vif};
use kuryr_core::carrier::Sharing;
use kuryr_core::pod;
use kuryr_core::port::{Binding, Bound, Confirmation, Ownership, Plug, Port, Vnic, Wiring};
use kuryr_k8s::slim;
use kuryr_openstack::neutron::{self, FixedIpRequest, NewPort, PortStatus};
use kuryr_openstack::nova::server_of;
use serde_json::Value;

/// `binding:vnic_type` of a port that is a virtual function.
const DIRECT: &str = "direct";

/// A port as planners see it.
pub fn port(port: &neutron::Port, own_tag: &str) -> Port {
    Port {
        id: port.id.clone(),
        network: port.network_id.clone().unwrap_or_else(|| "".into()),
        mac: port.mac_address.clone(),
        addresses: port.fixed_ips.iter().map(|ip| (ip.subnet_id.clone(), ip.ip_address)).collect(),
        pod_uid: if says_by_description(port) { &port.description } else { &port.device_id }.clone(),
        host: node_of(port).to_owned(),
        security_groups: port.security_groups.iter().cloned().collect(),
        wiring: if port.status == PortStatus::Active { Wiring::Active } else { Wiring::Pending },
        vnic: if port.vnic_type == DIRECT { Vnic::Direct } else { Vnic::Normal },
        binding: binding(port),
        server: server_of(port),
        ownership: ownership(port, own_tag),
    }
}

/// What a virtual machine carries has no device, or the machine.
fn says_by_description(port: &neutron::Port) -> bool {
    port.device_id.is_empty() || server_of(port).is_some()
}

/// A port that is kept ready on a trunk is called `kuryr-pool:…@node`.
fn node_of(port: &neutron::Port) -> &str {
    let warm = port.description.strip_prefix(WARM_DEVICE).filter(|_| port.device_id.is_empty());
    warm.and_then(|warm| Some(warm.split_once('@')?.1)).unwrap_or(&port.host)
}

fn ownership(port: &neutron::Port, own_tag: &str) -> Ownership {
    if port.tags.iter().any(|tag| tag == own_tag) {
        return Ownership::Ours;
    }
    let is_of_kuryr = [DEVICE_OWNER, SRIOV_OWNER, SUBPORT_OWNER].contains(&port.device_owner.as_str());
    if is_of_kuryr { Ownership::Kuryr } else { Ownership::Foreign }
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
            vlan: detail(port, "vlan").and_then(vlan),
        }),
    }
}

/// Neutron writes a VLAN id as text, and 0 where there is none.
fn vlan(detail: &Value) -> Option<u16> {
    let id = match detail {
        Value::String(text) => text.parse().ok()?,
        other => u16::try_from(other.as_u64()?).ok()?,
    };
    VLAN_IDS.contains(&id).then_some(id)
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
        link: match &entry.vif {
            Vif::VlanNested(vif) => pod::Link::Vlan(vif.vlan_id),
            Vif::DpdkNested(_) => pod::Link::Device,
            vif => sharing(vif).map_or(pod::Link::Own, pod::Link::Shared),
        },
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

/// How the link of a machine is shared by what stands in a record, if it is.
pub fn sharing(vif: &Vif) -> Option<Sharing> {
    match vif {
        Vif::MacvlanNested(_) => Some(Sharing::Macvlan),
        Vif::IpvlanNested(_) => Some(Sharing::Ipvlan),
        _ => None,
    }
}

/// The request for a port, as the Python Kuryr makes it, with our tag. Neutron takes no port on a trunk that has a device, so that
/// the description says whose one is that is bound to no host.
pub fn new_port(request: &pod::PortRequest) -> NewPort {
    let (device_id, description) = match &request.host {
        Some(_) => (request.pod_uid.clone(), String::new()),
        None => (String::new(), request.pod_uid.clone()),
    };
    let (device_owner, vnic_type) = match request.vnic {
        Vnic::Normal => (DEVICE_OWNER, None),
        Vnic::Direct => (SRIOV_OWNER, Some(DIRECT)),
    };
    NewPort {
        project_id: request.project.clone(),
        name: request.name.clone().unwrap_or_default(),
        fixed_ips: request.subnets.iter().cloned().map(FixedIpRequest::any).collect(),
        device_owner: device_owner.to_owned(),
        device_id,
        description,
        security_groups: Some(request.security_groups.iter().cloned().collect()),
        host: request.host.clone(),
        vnic_type,
        tags: request.tags.clone(),
        ..NewPort::on(request.network.clone())
    }
}
