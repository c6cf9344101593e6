//! Connecting a pod's interface to the node, and waiting until that is so. Each step may be repeated.
//!
//! ```text
//!   Plug ─┬─ Ovs       veth pair ── OVS port                   ┐ ovs_port
//!         ├─ Hybrid    veth pair ── Linux bridge ── OVS port   ┘
//!         ├─ Vlan      VLAN on the node's own link             ┐ on_top
//!         ├─ Macvlan   MACVLAN or IPVLAN on it                 ┘
//!         ├─ Sriov     virtual function of a network card        a link, or as the next two
//!         ├─ VhostUser socket ── OVS port                      ┐ no link: a program in user space
//!         └─ Dpdk      PCI device of the node                  ┘ finds it by a file
//! ```

pub mod dpdk;
pub mod hybrid;
pub mod macvlan;
mod on_top;
pub mod ovs;
pub mod ovs_port;
pub mod sriov;
pub mod vhostuser;
pub mod vlan;

use std::{fmt, path::PathBuf};

use futures::future::{join_all, try_join_all};
use kuryr_api::vif::{Base, Vif};
use kuryr_net::{Link, LinkState, NetNs, Netlink, PciAddress, VethEnds};

use self::{
    dpdk::Dpdk, hybrid::Hybrid, macvlan::Macvlan, ovs::Ovs, ovs_port::OvsPort, sriov::Sriov,
    vhostuser::VhostUser, vlan::Vlan,
};
use crate::{
    failure::Failure,
    node::Node,
    sandbox::Sandbox,
    wiring::{PlugSettings, Wiring},
};

/// Where an interface is being plugged: the sandbox and both ends' namespaces.
pub struct Place<'a> {
    /// The sandbox.
    pub sandbox: &'a Sandbox,
    /// The sandbox's namespace.
    pub namespace: &'a NetNs,
    /// A socket in it.
    pub inside: Netlink,
    /// A socket on the host.
    pub host: Netlink,
}

/// What those who may remember an earlier owner of a port's addresses know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Neighbours {
    /// The port has had its addresses, and told of them, for a pod before.
    Told,
    /// They may remember another MAC address.
    ToBeTold,
}

/// How an interface is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plug {
    /// Its host end is a port of an OVS bridge.
    Ovs(Ovs),
    /// Its host end is on a Linux bridge of its own, where iptables filter, and that is connected to an OVS bridge.
    Hybrid(Hybrid),
    /// It is a VLAN on the node's own link.
    Vlan(Vlan),
    /// It is a MACVLAN or an IPVLAN on the node's own link.
    Macvlan(Macvlan),
    /// It is a socket, whose other end is a port of an OVS bridge.
    VhostUser(VhostUser),
    /// It is a device of the node.
    Dpdk(Dpdk),
    /// It is a virtual function of one of the node's network cards.
    Sriov(Sriov),
}

/// What a pod has of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inside {
    /// A link.
    Link(Link),
    /// A socket, for a program in user space.
    Socket(PathBuf),
    /// A PCI device, for a program in user space.
    Device(PciAddress),
}

/// One interface to be connected.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// The node.
    pub node: &'a Node,
    /// The interface.
    pub wiring: &'a Wiring,
    /// Where.
    pub place: &'a Place<'a>,
}

