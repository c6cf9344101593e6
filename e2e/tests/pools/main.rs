//! Ports that are kept ready for pods to come: pods take them without a request to Neutron, and nothing of them is lost or left.
//!
//! A second controller keeps them in place of the lab's own, which has none and takes them away when it leads again.

mod by_hand;
mod subnet;

use kube::api::{Api, ListParams, PostParams};
use kuryr_api::KuryrNode;
use kuryr_api::names::{WARM_DEVICE, tap_name};
use kuryr_api::port::KuryrPort;
use kuryr_e2e::{
    AsAdmin, Component, Context, Controller, Ending, Instead, Protocol, Result, Stage, ensure, seconds,
    story, story_within, until,
};
use kuryr_openstack::neutron::Port;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

const BATCH: usize = 6;
/// Ports that are ready on a node without pods.
const READY: usize = BATCH;
const NODES: [&str; 2] = ["node1", "node2"];
/// What the daemon writes beside a port of Open vSwitch whose neighbours know it.
const TOLD: &str = "kuryr-neighbours-told";

#[tokio::test]
async fn pods_take_ports_that_are_ready() -> Ending {
    story_within(seconds(180), "ports that are ready before their pods", async |stage| {
        let controller = pooling(stage, BATCH).await?;
        let ready = until_ready(stage, &controller, &NODES.map(|node| (node, READY))).await?;
        let before = controller.counters().await?;
        let a = stage.pod("a").on("node1").serving().start().await?;
        let b = stage.pod("b").on("node2").serving().start().await?;
        for address in [b.v4, b.v6] {
            stage.reaches(&a, &b, address, Protocol::Tcp).await?;
        }
        let taken = taken(stage).await?;
        ensure!(taken.len() == 2 && taken.is_subset(&ready), "they have {taken:?}, ready were {ready:?}");

        stage.delete_pod("a").await?;
        stage.gone("a", &a.uid).await?;
        until_ready(stage, &controller, &[("node1", READY), ("node2", READY - 1)]).await?;
        let requests =
            controller.counters().await?.moved_since(&before, "kuryr_controller_openstack_requests");
        let writes: BTreeMap<_, _> = requests.iter().filter(|(name, _)| !name.contains("\"GET\"")).collect();
        ensure!(
            writes.is_empty(),
            "of such a pod Neutron hears nothing in all of its life, but it heard {writes:?}"
        );
        let again = stage.pod("again").on("node1").serving().start().await?;
        stage.reaches(&again, &b, b.v4, Protocol::Tcp).await?;
        shows(stage, "node1", 1).await
    })
    .await
}

#[tokio::test]
async fn neighbours_are_told_of_a_port_that_has_no_pod_yet() -> Ending {
    story_within(seconds(180), "neighbours that remember an earlier owner of an address", async |stage| {
        let controller = pooling(stage, BATCH).await?;
        until_ready(stage, &controller, &NODES.map(|node| (node, READY))).await?;
        let pod = stage.pod("pod").on("node2").start().await?;
        let (here, there) = (stage.node("node2")?, stage.node("node1")?);
        let of_node1 = |port: &Port| port.host == "node1";
        let port = warm_ports(stage).await?.into_iter().find(of_node1).context("node1 has no port")?;
        let addresses: Vec<_> = port.fixed_ips.iter().map(|ip| ip.ip_address.to_string()).collect();
        for address in &addresses {
            let another = ["lladdr", "02:00:00:00:00:01", "dev", "eth0", "nud", "stale"];
            let words = ["ip", "neighbour", "replace", address].into_iter().chain(another);
            here.in_pod(&pod, &words.collect::<Vec<_>>()).await?;
        }
        // As if it had just been wired.
        let tap = tap_name(port.id.as_str());
        until("the port's neighbours were told once", seconds(10), async || {
            let told =
                there.ovs_ports().await?.into_iter().any(|port| port.name == tap && port.id(TOLD).is_some());
            ensure!(told, "{tap} does not say so");
            Ok(())
        })
        .await?;
        there.run(["ovs-vsctl", "remove", "interface", &tap, "external_ids", TOLD]).await?;
        until("the pod knows the port's MAC address", seconds(10), async || {
            for address in &addresses {
                let known = here.in_pod(&pod, &["ip", "neighbour", "show", address]).await?;
                ensure!(known.contains(&port.mac_address), "{address}: {known}");
            }
            Ok(())
        })
        .await
    })
    .await
}

