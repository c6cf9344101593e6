//! Ports that are wired before pods need them, and after.

use std::{sync::Arc, time::Duration};

use kuryr_daemon::report::Report;
use kuryr_ovsdb::Switch;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixListener,
    task::{JoinHandle, JoinSet},
    time::sleep,
};

use crate::{
    api::{KURYR_NODES, PORTS},
    stage::{Pod, Stage, port_id, until, vif},
};

/// Begins to keep ports and to report, for as long as the test runs.
fn keep(stage: &Stage, ports: &[u16]) -> JoinSet<()> {
    ask(stage, ports);
    let report = Report::of_node(&stage.api.client(), "node1");
    let (keeper, node, own) = (report.keeper(), Arc::clone(&stage.door.node), Arc::clone(&stage.door.node));
    let mut working = JoinSet::new();
    working.spawn(async move { keeper.run(&node).await });
    working.spawn(async move { report.run(&own).await });
    working
}

fn ask(stage: &Stage, ports: &[u16]) {
    let addresses = ["10.0.0.5", "fd10::5"];
    let kept = json!({"mac": "fa:16:3e:00:00:05", "bridge": "br-int", "addresses": addresses});
    let ports: serde_json::Map<_, _> = ports.iter().map(|number| (port_id(*number), kept.clone())).collect();
    let node = json!({"metadata": {"name": "node1", "uid": "k"}, "spec": {"ports": ports}});
    stage.api.put(KURYR_NODES, node);
}

/// Whether there is a port of the only tap, and whether it waits for a pod.
fn vacancy(stage: &Stage) -> Option<bool> {
    let of_tap = |switch: &Switch| {
        switch.interfaces().find(|found| found.name.starts_with("tap")).map(kuryr_ovsdb::Interface::is_vacant)
    };
    stage.node().ovsdb.look(of_tap)
}

fn row(stage: &Stage) -> String {
    stage.node().ovsdb.look(|switch| {
        let name = switch.interfaces().find(|found| found.name.starts_with("tap")).unwrap().name.clone();
        switch.port(&name).unwrap().1.interfaces[0].to_string()
    })
}

fn warm(stage: &Stage) -> Value {
    stage.api.get(KURYR_NODES, "node1")["status"]["warm"].clone()
}

/// Waits until the kernel has taken apart what it was told to.
async fn no_tap(stage: &Stage) {
    let host = stage.host.netlink().await.unwrap();
    while host.links().await.unwrap().iter().any(|link| link.name.starts_with("tap")) {
        sleep(Duration::from_millis(10)).await;
    }
}

/// A pod that gets port 5.
fn pod(stage: &Stage, name: &str) -> Pod {
    let pod = stage.pod(name, &format!("uid-{name}"), &format!("sandbox-{name}"));
    stage.record(&pod, json!({"eth0": {"default": true, "vif": vif(5)}}));
    pod
}

#[tokio::test]
async fn one_port_serves_pod_after_pod_and_goes_when_nobody_asks_for_it() {
    let stage = Stage::new().await;
    let _working = keep(&stage, &[5]);
    until(|| vacancy(&stage) == Some(true)).await;
    until(|| warm(&stage) == json!(1)).await;
    let first_row = row(&stage);
    for name in ["first", "second"] {
        let pod = pod(&stage, name);
        let added = stage.add(&pod).await.unwrap();
        assert_eq!(stage.add(&pod).await.unwrap(), added, "it may be repeated");
        assert_eq!((vacancy(&stage), row(&stage)), (Some(false), first_row.clone()));
        stage.del(&pod).await.unwrap();
        assert_eq!((vacancy(&stage), row(&stage)), (Some(true), first_row.clone()));
        until(|| warm(&stage) == json!(1)).await;
        no_tap(&stage).await;
        stage.api.delete(PORTS, name);
    }
    ask(&stage, &[]);
    until(|| vacancy(&stage).is_none()).await;
    until(|| warm(&stage) == json!(0)).await;
}

#[tokio::test]
async fn how_many_ports_are_wired_is_told_though_nothing_else_is() {
    let stage = Stage::new().await;
    let _working = keep(&stage, &[5, 6]);
    until(|| warm(&stage) == json!(2)).await;
    let pod = pod(&stage, "pod");
    stage.add(&pod).await.unwrap();
    until(|| warm(&stage) == json!(1)).await;
    stage.del(&pod).await.unwrap();
    until(|| warm(&stage) == json!(2)).await;
}

