//! Who answers at a cluster IP, and whom they see.

use crate::client_and_two;
use kuryr_e2e::{Ending, Protocol, Result, RunningPod, Stage, ensure, seconds, story, until};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::SocketAddr;

#[tokio::test]
async fn a_pod_reaches_every_member() -> Ending {
    story("cluster IP with a member on the client's node and one on the other", async |stage| {
        let (client, near, far) = client_and_two(stage).await?;
        let web = stage.service("web").start().await?;
        stage.answered_by(&client, web.at(80), Protocol::Tcp, &[&near, &far]).await?;
        stage.unanswered(&client, web.at(81), Protocol::Tcp).await
    })
    .await
}

#[tokio::test]
async fn ports_of_a_service_lead_to_ports_of_pods() -> Ending {
    story("two ports, of which one has a name that means other numbers to each pod", async |stage| {
        let (client, old, new) = tokio::try_join!(
            stage.pod("client").on("node2").serving().start(),
            stage.pod("old").on("node1").like_those_of("web").serving().start(),
            stage.pod("new").on("node2").like_those_of("web").serving_at(9090).start(),
        )?;
        let ports = json!([
            { "name": "named", "port": 80, "targetPort": "http" },
            { "name": "number", "port": 8888, "targetPort": 9090 },
        ]);
        let web = stage.service("web").ports(ports).start().await?;
        stage.answered_by(&client, web.at(80), Protocol::Tcp, &[&old, &new]).await?;
        // Both are members there; the old one does not listen.
        stage.members(&web, 8888, &[(old.v4, 9090).into(), (new.v4, 9090).into()]).await?;
        stage.members(&web, 80, &[(old.v4, 8080).into(), (new.v4, 9090).into()]).await
    })
    .await
}

#[tokio::test]
async fn a_port_serves_tcp_and_udp() -> Ending {
    story("TCP and UDP at the same port", async |stage| {
        let (client, near, far) = client_and_two(stage).await?;
        let web = stage.service("web").ports(pages_and_datagrams()).start().await?;
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            stage.answered_by(&client, web.at(80), protocol, &[&near, &far]).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_pod_reaches_itself() -> Ending {
    story("pod that is its own Service's only member", async |stage| {
        let pod = stage.pod("pod").on("node1").like_those_of("web").serving().start().await?;
        let web = stage.service("web").ports(pages_and_datagrams()).start().await?;
        stage.answered_by(&pod, web.at(80), Protocol::Tcp, &[&pod]).await?;
        stage.answered_by(&pod, web.at(80), Protocol::Udp, &[&pod]).await
    })
    .await
}

#[tokio::test]
async fn members_see_the_client() -> Ending {
    story("client's own address, as members see it", async |stage| {
        let (client, near, far) = client_and_two(stage).await?;
        let web = stage.service("web").start().await?;
        stage.answered_by(&client, web.at(80), Protocol::Tcp, &[&near, &far]).await?;
        let seen = stage.clients_seen(&client, web.at(80)).await?;
        ensure!(seen == BTreeSet::from([client.v4]), "{} is seen as {seen:?}", client.v4);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_client_stays_with_a_member() -> Ending {
    story("session affinity of TCP and UDP, put on and taken off", async |stage| {
        let (client, near, far) = client_and_two(stage).await?;
        let third = stage.pod("third").on("node2").like_those_of("web").serving().start().await?;
        let web = stage.service("web").ports(pages_and_datagrams());
        let web = web.with("sessionAffinity", json!("ClientIP")).start().await?;
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            one_answers(stage, &client, web.at(80), protocol).await?;
        }
        stage
            .change_service("web", json!({ "sessionAffinity": "None", "sessionAffinityConfig": null }))
            .await?;
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            stage.answered_by(&client, web.at(80), protocol, &[&near, &far, &third]).await?;
        }
        stage.change_service("web", json!({ "sessionAffinity": "ClientIP" })).await?;
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            one_answers(stage, &client, web.at(80), protocol).await?;
        }
        Ok(())
    })
    .await
}

fn pages_and_datagrams() -> Value {
    json!([
        { "name": "pages", "port": 80, "targetPort": "http" },
        { "name": "datagrams", "port": 80, "protocol": "UDP", "targetPort": "datagrams" },
    ])
}

/// Waits until one of all members gets all questions of a client, and sees that it stays so.
async fn one_answers(stage: &Stage, from: &RunningPod, at: SocketAddr, protocol: Protocol) -> Result<()> {
    let all_are_there = async || {
        let name = match protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        let members = stage.ovn_forwards(name, at).await?;
        ensure!(members.len() == 3, "OVN forwards to {members:?}");
        Ok(())
    };
    // A client stays with its member as long as the set of members stays: OVN's provider of Octavia adds one after the other.
    let first = until("one of all members answers", seconds(30), async || {
        all_are_there().await?;
        let who = stage.who_answers(from, at, protocol).await?;
        ensure!(who.len() == 1, "{who:?} do");
        all_are_there().await?;
        Ok(who)
    })
    .await?;
    // The other protocol's pool may be made anew meanwhile: a question that OVN loses then is asked again, another answer is wrong.
    let again = until("all questions are answered", seconds(20), async || {
        stage.who_answers(from, at, protocol).await
    })
    .await?;
    ensure!(again == first, "{first:?}, then {again:?}");
    Ok(())
}
