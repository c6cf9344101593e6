//! Policies, labels and Services change while pods run.

use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, ResourceExt};
use kuryr_e2e::{Component, Ending, Protocol, Result, RunningPod, Stage, ensure, seconds, story, until};
use serde_json::{Value, json};
use std::net::SocketAddr;

#[tokio::test]
async fn labels_of_running_pods_and_namespaces_count() -> Ending {
    story("pods and a namespace that are relabelled", async |stage| {
        let (web, client) = web_and_client(stage).await?;
        let other = stage.pod("other").on("node1").like_those_of("other").serving().start().await?;
        apply(stage, "web", &from(&json!({ "podSelector": { "matchLabels": { "app": "client" } } }))).await?;
        denied(stage, &other, &web).await?;
        allowed(stage, &client, &web).await?;
        relabel(stage, "other", "client").await?;
        allowed(stage, &other, &web).await?;
        relabel(stage, "other", "other").await?;
        denied(stage, &other, &web).await?;

        let team = json!({ "namespaceSelector": { "matchLabels": { "team": "a" } } });
        apply(stage, "web", &from(&team)).await?;
        denied(stage, &client, &web).await?;
        label_namespace(stage, json!("a")).await?;
        allowed(stage, &client, &web).await?;
        label_namespace(stage, json!(null)).await?;
        denied(stage, &client, &web).await?;
        remove(stage, "web").await?;
        allowed(stage, &client, &web).await
    })
    .await
}

#[tokio::test]
async fn a_pod_moves_between_policies() -> Ending {
    story("pod whose labels bring it under a policy and out of it", async |stage| {
        let (web, client) = web_and_client(stage).await?;
        let deny =
            json!({ "podSelector": { "matchLabels": { "app": "locked" } }, "policyTypes": ["Ingress"] });
        apply(stage, "locked", &deny).await?;
        allowed(stage, &client, &web).await?;
        relabel(stage, "web", "locked").await?;
        denied(stage, &client, &web).await?;
        relabel(stage, "web", "web").await?;
        allowed(stage, &client, &web).await
    })
    .await
}

#[tokio::test]
async fn an_isolated_pod_is_probed_by_its_node_and_reaches_itself() -> Ending {
    story("pods that are isolated before they start", async |stage| {
        let deny = json!({ "podSelector": {}, "policyTypes": ["Ingress"] });
        apply(stage, "deny", &deny).await?;
        // Ready only when the kubelet's probe gets through.
        let (web, client) = web_and_client(stage).await?;
        denied(stage, &client, &web).await?;
        let service = stage.service("web").start().await?;
        stage.answered_by(&web, service.at(80), Protocol::Tcp, &[&web]).await?;
        stage.unanswered(&client, service.at(80), Protocol::Tcp).await
    })
    .await
}

#[tokio::test]
async fn a_service_is_reached_where_all_of_its_endpoints_are() -> Ending {
    story("Service whose endpoints a policy allows, and then not all", async |stage| {
        let (web, client) = web_and_client(stage).await?;
        let service = stage.service("web").start().await?;
        let out = json!({
            "podSelector": { "matchLabels": { "app": "client" } }, "policyTypes": ["Egress"],
            "egress": [{ "to": [{ "podSelector": { "matchLabels": { "tier": "front" } } }], "ports": [{ "port": 8080 }] }],
        });
        apply(stage, "client", &out).await?;
        stage.unanswered(&client, service.at(80), Protocol::Tcp).await?;
        set_label(stage, "web", "tier", "front").await?;
        stage.answered_by(&client, service.at(80), Protocol::Tcp, &[&web]).await?;
        let back = stage.pod("back").on("node2").like_those_of("web").serving().start().await?;
        stage.unanswered(&client, service.at(80), Protocol::Tcp).await?;
        denied(stage, &client, &back).await?;
        allowed(stage, &client, &web).await?;
        set_label(stage, "back", "tier", "front").await?;
        stage.answered_by(&client, service.at(80), Protocol::Tcp, &[&web, &back]).await
    })
    .await
}

