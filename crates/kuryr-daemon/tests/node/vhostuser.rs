//! vhost-user: ports of a real OVSDB, and sockets that the test makes where Open vSwitch or a pod would.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, symlink},
        net::{UnixListener, UnixStream},
    },
    path::PathBuf,
    time::Duration,
};

use kuryr_cni::{Command, Request};
use kuryr_daemon::failure::Failure;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    api::{PODS, PORTS},
    cut::cut_and_next,
    stage::{BRIDGE, Pod, Stage, added_without_link, in_user_space, mac, port_id, until},
};

const NAME: &str = "vhu00000005-11";

/// What is in the pods' folder.
fn files(stage: &Stage) -> Vec<String> {
    let Ok(found) = fs::read_dir(stage.root.path().join("vhostuser")) else { return Vec::new() };
    let mut names: Vec<_> = found.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn pods_end(stage: &Stage) -> PathBuf {
    stage.root.path().join("vhostuser").join(NAME)
}

fn switchs_end(stage: &Stage) -> PathBuf {
    fs::create_dir_all(stage.root.path().join("switch")).unwrap();
    stage.root.path().join("switch").join(NAME)
}

fn vif(stage: &Stage, mode: &str) -> Value {
    in_user_space(5, "VIFVHostUser", &json!({"vif_name": NAME, "path": pods_end(stage), "mode": mode}))
}

fn pod(stage: &Stage, mode: &str) -> Pod {
    let pod = stage.pod("pod-5", "uid-5", "sandbox-5");
    stage.record(&pod, json!({"eth0": {"default": true, "vif": vif(stage, mode)}}));
    pod
}

fn get(stage: &Stage, columns: &[&str]) -> String {
    stage.server.vsctl(&[&["get", "Interface", NAME], columns].concat())
}

async fn goes_without_a_trace(stage: &Stage, pod: &Pod) {
    for _ in 0..2 {
        stage.del(pod).await.unwrap();
        assert_eq!((stage.ports(), files(stage)), (vec![], vec![]));
    }
}

#[tokio::test]
async fn a_pod_that_listens_is_told_where_and_open_vswitch_calls_it() {
    let mut stage = Stage::new().await;
    let pod = pod(&stage, "server");
    let result = stage.add(&pod).await.unwrap();
    let path = pods_end(&stage);
    assert_eq!(
        get(&stage, &["type", "mtu_request", "options"]),
        format!("dpdkvhostuserclient\n1442\n{{vhost-server-path={:?}}}", path.display().to_string())
    );
    assert_eq!(stage.external_id(NAME, "iface-id").unwrap(), port_id(5));
    let told = stage.root.path().join("vhostuser/sandbox-5-eth0");
    let content: Value = serde_json::from_str(&fs::read_to_string(&told).unwrap()).unwrap();
    assert_eq!(content, json!({"vhostname": NAME, "vhostmac": mac(5), "mode": "server"}));
    assert_eq!(fs::metadata(&told).unwrap().permissions().mode() & 0o777, 0o644);
    assert_eq!(serde_json::to_value(&result).unwrap(), added_without_link(&pod, "socketPath", &json!(path)));
    assert_eq!(pod.inside().await.links().await.unwrap().len(), 1, "lo");
    let _pods = UnixListener::bind(&path).unwrap();
    for _ in 0..2 {
        assert_eq!(stage.add(&pod).await.unwrap(), result);
        assert_eq!(files(&stage), ["sandbox-5-eth0", NAME]);
        stage.restart().await;
    }
    goes_without_a_trace(&stage, &pod).await;
}

#[tokio::test]
async fn a_pod_that_calls_gets_the_socket_that_open_vswitch_listens_at() {
    let mut stage = Stage::new().await;
    let pod = pod(&stage, "client");
    let path = switchs_end(&stage);
    let ovsdb = stage.node().ovsdb.clone();
    // The port is open before its socket is there.
    let making = tokio::spawn(async move {
        ovsdb.wait_for(|switch| switch.interface(NAME)?.ofport).await;
        sleep(Duration::from_millis(100)).await;
        UnixListener::bind(path).unwrap()
    });
    let result = stage.add(&pod).await.unwrap();
    let listening = making.await.unwrap();
    assert_eq!(get(&stage, &["type", "mtu_request", "options"]), "dpdkvhostuser\n1442\n{}");
    UnixStream::connect(pods_end(&stage)).unwrap();
    listening.accept().unwrap();
    assert!(!switchs_end(&stage).exists());
    assert_eq!(files(&stage), ["sandbox-5-eth0", NAME]);
    stage.restart().await;
    assert_eq!(stage.add(&pod).await.unwrap(), result);
    UnixStream::connect(pods_end(&stage)).unwrap();
    goes_without_a_trace(&stage, &pod).await;
}

#[tokio::test]
async fn a_socket_on_another_mount_is_not_copied_and_the_reason_said() {
    let stage = Stage::new().await;
    let elsewhere = tempfile::tempdir_in("/dev/shm").unwrap();
    let device = |path: &std::path::Path| fs::metadata(path).unwrap().dev();
    assert_ne!(device(elsewhere.path()), device(stage.root.path()), "the test needs two mounts");
    symlink(elsewhere.path(), stage.root.path().join("switch")).unwrap();
    let _listening = UnixListener::bind(switchs_end(&stage)).unwrap();
    let error = stage.add(&pod(&stage, "client")).await.unwrap_err().to_cni();
    assert!(error.msg.contains("mount_point, which is not on the same mount"), "{error:?}");
    assert_eq!((stage.ports(), files(&stage)), (vec![], vec![]));
}

#[tokio::test]
async fn a_socket_that_never_comes_is_said_and_everything_undone() {
    let stage = Stage::new().await;
    let error = stage.add(&pod(&stage, "client")).await.unwrap_err().to_cni();
    assert!(error.code == 11 && error.msg.contains("ovs_vhu_path"), "{error:?}");
    assert_eq!((stage.ports(), files(&stage)), (vec![], vec![]));
}

#[tokio::test]
async fn a_missing_bridge_is_made_in_user_space() {
    let stage = Stage::new().await;
    let pod = stage.pod("pod-5", "uid-5", "sandbox-5");
    let mut vif = vif(&stage, "server");
    vif["versioned_object.data"]["network"]["versioned_object.data"]["bridge"] = json!("br-dpdk");
    stage.record(&pod, json!({"eth0": {"default": true, "vif": vif}}));
    stage.add(&pod).await.unwrap();
    assert_eq!(stage.server.vsctl(&["get", "Bridge", "br-dpdk", "datapath_type"]), "netdev");
    assert_eq!(stage.server.vsctl(&["get", "Bridge", BRIDGE, "datapath_type"]), "\"\"");
    assert_eq!(stage.server.vsctl(&["port-to-br", NAME]), "br-dpdk");
}

#[tokio::test]
async fn a_newer_sandbox_takes_over_and_a_late_del_takes_nothing_from_it() {
    let stage = Stage::new().await;
    let first = pod(&stage, "server");
    stage.add(&first).await.unwrap();
    let _pods = UnixListener::bind(pods_end(&stage)).unwrap();
    let newer = first.again("sandbox-newer");
    stage.add(&newer).await.unwrap();
    assert_eq!(files(&stage), ["sandbox-newer-eth0"], "a program that has not begun yet has no socket");
    stage.del(&first).await.unwrap();
    assert_eq!((stage.ports(), files(&stage)), (vec![NAME.to_owned()], vec!["sandbox-newer-eth0".into()]));
    goes_without_a_trace(&stage, &newer).await;
}

#[tokio::test]
async fn what_lies_in_the_way_is_replaced_and_never_followed() {
    let stage = Stage::new().await;
    let precious = stage.root.path().join("precious");
    fs::write(&precious, "kept").unwrap();
    fs::create_dir(stage.root.path().join("vhostuser")).unwrap();
    for name in ["sandbox-5-eth0", ".sandbox-5-eth0.new", NAME] {
        symlink(&precious, stage.root.path().join("vhostuser").join(name)).unwrap();
    }
    let pod = pod(&stage, "server");
    stage.add(&pod).await.unwrap();
    symlink(&precious, pods_end(&stage)).unwrap();
    goes_without_a_trace(&stage, &pod).await;
    assert_eq!(fs::read_to_string(&precious).unwrap(), "kept");
}

fn check(pod: &Pod, result: &Value) -> Request {
    let mut request = pod.request(Command::Check);
    request.config["prevResult"] = result.clone();
    request
}

#[tokio::test]
async fn check_misses_a_socket_or_a_file_and_no_link() {
    let stage = Stage::new().await;
    let pod = pod(&stage, "client");
    let _listening = UnixListener::bind(switchs_end(&stage)).unwrap();
    let result = stage.add(&pod).await.unwrap();
    for version in [kuryr_cni::Version::V1_0_0, kuryr_cni::Version::V1_1_0] {
        let request = check(&pod, &serde_json::to_value(result.clone().in_version(version)).unwrap());
        stage.door.call(request).await.unwrap();
    }
    let request = check(&pod, &serde_json::to_value(&result).unwrap());
    for (missing, named) in
        [(pods_end(&stage), NAME), (stage.root.path().join("vhostuser/sandbox-5-eth0"), "sandbox-5-eth0")]
    {
        fs::remove_file(missing).unwrap();
        let error = stage.door.call(request.clone()).await.unwrap_err();
        assert!(
            matches!(&error, Failure::Differs(all) if all.len() == 1 && all[0].contains(named)),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_sandbox_that_the_runtime_does_not_know_any_more_is_collected() {
    let stage = Stage::new().await;
    let pod = pod(&stage, "server");
    stage.add(&pod).await.unwrap();
    let mut request = pod.request(Command::Gc);
    request.config["cni.dev/valid-attachments"] = json!([{"containerID": "sandbox-5", "ifname": "eth0"}]);
    stage.door.call(request.clone()).await.unwrap();
    assert_eq!(files(&stage), ["sandbox-5-eth0"]);
    request.config["cni.dev/valid-attachments"] = json!([]);
    stage.door.call(request).await.unwrap();
    assert_eq!((stage.ports(), files(&stage)), (vec![], vec![]));
}

#[tokio::test]
async fn a_port_is_swept_when_its_pod_and_its_record_are_gone_and_a_socket_is_renewed_until_then() {
    let stage = Stage::new().await;
    let pod = pod(&stage, "client");
    let before = UnixListener::bind(switchs_end(&stage)).unwrap();
    stage.add(&pod).await.unwrap();
    drop(before);
    // Open vSwitch is started again.
    let _renewed = UnixListener::bind(switchs_end(&stage)).unwrap();
    stage.api.delete(PORTS, &pod.name);
    until(|| stage.node().records.ports.is_empty()).await;
    assert_eq!(stage.node().sweep().await.unwrap(), 0, "the pod is there");
    UnixStream::connect(pods_end(&stage)).unwrap();
    stage.api.delete(PODS, &pod.name);
    until(|| stage.node().records.pods.is_empty()).await;
    assert_eq!(stage.node().sweep().await.unwrap(), 1);
    assert_eq!((stage.ports(), files(&stage)), (vec![], vec![]));
}

#[tokio::test]
async fn what_the_python_kuryr_plugged_goes() {
    let stage = Stage::new().await;
    let pod = pod(&stage, "server");
    stage.add(&pod).await.unwrap();
    stage.server.vsctl(&["remove", "Interface", NAME, "external_ids", "kuryr-sandbox"]);
    let is_old =
        |switch: &kuryr_ovsdb::Switch| switch.interface(NAME)?.id("kuryr-sandbox").is_none().then_some(());
    stage.node().ovsdb.wait_for(is_old).await;
    goes_without_a_trace(&stage, &pod).await;
}

#[tokio::test]
async fn an_add_that_is_cut_short_anywhere_leaves_nothing_that_a_del_does_not_take() {
    let mut stage = Stage::new().await;
    let first = pod(&stage, "server");
    for steps in 0.. {
        let (cut, next, ended) = cut_and_next(&mut stage, &first, steps).await;
        stage.del(&cut).await.unwrap();
        assert_eq!(files(&stage), [format!("next-{steps}-eth0")]);
        goes_without_a_trace(&stage, &next).await;
        if ended {
            assert!(steps > 3, "ADD has some steps, not {steps}");
            break;
        }
    }
}
