//! What is to be plugged: a VIF of a KuryrPort, read and checked.

use std::{collections::HashSet, net::IpAddr};

use ipnet::IpNet;
use kuryr_api::{
    PortId,
    port::VifEntry,
    vif::{Base, Subnet},
};
use kuryr_cni::IfName;
use kuryr_net::{MacAddr, Route};

use crate::{
    devices::Devices,
    plug::{Plug, vhostuser::Sockets},
    sriov::SriovSettings,
};

/// Where a port is plugged unless Neutron or the configuration says otherwise.
pub const INTEGRATION_BRIDGE: &str = "br-int";
/// os-vif cuts the names of links here.
const LINK_NAME_MAX: usize = 14;
/// Used only if neither Neutron nor the configuration tells one.
const ETHERNET_MTU: u32 = 1500;

/// One interface of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wiring {
    /// The Neutron port.
    pub port: PortId,
    /// By which the backend recognises it; as a rule the port's id.
    pub iface_id: String,
    /// The link's name in the pod.
    pub ifname: IfName,
    /// Whether the pod's default route goes this way.
    pub role: Role,
    /// The port's MAC address.
    pub mac: MacAddr,
    /// The link's MTU.
    pub mtu: u32,
    /// The port's addresses and what goes with them.
    pub subnets: Vec<Net>,
    /// How it is connected to the node.
    pub plug: Plug,
    /// The controller says that the backend has wired the port.
    pub active: bool,
}

/// What an interface is to its pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The one with the pod's address and the default route.
    Default,
    /// A further one.
    Additional,
}

/// A subnet as far as the pod needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Net {
    /// The pod's addresses, with the subnet's prefix length.
    pub addresses: Vec<IpNet>,
    /// The gateway; a subnet may have none.
    pub gateway: Option<IpAddr>,
    /// The subnet's host routes.
    pub routes: Vec<Route>,
    /// The subnet's name servers.
    pub dns: Vec<String>,
}

/// What the configuration says about plugging.
#[derive(Debug, Clone)]
pub struct PlugSettings {
    /// The OVS bridge for VIFs that do not name one.
    pub bridge: String,
    /// The greatest MTU allowed.
    pub mtu_limit: Option<u32>,
    /// Where sockets of programs in user space are.
    pub sockets: Sockets,
    /// How devices are handed to them.
    pub devices: Devices,
    /// Virtual functions.
    pub sriov: SriovSettings,
}

impl PlugSettings {
    /// The bridge that a VIF names, or else ours.
    pub fn bridge_named(&self, bridge: Option<&String>) -> String {
        bridge.filter(|name| !name.is_empty()).unwrap_or(&self.bridge).clone()
    }
}