#[tokio::test]
async fn a_burst_and_the_next_controller_share_no_port() -> Ending {
    story_within(seconds(240), "burst of pods on nodes with ports that are ready", async |stage| {
        let first = pooling(stage, BATCH).await?;
        until_ready(stage, &first, &NODES.map(|node| (node, READY))).await?;
        stage.deployment("crowd", 16).await?;
        let pods = stage.all_ready("crowd", 16, seconds(90)).await?;
        let on = |node: &str| pods.iter().filter(|pod| pod.node == node).count();
        let wanted = NODES.map(|node| (node, target(on(node))));
        until_ready(stage, &first, &wanted).await?;
        ensure!(recorded(stage).await?.len() == pods.len(), "pods share a port");

        let before = ids(&stage.kuryr_ports().await?);
        let status = first.stop().await?;
        ensure!(status.success(), "it ended with {status}");
        let next = start(stage, BATCH).await?;
        stage.pod("late").on("node1").start().await?;
        ensure!(recorded(stage).await?.len() == pods.len() + 1, "pods share a port");
        let after = ids(&stage.kuryr_ports().await?);
        ensure!(before.is_subset(&after), "gone are {:?}", before.difference(&after));
        drop(next);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn policies_reach_a_port_before_its_pod_starts() -> Ending {
    story("network policy for a pod that takes a port that is ready", async |stage| {
        let controller = pooling(stage, BATCH).await?;
        until_ready(stage, &controller, &NODES.map(|node| (node, READY))).await?;
        let nobody = json!({
            "metadata": { "name": "nobody" },
            "spec": { "podSelector": { "matchLabels": { "app": "secret" } }, "policyTypes": ["Ingress"] },
        });
        let policies: Api<k8s_openapi::api::networking::v1::NetworkPolicy> = stage.api();
        policies.create(&PostParams::default(), &serde_json::from_value(nobody)?).await?;
        let a = stage.pod("a").on("node1").serving().start().await?;
        let labels = json!({ "app": "secret" });
        let secret =
            stage.pod("secret").on("node2").serving().with_metadata("labels", labels).start().await?;
        stage.unanswered(&a, SocketAddr::new(secret.v4, 8080), Protocol::Tcp).await?;
        let base = &stage.facts.openstack.security_group.id;
        let has_address = |port: &Port| port.fixed_ips.iter().any(|ip| ip.ip_address == secret.v4);
        let its = warm_ports(stage).await?.into_iter().find(has_address);
        let groups = its.context("the pod has no port that was ready")?.security_groups;
        ensure!(!groups.contains(base), "its port has groups {groups:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_pool_never_starves_a_pod() -> Ending {
    story_within(seconds(180), "pool at a quota of ports", async |stage| {
        let cloud = AsAdmin::new(&stage.facts)?;
        let quota = stage.neutron.quotas(&stage.facts.openstack.project_id).await?.port;
        let facts = stage.facts.clone();
        stage.put_back(
            "quota",
            async move { AsAdmin::new(&facts)?.set_port_quota(&facts, quota.limit).await },
        );
        let room = 8;
        cloud.set_port_quota(&stage.facts, quota.used + i64::try_from(room)?).await?;
        let _controller = pooling(stage, BATCH).await?;
        // Requests that are under way together may go beyond a quota.
        until("the pools have used the quota up", seconds(30), async || {
            let ports = warm_ports(stage).await?.len();
            ensure!(ports >= room, "there are {ports} ports, not {room}");
            Ok(())
        })
        .await?;
        for number in 0..room {
            stage.pod(&format!("pod-{number}")).on("node2").create().await?;
        }
        for number in 0..room {
            stage.ready(&format!("pod-{number}")).await?;
        }
        ensure!(recorded(stage).await?.len() == room, "pods share a port");
        Ok(())
    })
    .await
}

/// The lab's own controller makes way for one that keeps ports ready.
async fn pooling(stage: &Stage, batch: usize) -> Result<Controller> {
    stage.stop(&Component::CONTROLLER).await?;
    start(stage, batch).await
}

async fn start(stage: &Stage, batch: usize) -> Result<Controller> {
    stage.leading_controller(&Instead { pools: Some(batch), ..Instead::default() }).await
}

/// Waits until at least so many ports are free on each node, and tells which.
///
/// Neutron shows a port before the request that makes it is answered: it is ready when the controller knows it.
async fn until_ready(
    stage: &Stage,
    controller: &Controller,
    wanted: &[(&str, usize)],
) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    until("ports are ready", seconds(30), async || {
        let taken = taken(stage).await?;
        let free: Vec<_> =
            warm_ports(stage).await?.into_iter().filter(|port| !taken.contains(port.id.as_str())).collect();
        for (node, count) in wanted {
            let there = free.iter().filter(|port| port.host == *node).count();
            ensure!(there >= *count, "{node} has {there} ports ready, not {count}");
        }
        let known = controller.counters().await?.sum(&["kuryr_controller_cached", "\"warm_port\""]);
        ensure!(
            known >= f64::from(u32::try_from(free.len())?),
            "the controller knows {known} of {}",
            free.len()
        );
        found = ids(&free);
        Ok(())
    })
    .await?;
    Ok(found)
}

/// Waits until the KuryrNode tells of so many pods, and that nothing is awaited of its daemon.
async fn shows(stage: &Stage, node: &str, pods: u32) -> Result<()> {
    let nodes = Api::<KuryrNode>::all(stage.kube.clone());
    until("the KuryrNode is true", seconds(30), async || {
        let shown = nodes.get(node).await?;
        let status = shown.status.unwrap_or_default();
        let is_true = shown.spec.pods == pods && shown.spec.free + pods >= shown.spec.target;
        ensure!(is_true && status.unplugged.is_empty(), "{:?}, {status:?}", shown.spec);
        Ok(())
    })
    .await
}

/// Ports that were made for no pod.
async fn warm_ports(stage: &Stage) -> Result<Vec<Port>> {
    let mut ports = stage.kuryr_ports().await?;
    ports.retain(|port| port.device_id.starts_with(WARM_DEVICE));
    Ok(ports)
}

/// Those of them that records of this story name.
async fn taken(stage: &Stage) -> Result<BTreeSet<String>> {
    let warm = ids(&warm_ports(stage).await?);
    Ok(recorded(stage).await?.into_iter().filter(|id| warm.contains(id)).collect())
}

/// Ports that records of this story name.
async fn recorded(stage: &Stage) -> Result<BTreeSet<String>> {
    let records = stage.api::<KuryrPort>().list(&ListParams::default()).await?;
    Ok(records.iter().filter_map(|record| record.default_vif()).map(|vif| vif.base().id.clone()).collect())
}

fn ids(ports: &[Port]) -> BTreeSet<String> {
    ports.iter().map(|port| port.id.to_string()).collect()
}

/// What the documentation says of a pool's size.
fn target(pods: usize) -> usize {
    (BATCH * (BATCH / 2 + pods).div_ceil(BATCH) - pods).max(BATCH / 2)
}
