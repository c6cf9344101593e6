//! A node that is a virtual machine: its pods are on the trunk of its port, beside nodes that are none.
//!
//! It takes the lab twenty seconds to boot one, and each of its processes starts slowly: all of this is one story.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{Api, DeleteParams, PostParams};
use kuryr_api::port::KuryrPort;
use kuryr_api::vif::Vif;
use kuryr_e2e::{
    Component, Context, Ending, Machine, Protocol, Result, RunningPod, Stage, bail, ensure, say, seconds,
    story_within, until,
};
use kuryr_openstack::neutron::TrunkFilter;
use serde_json::json;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// One slow CPU starts a pod in six seconds, and fifteen in a minute.
const CROWD_WITHIN: Duration = seconds(180);
const CROWD: u16 = 15;

#[tokio::test]
async fn pods_of_a_virtual_machine() -> Ending {
    story_within(seconds(420), "virtual machine as a node, its pods on its trunk", async |stage| {
        let machine = stage.machine().await?;
        phase("traffic", Box::pin(traffic(stage, &machine))).await?;
        phase("policy and Service", Box::pin(policy_and_service(stage, &machine))).await?;
        phase("crowd, restarts of controller and daemon", Box::pin(crowd(stage, &machine))).await?;
        phase("halt and boot", Box::pin(halt(stage, &machine))).await
    })
    .await
}

async fn phase(name: &'static str, play: impl Future<Output = Result<()>>) -> Result<()> {
    say(&format!("    {name}"));
    play.await.context(name)
}

/// Pods on the trunk reach others and are reached, on both families; what they leave is nothing.
async fn traffic(stage: &Stage, machine: &Machine) -> Result<()> {
    let (a, b, c) = tokio::try_join!(
        on(stage, machine, "a"),
        on(stage, machine, "b"),
        stage.pod("c").on("node1").serving().start(),
    )?;
    for (from, to) in [(&c, &a), (&c, &b), (&a, &c), (&a, &b)] {
        for address in [to.v4, to.v6] {
            stage.reaches(from, to, address, Protocol::Tcp).await?;
        }
        stage.reaches(from, to, to.v4, Protocol::Udp).await?;
    }
    let carried = carried(stage, machine).await?;
    for pod in [&a, &b] {
        let (port, vlan) = recorded(stage, &pod.name).await?;
        ensure!(
            carried.get(&vlan) == Some(&port),
            "{} is {port} at {vlan}, the trunk has {carried:?}",
            pod.name
        );
    }
    for pod in [&a, &b, &c] {
        stage.delete_pod(&pod.name).await?;
    }
    empty(stage, machine).await
}

/// Security groups and load balancers do not care what carries a pod.
async fn policy_and_service(stage: &Stage, machine: &Machine) -> Result<()> {
    let (nested, bare, client) = tokio::try_join!(
        stage.pod("nested").on(&machine.node.name).serving().like_those_of("web").start(),
        stage.pod("bare").on("node2").serving().like_those_of("web").start(),
        stage.pod("client").on("node1").serving().start(),
    )?;
    let service = stage.service("web").ports(json!([{ "port": 80, "targetPort": 8080 }])).start().await?;
    for from in [&client, &nested] {
        stage.answered_by(from, service.at(80), Protocol::Tcp, &[&nested, &bare]).await?;
    }
    let forbid = json!({
        "metadata": { "name": "nobody" },
        "spec": { "podSelector": { "matchLabels": { "app": "web" } }, "policyTypes": ["Ingress"] },
    });
    let policies: Api<NetworkPolicy> = stage.api();
    policies.create(&PostParams::default(), &serde_json::from_value(forbid)?).await?;
    for pod in [&nested, &bare] {
        stage.unanswered(&client, SocketAddr::new(pod.v4, 8080), Protocol::Tcp).await?;
    }
    policies.delete("nobody", &DeleteParams::default()).await?;
    stage.reaches(&client, &nested, nested.v4, Protocol::Tcp).await?;
    stage.delete_service("web").await?;
    for pod in [&nested, &bare, &client] {
        stage.delete_pod(&pod.name).await?;
    }
    empty(stage, machine).await
}

