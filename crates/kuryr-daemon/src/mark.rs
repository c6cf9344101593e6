//! What is written beside an OVS port: whose it is. This is the daemon's memory, so that a restart forgets nothing.

use std::collections::BTreeMap;

use kuryr_cni::ContainerId;
use kuryr_ovsdb::Interface;

use crate::{
    plug::{Neighbours, Plug, hybrid::Between},
    sandbox::Sandbox,
    wiring::{Wiring, link_name},
};

const SANDBOX: &str = "kuryr-sandbox";
const NETNS: &str = "kuryr-netns";
const IFNAME: &str = "kuryr-ifname";
const POD: &str = "kuryr-pod";
const POD_UID: &str = "kuryr-pod-uid";
/// By which OVN and Neutron know a port.
pub const IFACE_ID: &str = "iface-id";
const MAC: &str = "attached-mac";
const VM_UUID: &str = "vm-uuid";
/// What the Python Kuryr wrote for a pod's port, and other tools look for.
const VM: &str = "kuryr";
const KEPT: &str = "kuryr-kept";
const TOLD: &str = "kuryr-neighbours-told";
/// What is written for a pod, and goes with it.
pub const OF_POD: [&str; 6] = [VM_UUID, SANDBOX, NETNS, IFNAME, POD, POD_UID];

/// A port of ours, as OVSDB has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The OVS port, which is also a link of the host.
    pub ovs_port: String,
    /// The Neutron port.
    pub port: String,
    /// The sandbox; ports that the Python Kuryr plugged have none.
    pub sandbox: Option<ContainerId>,
    /// The link's name in the pod.
    pub ifname: Option<String>,
    /// The pod, as `namespace/name`.
    pub pod: Option<String>,
    /// The pod's uid.
    pub pod_uid: Option<String>,
    /// The MAC address.
    pub mac: Option<String>,
    /// What becomes of the port when its pod goes.
    pub afterwards: Afterwards,
}

/// What becomes of a port when its pod goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Afterwards {
    /// It goes as well.
    Removed,
    /// It stays wired, for another pod.
    Kept,
}

impl Mark {
    /// What to write beside a port that no pod has.
    pub fn of_vacant(port: &str, mac: &str) -> BTreeMap<String, String> {
        let pairs = [(IFACE_ID, port), ("iface-status", "active"), (MAC, mac), (KEPT, "true")];
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
    }

    /// The port of Neutron that an interface is for, if it is kept and no pod has it.
    pub fn read_vacant(interface: &Interface) -> Option<&str> {
        interface.id(IFACE_ID).filter(|_| interface.is_vacant() && interface.id(KEPT).is_some())
    }

    /// What to write beside a port that a pod leaves behind.
    pub fn of_left(neighbours: Neighbours) -> BTreeMap<String, String> {
        let told = (neighbours == Neighbours::Told).then(|| (TOLD.to_owned(), "true".to_owned()));
        told.into_iter().collect()
    }

    /// What the neighbours of an interface know.
    pub fn neighbours(interface: &Interface) -> Neighbours {
        if interface.id(TOLD).is_some() { Neighbours::Told } else { Neighbours::ToBeTold }
    }

    /// What to write beside a port.
    pub fn of(wiring: &Wiring, sandbox: &Sandbox) -> BTreeMap<String, String> {
        let vm = match wiring.plug {
            Plug::Hybrid(_) => &sandbox.pod_uid,
            _ => VM,
        };
        let pairs = [
            (IFACE_ID, wiring.iface_id.as_str()),
            ("iface-status", "active"),
            (MAC, &wiring.mac.to_string()),
            (VM_UUID, vm),
            (SANDBOX, sandbox.id.as_str()),
            (NETNS, &sandbox.netns_path),
            (IFNAME, wiring.ifname.as_str()),
            (POD, &sandbox.pod.to_string()),
            (POD_UID, &sandbox.pod_uid),
        ];
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
    }

    /// Reads what stands beside an interface, if it is a pod's.
    pub fn read(interface: &Interface) -> Option<Self> {
        let text = |key: &str| interface.id(key).map(str::to_owned);
        let sandbox = interface.id(SANDBOX).and_then(|id| id.parse().ok());
        if sandbox.is_none() && interface.id(VM_UUID) != Some(VM) {
            return None;
        }
        Some(Self {
            ovs_port: interface.name.clone(),
            port: text(IFACE_ID).unwrap_or_default(),
            sandbox,
            ifname: text(IFNAME),
            pod: text(POD),
            pod_uid: text(POD_UID),
            mac: text(MAC),
            afterwards: Afterwards::of(interface),
        })
    }

    /// What is behind the port is a socket of a program in user space, and no link.
    pub fn is_vhost_user(&self) -> bool {
        link_name("vhu", &self.ovs_port).is_ok()
    }

    /// The links of the host that belong to the port, the pod's tap first.
    pub fn links(&self) -> Vec<String> {
        if self.is_vhost_user() {
            return Vec::new();
        }
        if self.ovs_port.starts_with("tap") {
            return vec![self.ovs_port.clone()];
        }
        let tap = kuryr_api::names::tap_name(&self.port);
        let between = Between::of(&self.port, kuryr_api::names::hybrid_bridge_name(&self.port));
        vec![tap, between.qbr, between.qvo]
    }

    /// The host's end of the pod's veth pair, which lives exactly as long as the other end; none where there is no pair.
    pub fn tap(&self) -> Option<String> {
        self.links().into_iter().next()
    }
}

impl Afterwards {
    /// What becomes of an interface's port.
    pub fn of(interface: &Interface) -> Self {
        if interface.id(KEPT).is_some() { Self::Kept } else { Self::Removed }
    }
}
