//! A MACVLAN or an IPVLAN on the node's own link. They differ in whose MAC address the pod has.

use kuryr_api::vif::{IpvlanNested, MacvlanNested};
use kuryr_net::{Stack, VethEnds};

use super::{Driver, Job, active, on_top::OnTop};
use crate::{failure::Failure, metrics::Step, node::Node, wiring::link_name};

/// A MACVLAN or an IPVLAN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Macvlan {
    /// Which of both.
    pub stack: Stack,
    /// The link's name while it may not yet have its own.
    pub interim: String,
}

impl Macvlan {
    /// Reads a VIF.
    pub fn read(vif: &MacvlanNested) -> Result<Self, String> {
        Ok(Self { stack: Stack::Macvlan, interim: link_name("tap", &vif.vif_name)? })
    }

    /// Reads a VIF.
    pub fn read_ipvlan(vif: &IpvlanNested) -> Result<Self, String> {
        Ok(Self { stack: Stack::Ipvlan, interim: link_name("tap", &vif.vif_name)? })
    }

    fn link(&self) -> OnTop<'_> {
        OnTop { stack: self.stack, interim: &self.interim }
    }
}

impl Driver for Macvlan {
    async fn is_plugged(&self, job: Job<'_>) -> Result<bool, Failure> {
        self.link().is_plugged(job).await
    }

    async fn clear(&self, job: Job<'_>) -> Result<(), Failure> {
        self.link().clear(job).await
    }

    async fn connect(&self, job: Job<'_>) -> Result<Option<VethEnds>, Failure> {
        let lower = self.link().lower(job).await?;
        job.node.metrics.time(Step::Link, self.link().make(job, &lower)).await?;
        Ok(None)
    }

    async fn wired(&self, job: Job<'_>) -> Result<(), Failure> {
        active(job).await;
        Ok(())
    }

    fn unwired(&self, _node: &Node) -> &'static str {
        "the KuryrPort did not turn active: see the controller's log"
    }
}