#[tokio::test]
async fn a_port_waits_again_when_its_pod_could_not_be_connected_or_went_with_its_namespace() {
    let stage = Stage::new().await;
    let _working = keep(&stage, &[5]);
    until(|| vacancy(&stage) == Some(true)).await;
    let first_row = row(&stage);
    let pod = pod(&stage, "pod");
    stage.add(&pod).await.unwrap();
    drop::<Pod>(pod);
    stage.api.delete(PORTS, "pod");
    no_tap(&stage).await;
    assert_eq!(stage.node().sweep().await.unwrap(), 1);
    assert_eq!((vacancy(&stage), row(&stage)), (Some(true), first_row));
}

/// A bridge that takes frames. Tells the numbers of the ports that they are said to come from.
fn bridge(stage: &Stage) -> JoinHandle<Vec<u32>> {
    let listener = UnixListener::bind(stage.server.bridge_socket()).unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut ports = Vec::new();
        loop {
            let mut header = [0; 8];
            stream.read_exact(&mut header).await.unwrap();
            let mut body = vec![0; usize::from(u16::from_be_bytes([header[2], header[3]])) - header.len()];
            stream.read_exact(&mut body).await.unwrap();
            match header[1] {
                13 => ports.push(u32::from_be_bytes(body[4..8].try_into().unwrap())),
                20 => break,
                _ => {}
            }
        }
        stream.write_all(&[4, 21, 0, 8, 0, 0, 0, 0]).await.unwrap();
        ports
    })
}

#[tokio::test]
async fn neighbours_are_told_of_a_port_before_it_has_a_pod() {
    let stage = Stage::new().await;
    let bridge = bridge(&stage);
    let _working = keep(&stage, &[5]);
    assert_eq!(bridge.await.unwrap(), [7, 7], "one frame for each family");
    let told = |switch: &Switch| {
        switch.interfaces().any(|found| found.id("kuryr-neighbours-told").is_some()).then_some(())
    };
    stage.node().ovsdb.wait_for(told).await;
    let pod = pod(&stage, "pod");
    stage.add(&pod).await.unwrap();
    assert_eq!(sysctls(&pod).await, [ASKS_NOBODY, "0"]);
}

#[tokio::test]
async fn neighbours_are_told_by_the_first_pod_where_the_bridge_does_not() {
    let stage = Stage::new().await;
    let _working = keep(&stage, &[5]);
    until(|| vacancy(&stage) == Some(true)).await;
    // What is undone has told nobody, as far as anybody knows.
    let cut_short = pod(&stage, "pod");
    stage.add(&cut_short).await.unwrap();
    assert_eq!(sysctls(&cut_short).await, [ASKS_NOBODY, "1"]);
    drop::<Pod>(cut_short);
    no_tap(&stage).await;
    assert_eq!(stage.node().sweep().await.unwrap(), 1);
    for tells in ["1", "0", "0"] {
        let pod = pod(&stage, "pod");
        stage.add(&pod).await.unwrap();
        assert_eq!(sysctls(&pod).await, [ASKS_NOBODY, tells]);
        stage.del(&pod).await.unwrap();
        no_tap(&stage).await;
    }
}

/// Neither are routers listened to nor is anybody asked who has an address.
const ASKS_NOBODY: &str = "0 0";

/// What a pod's interface says and asks when it is set up, of routers and of who has its address, and whether it tells who it is.
async fn sysctls(pod: &Pod) -> [String; 2] {
    let read =
        |name: &str| std::fs::read_to_string(format!("/proc/sys/net/{name}")).unwrap().trim().to_owned();
    let all = move || {
        let [asks, detects] =
            ["accept_ra", "dad_transmits"].map(|name| read(&format!("ipv6/conf/eth0/{name}")));
        let told = ["ipv4/conf/eth0/arp_notify", "ipv6/conf/eth0/ndisc_notify"].map(read);
        assert_eq!(told[0], told[1]);
        [format!("{asks} {detects}"), told[0].clone()]
    };
    pod.namespace.enter(all).await.unwrap()
}

#[tokio::test]
async fn a_port_that_a_pod_has_is_left_to_it() {
    let stage = Stage::new().await;
    let pod = pod(&stage, "pod");
    stage.add(&pod).await.unwrap();
    let _working = keep(&stage, &[5]);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(vacancy(&stage), Some(false));
    stage.del(&pod).await.unwrap();
    assert_eq!(vacancy(&stage), None, "it was made for the pod");
    stage.api.delete(PORTS, "pod");
    until(|| vacancy(&stage) == Some(true)).await;
}
