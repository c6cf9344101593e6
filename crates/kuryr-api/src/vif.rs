//! os-vif's versioned objects: how a port looks to whoever plugs it, as it stands in `KuryrPort.status.vifs`.
//!
//! ```text
//!   Vif ── Base ── Network ── Subnet ─┬─ FixedIp
//!            │                        └─ Route
//!            └── PortProfile
//! ```
//!
//! Each box is an oslo.versionedobjects primitive: `{"versioned_object.name", ".namespace", ".version", ".data"}`.
//! Writing gives the JSON that the Python Kuryr wrote, field for field and in its order. Reading is lenient: unknown fields
//! are kept, `versioned_object.changes` is ignored, and of a version only the major number matters.

mod envelope;

pub use envelope::{Envelope, Versioned};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::{Map, Value};
use std::ops::RangeInclusive;

/// What a port is to the node: one variant for each VIF class of os-vif that Kuryr has ever written, and one of our own.
#[derive(Clone, Debug, PartialEq)]
pub enum Vif {
    /// A veth pair whose host end is a port of an OVS bridge.
    OpenVSwitch(Box<OpenVSwitch>),
    /// A veth pair behind a Linux bridge (ML2/OVS with the hybrid iptables firewall).
    Bridge(Box<Bridge>),
    /// A vhost-user socket of a DPDK datapath.
    VHostUser(Box<VHostUser>),
    /// A VLAN link on the node's trunk port.
    VlanNested(Box<VlanNested>),
    /// A MACVLAN link on the node's own port.
    MacvlanNested(Box<MacvlanNested>),
    /// An IPVLAN link on the node's own port.
    IpvlanNested(Box<IpvlanNested>),
    /// An interface of the virtual machine handed to a userspace driver.
    DpdkNested(Box<DpdkNested>),
    /// A virtual function of a physical NIC.
    Sriov(Box<Sriov>),
}

/// `VIFOpenVSwitch`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenVSwitch {
    /// Host end of the veth pair.
    pub vif_name: String,
    /// OVS bridge to plug into.
    pub bridge_name: String,
    /// What every VIF has.
    #[serde(flatten)]
    pub base: Base,
}

/// `VIFBridge`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bridge {
    /// Host end of the veth pair.
    pub vif_name: String,
    /// Linux bridge of this port alone.
    pub bridge_name: String,
    /// What every VIF has.
    #[serde(flatten)]
    pub base: Base,
}

/// `VIFVHostUser`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VHostUser {
    /// OVS port.
    pub vif_name: String,
    /// Directory or socket that OVS and the pod share.
    pub path: String,
    /// `server` or `client`, as seen from the pod.
    pub mode: String,
    /// What every VIF has.
    #[serde(flatten)]
    pub base: Base,
}

/// The VLAN ids that a subport may have: 0 and 4095 have a meaning of their own in 802.1Q.
pub const VLAN_IDS: RangeInclusive<u16> = 1..=4094;

/// `VIFVlanNested`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VlanNested {
    /// Name of the link before it is renamed inside the pod.
    pub vif_name: String,
    /// Segmentation id of the subport.
    pub vlan_id: u16,
    /// What every VIF has.
    #[serde(flatten)]
    pub base: Base,
}

/// `VIFMacvlanNested`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MacvlanNested {
    /// Name of the link before it is renamed inside the pod.
    pub vif_name: String,
    /// What every VIF has.
    #[serde(flatten)]
    pub base: Base,
}

/// `VIFIpvlanNested`, which is new here: os-vif and the Python Kuryr know none. Like `VIFMacvlanNested`, but the link has the MAC address of
/// the link that it is on, since some backends let a port send from no other; `address` tells it, and is not used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IpvlanNested {
    /// Name of the link where its final one cannot be given at once.
    pub vif_name: String,
    /// What every VIF has.
    #[serde(flatten)]
    pub base: Base,
}

