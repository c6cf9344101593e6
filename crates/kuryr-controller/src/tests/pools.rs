//! Ports that are kept ready: pods take them without a request to Neutron, and none is doubled, lost or kept from a pod.

use super::*;
use crate::metrics::Gauge;
use jiff::Timestamp;
use kuryr_core::pool::Sizing;
use kuryr_openstack::Kind as Fault;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

pub(super) const NODES: &str = "/apis/openstack.org/v1/kuryrnodes";
pub(super) const BATCH: usize = 4;
/// Ports that are ready for a node without pods.
pub(super) const READY: usize = 4;

impl World {
    /// One whose controllers keep a few ports ready on each of its two nodes.
    pub(super) async fn with_pools() -> Self {
        let sizing = Sizing {
            min: 2,
            max: None,
            batch: NonZeroUsize::new(BATCH).unwrap(),
            free_percent: 50,
            idle: Duration::from_mins(10),
        };
        Self {
            pools: Some(PoolDefaults {
                drivers: Driver::ALL.into(),
                sizing,
                period: Duration::from_secs(1),
                lost_after: Some(Duration::from_hours(1)),
            }),
            ..Self::new().await
        }
    }

    /// Ports that no pod has, of a node.
    pub(super) fn warm(&self, node: &str) -> BTreeSet<String> {
        let taken = self.recorded();
        let ports = self.ports();
        let of_node = ports.iter().filter(|port| {
            port["binding:host_id"] == node && port["device_id"].as_str().unwrap().starts_with("kuryr-pool:")
        });
        of_node.map(|port| port["id"].as_str().unwrap().to_owned()).filter(|id| !taken.contains(id)).collect()
    }

    /// Ports that records name.
    pub(super) fn recorded(&self) -> BTreeSet<String> {
        let records = self.kubernetes.all("kuryrports");
        records.iter().map(|record| port_of(record).to_owned()).collect()
    }

    pub(super) async fn until_ready(&self) {
        let is_ready = |world: &Self| ["node1", "node2"].iter().all(|node| world.warm(node).len() == READY);
        self.until("both nodes have ports ready", is_ready).await;
    }

    /// The daemon of a node is there, and says that these ports are unplugged.
    pub(super) fn daemon_says(&self, node: &str, unplugged: &Value) {
        let status = json!({ "status": { "daemon": "1.0.0", "unplugged": unplugged } });
        self.kubernetes.patch(&format!("{NODES}/{node}"), &status);
    }

    /// A daemon comes to a node, and the controller hears of it.
    pub(super) async fn start_daemon(&self, node: &str, controller: &Controller) {
        let (place, key) = (format!("{NODES}/{node}"), kuryr_k8s::Key::new("", node));
        self.until("the node has a KuryrNode", |world| world.kubernetes.get(&place).is_some()).await;
        self.daemon_says(node, &json!({}));
        let records = controller.context.caches.node_records.as_ref().unwrap();
        let is_heard = |_: &Self| records.get(&key).is_some_and(|record| record.status.daemon.is_some());
        self.until("the controller hears of the daemon", is_heard).await;
    }

    /// The kubelet of a node, or the control plane in its stead, says whether it is ready, and since when.
    pub(super) fn node_says(&self, node: &str, ready: &str, since: Timestamp) {
        let condition = |kind, status| json!({ "type": kind, "status": status, "lastTransitionTime": since });
        let change = json!({ "status": { "conditions": [condition("DiskPressure", "False"), condition("Ready", ready)] } });
        self.kubernetes.patch(&format!("/api/v1/nodes/{node}"), &change);
    }

    pub(super) async fn until_going(&self, pod: &str) {
        let is_going = |world: &Self| {
            world.record(pod).is_some_and(|record| !record["metadata"]["deletionTimestamp"].is_null())
        };
        self.until("the record is being deleted", is_going).await;
    }
}

