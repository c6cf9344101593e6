//! CHECK and STATUS.

use kuryr_cni::{Code, Command, Request};
use kuryr_daemon::failure::Failure;

use crate::stage::{Pod, Stage, tap};

async fn added(stage: &Stage) -> (Pod, Request) {
    let pod = stage.pod_with_port(5);
    let result = stage.add(&pod).await.unwrap();
    let mut request = pod.request(Command::Check);
    request.config["prevResult"] = serde_json::to_value(result).unwrap();
    (pod, request)
}

async fn differences(stage: &Stage, request: &Request) -> Vec<String> {
    match stage.door.call(request.clone()).await.unwrap_err() {
        Failure::Differs(differences) => differences,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_as_it_was_passes() {
    let mut stage = Stage::new().await;
    let (_pod, request) = added(&stage).await;
    stage.door.call(request.clone()).await.unwrap();
    stage.restart().await;
    stage.door.call(request).await.unwrap();
}

#[tokio::test]
async fn what_differs_is_said() {
    let stage = Stage::new().await;
    let (pod, request) = added(&stage).await;
    let eth0 = pod.inside().await.link("eth0").await.unwrap().unwrap();
    pod.inside().await.set_mtu(eth0.index, 1400).await.unwrap();
    assert_eq!(differences(&stage, &request).await, ["eth0 in the sandbox has MTU 1400 instead of 1442"]);
    stage.server.vsctl(&["del-port", &tap(5)]);
    stage.node().ovsdb.wait_for(|switch| switch.interface(&tap(5)).is_none().then_some(())).await;
    assert_eq!(differences(&stage, &request).await[0], "Open vSwitch has no port for this sandbox");
    pod.inside().await.delete_link("eth0").await.unwrap();
    let found = differences(&stage, &request).await;
    for expected in [
        "there is no link eth0 in the sandbox".to_owned(),
        format!("there is no link {} on the host", tap(5)),
        "the route to 0.0.0.0/0 is gone".to_owned(),
        "the route to ::/0 is gone".to_owned(),
    ] {
        assert!(found.contains(&expected), "{found:?}");
    }
}

#[tokio::test]
async fn a_pod_that_the_python_kuryr_plugged_passes() {
    let stage = Stage::new().await;
    let (_pod, request) = added(&stage).await;
    stage.server.vsctl(&["remove", "Interface", &tap(5), "external_ids", "kuryr-sandbox"]);
    stage
        .node()
        .ovsdb
        .wait_for(|switch| switch.interface(&tap(5))?.id("kuryr-sandbox").is_none().then_some(()))
        .await;
    stage.door.call(request).await.unwrap();
}

#[tokio::test]
async fn lost_addresses_are_said() {
    let stage = Stage::new().await;
    let (pod, mut request) = added(&stage).await;
    request.config["prevResult"]["ips"][0]["address"] = "10.1.0.77/16".into();
    assert_eq!(differences(&stage, &request).await, ["eth0 has lost its address 10.1.0.77/16"]);
    request.netns = Some("/run/netns/no-such-thing-of-kuryr".into());
    assert!(
        differences(&stage, &request)
            .await
            .contains(&"the network namespace /run/netns/no-such-thing-of-kuryr is gone".to_owned())
    );
    drop(pod);
}

#[tokio::test]
async fn a_check_needs_the_result_of_add() {
    let stage = Stage::new().await;
    let pod = stage.pod_with_port(5);
    let failure = stage.door.call(pod.request(Command::Check)).await.unwrap_err();
    assert_eq!(failure.to_cni().code, Code::InvalidConfig.number());
}

#[tokio::test]
async fn status_tells_what_keeps_pods_from_being_connected() {
    let mut stage = Stage::new().await;
    let pod = stage.pod_with_port(5);
    let status = || pod.request(Command::Status);
    stage.door.call(status()).await.unwrap();
    stage.server.vsctl(&["del-br", "br-int"]);
    stage.node().ovsdb.wait_for(|switch| switch.bridge("br-int").is_none().then_some(())).await;
    let error = stage.door.call(status()).await.unwrap_err().to_cni();
    assert!(error.code == 51 && error.msg.contains("there is no bridge br-int"), "{error:?}");
    stage.server.stop();
    stage.node().ovsdb.wait_for(|switch| (!switch.is_up()).then_some(())).await;
    let error = stage.door.call(status()).await.unwrap_err().to_cni();
    assert!(error.code == 51 && error.msg.contains("OVSDB is out of reach"), "{error:?}");
    stage.server.start();
    stage.server.vsctl(&["add-br", "br-int"]);
    stage.node().ovsdb.wait_for(|switch| switch.bridge("br-int").filter(|_| switch.is_up()).map(drop)).await;
    stage.door.call(status()).await.unwrap();
}
