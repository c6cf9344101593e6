//! A pod has a right to a port: see that it has one, and a record of it.

use super::{
    Action, Bearer, Carrier, Content, Interface, Lack, Link, Namespace, Needs, NewRecord, Observed, Place,
    Pod, PortRequest, Record, Security, Stage, Why, release,
};
use crate::network::Naming;
use crate::news::News;
use crate::port::{Binding, Confirmation, Ownership, Port, Vnic, Wiring};
use crate::vif::{self, vif};
use kuryr_api::port::VifEntry;
use kuryr_api::{SecurityGroupId, names};
use std::collections::{BTreeMap, BTreeSet};

/// A port that Neutron is still binding, for a controller that died meanwhile, is bound after so many looks.
const BINDING_TRIES: u32 = 4;

/// Plans for a pod on `node`.
pub(super) fn plan(seen: &Observed<'_>, pod: &Pod<'_>, node: &str, actions: &mut Vec<Action>) {
    match &seen.record {
        None => without_record(seen, pod, node, actions),
        Some(record) if record.pod_uid != pod.uid => predecessors(seen, pod, actions),
        Some(record) => with_record(seen, pod, record, node, actions),
    }
}

/// The record is of an earlier pod of the same name. It goes with its port; the pod's own may be there already.
fn predecessors(seen: &Observed<'_>, pod: &Pod<'_>, actions: &mut Vec<Action>) {
    let mut earlier = seen.clone();
    earlier.ports.retain(|port| port.pod_uid != pod.uid);
    release::everything(&earlier, actions);
}

fn without_record(seen: &Observed<'_>, pod: &Pod<'_>, node: &str, actions: &mut Vec<Action>) {
    if seen.namespace == Namespace::Terminating {
        return release::everything(seen, actions);
    }
    let (usable, useless) = sort(seen, pod, node);
    useless.iter().for_each(|port| release::port(seen, port, actions));
    if let Some(failed) = useless.iter().find(|port| port.binding == Binding::Failed) {
        return binding_failed(failed, node, actions);
    }
    match (usable, &seen.security) {
        // No pod starts before its port has the groups that its policies ask for.
        (Some(port), security) if security.of(port).is_some() => secure(port, security, actions),
        (Some(_), Security::Growing { .. } | Security::Unknown) => {}
        (Some(port), _) => carry(port, pod, node, seen, actions),
        (None, Security::Initial(groups) | Security::Always(groups)) if pod.stage == Stage::Starting => {
            create(seen, pod, node, groups.clone(), actions);
        }
        (None, _) => {}
    }
}

/// Sees that a port gets to the node, and then to the record.
fn carry(port: &Port, pod: &Pod<'_>, node: &str, seen: &Observed<'_>, actions: &mut Vec<Action>) {
    match (&seen.carrier, seen.carried.get(&port.id)) {
        (Carrier::Machine(bearer), place) if !place.is_some_and(|place| place.is_on(bearer)) => {
            actions.push(Action::Attach(port.id.clone(), bearer.clone()));
        }
        (Carrier::Missing(lack), _) => no_carrier(lack, node, actions),
        _ => record(port, pod, node, seen, actions),
    }
}

fn no_carrier(lack: &Lack, node: &str, actions: &mut Vec<Action>) {
    let why = &lack.why;
    let news = match lack.needs {
        Needs::Trunk => News::warning(
            "NodeWithoutTrunk",
            format!(
                "Node {node} has no trunk to carry the pod's port: {why}. Nodes whose pods are on trunks (label pod_vif, or [kubernetes] \
                 pod_vif_driver) need a port with a trunk that has the node's InternalIP. Kuryr tries again."
            ),
        ),
        Needs::Port => News::warning(
            "NodeWithoutPort",
            format!(
                "Node {node} has no port that could send from the pod's addresses: {why}. Nodes whose pods share their link (label \
                 pod_vif, or [kubernetes] pod_vif_driver) need a port on the pods' network that has the node's InternalIP. Kuryr tries again."
            ),
        ),
        Needs::Server => News::warning(
            "NodeWithoutServer",
            format!(
                "Nobody knows to which server of Nova the port of a pod on node {node} would have to be attached: {why}. Nodes whose pods \
                 have interfaces of their own (label pod_vif, or [kubernetes] pod_vif_driver) have to be servers with a port that has the \
                 node's InternalIP. Kuryr tries again."
            ),
        ),
        Needs::Function => News::warning(
            "PodWithoutVirtualFunction",
            format!("The pod can't have a virtual function: {why}"),
        ),
    };
    actions.push(Action::Tell(news));
    // That changes with another pod, or another configuration, and not by trying again.
    if lack.needs != Needs::Function {
        actions.push(Action::Retry(Why::NoCarrier));
    }
}

