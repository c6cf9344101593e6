//! Endpoints come and go, and who answers goes with them.

use crate::client_and_two;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Patch, PatchParams, PostParams};
use kuryr_e2e::{Ending, Protocol, Result, RunningPod, Stage, seconds, story};
use serde_json::{Value, json};

/// A condition of pods that a story sets, and that a pod waits for to be ready.
const GATE: &str = "e2e.kuryr.openstack.org/open";

#[tokio::test]
async fn members_follow_a_deployment() -> Ending {
    story("Deployment that grows, shrinks, and goes to nothing and back", async |stage| {
        let client = stage.pod("client").on("node1").serving().start().await?;
        let web = stage.service("web").start().await?;
        stage.serving_deployment("web", 0).await?;
        for count in [2, 3, 1, 0, 2] {
            stage.scale("web", count).await?;
            let pods = stage.all_ready("web", count, seconds(60)).await?;
            if pods.is_empty() {
                stage.unanswered(&client, web.at(80), Protocol::Tcp).await?;
            } else {
                let pods: Vec<_> = pods.iter().collect();
                stage.answered_by(&client, web.at(80), Protocol::Tcp, &pods).await?;
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_pod_that_is_not_ready_gets_no_questions() -> Ending {
    story("pod that turns not ready, and ready again", async |stage| {
        let (client, near, far) = client_and_two(stage).await?;
        let moody = gated(stage).await?;
        let web = stage.service("web").start().await?;
        stage.answered_by(&client, web.at(80), Protocol::Tcp, &[&near, &far, &moody]).await?;
        gate(stage, "False").await?;
        stage.answered_by(&client, web.at(80), Protocol::Tcp, &[&near, &far]).await?;
        gate(stage, "True").await?;
        stage.answered_by(&client, web.at(80), Protocol::Tcp, &[&near, &far, &moody]).await
    })
    .await
}

#[tokio::test]
async fn a_service_may_want_pods_that_are_not_ready() -> Ending {
    story("publishNotReadyAddresses, put on and taken off", async |stage| {
        let client = stage.pod("client").on("node2").serving().start().await?;
        let moody = gated(stage).await?;
        gate(stage, "False").await?;
        let web = stage.service("web").with("publishNotReadyAddresses", json!(true)).start().await?;
        stage.answered_by(&client, web.at(80), Protocol::Tcp, &[&moody]).await?;
        stage.change_service("web", json!({ "publishNotReadyAddresses": false })).await?;
        stage.unanswered(&client, web.at(80), Protocol::Tcp).await?;
        stage.change_service("web", json!({ "publishNotReadyAddresses": true })).await?;
        stage.answered_by(&client, web.at(80), Protocol::Tcp, &[&moody]).await
    })
    .await
}

#[tokio::test]
async fn endpoints_may_be_made_by_hand() -> Ending {
    story("Service without a selector, whose slices a person writes", async |stage| {
        let (client, near, far) = client_and_two(stage).await?;
        let web = stage.service("by-hand").with("selector", Value::Null).start().await?;
        stage.unanswered(&client, web.at(80), Protocol::Tcp).await?;
        slice(stage, "by-hand-a", &near).await?;
        stage.answered_by(&client, web.at(80), Protocol::Tcp, &[&near]).await?;
        slice(stage, "by-hand-b", &far).await?;
        stage.answered_by(&client, web.at(80), Protocol::Tcp, &[&near, &far]).await?;
        stage.api::<EndpointSlice>().delete("by-hand-a", &kube::api::DeleteParams::default()).await?;
        stage.answered_by(&client, web.at(80), Protocol::Tcp, &[&far]).await
    })
    .await
}

/// A pod of the Service `web` that is ready while the story says so.
async fn gated(stage: &Stage) -> Result<RunningPod> {
    let pod = stage.pod("moody").on("node2").like_those_of("web").serving();
    pod.with("readinessGates", json!([{ "conditionType": GATE }])).create().await?;
    gate(stage, "True").await?;
    stage.ready("moody").await
}

async fn gate(stage: &Stage, status: &str) -> Result<()> {
    let condition = json!({ "status": { "conditions": [{ "type": GATE, "status": status }] } });
    let patch = Patch::Strategic(condition);
    stage.api::<Pod>().patch_status("moody", &PatchParams::default(), &patch).await?;
    Ok(())
}

async fn slice(stage: &Stage, name: &str, pod: &RunningPod) -> Result<()> {
    let slice = json!({
        "metadata": { "name": name, "labels": { "kubernetes.io/service-name": "by-hand" } },
        "addressType": "IPv4",
        "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }],
        "endpoints": [{ "addresses": [pod.v4] }],
    });
    let slices = stage.api::<EndpointSlice>();
    slices.create(&PostParams::default(), &serde_json::from_value(slice)?).await?;
    Ok(())
}
