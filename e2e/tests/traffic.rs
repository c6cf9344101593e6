//! Packets between pods, from the kubelet and to the world outside, on both families.

use kuryr_e2e::{Ending, Protocol, Result, RunningPod, Stage, ensure, seconds, story, until};
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener};

#[tokio::test]
async fn pods_reach_each_other() -> Ending {
    story("traffic between pods of one node and of two, by ping, TCP and UDP", async |stage| {
        let (a, b, c) = three(stage).await?;
        for (from, to) in [(&a, &b), (&a, &c), (&c, &a)] {
            for address in [to.v4, to.v6] {
                stage.reaches(from, to, address, Protocol::Tcp).await?;
                stage.reaches(from, to, address, Protocol::Udp).await?;
                ping(stage, from, address).await?;
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_pod_is_what_its_port_says() -> Ending {
    story("identity of pod, record and Neutron port", async |stage| {
        let pod = stage.pod("pod").on("node2").serving().start().await?;
        let port = stage.port_of(&pod).await?;
        let node = stage.node("node2")?;
        let link = node.in_pod(&pod, &["ip", "-o", "link", "show", "eth0"]).await?;
        ensure!(link.contains(&port.mac_address), "the port has {}, eth0: {link}", port.mac_address);
        ensure!(link.contains(" mtu 1442 "), "the network's MTU is 1442, eth0: {link}");
        for (family, subnet) in ["-4", "-6"].iter().zip(&stage.facts.openstack.pod_subnets) {
            let routes = node.in_pod(&pod, &["ip", family, "route", "show", "default"]).await?;
            let expected = format!("default via {} dev eth0", subnet.gateway);
            ensure!(routes.starts_with(&expected), "{expected} is not the default route: {routes}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_pod_reaches_the_world_outside() -> Ending {
    story("egress through the router, and the kubelet's probe", async |stage| {
        // Ready means that the kubelet's HTTP probe got through.
        let pod = stage.pod("pod").on("node1").serving().start().await?;
        let outside = stage.facts.openstack.external_subnet.gateway;
        ping(stage, &pod, outside).await?;
        let greeter = TcpListener::bind((outside, 0))?;
        let url = format!("http://{}/", greeter.local_addr()?);
        let greeting = std::thread::spawn(move || -> std::io::Result<IpAddr> {
            let (mut stream, from) = greeter.accept()?;
            // Closing with the request unread would reset the connection, and the answer with it.
            if stream.read(&mut [0; 1024])? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello")?;
            Ok(from.ip())
        });
        let node = stage.node("node1")?;
        let heard = node.in_pod(&pod, &["curl", "-sS", "--http0.9", "--max-time", "5", &url]).await?;
        ensure!(heard == "hello", "the pod heard {heard:?}");
        let from = greeting.join().map_err(|_| kuryr_e2e::Error::msg("the greeter panicked"))??;
        ensure!(from != pod.v4, "the router did not translate {from}");
        Ok(())
    })
    .await
}

/// Two pods on one node, one on the other.
async fn three(stage: &Stage) -> Result<(RunningPod, RunningPod, RunningPod)> {
    tokio::try_join!(
        stage.pod("a").on("node1").serving().start(),
        stage.pod("b").on("node1").serving().start(),
        stage.pod("c").on("node2").serving().start(),
    )
}

async fn ping(stage: &Stage, from: &RunningPod, to: IpAddr) -> Result<()> {
    let node = stage.node(&from.node)?;
    until(&format!("{} pings {to}", from.name), seconds(10), async || {
        node.in_pod(from, &["ping", "-c1", "-W2", &to.to_string()]).await.map(drop)
    })
    .await
}
