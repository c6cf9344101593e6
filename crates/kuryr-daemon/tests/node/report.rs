//! What the controller is told of ports that are plugged no more.

use std::{sync::Arc, time::Duration};

use kuryr_daemon::report::Report;
use kuryr_net::Stack;
use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::sleep};

use crate::{
    api::{KURYR_NODES, PORTS},
    stage::{Pod, Stage, nested, port_id, until, vif},
};

/// Begins to report, for as long as the test runs.
fn report(stage: &Stage) -> JoinHandle<()> {
    stage.api.put(KURYR_NODES, json!({"metadata": {"name": "node1", "uid": "k"}, "spec": {}}));
    let (node, report) = (Arc::clone(&stage.door.node), Report::of_node(&stage.api.client(), "node1"));
    tokio::spawn(async move { report.run(&node).await })
}

fn unplugged(stage: &Stage) -> Value {
    stage.api.get(KURYR_NODES, "node1")["status"]["unplugged"].clone()
}

/// The pod's record is being deleted, as when the pod is.
async fn record_goes(stage: &Stage, pod: &Pod) {
    let mut record = stage.api.get(PORTS, &pod.name);
    record["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    stage.api.put(PORTS, record);
    until(|| stage.node().records.ports.all().iter().any(|record| record.deleting)).await;
}

async fn a_port_is_reported_when_it_is_unplugged(stage: Stage, vif: Value) {
    let pod = stage.pod("pod-5", "uid-5", "sandbox-5");
    stage.record(&pod, json!({"eth0": {"default": true, "vif": vif}}));
    stage.add(&pod).await.unwrap();
    let _reporting = report(&stage);
    record_goes(&stage, &pod).await;
    sleep(Duration::from_millis(1500)).await;
    assert_eq!(unplugged(&stage).get(port_id(5)), None, "it is plugged");
    stage.del(&pod).await.unwrap();
    until(|| unplugged(&stage) == json!({port_id(5): "uid-5"})).await;
    stage.api.delete(PORTS, &pod.name);
    until(|| unplugged(&stage) == json!({})).await;
}

#[tokio::test]
async fn of_open_vswitch() {
    a_port_is_reported_when_it_is_unplugged(Stage::new().await, vif(5)).await;
}

#[tokio::test]
async fn of_a_vm() {
    let stage = Stage::vm("nested-macvlan").await;
    a_port_is_reported_when_it_is_unplugged(stage, nested(5, Stack::Macvlan)).await;
}

#[tokio::test]
async fn of_a_vm_where_a_namespace_goes_without_anybody_being_called() {
    let stage = Stage::vm("nested-macvlan").await;
    let pod = stage.pod("pod-5", "uid-5", "sandbox-5");
    stage.record(&pod, json!({"eth0": {"default": true, "vif": nested(5, Stack::Macvlan)}}));
    stage.add(&pod).await.unwrap();
    let _reporting = report(&stage);
    record_goes(&stage, &pod).await;
    drop::<Pod>(pod);
    until(|| unplugged(&stage) == json!({port_id(5): "uid-5"})).await;
}
