//! Parts fail, and others meddle, while Services are made and change. When that is over, they are served as if nothing had been.

use crate::client_and_two;
use kube::api::DeleteParams;
use kuryr_api::KuryrLoadBalancer;
use kuryr_e2e::{Component, Context, Ending, Protocol, ensure, seconds, story, until};
use serde_json::json;

#[tokio::test]
async fn the_controller_dies_while_services_are_made() -> Ending {
    story("five Services in whose making the controller is killed", async |stage| {
        let (client, near, far) = client_and_two(stage).await?;
        let names: Vec<_> = (0..5).map(|at| format!("web-{at}")).collect();
        for name in &names {
            stage.service(name).with("selector", json!({ "app": "web" })).create().await?;
        }
        until("some are under way", seconds(20), async || {
            let balancers = stage.balancers_of_namespace().await?;
            ensure!(balancers.len() > 1, "{} are", balancers.len());
            Ok(())
        })
        .await?;
        stage.kill(&Component::CONTROLLER).await?;
        stage.start(&Component::CONTROLLER).await?;
        for name in &names {
            let service = stage.served(name).await?;
            stage.answered_by(&client, service.at(80), Protocol::Tcp, &[&near, &far]).await?;
        }
        let balancers = stage.balancers_of_namespace().await?;
        ensure!(balancers.len() == names.len(), "there are {balancers:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn octavia_is_away_while_endpoints_change() -> Ending {
    story("endpoints that change while Octavia is away", async |stage| {
        let (client, near, far) = client_and_two(stage).await?;
        let web = stage.service("web").start().await?;
        stage.answered_by(&client, web.at(80), Protocol::Tcp, &[&near, &far]).await?;
        stage.stop(&Component::OCTAVIA).await?;
        stage.delete_pod("far").await?;
        stage.gone("far", &far.uid).await?;
        let third = stage.pod("third").on("node2").like_those_of("web").serving().start().await?;
        stage.service("late").with("selector", json!({ "app": "web" })).create().await?;
        stage.event("OctaviaUnavailable", seconds(30)).await?;
        stage.start(&Component::OCTAVIA).await?;
        stage.answered_by(&client, web.at(80), Protocol::Tcp, &[&near, &third]).await?;
        let late = stage.served("late").await?;
        stage.answered_by(&client, late.at(80), Protocol::Tcp, &[&near, &third]).await
    })
    .await
}

#[tokio::test]
async fn a_load_balancer_that_is_deleted_comes_back() -> Ending {
    story("load balancer that somebody deletes", async |stage| {
        let (client, near, far) = client_and_two(stage).await?;
        let web = stage.service("web").start().await?;
        stage.delete_balancer(&web.balancer).await?;
        stage.delete_pod("far").await?;
        let again = stage.served("web").await?;
        stage.gone("far", &far.uid).await?;
        stage.answered_by(&client, again.at(80), Protocol::Tcp, &[&near]).await
    })
    .await
}

#[tokio::test]
async fn a_listener_that_is_deleted_comes_back() -> Ending {
    story("listener that somebody deletes", async |stage| {
        let (client, near, far) = client_and_two(stage).await?;
        let web = stage.service("web").start().await?;
        let listener = stage.listeners(&web).await?.remove(0);
        stage.octavia.delete_listener(&listener.id).await?;
        stage.unanswered(&client, web.at(80), Protocol::Tcp).await?;
        stage.delete_pod("far").await?;
        stage.gone("far", &far.uid).await?;
        stage.answered_by(&client, web.at(80), Protocol::Tcp, &[&near]).await
    })
    .await
}

#[tokio::test]
async fn a_record_that_is_deleted_is_written_anew() -> Ending {
    story("record that somebody deletes", async |stage| {
        let (client, near, far) = client_and_two(stage).await?;
        let web = stage.service("web").start().await?;
        let records = stage.api::<KuryrLoadBalancer>();
        let uid = records.get("web").await?.metadata.uid;
        records.delete("web", &DeleteParams::default()).await?;
        until("there is a new record", seconds(20), async || {
            let now = records.get("web").await?.metadata.uid;
            ensure!(now != uid, "it is the old one");
            Ok(())
        })
        .await?;
        let after = stage.served("web").await?;
        ensure!(after == web, "{web:?} became {after:?}");
        stage.answered_by(&client, web.at(80), Protocol::Tcp, &[&near, &far]).await
    })
    .await
}

#[tokio::test]
async fn a_strangers_load_balancer_is_left_alone() -> Ending {
    story("cluster IP that a stranger's load balancer has", async |stage| {
        stage.stop(&Component::CONTROLLER).await?;
        let service = stage.service("web").create().await?;
        let address = service.spec.and_then(|spec| spec.cluster_ip).context("it has no address")?.parse()?;
        let stranger = stage.stranger(address).await?;
        stage.start(&Component::CONTROLLER).await?;
        stage.event("ClusterIpTaken", seconds(20)).await?;
        let here = stage.balancers_at(address).await?;
        ensure!(here.len() == 1 && here[0].id == stranger, "{here:?}");
        ensure!(here[0].tags == ["kuryr-cluster=other"], "it has tags {:?}", here[0].tags);
        stage.delete_balancer(&stranger).await?;
        // The next change is when Kuryr notices.
        stage.change_service("web", json!({ "sessionAffinity": "ClientIP" })).await?;
        stage.served("web").await.map(drop)
    })
    .await
}

#[tokio::test]
async fn a_cluster_ip_that_is_in_use_is_told_and_taken_later() -> Ending {
    story("cluster IP that a stranger takes behind Kuryr's back", async |stage| {
        let before = stage.service("before").start().await?;
        stage.delete_service("before").await?;
        stage.unserved(&before).await?;
        let stranger = stage.stranger(before.address).await?;
        stage.service("web").with("clusterIP", json!(before.address)).create().await?;
        stage.event("ClusterIpInUse", seconds(20)).await?;
        stage.delete_balancer(&stranger).await?;
        stage.served("web").await.map(drop)
    })
    .await
}