impl Wiring {
    /// Reads the VIFs of a record. The default one comes first, under the name that the runtime wants.
    pub fn read_all<'a>(
        vifs: impl Iterator<Item = (&'a str, &'a VifEntry)>,
        ifname: &IfName,
        settings: &PlugSettings,
    ) -> Result<Vec<Self>, String> {
        let mut wirings = vifs
            .map(|(name, entry)| {
                Self::read(name, entry, ifname, settings)
                    .map_err(|error| format!("interface {name}: {error}"))
            })
            .collect::<Result<Vec<_>, _>>()?;
        wirings.sort_by_key(|wiring| wiring.role != Role::Default);
        match wirings.iter().filter(|wiring| wiring.role == Role::Default).count() {
            1 => Ok(wirings),
            count => Err(format!("{count} interfaces are marked as default, one must be")),
        }
    }

    fn read(name: &str, entry: &VifEntry, ifname: &IfName, settings: &PlugSettings) -> Result<Self, String> {
        let base = entry.vif.base();
        let network = &base.network;
        let mtu = network.mtu.unwrap_or(ETHERNET_MTU);
        Ok(Self {
            port: base.id.as_str().into(),
            iface_id: iface_id(base),
            ifname: if entry.default {
                ifname.clone()
            } else {
                name.parse().map_err(|error| format!("{error}"))?
            },
            role: if entry.default { Role::Default } else { Role::Additional },
            mac: base.address.parse().map_err(|error| format!("{error}"))?,
            mtu: settings.mtu_limit.map_or(mtu, |limit| mtu.min(limit)),
            subnets: network
                .subnets
                .objects
                .iter()
                .map(|subnet| Net::read(subnet))
                .collect::<Result<_, _>>()?,
            plug: Plug::read(&entry.vif, settings)?,
            active: base.active,
        })
    }

    /// All addresses of the interface.
    pub fn addresses(&self) -> impl Iterator<Item = IpNet> {
        self.subnets.iter().flat_map(|subnet| subnet.addresses.iter().copied())
    }

    /// Whether its IPv6 gateway may be one that Neutron does not know of, and that says so itself.
    pub fn has_unknown_router(&self) -> bool {
        let without_gateway = self.subnets.iter().filter(|subnet| subnet.gateway.is_none());
        without_gateway.flat_map(|subnet| &subnet.addresses).any(|address| address.addr().is_ipv6())
    }

    /// All routes of the interface; the default ones only if it is the pod's default interface. One without an address leads
    /// nowhere and has none.
    pub fn routes(&self) -> Vec<Route> {
        let with_addresses = self.subnets.iter().filter(|subnet| !subnet.addresses.is_empty());
        with_addresses
            .flat_map(|subnet| subnet.routes.iter().copied().chain(self.default_route(subnet)))
            .collect()
    }

    fn default_route(&self, subnet: &Net) -> Option<Route> {
        let gateway = subnet.gateway.filter(|_| self.role == Role::Default)?;
        let everywhere = match gateway {
            IpAddr::V4(_) => IpNet::V4(ipnet::Ipv4Net::default()),
            IpAddr::V6(_) => IpNet::V6(ipnet::Ipv6Net::default()),
        };
        Some(Route { destination: everywhere, gateway: Some(gateway) })
    }
}

impl Net {
    fn read(subnet: &Subnet) -> Result<Self, String> {
        let cidr: IpNet = subnet.cidr.parse().map_err(|_| format!("{:?} is not a prefix", subnet.cidr))?;
        let address = |text: &str| {
            let address: IpAddr = ip(text)?;
            IpNet::new(address, cidr.prefix_len()).map_err(|_| format!("{address} does not belong to {cidr}"))
        };
        let route = |route: &kuryr_api::vif::Route| {
            let destination = route.cidr.parse().map_err(|_| format!("{:?} is not a prefix", route.cidr))?;
            Ok::<_, String>(Route { destination, gateway: Some(ip(&route.gateway)?) })
        };
        Ok(Self {
            addresses: subnet
                .ips
                .objects
                .iter()
                .map(|fixed| address(&fixed.address))
                .collect::<Result<_, _>>()?,
            gateway: subnet.gateway.as_deref().filter(|text| !text.is_empty()).map(ip).transpose()?,
            routes: subnet.routes.objects.iter().map(|found| route(found)).collect::<Result<_, _>>()?,
            dns: subnet.dns.clone(),
        })
    }
}

fn ip(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("{text:?} is not an address"))
}

fn iface_id(base: &Base) -> String {
    let profile = base.port_profile.as_ref().and_then(|profile| profile.data.get("interface_id")?.as_str());
    profile.unwrap_or(&base.id).to_owned()
}

/// os-vif's name of a link that is a port's.
pub(crate) fn cut(prefix: &str, port: &str) -> String {
    prefix.chars().chain(port.chars()).take(LINK_NAME_MAX).collect()
}

/// A name from a record goes into the kernel and into paths below `/proc/sys`, and a link that has it is deleted. With its prefix it
/// cannot be that of one of the host's own links.
pub(crate) fn link_name(prefix: &str, text: &str) -> Result<String, String> {
    text.parse::<IfName>().map_err(|error| error.to_string())?;
    if text.starts_with(prefix) {
        Ok(text.to_owned())
    } else {
        Err(format!("link name {text:?} does not begin with {prefix}"))
    }
}

/// Name servers of all interfaces, each once, in order.
pub fn name_servers(wirings: &[Wiring]) -> Vec<String> {
    let all = wirings.iter().flat_map(|wiring| &wiring.subnets).flat_map(|subnet| &subnet.dns);
    let mut seen = HashSet::new();
    all.filter(|server| seen.insert(*server)).cloned().collect()
}

#[cfg(test)]
mod tests;