/// One way to connect an interface: links and what the backend has to know, not addresses.
trait Driver {
    /// Whether an earlier call for the same sandbox has connected the interface, and it is still so.
    async fn is_plugged(&self, job: Job<'_>) -> Result<bool, Failure>;

    /// Takes away what an earlier sandbox of the pod, or a call that was cut short, left behind.
    async fn clear(&self, job: Job<'_>) -> Result<(), Failure>;

    /// Connects the interface. Tells of its veth pair, if it has one and the kernel says what it made.
    async fn connect(&self, job: Job<'_>) -> Result<Option<VethEnds>, Failure>;

    /// Waits until the backend has wired the port, however long that takes.
    async fn wired(&self, job: Job<'_>) -> Result<(), Failure>;

    /// Where to look when it takes too long.
    fn unwired(&self, node: &Node) -> &'static str;

    async fn plug(&self, job: Job<'_>) -> Result<Option<VethEnds>, Failure> {
        if self.is_plugged(job).await? {
            return Ok(None);
        }
        self.clear(job).await?;
        let pair = self.connect(job).await?;
        tracing::info!(pod = %job.place.sandbox.pod, port = %job.wiring.port, link = %job.wiring.plug, "plugged");
        Ok(pair)
    }
}

impl Plug {
    /// Reads how a VIF is to be connected.
    pub fn read(vif: &Vif, settings: &PlugSettings) -> Result<Self, String> {
        match vif {
            Vif::OpenVSwitch(vif) => Ovs::read(vif, settings).map(Self::Ovs),
            Vif::Bridge(vif) => Hybrid::read(vif, settings).map(Self::Hybrid),
            Vif::VlanNested(vif) => Vlan::read(vif).map(Self::Vlan),
            Vif::MacvlanNested(vif) => Macvlan::read(vif).map(Self::Macvlan),
            Vif::IpvlanNested(vif) => Macvlan::read_ipvlan(vif).map(Self::Macvlan),
            Vif::VHostUser(vif) => VhostUser::read(vif, settings).map(Self::VhostUser),
            Vif::DpdkNested(_) => Ok(Self::Dpdk(Dpdk)),
            Vif::Sriov(vif) => Sriov::read(vif, settings).map(Self::Sriov),
        }
    }

    /// Connects an interface, unless an earlier call for the same sandbox did: links and OVS port, not addresses. Tells of its veth pair,
    /// if it was made now and the kernel says what it made.
    pub async fn plug(&self, job: Job<'_>) -> Result<Option<VethEnds>, Failure> {
        match self {
            Self::Ovs(driver) => driver.plug(job).await,
            Self::Hybrid(driver) => driver.plug(job).await,
            Self::Vlan(driver) => driver.plug(job).await,
            Self::Macvlan(driver) => driver.plug(job).await,
            Self::VhostUser(driver) => driver.plug(job).await,
            Self::Dpdk(driver) => driver.plug(job).await,
            Self::Sriov(driver) => driver.plug(job).await,
        }
    }

    /// Waits until the backend has wired the port, however long that takes.
    pub async fn wired(&self, job: Job<'_>) -> Result<(), Failure> {
        match self {
            Self::Ovs(driver) => driver.wired(job).await,
            Self::Hybrid(driver) => driver.wired(job).await,
            Self::Vlan(driver) => driver.wired(job).await,
            Self::Macvlan(driver) => driver.wired(job).await,
            Self::VhostUser(driver) => driver.wired(job).await,
            Self::Dpdk(driver) => driver.wired(job).await,
            Self::Sriov(driver) => driver.wired(job).await,
        }
    }

    /// Where to look when it takes too long.
    pub fn unwired(&self, node: &Node) -> &'static str {
        match self {
            Self::Ovs(driver) => driver.unwired(node),
            Self::Hybrid(driver) => driver.unwired(node),
            Self::Vlan(driver) => driver.unwired(node),
            Self::Macvlan(driver) => driver.unwired(node),
            Self::VhostUser(driver) => driver.unwired(node),
            Self::Dpdk(driver) => driver.unwired(node),
            Self::Sriov(driver) => driver.unwired(node),
        }
    }

    /// Its port in Open vSwitch, if it has one.
    pub fn ovs_port(&self) -> Option<OvsPort<'_>> {
        match self {
            Self::Ovs(driver) => Some(driver.port().port),
            Self::Hybrid(driver) => Some(driver.port().port),
            Self::VhostUser(driver) => Some(driver.port()),
            Self::Vlan(_) | Self::Macvlan(_) | Self::Dpdk(_) | Self::Sriov(_) => None,
        }
    }

    /// All links of the host that are for it, the pod's tap first; the other end of a patch goes with the one that is named.
    pub fn host_links(&self) -> Vec<&str> {
        match self {
            Self::Ovs(driver) => vec![&driver.tap],
            Self::Hybrid(driver) => vec![&driver.tap, &driver.between.qbr, &driver.between.qvo],
            Self::Vlan(_) | Self::Macvlan(_) | Self::VhostUser(_) | Self::Dpdk(_) | Self::Sriov(_) => {
                Vec::new()
            }
        }
    }

    /// The name that its link in the pod may have for a moment.
    pub fn interim(&self) -> Option<&str> {
        match self {
            Self::Ovs(_) | Self::Hybrid(_) | Self::VhostUser(_) | Self::Dpdk(_) | Self::Sriov(_) => None,
            Self::Vlan(driver) => Some(&driver.interim),
            Self::Macvlan(driver) => Some(&driver.interim),
        }
    }

    /// What the pod has of it, if that is no link.
    pub fn without_link(&self, job: Job<'_>) -> Result<Option<Inside>, Failure> {
        match self {
            Self::Ovs(_) | Self::Hybrid(_) | Self::Vlan(_) | Self::Macvlan(_) => Ok(None),
            Self::VhostUser(driver) => Ok(Some(Inside::Socket(driver.socket.clone()))),
            Self::Dpdk(_) => Ok(Dpdk::taken(job)?.map(|taken| Inside::Device(taken.device))),
            Self::Sriov(driver) => Ok(driver.device(job)?.map(Inside::Device)),
        }
    }
}

impl fmt::Display for Plug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ovs(driver) => f.write_str(&driver.tap),
            Self::Hybrid(driver) => f.write_str(&driver.tap),
            Self::Vlan(driver) => write!(f, "VLAN {}", driver.id),
            Self::Macvlan(driver) => driver.stack.fmt(f),
            Self::VhostUser(driver) => f.write_str(&driver.name),
            Self::Dpdk(_) => f.write_str("PCI device"),
            Self::Sriov(driver) => write!(f, "virtual function of {}", driver.resource),
        }
    }
}

