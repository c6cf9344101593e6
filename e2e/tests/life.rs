//! Pods come and go in every way that Kubernetes knows, and each gives back what it had.

use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{Api, DeleteParams, ListParams, ResourceExt};
use kuryr_api::names::POD_FINALIZER;
use kuryr_api::port::KuryrPort;
use kuryr_e2e::{Context, Ending, Result, Stage, ensure, seconds, story, story_within, until};
use serde_json::json;
use std::fs;

#[tokio::test]
async fn a_crowd_comes_and_goes_three_times() -> Ending {
    story_within(seconds(240), "crowd of 20 that comes and goes three times", async |stage| {
        stage.deployment("crowd", 0).await?;
        for _ in 0..3 {
            stage.scale("crowd", 20).await?;
            let pods = stage.all_ready("crowd", 20, seconds(90)).await?;
            stage.ports_of_all(&pods).await?;
            stage.scale("crowd", 0).await?;
            until("all of it is gone", seconds(60), async || stage.nothing_left().await).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_pod_comes_back_under_its_name() -> Ending {
    story("name that a StatefulSet gives to one pod after the other", async |stage| {
        stage.stateful_set("db", 1).await?;
        let first = stage.ready("db-0").await?;
        let its_port = stage.port_of(&first).await?;
        stage.delete_pod("db-0").await?;
        stage.gone("db-0", &first.uid).await?;
        let second = stage.ready("db-0").await?;
        ensure!(second.uid != first.uid, "the pod is still the first one");
        let port = stage.port_of(&second).await?;
        ensure!(port.id != its_port.id, "the second pod has the first one's port");
        gives_back(stage, &first.uid).await
    })
    .await
}

#[tokio::test]
async fn force_deleted_pods_leave_nothing() -> Ending {
    story("pods deleted with no grace", async |stage| {
        let nodes = ["node1", "node2", "node1", "node2"];
        let starts =
            nodes.iter().enumerate().map(|(at, node)| stage.pod(&format!("pod-{at}")).on(node).start());
        let pods = futures::future::try_join_all(starts).await?;
        for pod in &pods {
            stage.force_delete_pod(&pod.name).await?;
        }
        until("all of it is gone", seconds(40), async || stage.nothing_left().await).await
    })
    .await
}

#[tokio::test]
async fn finished_pods_give_their_ports_back() -> Ending {
    story("finished pods of a Job", async |stage| {
        stage.job("sums", 3, &["--help"]).await?;
        let done = ListParams::default().labels("app=sums").fields("status.phase=Succeeded");
        let pods = until("three pods finish", seconds(60), async || {
            let pods = stage.api::<Pod>().list(&done).await?.items;
            ensure!(pods.len() == 3, "{} did", pods.len());
            Ok(pods)
        })
        .await?;
        for pod in &pods {
            gives_back(stage, &pod.uid().unwrap_or_default()).await?;
        }
        // The record goes after its port.
        until("the pods' records go", seconds(15), async || {
            let left = stage.api::<KuryrPort>().list(&ListParams::default()).await?.items.len();
            ensure!(left == 0, "{left} are left");
            Ok(())
        })
        .await?;
        let there = stage.api::<Pod>().list(&done).await?.items.len();
        ensure!(there == 3, "{there} of the three pods are still there to be read");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_crashing_container_keeps_its_pods_network() -> Ending {
    story("container that crashes again and again", async |stage| {
        let crash = ["connect", "127.0.0.1:1", "--timeout=100ms"];
        let uid = stage.pod("unlucky").running(&crash).create().await?.uid().unwrap_or_default();
        let port_after = async |restarts| {
            restarted(stage, "unlucky", restarts).await?;
            let mut ports = stage.ports_of(&uid).await?;
            ensure!(ports.len() == 1, "after {restarts} restarts the pod has {} ports", ports.len());
            Ok(ports.remove(0))
        };
        let first = port_after(1).await?;
        let second = port_after(2).await?;
        ensure!(first.id == second.id && first.fixed_ips == second.fixed_ips, "{first:?} became {second:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_pod_in_its_nodes_network_is_left_alone() -> Ending {
    story("host's network", async |stage| {
        let pod = stage.pod("guest").with("hostNetwork", json!(true)).create().await?;
        stage.phase("guest", "Running").await?;
        let ports = stage.ports_of(&pod.uid().unwrap_or_default()).await?;
        ensure!(ports.is_empty(), "it got {ports:?}");
        let record = stage.api::<KuryrPort>().get_opt("guest").await?;
        ensure!(record.is_none(), "it got {record:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_static_pod_has_a_network() -> Ending {
    story("static pod from a file on its node", async |stage| {
        let file = stage.node("node1")?.file("/etc/kubernetes/manifests/e2e.yaml");
        let pod = stage.pod("static").serving().with_metadata("namespace", json!(stage.namespace));
        fs::write(&file, pod.manifest().to_string())?;
        let path = file.clone();
        stage.put_back("static pod's file", async move { Ok(fs::remove_file(path)?) });
        let pod = stage.ready("static-node1").await?;
        stage.port_of(&pod).await?;
        let record = stage.api::<KuryrPort>().get("static-node1").await?;
        ensure!(record.spec.pod_static == Some(true), "the record does not say that the pod is static");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_old_finalizer_holds_nobody() -> Ending {
    story("finalizer that the Python Kuryr left on a pod", async |stage| {
        let pod = stage.pod("old").with_metadata("finalizers", json!([POD_FINALIZER])).start().await?;
        stage.delete_pod("old").await?;
        stage.gone("old", &pod.uid).await?;
        gives_back(stage, &pod.uid).await
    })
    .await
}

#[tokio::test]
async fn a_namespace_goes_with_its_pods() -> Ending {
    story("namespace that is deleted with pods in it", async |stage| {
        stage.deployment("crowd", 4).await?;
        stage.all_ready("crowd", 4, seconds(60)).await?;
        let namespaces = Api::<Namespace>::all(stage.kube.clone());
        namespaces.delete(&stage.namespace, &DeleteParams::default()).await?;
        until("the namespace is gone", seconds(60), async || {
            ensure!(namespaces.get_opt(&stage.namespace).await?.is_none(), "it is there");
            Ok(())
        })
        .await?;
        until("all of it is gone", seconds(20), async || stage.nothing_left().await).await
    })
    .await
}

/// The port that was made for that pod goes.
async fn gives_back(stage: &Stage, uid: &str) -> Result<()> {
    until("the pod's port goes", seconds(15), async || {
        let ports = stage.ports_of(uid).await?.len();
        ensure!(ports == 0, "it has {ports}");
        Ok(())
    })
    .await
}

async fn restarted(stage: &Stage, name: &str, times: i32) -> Result<()> {
    until(&format!("{name} restarts {times} times"), seconds(60), async || {
        let status = stage.api::<Pod>().get(name).await?.status.context("it has no status")?;
        let restarts =
            status.container_statuses.iter().flatten().map(|status| status.restart_count).sum::<i32>();
        ensure!(restarts >= times, "{restarts}");
        Ok(())
    })
    .await
}
