//! A veth pair behind a Linux bridge, where the agent of ML2/OVS filters with iptables.

use kuryr_api::vif::Bridge;
use kuryr_net::{Netlink, VethEnds};

use super::{
    Driver, Job,
    ovs_port::{OvsPort, PairPort},
};
use crate::{
    failure::Failure,
    metrics::Step,
    node::Node,
    wiring::{PlugSettings, cut, link_name},
};

/// A Linux bridge between the pod and an OVS bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hybrid {
    /// The OVS bridge.
    pub bridge: String,
    /// The host's end of the pair.
    pub tap: String,
    /// The links in between.
    pub between: Between,
}

/// The links of a hybrid plug between the pod's tap and the OVS bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Between {
    /// The Linux bridge.
    pub qbr: String,
    /// The patch's end on the Linux bridge.
    pub qvb: String,
    /// The patch's end on the OVS bridge.
    pub qvo: String,
}

impl Hybrid {
    /// Reads a VIF.
    pub fn read(vif: &Bridge, settings: &PlugSettings) -> Result<Self, String> {
        let between = Between::of(&vif.base.id, link_name("qbr", &vif.bridge_name)?);
        link_name("qvo", &between.qvo)?;
        let bridge = settings.bridge_named(vif.base.network.bridge.as_ref());
        Ok(Self { bridge, tap: link_name("tap", &vif.vif_name)?, between })
    }

    pub(super) fn port(&self) -> PairPort<'_> {
        PairPort { port: OvsPort { bridge: &self.bridge, name: &self.between.qvo }, tap: &self.tap }
    }

    async fn link(&self, job: Job<'_>) -> Result<Option<VethEnds>, Failure> {
        let ends = self.port().add_pair(job).await?;
        self.add_bridge(job).await?;
        Ok(ends)
    }

    /// The Linux bridge must not take part in the node's own networking.
    async fn add_bridge(&self, job: Job<'_>) -> Result<(), Failure> {
        use kuryr_net::Sysctl::{ArpAnnounce, ArpIgnore, DisableIpv6};
        let (Between { qbr, qvb, qvo }, host, mtu) = (&self.between, &job.place.host, job.wiring.mtu);
        host.add_bridge(qbr, mtu).await?;
        let quiet =
            vec![(DisableIpv6(qbr.clone()), 1), (ArpIgnore(qbr.clone()), 1), (ArpAnnounce(qbr.clone()), 2)];
        job.node.host.set_sysctls(quiet).await?;
        host.add_patch(qvb, qvo, mtu).await?;
        self.enslave(host).await
    }

    async fn enslave(&self, host: &Netlink) -> Result<(), Failure> {
        let Some(bridge) = host.link(&self.between.qbr).await? else { return Ok(()) };
        for port in [self.between.qvb.as_str(), &self.tap] {
            if let Some(link) = host.link(port).await? {
                host.enslave(link.index, bridge.index).await?;
            }
        }
        Ok(())
    }
}

impl Between {
    /// The links by os-vif's rules.
    pub fn of(port: &str, qbr: String) -> Self {
        Self { qbr, qvb: cut("qvb", port), qvo: cut("qvo", port) }
    }
}

impl Driver for Hybrid {
    async fn is_plugged(&self, job: Job<'_>) -> Result<bool, Failure> {
        self.port().is_plugged(job).await
    }

    async fn clear(&self, job: Job<'_>) -> Result<(), Failure> {
        self.port().clear(job).await
    }

    async fn connect(&self, job: Job<'_>) -> Result<Option<VethEnds>, Failure> {
        let ends = job.node.metrics.time(Step::Link, self.link(job)).await?;
        self.port().add(job).await?;
        Ok(ends)
    }

    async fn wired(&self, job: Job<'_>) -> Result<(), Failure> {
        self.port().wired(job).await
    }

    fn unwired(&self, node: &Node) -> &'static str {
        self.port().port.unwired(node)
    }
}
