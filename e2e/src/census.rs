//! What there is of pods' networks, everywhere. A story ends when it is again what it was before.

use crate::node::Node;
use crate::stage::Stage;
use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use kube::Api;
use kube::api::{ListParams, ResourceExt};
use kuryr_api::port::KuryrPort;
use std::collections::BTreeSet;

/// One line a thing.
pub(crate) type Census = BTreeSet<String>;

impl Stage {
    /// Counts ports, records, and what is on the nodes.
    pub(crate) async fn census(&self) -> Result<Census> {
        let (ports, records, nodes) =
            tokio::try_join!(self.port_lines(), self.record_lines(), self.node_lines())?;
        Ok(ports.into_iter().chain(records).chain(nodes).collect())
    }

    /// Whether anything is there that was not before the story.
    pub async fn nothing_left(&self) -> Result<()> {
        let now = self.census().await?;
        let left: Vec<_> = now.difference(&self.before).collect();
        ensure!(left.is_empty(), "left over: {left:#?}");
        Ok(())
    }

    /// Whether a port was there before the story.
    pub(crate) fn was_there(&self, port: &str) -> bool {
        self.before.iter().any(|line| line.contains(port))
    }

    async fn port_lines(&self) -> Result<Vec<String>> {
        let ports = self.kuryr_ports().await.context("failed to count ports")?;
        Ok(ports.iter().map(|port| format!("port {} of device {}", port.id, port.device_id)).collect())
    }

    async fn record_lines(&self) -> Result<Vec<String>> {
        let records = Api::<KuryrPort>::all(self.kube.clone()).list(&ListParams::default()).await?;
        let name = |record: &KuryrPort| {
            format!("KuryrPort {}/{}", record.namespace().unwrap_or_default(), record.name_any())
        };
        Ok(records.iter().map(name).collect())
    }

    async fn node_lines(&self) -> Result<Vec<String>> {
        let nodes = self.nodes()?;
        Ok(try_join_all(nodes.iter().map(of_node)).await?.concat())
    }
}

async fn of_node(node: &Node) -> Result<Vec<String>> {
    let (ports, traces) = tokio::try_join!(node.ovs_ports(), node.traces())?;
    let ports = ports.iter().map(|port| format!("OVS port {}", port.name));
    Ok(ports.chain(traces).map(|line| format!("{}: {line}", node.name)).collect())
}
