//! What there is of pods' and Services' networks, everywhere. A story ends when it is again what it was before.

use crate::node::Node;
use crate::service::is_held;
use crate::stage::Stage;
use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use kube::api::{ListParams, ResourceExt};
use kuryr_api::port::KuryrPort;
use kuryr_api::{KuryrLoadBalancer, KuryrNetworkPolicy};
use kuryr_openstack::neutron::{AddressGroupFilter, SecurityGroupFilter};
use std::collections::BTreeSet;

/// The API server's own Service.
pub(crate) const API_SERVER: &str = "default/kubernetes";

/// One line a thing.
pub(crate) type Census = BTreeSet<String>;

impl Stage {
    /// Counts ports, groups of policies, load balancers, floating IPs, records, Services that are held, and what is on the nodes.
    pub(crate) async fn census(&self) -> Result<Census> {
        let (ports, groups, balancers, addresses, records, services, nodes) = tokio::try_join!(
            self.port_lines(),
            self.group_lines(),
            self.balancer_lines(),
            self.address_lines(),
            self.record_lines(),
            self.service_lines(),
            self.node_lines(),
        )?;
        Ok([ports, groups, balancers, addresses, records, services, nodes].into_iter().flatten().collect())
    }

    /// Whether anything is there that was not before the story.
    pub async fn nothing_left(&self) -> Result<()> {
        let now = Box::pin(self.census()).await?;
        let left: Vec<_> = now.difference(&self.before).collect();
        ensure!(left.is_empty(), "left over: {left:#?}");
        Ok(())
    }

    /// Whether what has this id was there before the story.
    pub(crate) fn was_there(&self, id: &str) -> bool {
        self.before.iter().any(|line| line.contains(id))
    }

    async fn port_lines(&self) -> Result<Vec<String>> {
        let ports = self.kuryr_ports().await.context("failed to count ports")?;
        Ok(ports.iter().map(|port| format!("port {} of device {}", port.id, port.device_id)).collect())
    }

    /// Those that do not depend on any policy are there in every life of the lab.
    async fn group_lines(&self) -> Result<Vec<String>> {
        let neutron = &self.neutron;
        let groups = neutron
            .security_groups(&SecurityGroupFilter::default())
            .await
            .context("failed to count groups")?;
        let ours = |description: &str| description.starts_with("kuryr-cluster=");
        let groups = groups.iter().filter(|one| ours(&one.description) && !one.name.starts_with("kuryr/"));
        let peers = neutron
            .address_groups(&AddressGroupFilter::default())
            .await
            .context("failed to count address groups")?;
        let shared = |name: &str| ["nodes", "services"].contains(&name);
        let peers = peers.iter().filter(|one| ours(&one.description) && !shared(&one.name));
        let groups = groups.map(|one| format!("security group {} ({})", one.id, one.name));
        Ok(groups.chain(peers.map(|one| format!("address group {} ({})", one.id, one.name))).collect())
    }

    async fn balancer_lines(&self) -> Result<Vec<String>> {
        let balancers = self.own_balancers().await.context("failed to count load balancers")?;
        // The API server's own is there in every life of the lab, and made anew after an uninstallation.
        let stories = balancers.iter().filter(|one| one.name != API_SERVER);
        Ok(stories.map(|one| format!("load balancer {} of {}", one.id, one.name)).collect())
    }

    async fn address_lines(&self) -> Result<Vec<String>> {
        let addresses = self.own_floating_ips().await.context("failed to count floating IPs")?;
        Ok(addresses.iter().map(|one| format!("floating IP {} for {}", one.id, one.description)).collect())
    }

    async fn record_lines(&self) -> Result<Vec<String>> {
        let ports = Api::<KuryrPort>::all(self.kube.clone()).list(&ListParams::default()).await?;
        let balancers = Api::<KuryrLoadBalancer>::all(self.kube.clone()).list(&ListParams::default()).await?;
        let policies = Api::<KuryrNetworkPolicy>::all(self.kube.clone()).list(&ListParams::default()).await?;
        let policies = policies.iter().map(|record| format!("KuryrNetworkPolicy {}", path_of(record)));
        let ports = ports.iter().map(|record| format!("KuryrPort {}", path_of(record)));
        Ok(ports
            .chain(policies)
            .chain(balancers.iter().map(|record| format!("KuryrLoadBalancer {}", path_of(record))))
            .collect())
    }

    async fn service_lines(&self) -> Result<Vec<String>> {
        let services = Api::<Service>::all(self.kube.clone()).list(&ListParams::default()).await?;
        let held = services.iter().filter(|service| is_held(service));
        Ok(held.map(|service| format!("Service {}, which Kuryr holds", path_of(service))).collect())
    }

    async fn node_lines(&self) -> Result<Vec<String>> {
        let nodes = self.nodes()?;
        Ok(try_join_all(nodes.iter().map(of_node)).await?.concat())
    }
}

fn path_of(object: &impl ResourceExt) -> String {
    format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any())
}

async fn of_node(node: &Node) -> Result<Vec<String>> {
    let (ports, traces) = tokio::try_join!(node.ovs_ports(), node.traces())?;
    let ports = ports.iter().map(|port| format!("OVS port {}", port.name));
    Ok(ports.chain(traces).map(|line| format!("{}: {line}", node.name)).collect())
}
