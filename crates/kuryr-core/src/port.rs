//! A Neutron port, as far as planners look at it.

use kuryr_api::{NetworkId, PortId, SecurityGroupId, ServerId, SubnetId, names};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// A port that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Port.
    pub id: PortId,
    /// Network.
    pub network: NetworkId,
    /// MAC address.
    pub mac: String,
    /// Addresses, with the subnets they are from.
    pub addresses: Vec<(SubnetId, IpAddr)>,
    /// Uid of the pod that it was made for (`device_id`, or the description of one that a virtual machine carries), or that took it.
    pub pod_uid: String,
    /// Node that it is bound to (`binding:host_id`), or, of a port that is kept ready on a trunk, whose trunk that is. The host of any
    /// other port on a trunk is that of a virtual machine.
    pub host: String,
    /// Virtual machine that Nova has attached it to, as an interface beside the machine's own.
    pub server: Option<ServerId>,
    /// Security groups that it carries.
    pub security_groups: BTreeSet<SecurityGroupId>,
    /// Whether its network says that it is wired.
    pub wiring: Wiring,
    /// What it was asked to be.
    pub vnic: Vnic,
    /// What the mechanism driver made of it.
    pub binding: Binding,
    /// Whose it is.
    pub ownership: Ownership,
}

impl Port {
    /// It is kept ready, and no pod has it.
    pub fn is_warm(&self) -> bool {
        self.ownership == Ownership::Ours && self.pod_uid.starts_with(names::WARM_DEVICE)
    }
}

/// What kind of link a port is for (`binding:vnic_type`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Vnic {
    /// One that is made for it.
    #[default]
    Normal,
    /// A virtual function of a network card (`direct`).
    Direct,
}

/// Whether traffic flows, as far as Neutron knows (`status`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wiring {
    /// `ACTIVE`.
    Active,
    /// Anything else.
    Pending,
}

/// Whose a port is, and so what we may do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// It carries this cluster's tag.
    Ours,
    /// Made by a Kuryr (`device_owner`), without this cluster's tag: ours if one of our records names it.
    Kuryr,
    /// Made by somebody else. Never deleted, whatever a record says.
    Foreign,
}

/// What the mechanism driver made of a port (`binding:vif_type`, `binding:vif_details`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Binding {
    /// The node can plug it.
    Bound(Bound),
    /// `binding_failed`: no driver serves that host.
    Failed,
    /// No host yet, or credentials that may not see it.
    Unbound,
}

/// A port that a node can plug.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bound {
    /// `ovs`, `vhostuser`, …
    pub vif_type: String,
    /// `bridge_name`.
    pub bridge: Option<String>,
    /// `ovs_hybrid_plug`: by way of a Linux bridge.
    pub plug: Plug,
    /// `port_filter`: the driver filters traffic.
    pub filters: bool,
    /// Who confirms that the port is wired.
    pub confirmation: Confirmation,
    /// `vhostuser_mode`.
    pub vhostuser_mode: Option<String>,
    /// `vlan`: the VLAN that a virtual function is to be in.
    pub vlan: Option<u16>,
}

impl Bound {
    /// Whether it is straight in an Open vSwitch that OVN runs.
    pub fn is_plain_ovn(&self) -> bool {
        self.vif_type == "ovs" && self.plug == Plug::Direct && self.confirmation == Confirmation::Node
    }
}

/// How a veth pair is connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Plug {
    /// Straight into OVS.
    #[default]
    Direct,
    /// By way of a Linux bridge.
    Hybrid,
}

/// Who confirms that a port is wired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Confirmation {
    /// Neutron, by the port's status.
    #[default]
    Neutron,
    /// OVN on the node itself, by `ovn-installed`.
    Node,
}