fn secure(port: &Port, security: &Security, actions: &mut Vec<Action>) {
    actions.extend(security.of(port).map(|groups| Action::Secure(port.id.clone(), groups)));
}

/// The one port to keep, by the smallest id so that every look agrees, and those of ours that can't serve the pod.
fn sort<'s>(seen: &'s Observed<'_>, pod: &Pod<'_>, node: &str) -> (Option<&'s Port>, Vec<&'s Port>) {
    let is_in_reach = |port: &Port| match (&seen.carrier, seen.carried.get(&port.id)) {
        (Carrier::Host, carried) => carried.is_none() && port.host == node && port.vnic == Vnic::Normal,
        (Carrier::Function, _) => port.host == node && port.vnic == Vnic::Direct,
        // Neutron puts no port on a trunk that is another host's.
        (Carrier::Machine(_), None) => port.host.is_empty(),
        (Carrier::Machine(bearer), Some(place)) => place.bearer() == *bearer,
        (Carrier::Missing(_), _) => true,
    };
    let fits = |port: &Port| {
        is_in_reach(port)
            && port.network == seen.network.id
            && port.pod_uid == pod.uid
            && port.binding != Binding::Failed
    };
    let ours = seen.ports.iter().filter(|port| port.ownership == Ownership::Ours);
    let mut ours: Vec<_> = ours.collect();
    ours.sort_by(|one, other| one.id.cmp(&other.id));
    let (mut fitting, mut useless): (Vec<_>, Vec<_>) = ours.into_iter().partition(|port| fits(port));
    let kept = (!fitting.is_empty()).then(|| fitting.remove(0));
    useless.extend(fitting);
    (kept, useless)
}

fn binding_failed(port: &Port, node: &str, actions: &mut Vec<Action>) {
    let of_function = match port.vnic {
        Vnic::Normal => "",
        Vnic::Direct => {
            "A virtual function needs ML2's mechanism driver sriovnicswitch, and its agent (neutron-sriov-nic-agent) on the host with \
             the physical network in its mappings. "
        }
    };
    let message = format!(
        "Neutron could not bind port {} to host {node}. {of_function}Check that a network agent or OVN chassis of that name is alive \
         (openstack network agent list --host {node}) and that the name is the node's in Kubernetes. Kuryr tries again.",
        port.id
    );
    actions.push(Action::Tell(News::warning("PortBindingFailed", message)));
    actions.push(Action::Retry(Why::BindingFailed));
}

fn record(port: &Port, pod: &Pod<'_>, node: &str, seen: &Observed<'_>, actions: &mut Vec<Action>) {
    let read = match port.vnic {
        Vnic::Normal => vif(port, seen.network, seen.carried.get(&port.id)),
        Vnic::Direct => vif::function(port, seen.network, &seen.name),
    };
    match read {
        Ok(vif) => {
            let entry = VifEntry { default: true, vif };
            actions.push(Action::Record(NewRecord {
                pod_uid: pod.uid.to_owned(),
                node: node.to_owned(),
                is_static: pod.is_static,
                vifs: BTreeMap::from([(names::DEFAULT_IFNAME.to_owned(), entry)]),
            }));
        }
        Err(error) => {
            let may_pass = matches!(error, vif::Error::NotBound { .. }) && seen.failures < BINDING_TRIES;
            if !may_pass {
                actions.push(Action::Tell(not_pluggable(&error)));
            }
            actions.push(Action::Retry(Why::NotPluggable));
        }
    }
}