/// `VIFDPDKNested`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DpdkNested {
    /// PCI address; empty until the node found it.
    #[serde(default)]
    pub pci_address: String,
    /// Kernel driver before the rebind; empty until the node found it.
    #[serde(default)]
    pub dev_driver: String,
    /// What every VIF has.
    #[serde(flatten)]
    pub base: Base,
}

/// `VIFSriov`, written until Kuryr-Kubernetes 7.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sriov {
    /// Link name.
    #[serde(default)]
    pub vif_name: String,
    /// Physical network of the virtual function.
    #[serde(default)]
    pub physnet: String,
    /// Pod that uses it.
    #[serde(default)]
    pub pod_name: String,
    /// API path of that pod.
    #[serde(default)]
    pub pod_link: String,
    /// What every VIF has.
    #[serde(flatten)]
    pub base: Base,
}

/// The fields of os-vif's `VIFBase`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Base {
    /// Neutron port.
    pub id: String,
    /// MAC address.
    pub address: String,
    /// The port's network with the subnets that it has addresses in.
    pub network: Versioned<Network>,
    /// os-vif plugin; tells nothing that the class does not.
    #[serde(default)]
    pub plugin: String,
    /// The backend has wired the port, as far as the controller knows.
    #[serde(default)]
    pub active: bool,
    /// Always false.
    #[serde(default)]
    pub preserve_on_delete: bool,
    /// The backend filters the port's traffic (`binding:vif_details.port_filter`).
    #[serde(default)]
    pub has_traffic_filtering: bool,
    /// How the backend recognises the port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port_profile: Option<Envelope<Map<String, Value>>>,
    /// Fields of other versions, kept as they were.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// os-vif's `Network`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// Neutron network.
    pub id: String,
    /// OVS bridge, where the backend has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridge: Option<String>,
    /// Name.
    #[serde(default)]
    pub label: String,
    /// Subnets in which the port has an address.
    pub subnets: Versioned<SubnetList>,
    /// Always false.
    #[serde(default)]
    pub multi_host: bool,
    /// The plug makes the bridge.
    #[serde(default)]
    pub should_provide_bridge: bool,
    /// The network is of provider type `vlan`.
    #[serde(default)]
    pub should_provide_vlan: bool,
    /// Segmentation id where `should_provide_vlan`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// MTU in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// Fields of other versions, kept as they were.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// os-vif's `SubnetList`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SubnetList {
    /// The subnets.
    #[serde(default)]
    pub objects: Vec<Versioned<Subnet>>,
}

/// os-vif's `Subnet`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Subnet {
    /// Prefix in CIDR notation.
    pub cidr: String,
    /// Name servers.
    #[serde(default)]
    pub dns: Vec<String>,
    /// Gateway; a subnet may have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// The port's addresses in this subnet.
    #[serde(default)]
    pub ips: Versioned<FixedIpList>,
    /// Host routes of the subnet.
    #[serde(default)]
    pub routes: Versioned<RouteList>,
    /// Fields of other versions, kept as they were.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// os-vif's `FixedIPList`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FixedIpList {
    /// The addresses.
    #[serde(default)]
    pub objects: Vec<Versioned<FixedIp>>,
}

/// os-vif's `FixedIP`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FixedIp {
    /// The address, without prefix length.
    pub address: String,
    /// Fields of other versions, kept as they were.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// os-vif's `RouteList`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RouteList {
    /// The routes.
    #[serde(default)]
    pub objects: Vec<Versioned<Route>>,
}

