//! Many pods on many nodes at once: what Neutron is asked at the same time has a limit, and no node waits for another's second helping.

use super::pools::BATCH;
use super::*;
use kuryr_openstack::neutron::Joining;
use kuryr_openstack::{Limits, Service};
use kuryr_testkit::Crowd;
use kuryr_testkit::neutron::Pace;
use kuryr_testkit::proxy::{Faulty, Plan};
use std::collections::BTreeSet;

const NODES: usize = 10;
const PODS_IN_ALL: usize = 200;
/// Requests for ports of pools that are under way at the same time.
const FOR_POOLS: usize = 2;

impl World {
    /// One whose Neutron takes its time, with ten nodes.
    async fn of_ten() -> Self {
        let world = Self::with_pools().await;
        let neutron = world.cloud.neutron();
        neutron.set_pace(Pace { request: Duration::from_millis(5), port: Duration::from_millis(2) });
        for number in 3..=NODES {
            let name = format!("node{number}");
            world.kubernetes.create("/api/v1/nodes", json!({ "metadata": { "name": name } }));
            neutron.add_host(&name);
        }
        world
    }

    fn burst(&self) {
        for number in 0..PODS_IN_ALL {
            self.pod_on(&format!("node{}", 1 + number % NODES), &format!("web-{number}"));
        }
    }

    async fn until_all_are_served(&self) {
        let served = |world: &Self| world.kubernetes.all("kuryrports").len() == PODS_IN_ALL;
        self.until("all pods are recorded", served).await;
        assert_eq!(self.recorded().len(), PODS_IN_ALL, "two pods share a port");
        let target = self.pools.as_ref().unwrap().sizing.target(PODS_IN_ALL / NODES);
        let are_full =
            |world: &Self| (1..=NODES).all(|node| world.warm(&format!("node{node}")).len() >= target);
        self.until("all pools are as large as they should be", are_full).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pools_are_filled_by_few_requests_at_a_time_and_every_node_has_its_turn() {
    let mut world = World::of_ten().await;
    // Two batches a node.
    world.pools.as_mut().unwrap().sizing.min = 2 * BATCH;
    let _controller = world.controller().await;
    world.until("all pools are full", |world| world.ports().len() >= NODES * 2 * BATCH).await;
    assert_eq!(world.cloud.neutron().crowd().most("POST /ports"), FOR_POOLS);

    let mut ports = world.ports();
    ports.sort_by_key(|port| port["id"].as_str().unwrap().to_owned());
    let first: BTreeSet<_> =
        ports.iter().take(NODES * BATCH).map(|port| port["binding:host_id"].as_str()).collect();
    assert_eq!(first.len(), NODES, "a node had its second batch before another had its first");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_never_sends_neutron_more_than_the_limit_at_once() {
    let world = World::of_ten().await;
    let controller = world.controller().await;
    world.burst();
    world.until_all_are_served().await;
    world.until("the queue rests", |_| controller.rests()).await;
    let crowd = world.cloud.neutron().crowd();
    assert!(crowd.most(Crowd::ALL) <= Limits::default().concurrency, "{crowd:?}");
    // A pool's requests are beside those of pods, which are joined.
    assert!(crowd.most("POST /ports") <= FOR_POOLS + Joining::default().in_flight, "{crowd:?}");
    let creates = world.cloud.neutron().counts().of("POST /ports");
    assert!(creates <= 120, "{creates} requests for {} ports", world.ports().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_does_it_where_one_request_in_ten_is_spoilt() {
    let world = World::of_ten().await;
    let proxy = Faulty::start(&world.cloud.neutron_url(), Plan { most: Some(100), ..Plan::evenly(10, 5) })
        .await
        .unwrap();
    let mut settings = world.cloud_settings();
    settings.endpoints.overrides.insert(Service::Network, proxy.url());
    let controller = world.controller_through(settings, |_| {}).await;
    world.burst();
    world.until_all_are_served().await;
    world.until("the queue rests", |_| controller.rests()).await;
    let crowd = world.cloud.neutron().crowd();
    assert!(crowd.most(Crowd::ALL) <= Limits::default().concurrency, "{crowd:?}");
    assert!(!proxy.done().is_empty(), "nothing was spoilt");
}