/// Requests about ports.
fn of_ports(counts: &BTreeMap<String, u64>) -> u64 {
    counts.iter().filter(|(route, _)| route.contains("/ports")).map(|(_, count)| count).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_takes_a_port_that_is_ready_and_nobody_asks_neutron() {
    let world = World::with_pools().await;
    let controller = world.controller().await;
    world.until_ready().await;
    world.until("the queue rests", |_| controller.rests()).await;
    let (counts, warm) = (world.cloud.neutron().counts(), world.warm("node1"));
    counts.reset();
    world.pod("web");
    world.until("the pod is recorded", |world| world.record("web").is_some()).await;
    world.until("the queue rests", |_| controller.rests()).await;
    assert!(warm.contains(port_of(&world.record("web").unwrap())));
    assert_eq!(of_ports(&counts.all()), 0, "{:?}", counts.all());
    assert_eq!(world.warm("node1").len(), READY - 1);

    world.kubernetes.delete(&format!("{PODS}/web"));
    world.until("the record is gone", |world| world.record("web").is_none()).await;
    world.until_ready().await;
    assert_eq!(world.ports().len(), 2 * READY);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_gets_what_is_ready_and_more_and_the_pool_grows_with_it() {
    let world = World::with_pools().await;
    let controller = world.controller().await;
    world.until_ready().await;
    let pods = 13;
    for n in 0..pods {
        world.pod(&format!("web-{n}"));
    }
    world.until("all are recorded", |world| world.kubernetes.all("kuryrports").len() == pods).await;
    let target = world.pools.as_ref().unwrap().sizing.target(pods);
    world.until("the pool has grown", |world| world.warm("node1").len() >= target).await;
    world.until("the queue rests", |_| controller.rests()).await;
    assert_eq!(world.recorded().len(), pods, "two pods share a port");
    assert_eq!(world.ports().len(), pods + world.warm("node1").len() + world.warm("node2").len());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_controller_finds_every_port_where_it_was() {
    let world = World::with_pools().await;
    let first = world.controller().await;
    world.until_ready().await;
    world.pod("web");
    world.until("the pod is recorded", |world| world.record("web").is_some()).await;
    world.until("the queue rests", |_| first.rests()).await;
    drop(first);
    let (ports, record) = (world.ports(), world.record("web").unwrap());
    world.cloud.neutron().counts().reset();

    let next = world.controller().await;
    world.pod("other");
    world.until("the new pod is recorded", |world| world.record("other").is_some()).await;
    world.until("the queue rests", |_| next.rests()).await;
    assert_eq!(world.record("web").unwrap(), record);
    assert_ne!(port_of(&world.record("other").unwrap()), port_of(&record));
    assert_eq!(world.ports(), ports);
    assert_eq!(world.cloud.neutron().counts().of("POST /ports"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_never_starves_a_pod() {
    let world = World::with_pools().await;
    world.cloud.neutron().set_quota(FakeCloud::PROJECT_ID, "port", 6);
    let controller = world.controller().await;
    world.until("the quota is used up", |world| world.ports().len() == 6).await;
    for n in 0..6 {
        world.pod_on("node2", &format!("web-{n}"));
    }
    world.until("all are recorded", |world| world.kubernetes.all("kuryrports").len() == 6).await;
    assert_eq!(world.recorded().len(), 6, "two pods share a port");
    drop(controller);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_leaves_the_last_addresses_of_a_subnet_to_pods() {
    let world = World::with_pools().await;
    world.cloud.neutron().set_room("k8s-pod-subnet", 6);
    let controller = world.controller().await;
    world.until("the subnet is used up", |world| world.ports().len() == 6).await;
    for n in 0..6 {
        world.pod_on("node2", &format!("web-{n}"));
    }
    world.until("all are recorded", |world| world.kubernetes.all("kuryrports").len() == 6).await;
    assert_eq!(world.recorded().len(), 6, "two pods share a port");

    // One that there is no address for waits, is told of it, and gets the first that comes free: no pool takes it.
    world.pod("late");
    let is_told = |world: &World| world.events().iter().any(|reason| reason == "NoFreeAddress");
    world.until("it is told", is_told).await;
    world.kubernetes.delete(&format!("{PODS}/web-0"));
    world.until("it is recorded", |world| world.record("late").is_some()).await;
    assert_eq!(world.ports().len(), 6);
    drop(controller);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_ports_are_kept_ready_any_more_those_that_no_pod_has_go() {
    let mut world = World::with_pools().await;
    let first = world.controller().await;
    world.until_ready().await;
    world.pod("web");
    world.until("the pod is recorded", |world| world.record("web").is_some()).await;
    drop(first);
    world.pools = None;
    let _next = world.controller().await;
    world.until("only the pod's is left", |world| world.ports().len() == 1).await;
    world.until("no KuryrNode is left", |world| world.kubernetes.all("kuryrnodes").is_empty()).await;
    assert_eq!(world.ports()[0]["id"], port_of(&world.record("web").unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_to_have_no_pool_any_more_gives_its_ports_back() {
    let mut world = World::with_pools().await;
    world.pools.as_mut().unwrap().drivers = vec![Driver::NeutronVif];
    let _controller = world.controller().await;
    world.until_ready().await;
    let all = |world: &World| world.kubernetes.all("kuryrnodes").len();
    world.until("both nodes have KuryrNodes", |world| all(world) == 2).await;
    let other = json!({ "metadata": { "labels": { "pod_vif": "nested-vlan" } } });
    world.kubernetes.patch("/api/v1/nodes/node2", &other);
    world.until("its ports are gone", |world| world.warm("node2").is_empty()).await;
    world.until("its KuryrNode is gone", |world| all(world) == 1).await;
    assert!(world.kubernetes.get(&format!("{NODES}/node1")).is_some());
    assert_eq!(world.warm("node1").len(), READY);
}

#[test]
fn a_shortage_is_told_once_until_it_is_over() {
    let sizing =
        Sizing { min: 0, max: None, batch: NonZeroUsize::MIN, free_percent: 50, idle: Duration::ZERO };
    let defaults = PoolDefaults { drivers: Vec::new(), sizing, period: Duration::ZERO, lost_after: None };
    let pools = pooling::Pools::new(defaults, Gauge::default());
    assert!(!pools.note_shortage(Fault::Conflict));
    assert!(pools.note_shortage(Fault::OverQuota) && !pools.note_shortage(Fault::NoFreeAddress));
    pools.note_plenty();
    assert!(pools.note_shortage(Fault::OverQuota));
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_of_a_node_that_is_gone_go() {
    let world = World::with_pools().await;
    let _controller = world.controller().await;
    world.until_ready().await;
    world.kubernetes.delete("/api/v1/nodes/node2");
    world.until("its ports are gone", |world| world.warm("node2").is_empty()).await;
    assert_eq!(world.warm("node1").len(), READY);
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_of_a_node_that_was_not_ready_for_long_go_and_come_back_with_it() {
    let world = World::with_pools().await;
    let _controller = world.controller().await;
    world.until_ready().await;
    let long_ago: Timestamp = "2020-01-01T00:00:00Z".parse().unwrap();
    let before = [world.warm("node1"), world.warm("node2")];
    world.node_says("node1", "Unknown", Timestamp::now());
    world.node_says("node2", "Unknown", long_ago);
    world.until("its ports are gone", |world| world.warm("node2").is_empty()).await;
    world.node_says("node2", "True", Timestamp::now());
    world.until_ready().await;
    assert_eq!(world.warm("node1"), before[0]);
    assert!(world.warm("node2").is_disjoint(&before[1]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_fits_no_more_is_replaced() {
    let world = World::with_pools().await;
    let first = world.controller().await;
    world.until_ready().await;
    drop(first);
    let old = world.warm("node1");
    let context = world.context().await;
    for id in &old {
        let update =
            kuryr_openstack::neutron::PortUpdate { security_groups: Some(vec![]), ..Default::default() };
        context.neutron.update_port(&id.as_str().into(), &update).await.unwrap();
    }
    let _next = world.controller().await;
    world
        .until("all are new", |world| {
            world.warm("node1").len() == READY && world.warm("node1").is_disjoint(&old)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_goes_back_to_its_pool_when_its_daemon_has_unplugged_it() {
    let world = World::with_pools().await;
    let controller = world.controller().await;
    world.until_ready().await;
    world.start_daemon("node1", &controller).await;
    let pod = world.pod("web");
    world.until("the pod is recorded", |world| world.record("web").is_some()).await;
    let port = port_of(&world.record("web").unwrap()).to_owned();
    let counts = world.cloud.neutron().counts();
    counts.reset();

    world.kubernetes.delete(&format!("{PODS}/web"));
    world.until_going("web").await;
    // What is said of an earlier pod does not count.
    world.daemon_says("node1", &json!({ &port: "another" }));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(world.record("web").is_some() && !world.warm("node1").contains(&port));

    world.daemon_says("node1", &json!({ &port: pod["metadata"]["uid"] }));
    world.until("the record is gone", |world| world.record("web").is_none()).await;
    world.until("the queue rests", |_| controller.rests()).await;
    assert!(world.warm("node1").contains(&port) && world.warm("node1").len() == READY);
    assert_eq!(of_ports(&counts.all()), 0, "{:?}", counts.all());
    let mut shown = world.kubernetes.get(&format!("{NODES}/node1")).unwrap()["spec"].clone();
    let kept = shown["ports"].take();
    assert!(kept.as_object().unwrap().keys().eq(&world.warm("node1")), "{kept}");
    assert_eq!(shown, json!({ "pods": 0, "free": READY, "target": READY, "ports": null }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_nobody_says_is_unplugged_is_deleted() {
    let world = World::with_pools().await;
    let _controller = world.controller().await;
    world.until_ready().await;
    world.pod("web");
    world.until("the pod is recorded", |world| world.record("web").is_some()).await;
    let port = port_of(&world.record("web").unwrap()).to_owned();
    // No daemon is on the node: the plugin works without.
    world.kubernetes.delete(&format!("{PODS}/web"));
    world.until("the record is gone", |world| world.record("web").is_none()).await;
    let is_there = |world: &World| world.ports().iter().any(|found| found["id"] == port.as_str());
    assert!(!is_there(&world));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_controller_waits_for_the_daemon_as_well() {
    let world = World::with_pools().await;
    let first = world.controller().await;
    world.until_ready().await;
    world.start_daemon("node1", &first).await;
    let pod = world.pod("web");
    world.until("the pod is recorded", |world| world.record("web").is_some()).await;
    let port = port_of(&world.record("web").unwrap()).to_owned();
    world.kubernetes.delete(&format!("{PODS}/web"));
    world.until_going("web").await;
    drop(first);
    let next = world.controller().await;
    world.until("the queue rests", |_| next.rests()).await;
    assert!(world.record("web").is_some() && !world.warm("node1").contains(&port));
    world.daemon_says("node1", &json!({ &port: pod["metadata"]["uid"] }));
    world.until("the record is gone", |world| world.record("web").is_none()).await;
    assert!(world.warm("node1").contains(&port));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_ports_carry_names_one_has_its_pods_while_the_pod_has_it() {
    let world = World { naming: Naming::Pod, ..World::with_pools().await };
    let controller = world.controller().await;
    world.until_ready().await;
    world.start_daemon("node1", &controller).await;
    let pod = world.pod("web");
    world.until("the pod is recorded", |world| world.record("web").is_some()).await;
    let id = port_of(&world.record("web").unwrap()).to_owned();
    let port = || world.ports().into_iter().find(|port| port["id"] == id.as_str()).unwrap();
    assert_eq!((&port()["name"], &port()["device_id"]), (&json!("default/web"), &pod["metadata"]["uid"]));

    world.kubernetes.delete(&format!("{PODS}/web"));
    world.daemon_says("node1", &json!({ &id: pod["metadata"]["uid"] }));
    world.until("the record is gone", |world| world.record("web").is_none()).await;
    assert!(world.warm("node1").contains(&id) && port()["name"] == "");
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_that_run_without_a_port_make_no_pool_grow() {
    let world = World::with_pools().await;
    for n in 0..9 {
        world.pod(&format!("strange-{n}"));
        world.set_phase(&format!("strange-{n}"), "Running");
    }
    let controller = world.controller().await;
    world.until_ready().await;
    world.until("the queue rests", |_| controller.rests()).await;
    assert_eq!(world.ports().len(), 2 * READY);
}
