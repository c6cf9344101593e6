//! Nodes whose pods have virtual functions of network cards.

use super::*;
use kuryr_config::Config;
use std::collections::BTreeMap;

const RESOURCE: &str = "intel.com/sriov_net";

impl World {
    /// A cluster with a node `nic1` for virtual functions.
    async fn with_functions() -> Self {
        let mut world = Self::new().await;
        let mut config = Config::default();
        let pair = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
        config.sriov.default_physnet_subnets = pair("physnet1", &world.id_of("k8s-pod-subnet"));
        config.sriov.physnet_resource_mappings = pair("physnet1", "sriov_net");
        world.functions = Functions::new(&config);
        let metadata = json!({ "name": "nic1", "labels": { "pod_vif": "sriov" } });
        world.kubernetes.create("/api/v1/nodes", json!({ "metadata": metadata }));
        world
    }

    /// A pod that requests so many virtual functions.
    fn pod_with(&self, name: &str, count: &str) -> Value {
        let container = json!({ "name": "app", "resources": { "requests": { RESOURCE: count } } });
        let spec = json!({ "nodeName": "nic1", "containers": [container] });
        let pod = json!({ "metadata": { "name": name }, "spec": spec, "status": { "phase": "Pending" } });
        self.kubernetes.create(PODS, pod)
    }

    fn messages(&self, reason: &str) -> Vec<String> {
        let mut events = self.kubernetes.all("events");
        events.retain(|event| event["reason"] == reason);
        events.iter().map(|event| event["note"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_asks_for_a_virtual_function_gets_a_direct_port() {
    let world = World::with_functions().await;
    world.cloud.neutron().add_functions("nic1");
    let _controller = world.controller().await;
    let pod = world.pod_with("web", "1");
    world.until("the pod is recorded", |world| world.record("web").is_some()).await;

    let record = world.record("web").unwrap();
    let vif = &record["status"]["vifs"]["eth0"]["vif"];
    let data = &vif["versioned_object.data"];
    assert_eq!(vif["versioned_object.name"], "VIFSriov");
    let network = &data["network"]["versioned_object.data"];
    assert_eq!(
        (&data["physnet"], &data["pod_name"], &data["active"], &network["vlan"]),
        (&json!("physnet1"), &json!("web"), &json!(true), &json!(101))
    );
    let port = &world.ports()[0];
    for (field, expected) in [
        ("binding:vnic_type", "direct"),
        ("device_owner", "compute:kuryr:sriov"),
        ("binding:host_id", "nic1"),
        ("device_id", pod["metadata"]["uid"].as_str().unwrap()),
    ] {
        assert_eq!(port[field], expected, "{field}");
    }
    world.kubernetes.delete(&format!("{PODS}/web"));
    world.until("nothing is left", |world| world.ports().is_empty() && world.record("web").is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_asks_for_none_is_told_what_to_write_and_the_others_go_on() {
    let world = World::with_functions().await;
    world.cloud.neutron().add_functions("nic1");
    let controller = world.controller().await;
    world.pod_on("nic1", "forgetful");
    world.pod_with("none", "0");
    world.pod_with("web", "1");
    world.pod_on("node1", "other");
    let is_told = |world: &World| world.messages("PodWithoutVirtualFunction").len() == 2;
    world.until("both are told", is_told).await;
    world.until("the others are recorded", |world| world.ports().len() == 2 && controller.rests()).await;
    let message = world.messages("PodWithoutVirtualFunction").remove(0);
    assert!(message.contains("`intel.com/sriov_net: \"1\"` into resources.requests"), "{message}");
    let other = world.record("other").unwrap();
    assert_eq!(other["status"]["vifs"]["eth0"]["vif"]["versioned_object.name"], "VIFOpenVSwitch");
    assert!(world.record("forgetful").is_none() && world.record("none").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_the_agent_is_told_of_and_tried_again() {
    let world = World::with_functions().await;
    let _controller = world.controller().await;
    world.pod_with("web", "1");
    world.until("it is told", |world| !world.messages("PortBindingFailed").is_empty()).await;
    assert!(world.messages("PortBindingFailed")[0].contains("sriovnicswitch"));
    assert!(world.record("web").is_none());
    world.cloud.neutron().add_functions("nic1");
    world.until("it is recorded", |world| world.record("web").is_some()).await;
    assert_eq!(world.ports().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn sriov_may_be_the_driver_of_all_nodes() {
    let mut world = World::with_functions().await;
    world.driver = Driver::Sriov;
    world.cloud.neutron().add_functions("nic1");
    let _controller = world.controller().await;
    let node = json!({ "metadata": { "name": "plain", "labels": { "pod_vif": "neutron-vif" } } });
    world.kubernetes.create("/api/v1/nodes", node);
    world.cloud.neutron().add_host("plain");
    world.pod_with("web", "1");
    world.pod_on("plain", "other");
    world.pod_on("node1", "forgetful");
    world.until("two are recorded", |world| world.ports().len() == 2).await;
    world.until("one is told", |world| !world.messages("PodWithoutVirtualFunction").is_empty()).await;
}

#[test]
fn a_pool_for_virtual_functions_is_none() {
    let mut config = Config::default();
    config.vif_pool.vif_pool_mapping =
        [("sriov", "neutron"), ("neutron-vif", "neutron")].map(|(k, v)| (k.into(), v.into())).into();
    let pools = crate::settings::pool_defaults(&config).unwrap();
    assert_eq!(pools.drivers, [Driver::NeutronVif]);
}
