//! Nodes that are virtual machines tell the scheduler how many pods fit.

use super::*;
use kuryr_api::names::PORTS_RESOURCE;
use kuryr_openstack::{Call, Service};

const ADDRESS: &str = "10.1.7.7";

impl World {
    /// What a Node says.
    fn capacity(&self, node: &str) -> Option<u64> {
        let status = self.kubernetes.get(&format!("/api/v1/nodes/{node}"))?["status"].clone();
        assert_eq!(status["capacity"][PORTS_RESOURCE], status["allocatable"][PORTS_RESOURCE]);
        status["capacity"][PORTS_RESOURCE].as_str().map(|amount| amount.parse().unwrap())
    }

    async fn until_fits(&self, node: &str, pods: impl Into<Option<u64>>) {
        let pods = pods.into();
        self.until(&format!("{node} says {pods:?}"), |world| world.capacity(node) == pods).await;
    }

    /// A pod that asks for a port.
    fn asking(&self, node: &str, name: &str) {
        let resources = json!({ "requests": { PORTS_RESOURCE: "1" }, "limits": { PORTS_RESOURCE: "1" } });
        let spec = json!({ "nodeName": node, "containers": [{ "name": "main", "resources": resources }] });
        let pod = json!({ "metadata": { "name": name }, "spec": spec, "status": { "phase": "Pending" } });
        self.kubernetes.create(PODS, pod);
    }

    async fn with_trunk(&self, name: &str, address: &str) {
        self.kubernetes.create(
            "/api/v1/nodes",
            json!({
                "metadata": { "name": name, "labels": { "pod_vif": "nested-vlan" } },
                "status": { "addresses": [{ "type": "InternalIP", "address": address }], "capacity": { "pods": "110" } },
            }),
        );
        let fixed = json!({ "subnet_id": self.id_of("k8s-pod-subnet"), "ip_address": address });
        let port = json!({ "port": { "network_id": self.id_of("k8s-pod-net"), "fixed_ips": [fixed] } });
        let made = async |path: &'static str, body: Value| {
            let call = Call::new(Service::Network, http::Method::POST, path, path.into());
            self.session().call(&call.json(&body).unwrap()).await.unwrap().json::<Value>().unwrap()
        };
        let port = made("/ports", port).await["port"]["id"].clone();
        made("/trunks", json!({ "trunk": { "port_id": port } })).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_says_how_many_pods_fit_and_a_pod_that_asked_changes_nothing() {
    let world = World::new().await;
    world.with_trunk("vm1", ADDRESS).await;
    let _controller = world.controller().await;
    world.until_fits("vm1", 4094).await;
    assert_eq!(world.capacity("node1"), None);
    let version = |world: &World| {
        world.kubernetes.get("/api/v1/nodes/vm1").unwrap()["metadata"]["resourceVersion"].clone()
    };
    let before = version(&world);
    world.asking("vm1", "asking");
    world.until("it is recorded", |world| world.record("asking").is_some()).await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(version(&world), before, "the scheduler has counted it");

    world.pod_on("vm1", "silent");
    world.until_fits("vm1", 4093).await;
    // Its containers have ended, so that the scheduler counts it no more.
    world.set_phase("asking", "Succeeded");
    world.until("its port is gone", |world| world.record("asking").is_none()).await;
    world.kubernetes.delete(&format!("{PODS}/silent"));
    world.until_fits("vm1", 4094).await;
    let other = &world.kubernetes.get("/api/v1/nodes/vm1").unwrap()["status"]["capacity"];
    assert_eq!(other["pods"], "110", "what others say stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_quota_leaves_is_all_that_fits() {
    let world = World::new().await;
    world.with_trunk("vm1", ADDRESS).await;
    // One is the machine's.
    world.cloud.neutron().set_quota(FakeCloud::PROJECT_ID, "port", 3);
    let _controller = world.controller().await;
    world.until_fits("vm1", 2).await;
    for name in ["a", "b"] {
        world.asking("vm1", name);
        world.until("it is recorded", |world| world.record(name).is_some()).await;
    }
    world.pod_on("vm1", "late");
    let told = |world: &World| world.events().iter().any(|reason| reason == "PortQuotaExceeded");
    world.until("the pod that does not fit is told", told).await;
    world.until_fits("vm1", 2).await;
    world.kubernetes.delete(&format!("{PODS}/late"));
    world.kubernetes.delete(&format!("{PODS}/a"));
    world.until("its port is gone", |world| world.record("a").is_none()).await;
    world.until_fits("vm1", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_no_machine_any_more_says_nothing_and_what_a_kubelet_forgets_is_said_again() {
    let world = World::new().await;
    world.with_trunk("vm1", ADDRESS).await;
    let _controller = world.controller().await;
    world.until_fits("vm1", 4094).await;
    let forgotten =
        json!({ "status": { "capacity": { PORTS_RESOURCE: "0" }, "allocatable": { PORTS_RESOURCE: "0" } } });
    world.kubernetes.patch("/api/v1/nodes/vm1", &forgotten);
    world.until_fits("vm1", 4094).await;
    let label = json!({ "metadata": { "labels": { "pod_vif": "neutron-vif" } } });
    world.kubernetes.patch("/api/v1/nodes/vm1", &label);
    world.until_fits("vm1", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_a_trunk_takes_no_pod() {
    let world = World::new().await;
    world.machine_called("vm1", "nested-vlan", ADDRESS);
    let _controller = world.controller().await;
    world.until_fits("vm1", 0).await;
}
