//! DEL, GC, and what was left behind.

use std::time::Duration;

use kuryr_cni::{Code, Command};
use kuryr_daemon::failure::Failure;
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::{
    api::{PODS, PORTS},
    stage::{PATIENCE, Pod, Stage, mac, port_id, tap},
};

async fn nothing_is_left(stage: &Stage) {
    assert_eq!(stage.ports(), Vec::<String>::new());
    stage.links_go().await;
}

#[tokio::test]
async fn a_pod_goes_and_may_go_again() {
    let stage = Stage::new().await;
    let pod = stage.pod_with_port(5);
    stage.add(&pod).await.unwrap();
    for _ in 0..2 {
        stage.del(&pod).await.unwrap();
        nothing_is_left(&stage).await;
        assert!(pod.inside().await.link("eth0").await.unwrap().is_none());
    }
}

#[tokio::test]
async fn neither_record_nor_pod_is_needed_to_go() {
    let mut stage = Stage::new().await;
    let pod = stage.pod_with_port(5);
    stage.add(&pod).await.unwrap();
    stage.api.delete(PORTS, &pod.name);
    stage.api.delete(PODS, &pod.name);
    stage.restart().await;
    stage.del(&pod).await.unwrap();
    nothing_is_left(&stage).await;
}

#[tokio::test]
async fn without_a_namespace_the_hosts_links_are_not_touched() {
    let stage = Stage::new().await;
    stage.host().await.add_patch("eth0", "eth0-peer", 1500).await.unwrap();
    let pod = stage.pod_with_port(5);
    stage.add(&pod).await.unwrap();
    // The third is the namespace that the daemon of the stage takes for the host's.
    let host = stage.host_path();
    for netns in [None, Some("/run/netns/no-such-thing-of-kuryr".to_owned()), Some(host)] {
        let mut request = pod.request(Command::Del);
        request.netns = netns;
        stage.door.call(request).await.unwrap();
        assert_eq!(stage.ports(), Vec::<String>::new());
        assert!(stage.host().await.link("eth0").await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_sandbox_goes_without_its_pod_being_named() {
    let stage = Stage::new().await;
    let pod = stage.pod_with_port(5);
    stage.add(&pod).await.unwrap();
    let mut request = pod.request(Command::Del);
    request.args = String::new();
    stage.door.call(request).await.unwrap();
    nothing_is_left(&stage).await;
}

#[tokio::test]
async fn a_late_del_of_an_older_sandbox_does_no_harm_to_the_newer() {
    let stage = Stage::new().await;
    let older = stage.pod_with_port(5);
    stage.add(&older).await.unwrap();
    let newer = older.again("sandbox-newer");
    stage.add(&newer).await.unwrap();
    let before = newer.inside().await.link("eth0").await.unwrap();
    assert!(before.is_some());
    stage.del(&older).await.unwrap();
    assert_eq!(stage.ports(), [tap(5)]);
    assert_eq!(newer.inside().await.link("eth0").await.unwrap(), before);
    stage.del(&newer).await.unwrap();
    nothing_is_left(&stage).await;
}

#[tokio::test]
async fn a_del_does_not_wait_for_an_add_that_waits() {
    let stage = Stage::new().await;
    let pod = stage.pod("web-0", "u", "s");
    let deleting = async {
        sleep(Duration::from_millis(100)).await;
        stage.del(&pod).await
    };
    let (added, deleted) =
        timeout(PATIENCE / 2, async { tokio::join!(stage.add(&pod), deleting) }).await.unwrap();
    assert!(matches!(added, Err(Failure::Superseded(_))), "{added:?}");
    deleted.unwrap();
}

#[tokio::test]
async fn a_del_while_the_backend_wires_undoes_the_add() {
    let stage = Stage::new().await;
    stage.stop_vswitchd();
    let pod = stage.pod_with_port(5);
    let deleting = async {
        stage.node().ovsdb.wait_for(|switch| switch.interface(&tap(5)).map(drop)).await;
        stage.del(&pod).await
    };
    let (added, deleted) = tokio::join!(stage.add(&pod), deleting);
    assert!(matches!(added, Err(Failure::Superseded(_))), "{added:?}");
    deleted.unwrap();
    nothing_is_left(&stage).await;
}

#[tokio::test]
async fn a_link_whose_port_was_never_made_goes() {
    let stage = Stage::new().await;
    let pod = stage.pod_with_port(5);
    stage.add(&pod).await.unwrap();
    stage.server.vsctl(&["del-port", &tap(5)]);
    stage.node().ovsdb.wait_for(|switch| switch.interface(&tap(5)).is_none().then_some(())).await;
    stage.del(&pod).await.unwrap();
    nothing_is_left(&stage).await;
}

#[tokio::test]
async fn a_pod_that_the_python_kuryr_plugged_goes_as_well() {
    let stage = Stage::new().await;
    let pod = stage.pod_with_port(5);
    stage.add(&pod).await.unwrap();
    for key in ["kuryr-sandbox", "kuryr-netns", "kuryr-ifname", "kuryr-pod", "kuryr-pod-uid"] {
        stage.server.vsctl(&["remove", "Interface", &tap(5), "external_ids", key]);
    }
    stage
        .node()
        .ovsdb
        .wait_for(|switch| switch.interface(&tap(5))?.id("kuryr-pod-uid").is_none().then_some(()))
        .await;
    let other = stage.pod_with_port(6);
    stage.del(&other).await.unwrap();
    assert_eq!(stage.ports(), [tap(5)], "another pod's DEL must leave it alone");
    stage.del(&pod).await.unwrap();
    nothing_is_left(&stage).await;
}

#[tokio::test]
async fn a_del_without_ovsdb_is_to_be_tried_again() {
    let mut stage = Stage::new().await;
    let pod = stage.pod_with_port(5);
    stage.add(&pod).await.unwrap();
    stage.server.stop();
    stage.node().ovsdb.wait_for(|switch| (!switch.is_up()).then_some(())).await;
    assert_eq!(stage.del(&pod).await.unwrap_err().code(), Code::TryAgainLater);
    stage.server.start();
    stage.node().ovsdb.wait_for(|switch| switch.is_up().then_some(())).await;
    stage.del(&pod).await.unwrap();
    nothing_is_left(&stage).await;
}

#[tokio::test]
async fn gc_removes_what_the_runtime_does_not_list() {
    let stage = Stage::new().await;
    let (kept, gone) = (stage.pod_with_port(5), stage.pod_with_port(6));
    stage.add(&kept).await.unwrap();
    stage.add(&gone).await.unwrap();
    stage.server.vsctl(&[
        "add-port",
        "br-int",
        "not-ours",
        "--",
        "set",
        "Interface",
        "not-ours",
        "external_ids:iface-id=x",
    ]);
    let mut request = kept.request(Command::Gc);
    request.config["cni.dev/valid-attachments"] = json!([{"containerID": kept.sandbox, "ifname": "eth0"}]);
    stage.door.call(request).await.unwrap();
    assert_eq!(stage.ports(), ["not-ours".to_owned(), tap(5)]);
    assert!(kept.inside().await.link("eth0").await.unwrap().is_some());
    assert_eq!(stage.host_links().await, [tap(5)]);
}

/// The kernel takes a namespace apart some time after its last user has gone.
async fn link_goes(stage: &Stage, name: &str) {
    let gone = async {
        while stage.host().await.link(name).await.unwrap().is_some() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(10), gone).await.unwrap();
}

#[tokio::test]
async fn ports_of_sandboxes_that_went_unnoticed_are_swept() {
    let mut stage = Stage::new().await;
    let (stays, goes) = (stage.pod_with_port(5), stage.pod_with_port(6));
    stage.add(&stays).await.unwrap();
    stage.add(&goes).await.unwrap();
    stage.server.vsctl(&[
        "add-port",
        "br-int",
        "not-ours",
        "--",
        "set",
        "Interface",
        "not-ours",
        "external_ids:iface-id=x",
    ]);
    drop::<Pod>(goes);
    link_goes(&stage, &tap(6)).await;
    stage.restart().await;
    assert_eq!(stage.node().sweep().await.unwrap(), 1);
    assert_eq!(stage.ports(), ["not-ours".to_owned(), tap(5)]);
    assert_eq!(stage.node().sweep().await.unwrap(), 0);
}

#[tokio::test]
async fn ports_of_the_python_kuryr_without_a_link_are_swept() {
    let stage = Stage::new().await;
    let ids = [
        format!("external_ids:iface-id={}", port_id(7)),
        format!("external_ids:attached-mac=\"{}\"", mac(7)),
    ];
    stage.server.vsctl(&[
        "add-port",
        "br-int",
        &tap(7),
        "--",
        "set",
        "Interface",
        &tap(7),
        &ids[0],
        &ids[1],
        "external_ids:vm-uuid=kuryr",
    ]);
    stage.node().ovsdb.wait_for(|switch| switch.interface(&tap(7)).map(drop)).await;
    assert_eq!(stage.node().sweep().await.unwrap(), 1);
    assert_eq!(stage.ports(), Vec::<String>::new());
}

#[tokio::test]
async fn nothing_is_swept_from_a_namespace_that_is_not_the_switchs() {
    let stage = Stage::new().await;
    let pod = stage.pod_with_port(5);
    stage.add(&pod).await.unwrap();
    stage.host().await.delete_link("br-int").await.unwrap();
    stage.host().await.delete_link(&tap(5)).await.unwrap();
    assert_eq!(stage.node().sweep().await.unwrap(), 0);
    assert_eq!(stage.ports(), [tap(5)]);
}
