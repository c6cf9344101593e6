//! Users and other programs touch what is Kuryr's, in Kubernetes and in Neutron: it is repaired, and harms nobody else.

use kube::api::{DeleteParams, Patch, PatchParams, PostParams, ResourceExt};
use kuryr_api::names::{DEVICE_OWNER, KURYRPORT_FINALIZER};
use kuryr_api::port::KuryrPort;
use kuryr_e2e::{Context, Ending, Result, RunningPod, Stage, ensure, seconds, story, until};
use serde_json::{Value, json};

#[tokio::test]
async fn a_record_that_a_user_deletes_comes_back() -> Ending {
    story("record deleted under a running pod", async |stage| {
        let pod = stage.pod("pod").serving().start().await?;
        let port = stage.port_of(&pod).await?;
        let before = stage.api::<KuryrPort>().get("pod").await?;
        stage.api::<KuryrPort>().delete("pod", &DeleteParams::default()).await?;
        let after = replaced(stage, &before).await?;
        ensure!(port_in(&after)? == port.id.as_str(), "the new record names {}", port_in(&after)?);
        ensure!(stage.port_of(&pod).await?.id == port.id, "the pod has another port");
        answers(stage, &pod).await
    })
    .await
}

#[tokio::test]
async fn nonsense_without_a_pod_is_cleaned_away() -> Ending {
    story("nonsense that a user wrote, without a pod", async |stage| {
        let bystander = stage.pod("bystander").serving().start().await?;
        for (name, vifs) in nonsense() {
            let record = by_hand(name, &vifs);
            stage.api::<KuryrPort>().create(&PostParams::default(), &record).await?;
        }
        until("all of it is gone", seconds(20), async || {
            for (name, _) in nonsense() {
                ensure!(stage.api::<KuryrPort>().get_opt(name).await?.is_none(), "{name} is there");
            }
            Ok(())
        })
        .await?;
        answers(stage, &bystander).await?;
        stage.port_of(&bystander).await.map(drop)
    })
    .await
}

#[tokio::test]
async fn nonsense_over_a_pods_record_is_replaced() -> Ending {
    story("nonsense that a user wrote over a pod's record", async |stage| {
        let pod = stage.pod("pod").serving().start().await?;
        let port = stage.port_of(&pod).await?;
        let before = stage.api::<KuryrPort>().get("pod").await?;
        overwrite(stage, "pod", &json!({ "eth0": { "default": true, "vif": null } })).await?;
        let after = replaced(stage, &before).await?;
        ensure!(port_in(&after)? == port.id.as_str(), "the new record names {}", port_in(&after)?);
        stage.event("KuryrPortUnusable", seconds(10)).await?;
        answers(stage, &pod).await?;
        stage.pod("another").serving().start().await.map(drop)
    })
    .await
}

#[tokio::test]
async fn a_port_deleted_under_a_pod_is_told() -> Ending {
    story("port that somebody deletes in Neutron under a running pod", async |stage| {
        let pod = stage.pod("pod").start().await?;
        let port = stage.port_of(&pod).await?;
        stage.neutron.delete_port(&port.id).await?;
        // A start lists everything, as the slow look does that notices this without one.
        stage.restart_controller().await?;
        let told = stage.event("PortVanished", seconds(15)).await?;
        ensure!(told.contains(port.id.as_str()), "the Event does not name the port: {told}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_strange_port_is_never_deleted() -> Ending {
    story("records that name a virtual machine's port", async |stage| {
        let machine = stage.strange_port("compute:nova", "a-virtual-machine", Vec::new()).await?;
        let pod = stage.pod("pod").serving().start().await?;
        let port = stage.port_of(&pod).await?;
        let its = stage.api::<KuryrPort>().get("pod").await?;
        let status = serde_json::to_string(&its.status.as_ref().context("no status")?.vifs)?;
        let vifs: Value = serde_json::from_str(&status.replace(port.id.as_str(), machine.id.as_str()))?;

        stage.api::<KuryrPort>().create(&PostParams::default(), &by_hand("nobody", &vifs)).await?;
        overwrite(stage, "pod", &vifs).await?;

        let after = replaced(stage, &its).await?;
        ensure!(port_in(&after)? == port.id.as_str(), "the new record names {}", port_in(&after)?);
        until("the record without a pod is gone", seconds(20), async || {
            ensure!(stage.api::<KuryrPort>().get_opt("nobody").await?.is_none(), "it is there");
            Ok(())
        })
        .await?;
        ensure!(stage.port_exists(&machine.id).await?, "the machine's port is gone");
        ensure!(stage.port_of(&pod).await?.id == port.id, "the pod has another port");
        answers(stage, &pod).await
    })
    .await
}

#[tokio::test]
async fn a_port_that_nobody_needs_is_swept() -> Ending {
    story("port that a controller made for a pod and died", async |stage| {
        let pod = stage.pod("bystander").start().await?;
        let ours =
            stage.strange_port(DEVICE_OWNER, "a-pod-that-is-gone", vec![stage.own_tag.clone()]).await?;
        let others =
            stage.strange_port(DEVICE_OWNER, "a-pod-of-others", vec!["kuryr-cluster=other".into()]).await?;
        stage.restart_controller().await?;
        until("our port is gone", seconds(15), async || {
            ensure!(!stage.port_exists(&ours.id).await?, "it is there");
            Ok(())
        })
        .await?;
        ensure!(stage.port_exists(&others.id).await?, "the port of another cluster is gone");
        stage.port_of(&pod).await.map(drop)
    })
    .await
}

/// Things that pass the schema.
fn nonsense() -> [(&'static str, Value); 4] {
    [
        ("no-interfaces", json!({})),
        ("not-a-vif", json!({ "eth0": { "default": true, "vif": { "versioned_object.name": "VIFDesk" } } })),
        ("not-an-entry", json!({ "eth0": 5, "": null })),
        ("deep", json!({ "eth0": { "default": "yes", "vif": [[[{}]]] } })),
    ]
}

fn by_hand(name: &str, vifs: &Value) -> KuryrPort {
    let record = json!({
        "apiVersion": "openstack.org/v1",
        "kind": "KuryrPort",
        "metadata": { "name": name, "finalizers": [KURYRPORT_FINALIZER] },
        "spec": { "podUid": "of-no-pod", "podNodeName": "node1", "podStatic": false },
        "status": { "vifs": vifs },
    });
    serde_json::from_value(record).expect("every JSON is a record")
}

async fn overwrite(stage: &Stage, name: &str, vifs: &Value) -> Result<()> {
    let patch = Patch::Json::<()>(serde_json::from_value(json!([
        { "op": "replace", "path": "/status/vifs", "value": vifs },
    ]))?);
    stage.api::<KuryrPort>().patch(name, &PatchParams::default(), &patch).await?;
    Ok(())
}

/// Waits for the record that comes after `before`.
async fn replaced(stage: &Stage, before: &KuryrPort) -> Result<KuryrPort> {
    until("there is a new record", seconds(20), async || {
        let record = stage.api::<KuryrPort>().get(&before.name_any()).await?;
        ensure!(record.uid() != before.uid(), "it is the old one");
        Ok(record)
    })
    .await
}

fn port_in(record: &KuryrPort) -> Result<&str> {
    Ok(record.default_vif().context("the record has no interface")?.base().id.as_str())
}

/// The kubelet still gets an answer.
async fn answers(stage: &Stage, pod: &RunningPod) -> Result<()> {
    let name = stage.node(&pod.node)?.get(&pod.url(pod.v4, "hostname")).await?;
    ensure!(name == pod.name, "{} answers {name}", pod.v4);
    Ok(())
}
