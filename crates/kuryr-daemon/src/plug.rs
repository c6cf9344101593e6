//! Connecting a pod's interface to the node, and taking it away again. Each step may be repeated.

use kuryr_net::{LinkState, NetNs, Netlink, VethPair};
use kuryr_ovsdb::{NewPort, Removed};

use crate::{
    failure::Failure,
    mark::Mark,
    metrics::Step,
    node::Node,
    sandbox::Sandbox,
    wiring::{Between, Plug, Wiring},
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

/// What plugging found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plugged {
    /// The interface was there already, from an earlier call for the same sandbox.
    Before,
    /// It is there now.
    Now,
}

impl Node {
    /// Connects an interface: links and OVS port, not addresses.
    pub async fn plug(&self, wiring: &Wiring, place: &Place<'_>) -> Result<Plugged, Failure> {
        if self.is_plugged(wiring, place).await? {
            return Ok(Plugged::Before);
        }
        self.clear(wiring, place).await?;
        self.metrics.time(Step::Link, self.link(wiring, place)).await?;
        let port = NewPort {
            bridge: wiring.plug.bridge(),
            name: wiring.plug.ovs_port(),
            external_ids: Mark::of(wiring, place.sandbox),
        };
        self.metrics.time(Step::Ovsdb, self.ovsdb.add_port(&port)).await?;
        Ok(Plugged::Now)
    }

    /// Whether an earlier call for the same sandbox has connected the interface, and it is still so.
    async fn is_plugged(&self, wiring: &Wiring, place: &Place<'_>) -> Result<bool, Failure> {
        let marked = self.ovsdb.look(|switch| {
            let interface = switch.interface(wiring.plug.ovs_port())?;
            Mark::read(interface).filter(|mark| mark.sandbox.as_ref() == Some(&place.sandbox.id))
        });
        if marked.is_none() || place.host.link(wiring.plug.tap()).await?.is_none() {
            return Ok(false);
        }
        let inside = place.inside.link(wiring.ifname.as_str()).await?;
        Ok(inside.is_some_and(|link| link.mac == Some(wiring.mac)))
    }

    /// Takes away what an earlier sandbox of the pod, or a call that was cut short, left behind.
    async fn clear(&self, wiring: &Wiring, place: &Place<'_>) -> Result<(), Failure> {
        if self.ovsdb.del_port(wiring.plug.ovs_port()).await? == Removed::Port {
            tracing::info!(port = %wiring.port, link = wiring.plug.ovs_port(), "removed what was left of the port");
        }
        self.ovsdb.settle().await;
        place.host.delete_link(wiring.plug.tap()).await?;
        let ours =
            place.inside.link(wiring.ifname.as_str()).await?.filter(|link| link.mac == Some(wiring.mac));
        if let Some(link) = ours {
            place.inside.delete_link(&link.name).await?;
        }
        Ok(())
    }

    async fn link(&self, wiring: &Wiring, place: &Place<'_>) -> Result<(), Failure> {
        let pair = VethPair {
            near: wiring.plug.tap(),
            far: wiring.ifname.as_str(),
            namespace: place.namespace,
            mac: wiring.mac,
            mtu: wiring.mtu,
        };
        place.host.add_veth(&pair).await?;
        match &wiring.plug {
            Plug::Ovs { .. } => Ok(()),
            Plug::Hybrid { tap, between, .. } => self.bridge(tap, between, wiring.mtu, &place.host).await,
        }
    }

    /// The Linux bridge of a hybrid plug must not take part in the node's own networking.
    async fn bridge(&self, tap: &str, between: &Between, mtu: u32, host: &Netlink) -> Result<(), Failure> {
        use kuryr_net::Sysctl::{ArpAnnounce, ArpIgnore, DisableIpv6};
        let Between { qbr, qvb, qvo } = between;
        host.add_bridge(qbr, mtu).await?;
        let quiet =
            vec![(DisableIpv6(qbr.clone()), 1), (ArpIgnore(qbr.clone()), 1), (ArpAnnounce(qbr.clone()), 2)];
        self.host.set_sysctls(quiet).await?;
        host.add_patch(qvb, qvo, mtu).await?;
        let Some(bridge) = host.link(qbr).await? else { return Ok(()) };
        for port in [qvb.as_str(), tap] {
            if let Some(link) = host.link(port).await? {
                host.enslave(link.index, bridge.index).await?;
            }
        }
        Ok(())
    }
}

impl Mark {
    /// The links of the host that belong to the port, the pod's tap first.
    pub fn links(&self) -> Vec<String> {
        if self.ovs_port.starts_with("tap") {
            return vec![self.ovs_port.clone()];
        }
        let tap = kuryr_api::names::tap_name(&self.port);
        let between = Between::of(&self.port, kuryr_api::names::hybrid_bridge_name(&self.port));
        vec![tap, between.qbr, between.qvo]
    }

    /// The host's end of the pod's veth pair, which lives exactly as long as the other end.
    pub fn tap(&self) -> String {
        self.links().swap_remove(0)
    }
}

/// Gives an interface its addresses and routes, and sets it up.
pub async fn address(wiring: &Wiring, place: &Place<'_>) -> Result<(), Failure> {
    let name = wiring.ifname.as_str();
    let missing =
        || Failure::Namespace { path: place.sandbox.netns_path.clone(), reason: "the pod's link went away" };
    let link = place.inside.link(name).await?.ok_or_else(missing)?;
    for address in wiring.addresses() {
        place.inside.add_address(link.index, address).await?;
    }
    if link.state == LinkState::Down {
        place.inside.set_up(link.index).await?;
    }
    for route in wiring.routes() {
        place.inside.add_route(link.index, route).await?;
    }
    Ok(())
}

/// Makes the kernel ready for an interface: IPv6 where it has an address of that family, and a word to the neighbours when the link
/// goes up, since they may remember the MAC address of an earlier pod.
pub async fn prepare(wirings: &[Wiring], namespace: &NetNs) -> Result<(), Failure> {
    use kuryr_net::Sysctl::{ArpNotify, DisableIpv6, NdiscNotify};
    let mut settings = Vec::new();
    for wiring in wirings {
        let name = wiring.ifname.as_str();
        if wiring.addresses().any(|address| address.addr().is_ipv6()) {
            settings.extend(["all", name].map(|link| (DisableIpv6(link.to_owned()), 0)));
        }
        settings.extend([(ArpNotify(name.to_owned()), 1), (NdiscNotify(name.to_owned()), 1)]);
    }
    Ok(namespace.set_sysctls(settings).await?)
}
