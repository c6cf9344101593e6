//! What takes the ports of pods to their nodes.
//!
//! ```text
//!   a host ────────────────────────────┬─ Neutron binds the pod's port to it
//!                                      └─ the same, to a virtual function of its network card that the kubelet has given to the pod
//!   a virtual machine ── its own port ─┬─ a trunk: the pod's port is a subport, by a VLAN id
//!                        (the parent)  └─ allowed address pairs: the parent may send from the pod's addresses, too
//!                     └─ the pod's port is an interface of its own, attached by Nova
//! ```

use kuryr_api::{PortId, ServerId, TrunkId};

/// What takes the ports of pods to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// The node is a host that Neutron binds ports to.
    Host,
    /// The node is a virtual machine, and this carries them.
    Machine(Bearer),
    /// The node is a host, and the pod asks for a virtual function of one of its network cards.
    Function,
    /// Nothing does, for lack of something.
    Missing(Lack),
}

/// What of a virtual machine carries the ports of its pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bearer {
    /// The trunk of its port.
    Trunk(TrunkId),
    /// The allowed address pairs of its port.
    Pairs(Parent),
    /// It does itself: Nova attaches them.
    Server(ServerId),
}

/// The port of a virtual machine whose link pods share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    /// The port.
    pub port: PortId,
    /// Its MAC address.
    pub mac: String,
    /// How they share it.
    pub sharing: Sharing,
}

/// How pods share the link of their machine: whose MAC address they have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Each its own.
    Macvlan,
    /// The machine's.
    Ipvlan,
}

/// Where a subport is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Trunk.
    pub trunk: TrunkId,
    /// VLAN id on it.
    pub vlan: u16,
}

/// Where a port is that a virtual machine carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// On a trunk.
    Trunk(Attachment),
    /// Among the allowed address pairs of this port.
    Pairs(Parent, Extent),
    /// Attached to this virtual machine.
    Server(ServerId),
}

/// How much of a port is among the pairs of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of its addresses.
    Whole,
    /// Some of them: others took the rest away.
    Part,
}

/// What is missing for ports to be carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    /// What is needed.
    pub needs: Needs,
    /// Why it is not there.
    pub why: String,
}

/// What is needed to carry ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// A node's port with a trunk.
    Trunk,
    /// A node's port on the pods' network.
    Port,
    /// A node that is a server of Nova's.
    Server,
    /// A pod that asks for a virtual function. Its lack lasts until somebody changes the pod or the configuration.
    Function,
}

impl Place {
    /// What carries the port there.
    pub fn bearer(&self) -> Bearer {
        match self {
            Self::Trunk(at) => Bearer::Trunk(at.trunk.clone()),
            Self::Pairs(parent, _) => Bearer::Pairs(parent.clone()),
            Self::Server(server) => Bearer::Server(server.clone()),
        }
    }

    /// Nothing is missing for the port to be carried by `bearer`.
    pub fn is_on(&self, bearer: &Bearer) -> bool {
        !matches!(self, Self::Pairs(_, Extent::Part)) && self.bearer() == *bearer
    }
}
