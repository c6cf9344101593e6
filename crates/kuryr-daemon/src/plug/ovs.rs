//! A veth pair whose host end is a port of an OVS bridge.

use kuryr_api::vif::OpenVSwitch;
use kuryr_net::VethEnds;

use super::{
    Driver, Job,
    ovs_port::{OvsPort, PairPort},
};
use crate::{
    failure::Failure,
    metrics::Step,
    node::Node,
    wiring::{PlugSettings, link_name},
};

/// A port of an OVS bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ovs {
    /// The bridge.
    pub bridge: String,
    /// The host's end of the pair.
    pub tap: String,
}

impl Ovs {
    /// Reads a VIF.
    pub fn read(vif: &OpenVSwitch, settings: &PlugSettings) -> Result<Self, String> {
        let bridge = settings.bridge_named(Some(&vif.bridge_name));
        Ok(Self { bridge, tap: link_name("tap", &vif.vif_name)? })
    }

    pub(super) fn port(&self) -> PairPort<'_> {
        PairPort { port: OvsPort { bridge: &self.bridge, name: &self.tap }, tap: &self.tap }
    }
}

impl Driver for Ovs {
    async fn is_plugged(&self, job: Job<'_>) -> Result<bool, Failure> {
        self.port().is_plugged(job).await
    }

    async fn clear(&self, job: Job<'_>) -> Result<(), Failure> {
        self.port().clear(job).await
    }

    async fn connect(&self, job: Job<'_>) -> Result<Option<VethEnds>, Failure> {
        let ends = job.node.metrics.time(Step::Link, self.port().add_pair(job)).await?;
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