#[tokio::test]
async fn a_policy_that_is_made_while_neutron_is_away_is_enforced_when_it_is_back() -> Ending {
    story("twenty policies and labels that change while Neutron is away", async |stage| {
        let (web, client) = web_and_client(stage).await?;
        let other = stage.pod("other").on("node1").like_those_of("other").serving().start().await?;
        stage.stop(&Component::NEUTRON).await?;
        for at in 0..20 {
            let mut policy =
                from(&json!({ "podSelector": { "matchLabels": { "app": format!("client-{at}") } } }));
            policy["podSelector"] = json!({ "matchLabels": { "app": "web" } });
            apply(stage, &format!("policy-{at}"), &policy).await?;
        }
        relabel(stage, "other", "client-7").await?;
        // What was allowed is, as long as nobody can forbid it.
        allowed(stage, &client, &web).await?;
        stage.start(&Component::NEUTRON).await?;
        until("the policies are enforced", seconds(30), async || {
            ensure!(!answers(stage, &client, &web).await?, "web answers who may not ask");
            ensure!(answers(stage, &other, &web).await?, "web does not answer who may ask");
            Ok(())
        })
        .await
    })
    .await
}

#[tokio::test]
async fn the_controller_dies_while_policies_change() -> Ending {
    story("policy that is applied while the controller is dead, and one that goes", async |stage| {
        let (web, client) = web_and_client(stage).await?;
        let clients = from(&json!({ "podSelector": { "matchLabels": { "app": "client" } } }));
        apply(stage, "first", &clients).await?;
        allowed(stage, &client, &web).await?;
        stage.kill(&Component::CONTROLLER).await?;
        let nobody = from(&json!({ "podSelector": { "matchLabels": { "app": "nobody" } } }));
        apply(stage, "second", &nobody).await?;
        remove(stage, "first").await?;
        stage.start(&Component::CONTROLLER).await?;
        denied(stage, &client, &web).await?;
        apply(stage, "third", &clients).await?;
        allowed(stage, &client, &web).await
    })
    .await
}

async fn web_and_client(stage: &Stage) -> Result<(RunningPod, RunningPod)> {
    tokio::try_join!(
        stage.pod("web").on("node1").like_those_of("web").serving().start(),
        stage.pod("client").on("node2").like_those_of("client").serving().start(),
    )
}

/// A policy that lets these in to the pods called `web`.
fn from(peer: &Value) -> Value {
    json!({
        "podSelector": { "matchLabels": { "app": "web" } },
        "policyTypes": ["Ingress"],
        "ingress": [{ "from": [peer], "ports": [{ "port": 8080 }] }],
    })
}

async fn apply(stage: &Stage, name: &str, spec: &Value) -> Result<()> {
    let policy: NetworkPolicy =
        serde_json::from_value(json!({ "metadata": { "name": name }, "spec": spec }))?;
    let api = stage.api::<NetworkPolicy>();
    match api.get_opt(name).await? {
        Some(_) => api.replace(name, &PostParams::default(), &policy).await?,
        None => api.create(&PostParams::default(), &policy).await?,
    };
    Ok(())
}

async fn remove(stage: &Stage, name: &str) -> Result<()> {
    stage.api::<NetworkPolicy>().delete(name, &DeleteParams::default()).await?;
    Ok(())
}

async fn relabel(stage: &Stage, pod: &str, app: &str) -> Result<()> {
    set_label(stage, pod, "app", app).await
}

async fn set_label(stage: &Stage, pod: &str, key: &str, value: &str) -> Result<()> {
    let patch = Patch::Merge(json!({ "metadata": { "labels": { key: value } } }));
    let patched = stage.api::<Pod>().patch(pod, &PatchParams::default(), &patch).await?;
    ensure!(patched.labels().get(key).is_some_and(|now| now == value), "the label is not set");
    Ok(())
}

async fn label_namespace(stage: &Stage, team: Value) -> Result<()> {
    let patch = Patch::Merge(json!({ "metadata": { "labels": { "team": team } } }));
    let namespaces = Api::<Namespace>::all(stage.kube.clone());
    namespaces.patch(&stage.namespace, &PatchParams::default(), &patch).await?;
    Ok(())
}

async fn answers(stage: &Stage, from: &RunningPod, to: &RunningPod) -> Result<bool> {
    let dialled = stage.dial(from, (&to.v4.to_string(), 8080), Protocol::Tcp, "hostname", 1).await?;
    Ok(dialled.responses == [to.name.as_str()])
}

async fn allowed(stage: &Stage, from: &RunningPod, to: &RunningPod) -> Result<()> {
    for address in [to.v4, to.v6] {
        stage.reaches(from, to, address, Protocol::Tcp).await?;
    }
    Ok(())
}

async fn denied(stage: &Stage, from: &RunningPod, to: &RunningPod) -> Result<()> {
    for address in [to.v4, to.v6] {
        stage.unanswered(from, SocketAddr::new(address, 8080), Protocol::Tcp).await?;
    }
    Ok(())
}