fn not_pluggable(error: &vif::Error) -> News {
    let advice = match error {
        vif::Error::NotBound { .. } => {
            "Kuryr's OpenStack user must be allowed to set and see binding:host_id (policy create_port:binding:host_id)."
        }
        vif::Error::Unknown { .. } => "Use a network whose mechanism driver binds ports as ovs.",
        vif::Error::NotFunction { .. } => {
            "ML2's mechanism driver sriovnicswitch has to bind it: virtual functions that Open vSwitch offloads are not supported."
        }
        vif::Error::NoBridge { .. } => "Set it to the integration bridge of the nodes, usually br-int.",
    };
    News::warning("PortNotPluggable", format!("{error}. {advice}"))
}

fn create(
    seen: &Observed<'_>,
    pod: &Pod<'_>,
    node: &str,
    security_groups: BTreeSet<SecurityGroupId>,
    actions: &mut Vec<Action>,
) {
    let network = seen.network;
    let (host, vnic) = match &seen.carrier {
        Carrier::Host => (Some(node.to_owned()), Vnic::Normal),
        Carrier::Function => (Some(node.to_owned()), Vnic::Direct),
        Carrier::Machine(_) => (None, Vnic::Normal),
        Carrier::Missing(lack) => return no_carrier(lack, node, actions),
    };
    actions.push(Action::CreatePort(PortRequest {
        network: network.id.clone(),
        subnets: network.subnets.iter().map(|subnet| subnet.id.clone()).collect(),
        node: node.to_owned(),
        host,
        vnic,
        pod_uid: pod.uid.to_owned(),
        security_groups,
        project: network.project.clone(),
        tags: network.tags.clone(),
        name: (network.naming == Naming::Pod).then(|| seen.name.clone()),
    }));
}

fn with_record(
    seen: &Observed<'_>,
    pod: &Pod<'_>,
    record: &Record<'_>,
    node: &str,
    actions: &mut Vec<Action>,
) {
    match &record.content {
        _ if record.deleting => {
            // A user deleted the record of a living pod: the port stays, and a new record follows from it.
            actions.push(Action::ReleaseRecord);
        }
        Content::Nonsense(why) => {
            actions.push(Action::Tell(unusable(why)));
            release::record(record, actions);
        }
        // The Python Kuryr writes a record first and its interfaces later; ours come in one piece.
        Content::Interfaces(interfaces) if interfaces.is_empty() || record.node != node => {
            release::record(record, actions);
        }
        Content::Interfaces(interfaces) => recorded(seen, pod, record, interfaces, actions),
    }
}

fn unusable(why: &str) -> News {
    News::warning(
        "KuryrPortUnusable",
        format!("The pod's KuryrPort can't be used ({why}). Kuryr replaces it; the pod's own port stays."),
    )
}

fn recorded(
    seen: &Observed<'_>,
    pod: &Pod<'_>,
    record: &Record<'_>,
    interfaces: &[Interface],
    actions: &mut Vec<Action>,
) {
    let find = |interface: &Interface| seen.ports.iter().find(|port| port.id == interface.port);
    if let Some(lost) = interfaces.iter().find(|interface| find(interface).is_none()) {
        return vanished(pod, record, lost, actions);
    }
    let is_foreign = |port: &&Port| match port.ownership {
        Ownership::Ours => false,
        Ownership::Kuryr => !release::is_recorded_so(seen, port),
        Ownership::Foreign => true,
    };
    if let Some(displaced) = interfaces.iter().find(|interface| is_displaced(seen, interface)) {
        return displaced_from(pod, record, displaced, actions);
    }
    if let Some(foreign) = interfaces.iter().filter_map(find).find(is_foreign) {
        let why = format!("it names port {}, which no Kuryr made", foreign.id);
        actions.push(Action::Tell(unusable(&why)));
        return release::record(record, actions);
    }
    let doubled = seen.ports.iter().filter(|port| {
        port.ownership == Ownership::Ours && !interfaces.iter().any(|interface| interface.port == port.id)
    });
    doubled.for_each(|port| release::port(seen, port, actions));
    let adopted = interfaces.iter().filter_map(find).filter(|port| port.ownership == Ownership::Kuryr);
    actions.extend(adopted.map(|port| Action::TagPort(port.id.clone())));
    interfaces.iter().filter_map(find).for_each(|port| secure(port, &seen.security, actions));
    // A user may have written a port twice.
    let mut ports = BTreeSet::new();
    let each = interfaces.iter().filter(|interface| ports.insert(&interface.port));
    each.for_each(|interface| put_back(seen, interface, actions));
    wiring(seen, interfaces, find, actions);
}

