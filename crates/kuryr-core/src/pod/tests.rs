//! The planner's cases as a table, and its promises as properties of a simulated world.

mod cases;
mod functions;
mod machines;
mod world;

use super::*;
use crate::network::{Naming, Subnet};
use crate::port::{Binding, Bound, Confirmation, Ownership, Port, Vnic, Wiring};

pub(crate) const NODE: &str = "node1";

pub(crate) fn network() -> PodNetwork {
    let subnet = |id: &str, cidr: &str, gateway: &str| Subnet {
        id: id.into(),
        cidr: cidr.parse().unwrap(),
        gateway: Some(gateway.parse().unwrap()),
        dns: vec![],
        routes: vec![],
    };
    PodNetwork {
        id: "net".into(),
        name: "pods".into(),
        mtu: Some(1442),
        vlan: None,
        physnet: Some("physnet1".into()),
        subnets: vec![subnet("v4", "10.1.0.0/16", "10.1.255.254"), subnet("v6", "fd10:1::/64", "fd10:1::1")],
        security_groups: vec!["sg".into()],
        project: None,
        tags: vec!["kuryr-cluster=c".into()],
        bridge: Some("br-int".into()),
        vhostuser_dir: "/var/cni/vhostuser".into(),
        naming: Naming::None,
    }
}

/// A port as OVN binds it, made for the pod with that uid.
pub(crate) fn port(id: &str, pod_uid: &str) -> Port {
    Port {
        id: id.into(),
        network: "net".into(),
        mac: "fa:16:3e:00:00:01".into(),
        addresses: vec![
            ("v4".into(), "10.1.0.5".parse().unwrap()),
            ("v6".into(), "fd10:1::5".parse().unwrap()),
        ],
        pod_uid: pod_uid.into(),
        host: NODE.into(),
        wiring: Wiring::Pending,
        vnic: Vnic::Normal,
        binding: Binding::Bound(Bound {
            vif_type: "ovs".into(),
            confirmation: Confirmation::Node,
            ..Bound::default()
        }),
        server: None,
        ownership: Ownership::Ours,
        security_groups: [].into(),
    }
}

pub(crate) fn pod(uid: &'static str) -> Pod<'static> {
    Pod {
        uid,
        node: Some(NODE),
        wants: Wants::Port,
        stage: Stage::Starting,
        is_static: false,
        has_old_finalizer: false,
    }
}

pub(crate) fn record(pod_uid: &'static str, port: &str) -> Record<'static> {
    let interface = Interface { name: "eth0".into(), port: port.into(), active: true, link: Link::Own };
    Record { pod_uid, node: NODE, deleting: false, content: Content::Interfaces(vec![interface]) }
}