/// Nothing is handed out twice, or lost, when those who remember nothing but what Neutron and the kernel know begin anew.
async fn crowd(stage: &Stage, machine: &Machine) -> Result<()> {
    stage.deployment_on("crowd", CROWD.into(), &machine.node.name).await?;
    stage.all_ready("crowd", CROWD.into(), CROWD_WITHIN).await?;
    let before = carried(stage, machine).await?;
    ensure!(before.keys().copied().eq(1..=CROWD), "the ids are {before:?}");
    stage.restart_controller().await?;
    stage.lab(["kuryr", "restart", &machine.node.name]).await?;
    let late = on(stage, machine, "late").await?;
    let after = carried(stage, machine).await?;
    ensure!(before.iter().all(|(id, port)| after.get(id) == Some(port)), "{before:?} became {after:?}");
    let links = machine.vlans().await?;
    ensure!(
        after.len() == links.len() && links.len() == usize::from(CROWD) + 1,
        "{after:?}, links {links:?}"
    );
    let other = stage.pod("other").on("node1").serving().start().await?;
    stage.reaches(&other, &late, late.v4, Protocol::Tcp).await?;
    stage.api::<Deployment>().delete("crowd", &DeleteParams::default()).await?;
    for pod in [&late, &other] {
        stage.delete_pod(&pod.name).await?;
    }
    empty(stage, machine).await
}

/// A machine that was halted comes back with its pods, whose ports and ids are what they were.
async fn halt(stage: &Stage, machine: &Machine) -> Result<()> {
    let pod = on(stage, machine, "pod").await?;
    let before = carried(stage, machine).await?;
    let power = Component::on(&machine.node.name, "node");
    stage.stop(&power).await?;
    stage.start(&power).await?;
    stage.start(&Component::on(&machine.node.name, "daemon")).await?;
    let other = stage.pod("other").on("node1").serving().start().await?;
    until("the pod answers again", seconds(90), async || {
        stage.reaches(&other, &pod, pod.v4, Protocol::Tcp).await
    })
    .await?;
    let (after, links) = (carried(stage, machine).await?, machine.vlans().await?);
    ensure!(after == before && links.len() == 1, "{before:?} became {after:?}, links {links:?}");
    Ok(())
}

async fn on(stage: &Stage, machine: &Machine, name: &str) -> Result<RunningPod> {
    stage.pod(name).on(&machine.node.name).serving().start().await
}

async fn empty(stage: &Stage, machine: &Machine) -> Result<()> {
    until("nothing is on the trunk, and no VLAN link in the machine", seconds(60), async || {
        let (links, carried) = (machine.vlans().await?, carried(stage, machine).await?);
        ensure!(links.is_empty() && carried.is_empty(), "links {links:?}, trunk {carried:?}");
        Ok(())
    })
    .await
}

/// What the machine's trunk carries in Neutron: ports by VLAN ids.
async fn carried(stage: &Stage, machine: &Machine) -> Result<BTreeMap<u16, String>> {
    let filter = TrunkFilter { ids: Some(vec![machine.trunk.clone()]), ..TrunkFilter::default() };
    let trunks = stage.neutron.trunks(&filter).await?;
    let subports = trunks.into_iter().flat_map(|trunk| trunk.sub_ports);
    Ok(subports.map(|sub| (sub.segmentation_id, sub.port_id.to_string())).collect())
}

/// Port and VLAN id in a pod's record.
async fn recorded(stage: &Stage, pod: &str) -> Result<(String, u16)> {
    let record = stage.api::<KuryrPort>().get(pod).await?;
    match record.default_vif().context("the record has no VIF")? {
        Vif::VlanNested(vif) => Ok((vif.base.id.clone(), vif.vlan_id)),
        other => bail!("{pod} is plugged as {}", other.class()),
    }
}
