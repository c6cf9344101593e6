//! A subnet that has few addresses: pools leave the last ones to pods.

use crate::{BATCH, recorded};
use kuryr_api::port::KuryrPort;
use kuryr_api::{NetworkId, SubnetId};
use kuryr_e2e::{Component, Context, Ending, Instead, Result, Stage, ensure, seconds, story_within, until};
use kuryr_openstack::neutron::{AllocationPool, NewSubnet, Port};
use kuryr_openstack::{Call, Neutron, Service};
use reqwest::Method;
use std::net::IpAddr;
use tokio::time::sleep;

/// Its addresses.
const ROOM: usize = 8;

#[tokio::test]
async fn pools_leave_the_last_addresses_of_a_subnet_to_pods() -> Ending {
    story_within(seconds(240), "pool at the end of a subnet", async |stage| {
        let subnet = small_subnet(stage).await?;
        stage.stop(&Component::CONTROLLER).await?;
        let instead = Instead { pools: Some(BATCH), pod_subnets: vec![subnet.clone()], ..Instead::default() };
        let _controller = stage.leading_controller(&instead).await?;
        until("the pools have used the subnet up", seconds(60), async || {
            let there = ports_in(stage, &subnet).await?.len();
            ensure!(there >= ROOM, "it has {there} ports, not {ROOM}");
            Ok(())
        })
        .await?;
        for number in 0..ROOM {
            stage.pod(&format!("pod-{number}")).on("node2").create().await?;
        }
        // Nobody reaches them: their network has no router.
        until("each pod has a port", seconds(90), async || {
            let recorded = recorded(stage).await?.len();
            ensure!(recorded == ROOM, "{recorded} have one");
            Ok(())
        })
        .await?;
        stage.pod("late").on("node1").create().await?;
        stage.event("NoFreeAddress", seconds(30)).await?;
        stage.delete_pod("pod-0").await?;
        until("the one that came late has it", seconds(60), async || {
            stage.api::<KuryrPort>().get("late").await.map(drop).context("it has none")
        })
        .await
    })
    .await
}

/// A subnet with few addresses, on a network of its own.
async fn small_subnet(stage: &Stage) -> Result<SubnetId> {
    let network = stage.neutron.create_network(&format!("{}-net", stage.namespace)).await?.id;
    // The last is done first: what is plugged into it goes before it does.
    stage.put_back("network", remove_network(stage.facts.neutron()?, network.clone()));
    stage.kubectl_at_end(&["delete", "pods", "--all", "--namespace", &stage.namespace])?;
    let first: IpAddr = "10.209.0.2".parse()?;
    let last: IpAddr = format!("10.209.0.{}", 1 + ROOM).parse()?;
    let wanted = NewSubnet {
        name: format!("{}-subnet", stage.namespace),
        network_id: network,
        cidr: "10.209.0.0/24".to_owned(),
        ip_version: 4,
        gateway_ip: Some("10.209.0.1".parse()?),
        allocation_pools: vec![AllocationPool { start: first, end: last }],
        enable_dhcp: false,
    };
    Ok(stage.neutron.create_subnet(&wanted).await?.id)
}

/// Removes it when the lab's own controller has seen to it that nothing is plugged into it any more.
async fn remove_network(neutron: Neutron, network: NetworkId) -> Result<()> {
    let mut seconds_left = 60;
    loop {
        let path = format!("/networks/{network}");
        let call = Call::new(Service::Network, Method::DELETE, "/networks/{id}", path);
        match neutron.session().call(&call).await {
            Err(_) if seconds_left > 0 => sleep(seconds(1)).await,
            done => return Ok(done.map(drop)?),
        }
        seconds_left -= 1;
    }
}

async fn ports_in(stage: &Stage, subnet: &SubnetId) -> Result<Vec<Port>> {
    let mut ports = stage.kuryr_ports().await?;
    ports.retain(|port| port.fixed_ips.iter().any(|ip| ip.subnet_id == *subnet));
    Ok(ports)
}
