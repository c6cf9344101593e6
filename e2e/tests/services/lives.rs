//! Services go, at good moments and at bad ones, and come back under their names.

use crate::client_and_two;
use kuryr_api::KuryrLoadBalancer;
use kuryr_e2e::{Ending, Protocol, Result, Stage, ensure, seconds, story, until};
use serde_json::json;
use tokio::time::sleep;

#[tokio::test]
async fn a_service_takes_all_that_it_had_with_it() -> Ending {
    story("Service that is deleted", async |stage| {
        let (client, near, far) = client_and_two(stage).await?;
        let web = stage.service("web").start().await?;
        stage.answered_by(&client, web.at(80), Protocol::Tcp, &[&near, &far]).await?;
        stage.delete_service("web").await?;
        stage.unserved(&web).await?;
        stage.unanswered(&client, web.at(80), Protocol::Tcp).await?;
        ensure!(stage.api::<KuryrLoadBalancer>().get_opt("web").await?.is_none(), "its record is there");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_service_may_go_while_octavia_works_for_it() -> Ending {
    story("Services that are deleted while their load balancers are made", async |stage| {
        let ports = json!([
            { "name": "a", "port": 80, "targetPort": 8080 }, { "name": "b", "port": 81, "targetPort": 8080 },
        ]);
        let pauses = [0, 300, 700, 1100, 1500, 2500];
        let names: Vec<_> = (0..pauses.len()).map(|at| format!("web-{at}")).collect();
        let brief = async |name: &str, pause| {
            stage.service(name).ports(ports.clone()).create().await?;
            sleep(std::time::Duration::from_millis(pause)).await;
            stage.delete_service(name).await
        };
        let lives = names.iter().zip(pauses).map(|(name, pause)| brief(name, pause));
        futures::future::try_join_all(lives).await?;
        until("all of it is gone", seconds(40), async || stage.nothing_left().await).await?;
        for name in &names {
            let told = stage.told_about(name).await?;
            ensure!(told.is_empty(), "{name}: {told:?}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_service_comes_back_under_its_name_and_address() -> Ending {
    story("Service that comes back under its name with the same cluster IP, at once", async |stage| {
        let (client, near, far) = client_and_two(stage).await?;
        let first = stage.service("web").start().await?;
        stage.delete_service("web").await?;
        // Kuryr holds the name until the load balancer is gone.
        until("it is made again", seconds(20), async || {
            let again = stage.service("web").with("clusterIP", json!(first.address));
            again.create().await.map(drop)
        })
        .await?;
        let second = stage.served("web").await?;
        ensure!(second.uid != first.uid, "it is the first one");
        ensure!(
            second.address == first.address && second.balancer != first.balancer,
            "{first:?}, {second:?}"
        );
        stage.answered_by(&client, second.at(80), Protocol::Tcp, &[&near, &far]).await
    })
    .await
}

#[tokio::test]
async fn another_service_gets_the_address() -> Ending {
    story("cluster IP that goes from one Service to another", async |stage| {
        let first = stage.service("first").start().await?;
        stage.delete_service("first").await?;
        until("another Service gets the address", seconds(20), async || {
            let second = stage.service("second").with("clusterIP", json!(first.address));
            second.create().await.map(drop)
        })
        .await?;
        let second = stage.served("second").await?;
        ensure!(second.balancer != first.balancer, "it has the first one's load balancer");
        untold(stage, "second").await
    })
    .await
}

async fn untold(stage: &Stage, name: &str) -> Result<()> {
    let told = stage.told_about(name).await?;
    ensure!(told.is_empty(), "{name}: {told:?}");
    Ok(())
}