/// The port is not on a trunk by the VLAN id that its link has, or not the device that it was.
fn is_displaced(seen: &Observed<'_>, interface: &Interface) -> bool {
    let place = seen.carried.get(&interface.port);
    match interface.link {
        Link::Vlan(vlan) => !matches!(place, Some(Place::Trunk(at)) if at.vlan == vlan),
        Link::Device => !matches!(place, Some(Place::Server(_))),
        Link::Own | Link::Shared(_) => false,
    }
}

/// Address pairs that somebody has taken away come back: unlike a VLAN id, nobody else can have them meanwhile.
fn put_back(seen: &Observed<'_>, interface: &Interface, actions: &mut Vec<Action>) {
    let (Link::Shared(_), Carrier::Machine(bearer @ Bearer::Pairs(_))) = (interface.link, &seen.carrier)
    else {
        return;
    };
    let place = seen.carried.get(&interface.port);
    if place.is_some_and(|place| place.is_on(bearer)) {
        return;
    }
    if let Some(other) = place.map(Place::bearer).filter(|other| other != bearer) {
        actions.push(Action::Detach(interface.port.clone(), other));
    }
    actions.push(Action::Attach(interface.port.clone(), bearer.clone()));
}

fn displaced_from(pod: &Pod<'_>, record: &Record<'_>, displaced: &Interface, actions: &mut Vec<Action>) {
    if pod.stage == Stage::Starting {
        return release::record(record, actions);
    }
    if displaced.link == Link::Device {
        let message = format!(
            "Port {} of the pod is not attached to its node any more, so the pod has no network. Delete the pod; its successor gets a \
             new port. Only Kuryr should detach what it has attached.",
            displaced.port
        );
        return actions.push(Action::Tell(News::warning("InterfaceDetached", message)));
    }
    let message = format!(
        "Port {} of the pod is not on its node's trunk any more as it was plugged, so the pod has no network. Delete the pod; its \
         successor gets a new port. Only Kuryr should change the trunks of nodes.",
        displaced.port
    );
    actions.push(Action::Tell(News::warning("PortOffTrunk", message)));
}

fn vanished(pod: &Pod<'_>, record: &Record<'_>, lost: &Interface, actions: &mut Vec<Action>) {
    if pod.stage == Stage::Starting {
        return release::record(record, actions);
    }
    let message = format!(
        "Port {} of the pod was deleted in Neutron by someone else, so the pod has no network. Delete the pod; its \
         successor gets a new port.",
        lost.port
    );
    actions.push(Action::Tell(News::warning("PortVanished", message)));
}

fn wiring<'p>(
    seen: &Observed<'_>,
    interfaces: &[Interface],
    find: impl Fn(&Interface) -> Option<&'p Port>,
    actions: &mut Vec<Action>,
) {
    let idle = interfaces.iter().filter(|interface| !interface.active);
    let (wired, waiting): (Vec<_>, Vec<_>) =
        idle.partition(|interface| find(interface).is_some_and(|port| is_wired(seen, interface, port)));
    if !wired.is_empty() {
        actions.push(Action::Activate(wired.iter().map(|interface| interface.name.clone()).collect()));
    }
    if !waiting.is_empty() {
        actions.push(Action::AwaitWiring(waiting.iter().map(|interface| interface.port.clone()).collect()));
    }
}

/// The host of what a virtual machine carries is that of the machine, of which the node knows nothing. A port whose addresses are another's pairs is
/// never ACTIVE.
fn is_wired(seen: &Observed<'_>, interface: &Interface, port: &Port) -> bool {
    let confirmed_on_node = !seen.carried.contains_key(&port.id)
        && matches!(&port.binding, Binding::Bound(bound) if bound.confirmation == Confirmation::Node);
    matches!(interface.link, Link::Shared(_)) || confirmed_on_node || port.wiring == Wiring::Active
}