/// os-vif's `Route`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// Destination in CIDR notation.
    pub cidr: String,
    /// Next hop.
    pub gateway: String,
    /// Fields of other versions, kept as they were.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Vif {
    /// What every VIF has.
    pub fn base(&self) -> &Base {
        match self {
            Self::OpenVSwitch(vif) => &vif.base,
            Self::Bridge(vif) => &vif.base,
            Self::VHostUser(vif) => &vif.base,
            Self::VlanNested(vif) => &vif.base,
            Self::MacvlanNested(vif) => &vif.base,
            Self::IpvlanNested(vif) => &vif.base,
            Self::DpdkNested(vif) => &vif.base,
            Self::Sriov(vif) => &vif.base,
        }
    }

    /// What every VIF has, to change it.
    pub fn base_mut(&mut self) -> &mut Base {
        match self {
            Self::OpenVSwitch(vif) => &mut vif.base,
            Self::Bridge(vif) => &mut vif.base,
            Self::VHostUser(vif) => &mut vif.base,
            Self::VlanNested(vif) => &mut vif.base,
            Self::MacvlanNested(vif) => &mut vif.base,
            Self::IpvlanNested(vif) => &mut vif.base,
            Self::DpdkNested(vif) => &mut vif.base,
            Self::Sriov(vif) => &mut vif.base,
        }
    }

    /// os-vif's name of the class.
    pub fn class(&self) -> &'static str {
        match self {
            Self::OpenVSwitch(_) => "VIFOpenVSwitch",
            Self::Bridge(_) => "VIFBridge",
            Self::VHostUser(_) => "VIFVHostUser",
            Self::VlanNested(_) => "VIFVlanNested",
            Self::MacvlanNested(_) => "VIFMacvlanNested",
            Self::IpvlanNested(_) => "VIFIpvlanNested",
            Self::DpdkNested(_) => "VIFDPDKNested",
            Self::Sriov(_) => "VIFSriov",
        }
    }

    fn version(&self) -> &'static str {
        match self {
            Self::VHostUser(_) => "1.1",
            _ => "1.0",
        }
    }
}

/// The profile by which OVS and OVN recognise a port: `iface-id` of the interface.
pub fn open_vswitch_profile(port: &str) -> Envelope<Map<String, Value>> {
    let data = Map::from_iter([("interface_id".to_owned(), Value::from(port))]);
    Envelope::new("VIFPortProfileOpenVSwitch", "1.4", data)
}

impl Serialize for Vif {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (class, version) = (self.class(), self.version());
        match self {
            Self::OpenVSwitch(vif) => Envelope::new(class, version, vif).serialize(serializer),
            Self::Bridge(vif) => Envelope::new(class, version, vif).serialize(serializer),
            Self::VHostUser(vif) => Envelope::new(class, version, vif).serialize(serializer),
            Self::VlanNested(vif) => Envelope::new(class, version, vif).serialize(serializer),
            Self::MacvlanNested(vif) => Envelope::new(class, version, vif).serialize(serializer),
            Self::IpvlanNested(vif) => Envelope::new(class, version, vif).serialize(serializer),
            Self::DpdkNested(vif) => Envelope::new(class, version, vif).serialize(serializer),
            Self::Sriov(vif) => Envelope::new(class, version, vif).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Vif {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object = Envelope::<Value>::deserialize(deserializer)?;
        object.require_major(1).map_err(D::Error::custom)?;
        let data = object.data;
        let parsed = match object.name.as_ref() {
            "VIFOpenVSwitch" => serde_json::from_value(data).map(Self::OpenVSwitch),
            "VIFBridge" => serde_json::from_value(data).map(Self::Bridge),
            "VIFVHostUser" => serde_json::from_value(data).map(Self::VHostUser),
            "VIFVlanNested" => serde_json::from_value(data).map(Self::VlanNested),
            "VIFMacvlanNested" => serde_json::from_value(data).map(Self::MacvlanNested),
            "VIFIpvlanNested" => serde_json::from_value(data).map(Self::IpvlanNested),
            "VIFDPDKNested" => serde_json::from_value(data).map(Self::DpdkNested),
            "VIFSriov" => serde_json::from_value(data).map(Self::Sriov),
            other => return Err(D::Error::custom(format!("`{other}` is no VIF class that Kuryr knows"))),
        };
        parsed.map_err(|error| D::Error::custom(format!("{}: {error}", object.name)))
    }
}

#[cfg(test)]
mod tests;