/// Gives an interface its addresses, before it is up. Tells what it is like inside, which is looked up if it is not `known`.
pub async fn address(wiring: &Wiring, known: Option<&Link>, place: &Place<'_>) -> Result<Link, Failure> {
    let name = wiring.ifname.as_str();
    let missing =
        || Failure::Namespace { path: place.sandbox.netns_path.clone(), reason: "the pod's link went away" };
    let link = match known {
        Some(link) => link.clone(),
        None => place.inside.link(name).await?.ok_or_else(missing)?,
    };
    let addresses = wiring.addresses().map(|address| place.inside.add_address(link.index, address));
    try_join_all(addresses).await?;
    Ok(link)
}

/// Sets an interface up, with its routes: the kernel is asked for all in this order, and answers together.
///
/// The host's end comes first, so that the first word of the pod's end gets through, and not long before: an end that is up while the
/// other is not has the kernel wait for all processors once somebody looks at it, and nobody can change any link meanwhile.
pub async fn set_up(wiring: &Wiring, link: &Link, place: &Place<'_>) -> Result<(), Failure> {
    if let (LinkState::Down, Some(end)) = (link.state, wiring.plug.host_links().first()) {
        place.host.set_up_cable(end).await?;
    }
    let up = async {
        match link.state {
            LinkState::Up => Ok(()),
            LinkState::Down => place.inside.set_up(link.index).await,
        }
    };
    let routes = wiring.routes().into_iter().map(|route| place.inside.add_route(link.index, route));
    let (up, routes) = tokio::join!(biased; up, join_all(routes));
    up?;
    Ok(routes.into_iter().collect::<Result<(), _>>()?)
}

/// Makes the kernel ready for an interface.
///
/// IPv6 is on where it has an address of that family. What it is to know of its network the record says, but for the gateway of a subnet
/// that has none in Neutron, and its link-local address is that of a MAC address that nobody else has: it neither listens to routers nor
/// asks anybody, since every question goes to all ports of the network. Neighbours that may remember the MAC address of an earlier pod
/// are told once, when the link goes up.
pub async fn prepare(news: &[(&Wiring, Neighbours)], namespace: &NetNs) -> Result<(), Failure> {
    use kuryr_net::Sysctl::{AcceptRouterAdvertisements, ArpNotify, DadTransmits, DisableIpv6, NdiscNotify};
    let mut settings = Vec::new();
    for &(wiring, neighbours) in news {
        let name = || wiring.ifname.as_str().to_owned();
        if wiring.addresses().any(|address| address.addr().is_ipv6()) {
            settings.extend(["all".to_owned(), name()].map(|link| (DisableIpv6(link), 0)));
        }
        settings.push((DadTransmits(name()), 0));
        if !wiring.has_unknown_router() {
            settings.push((AcceptRouterAdvertisements(name()), 0));
        }
        if neighbours == Neighbours::ToBeTold {
            settings.extend([(ArpNotify(name()), 1), (NdiscNotify(name()), 1)]);
        }
    }
    Ok(namespace.set_sysctls(settings).await?)
}

/// Waits until the controller says that the backend has wired the port.
async fn active(job: Job<'_>) {
    let port = job.wiring.port.as_str();
    let is_active = |base: &Base| base.id == port && base.active;
    let waiting = job.node.records.ports.wait_for(|ports| {
        let record = ports.get(&job.place.sandbox.pod)?;
        let mut vifs = record.content.vifs();
        vifs.any(|(_, entry)| is_active(entry.vif.base())).then_some(())
    });
    waiting.await;
}
