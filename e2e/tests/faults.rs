//! Parts fail while pods come and go. When they work again, every pod has its port, and nothing is left of the trouble.

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, DeleteParams, ListParams, PostParams, ResourceExt};
use kuryr_api::port::KuryrPort;
use kuryr_e2e::{
    AsAdmin, Component, Context, Ending, Protocol, Result, RunningPod, Stage, ensure, seconds, story, until,
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

#[tokio::test]
async fn the_controller_dies_in_mid_burst() -> Ending {
    story("burst in which the controller is killed", async |stage| {
        stage.deployment("crowd", 16).await?;
        records(stage, 3).await?;
        stage.kill(&Component::CONTROLLER).await?;
        stage.start(&Component::CONTROLLER).await?;
        let pods = stage.all_ready("crowd", 16, seconds(90)).await?;
        stage.ports_of_all(&pods).await
    })
    .await
}

#[tokio::test]
async fn the_daemon_dies_in_mid_add() -> Ending {
    story("ADD in which the daemon is killed", async |stage| {
        let node = stage.node("node1")?;
        let [daemon, chassis] = ["daemon", "ovn-controller"].map(|part| Component::on("node1", part));
        // Nobody wires the port, so that ADD waits.
        stage.kill(&chassis).await?;
        stage.pod("pod").on("node1").serving().create().await?;
        until("ADD waits for the wiring", seconds(30), async || {
            let name = format!("{}/pod", stage.namespace);
            let ports = node.ovs_ports().await?;
            ensure!(ports.iter().any(|port| port.id("kuryr-pod") == Some(&name)), "nothing is plugged");
            Ok(())
        })
        .await?;
        stage.kill(&daemon).await?;
        stage.start(&chassis).await?;
        stage.start(&daemon).await?;
        let pod = stage.ready("pod").await?;
        let port = stage.port_of(&pod).await?;
        let plugged = node.ovs_ports().await?;
        let its: Vec<_> =
            plugged.iter().filter(|plugged| plugged.id("kuryr-pod") == Some(&pod.path())).collect();
        ensure!(its.len() == 1, "the pod has {its:?}");
        ensure!(its[0].id("iface-id") == Some(port.id.as_str()), "{its:?} is not port {}", port.id);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn neutron_is_away_during_a_burst() -> Ending {
    story("burst while Neutron is away for a minute", async |stage| {
        let (a, b) = two(stage).await?;
        let gone = stage.pod("gone").start().await?;
        stage.stop(&Component::NEUTRON).await?;
        let back = Instant::now() + seconds(60);
        stage.deployment("crowd", 6).await?;
        stage.delete_pod("gone").await?;
        stage.event("NeutronUnavailable", seconds(25)).await?;
        stage.reaches(&a, &b, b.v4, Protocol::Tcp).await?;
        sleep_until(back).await;
        stage.start(&Component::NEUTRON).await?;
        let mut pods = stage.all_ready("crowd", 6, seconds(45)).await?;
        pods.extend([a, b]);
        stage.gone("gone", &gone.uid).await?;
        stage.ports_of_all(&pods).await
    })
    .await
}

#[tokio::test]
async fn keystone_hangs_when_the_controller_starts() -> Ending {
    story("start of the controller while Keystone hangs", async |stage| {
        let old = stage.pod("old").start().await?;
        stage.kill(&Component::CONTROLLER).await?;
        stage.freeze(&Component::KEYSTONE).await?;
        stage.pod("new").create().await?;
        let trouble = async {
            until("the controller says that it is not ready", seconds(20), async || {
                let (status, text) = stage.controller_readiness().await?;
                ensure!(status != 200, "{status}: {text}");
                Ok(())
            })
            .await?;
            stage.thaw(&Component::KEYSTONE).await
        };
        let controller = Component::CONTROLLER;
        tokio::try_join!(stage.start(&controller), trouble)?;
        let new = stage.ready("new").await?;
        stage.ports_of_all(&[old, new]).await
    })
    .await
}

#[tokio::test]
async fn keystone_is_away_during_a_burst() -> Ending {
    story("burst while Keystone is away", async |stage| {
        stage.stop(&Component::KEYSTONE).await?;
        let back = Instant::now() + seconds(8);
        stage.deployment("crowd", 4).await?;
        sleep_until(back).await;
        stage.start(&Component::KEYSTONE).await?;
        let pods = stage.all_ready("crowd", 4, seconds(60)).await?;
        stage.ports_of_all(&pods).await
    })
    .await
}

#[tokio::test]
async fn a_nodes_switch_database_restarts() -> Ending {
    story("restart of a node's OVSDB", async |stage| {
        let (a, b) = two(stage).await?;
        let database = Component::on("node1", "ovsdb");
        stage.kill(&database).await?;
        stage.start(&database).await?;
        let new = stage.pod("new").on("node1").serving().start().await?;
        stage.reaches(&b, &a, a.v6, Protocol::Tcp).await?;
        stage.reaches(&b, &new, new.v4, Protocol::Udp).await?;
        stage.ports_of_all(&[a, b, new]).await
    })
    .await
}

#[tokio::test]
async fn a_kubelet_restarts() -> Ending {
    story("restart of a kubelet", async |stage| {
        let (a, b) = two(stage).await?;
        let port = stage.port_of(&a).await?;
        let kubelet = Component::on("node1", "kubelet");
        stage.kill(&kubelet).await?;
        stage.start(&kubelet).await?;
        let new = stage.pod("new").on("node1").serving().start().await?;
        ensure!(stage.ready("a").await? == a, "the pod is another one");
        ensure!(stage.port_of(&a).await?.id == port.id, "the pod has another port");
        stage.reaches(&b, &a, a.v4, Protocol::Tcp).await?;
        stage.ports_of_all(&[a, b, new]).await
    })
    .await
}

#[tokio::test]
async fn history_is_compacted_under_a_watch() -> Ending {
    story("compaction of etcd while the controller sleeps", async |stage| {
        let early = stage.pod("early").start().await?;
        let seen = stage.api::<Pod>().list(&ListParams::default()).await?.metadata.resource_version;
        stage.freeze(&Component::CONTROLLER).await?;
        stage.force_delete_pod("early").await?;
        let late = stage.pod("late").create().await?;
        compact(stage).await?;
        stage.kill(&Component::API_SERVER).await?;
        stage.start(&Component::API_SERVER).await?;
        let watch =
            format!("/api/v1/pods?watch=1&timeoutSeconds=5&resourceVersion={}", seen.unwrap_or_default());
        let told = stage.kubectl(&["get", "--raw", &watch]).await?;
        ensure!(told.contains("\"code\":410"), "history is still there: {told}");
        stage.thaw(&Component::CONTROLLER).await?;
        let pod = stage.ready("late").await?;
        ensure!(late.uid().as_deref() == Some(&pod.uid), "the pod is another one");
        stage.port_of(&pod).await?;
        no_ports(stage, &early.uid).await
    })
    .await
}

#[tokio::test]
async fn a_node_is_deleted() -> Ending {
    story("node that loses its power and is deleted", async |stage| {
        let stays = stage.pod("stays").on("node1").start().await?;
        let pods = [stage.pod("a").on("node2"), stage.pod("b").on("node2")].map(kuryr_e2e::NewPod::start);
        let pods = futures::future::try_join_all(pods).await?;
        stage.start_at_end(&Component::on("node2", "daemon"));
        stage.kill(&Component::on("node2", "node")).await?;
        Api::<Node>::all(stage.kube.clone()).delete("node2", &DeleteParams::default()).await?;
        for pod in &pods {
            // What Kubernetes does itself after a minute or so.
            stage.force_delete_pod(&pod.name).await?;
            no_ports(stage, &pod.uid).await?;
        }
        stage.ports_of_all(&[stays]).await
    })
    .await
}

#[tokio::test]
async fn a_quota_is_used_up() -> Ending {
    story("quota of ports that is used up", async |stage| {
        let cloud = AsAdmin::new(&stage.facts)?;
        let before = stage.neutron.quotas(&stage.facts.openstack.project_id).await?.port;
        let facts = stage.facts.clone();
        stage.put_back(
            "quota",
            async move { AsAdmin::new(&facts)?.set_port_quota(&facts, before.limit).await },
        );
        cloud.set_port_quota(&stage.facts, before.used + 2).await?;
        stage.deployment("crowd", 5).await?;
        let told = stage.event("PortQuotaExceeded", seconds(30)).await?;
        ensure!(told.contains("openstack quota set"), "the Event does not say what to do: {told}");
        records(stage, 2).await?;
        cloud.set_port_quota(&stage.facts, before.limit).await?;
        let pods = stage.all_ready("crowd", 5, seconds(60)).await?;
        stage.ports_of_all(&pods).await
    })
    .await
}

#[tokio::test]
async fn a_host_that_neutron_does_not_know() -> Ending {
    story("pod on a node whose host Neutron does not know", async |stage| {
        let nodes = Api::<Node>::all(stage.kube.clone());
        let ghost: Node = serde_json::from_value(json!({ "metadata": { "name": "ghost" } }))?;
        let pods = stage.api::<Pod>();
        let exorcise = nodes.clone();
        stage.put_back("node", async move {
            Ok(exorcise.delete("ghost", &DeleteParams::default()).await.map(drop)?)
        });
        stage.put_back("pod", async move {
            Ok(pods.delete("lost", &DeleteParams::default().grace_period(0)).await.map(drop)?)
        });
        nodes.create(&PostParams::default(), &ghost).await?;
        let lost = stage.pod("lost").with("nodeName", json!("ghost")).create().await?;
        let told = stage.event("PortBindingFailed", seconds(20)).await?;
        ensure!(told.contains("ghost"), "the Event does not name the host: {told}");
        // The failed port does not stay until the next try.
        no_ports(stage, &lost.uid().unwrap_or_default()).await?;
        let record = stage.api::<KuryrPort>().get_opt("lost").await?;
        ensure!(record.is_none(), "there is a record of it: {record:?}");
        stage.pod("found").start().await.map(drop)
    })
    .await
}

/// A pod on each node.
async fn two(stage: &Stage) -> Result<(RunningPod, RunningPod)> {
    tokio::try_join!(
        stage.pod("a").on("node1").serving().start(),
        stage.pod("b").on("node2").serving().start()
    )
}

/// Waits for so many records at least.
async fn records(stage: &Stage, count: usize) -> Result<()> {
    until(&format!("{count} ports are recorded"), seconds(30), async || {
        let records = stage.api::<KuryrPort>().list(&ListParams::default()).await?.items.len();
        ensure!(records >= count, "{records} are");
        Ok(())
    })
    .await
}

async fn no_ports(stage: &Stage, uid: &str) -> Result<()> {
    until("the pod's port goes", seconds(20), async || {
        let ports = stage.ports_of(uid).await?.len();
        ensure!(ports == 0, "it has {ports}");
        Ok(())
    })
    .await
}

/// Drops all history from etcd.
async fn compact(stage: &Stage) -> Result<()> {
    let revision = etcd(stage, "range", &json!({ "key": "Lw==" })).await?["header"]["revision"].clone();
    etcd(stage, "compaction", &json!({ "revision": revision, "physical": true })).await.map(drop)
}

async fn etcd(stage: &Stage, call: &str, body: &Value) -> Result<Value> {
    let url = format!("{}/v3/kv/{call}", stage.facts.kubernetes.etcd);
    let answer = stage.http.post(url).json(body).send().await?.error_for_status().context("etcd refuses")?;
    Ok(answer.json().await?)
}
