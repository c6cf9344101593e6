//! Services change their ports, protocols and types; some types get no load balancer.

use crate::client_and_two;
use kuryr_api::KuryrLoadBalancer;
use kuryr_e2e::{Ending, Protocol, ensure, seconds, story, until};
use serde_json::{Value, json};
use tokio::time::sleep;

#[tokio::test]
async fn ports_come_and_go() -> Ending {
    story("ports that are added, moved and taken away", async |stage| {
        let (client, near, far) = client_and_two(stage).await?;
        let web = stage.service("web").start().await?;
        let both: [_; 2] = [&near, &far];
        stage.answered_by(&client, web.at(80), Protocol::Tcp, &both).await?;
        let two = json!([
            { "name": "http", "port": 80, "targetPort": "http" },
            { "name": "more", "port": 8000, "targetPort": 8080 },
        ]);
        stage.change_service("web", json!({ "ports": two })).await?;
        stage.answered_by(&client, web.at(8000), Protocol::Tcp, &both).await?;
        stage.answered_by(&client, web.at(80), Protocol::Tcp, &both).await?;
        let moved = json!([{ "name": "http", "port": 81, "targetPort": "http" }]);
        stage.change_service("web", json!({ "ports": moved })).await?;
        stage.answered_by(&client, web.at(81), Protocol::Tcp, &both).await?;
        for port in [80, 8000] {
            stage.unanswered(&client, web.at(port), Protocol::Tcp).await?;
        }
        let after = stage.served("web").await?;
        ensure!(after == web, "{web:?} became {after:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_port_changes_its_protocol() -> Ending {
    story("port that changes from TCP to UDP and back", async |stage| {
        let (client, near, far) = client_and_two(stage).await?;
        let web = stage.service("web").start().await?;
        let udp = json!([{ "name": "http", "port": 80, "protocol": "UDP", "targetPort": "datagrams" }]);
        let tcp = json!([{ "name": "http", "port": 80, "protocol": "TCP", "targetPort": "http" }]);
        for (ports, is, was) in [(udp, Protocol::Udp, Protocol::Tcp), (tcp, Protocol::Tcp, Protocol::Udp)] {
            stage.answered_by(&client, web.at(80), was, &[&near, &far]).await?;
            stage.change_service("web", json!({ "ports": ports })).await?;
            stage.answered_by(&client, web.at(80), is, &[&near, &far]).await?;
            stage.unanswered(&client, web.at(80), was).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_service_becomes_a_name_and_back() -> Ending {
    story("Service that becomes an ExternalName and a ClusterIP again", async |stage| {
        let (client, near, far) = client_and_two(stage).await?;
        let first = stage.service("web").start().await?;
        let name = json!({
            "type": "ExternalName", "externalName": "example.org", "clusterIP": null, "clusterIPs": null,
        });
        stage.change_service("web", name).await?;
        stage.released(&first).await?;
        let address = json!({ "type": "ClusterIP", "externalName": null });
        stage.change_service("web", address).await?;
        let second = stage.served("web").await?;
        ensure!(second.balancer != first.balancer, "it has the load balancer that was deleted");
        stage.answered_by(&client, second.at(80), Protocol::Tcp, &[&near, &far]).await
    })
    .await
}

#[tokio::test]
async fn a_headless_service_is_left_alone() -> Ending {
    story("headless Services, with and without a selector", async |stage| {
        stage.pod("pod").like_those_of("web").serving().start().await?;
        stage.service("web").with("clusterIP", json!("None")).create().await?;
        let bare = stage.service("bare").with("clusterIP", json!("None")).with("selector", Value::Null);
        bare.create().await?;
        // One that is served is looked at after them.
        let served = stage.service("served").start().await?;
        sleep(seconds(2)).await;
        for name in ["web", "bare"] {
            let told = stage.told_about(name).await?;
            ensure!(told.is_empty(), "{name}: {told:?}");
            let record = stage.api::<KuryrLoadBalancer>().get_opt(name).await?;
            ensure!(record.is_none(), "{name} has a record");
        }
        let told = stage.told_about("served").await?;
        ensure!(told.is_empty(), "{told:?} about {}", served.name);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn node_ports_are_told_to_be_others_work() -> Ending {
    story("NodePort, served at its cluster IP and told once", async |stage| {
        let (client, near, far) = client_and_two(stage).await?;
        let web = stage.service("web").with("type", json!("NodePort")).start().await?;
        stage.answered_by(&client, web.at(80), Protocol::Tcp, &[&near, &far]).await?;
        until("its owner is told", seconds(10), async || {
            let told = stage.told_about("web").await?;
            ensure!(told == ["NodePortNotServed"], "{told:?}");
            Ok(())
        })
        .await?;
        stage.delete_pod("far").await?;
        stage.answered_by(&client, web.at(80), Protocol::Tcp, &[&near]).await?;
        let told = stage.told_about("web").await?;
        ensure!(told == ["NodePortNotServed"], "a change of its endpoints is no news: {told:?}");
        Ok(())
    })
    .await
}
