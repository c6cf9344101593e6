//! ADD.

use std::time::Duration;

use kuryr_cni::{Code, Command};
use kuryr_daemon::failure::Failure;
use kuryr_net::{LinkState, Route};
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::{
    api::PORTS,
    stage::{PATIENCE, Pod, Stage, mac, object, port_id, subnet, tap, vif, vif_in},
};

async fn is_plugged(stage: &Stage, pod: &Pod, number: u16) {
    let eth0 = pod.inside().await.link("eth0").await.unwrap().unwrap();
    assert_eq!((eth0.state, eth0.mtu, eth0.mac.unwrap().to_string()), (LinkState::Up, 1442, mac(number)));
    let near = stage.host().await.link(&tap(number)).await.unwrap().unwrap();
    assert_eq!((near.state, near.peer), (LinkState::Up, Some(eth0.index)));
    assert_eq!(stage.external_id(&tap(number), "kuryr-sandbox").as_deref(), Some(pod.sandbox.as_str()));
}

async fn nothing_is_left(stage: &Stage, pod: &Pod) {
    assert_eq!(stage.ports(), Vec::<String>::new());
    stage.links_go().await;
    assert!(pod.inside().await.link("eth0").await.unwrap().is_none());
}

#[tokio::test]
async fn a_pod_gets_its_link_addresses_routes_and_port() {
    let stage = Stage::new().await;
    let pod = stage.pod_with_port(5);
    let result = stage.add(&pod).await.unwrap();
    is_plugged(&stage, &pod, 5).await;
    let inside = pod.inside().await;
    let eth0 = inside.link("eth0").await.unwrap().unwrap().index;
    let addresses = inside.addresses(eth0).await.unwrap();
    assert!(
        ["10.1.0.5/16", "fd10:1::5/64"].iter().all(|address| addresses.contains(&address.parse().unwrap()))
    );
    let routes = inside.routes(eth0).await.unwrap();
    for (destination, gateway) in [("0.0.0.0/0", "10.1.255.254"), ("::/0", "fd10:1::ffff")] {
        let route =
            Route { destination: destination.parse().unwrap(), gateway: Some(gateway.parse().unwrap()) };
        assert!(routes.contains(&route), "{routes:?}");
    }
    for (key, value) in [
        ("iface-id", port_id(5)),
        ("iface-status", "active".into()),
        ("attached-mac", mac(5)),
        ("vm-uuid", "kuryr".into()),
        ("kuryr-pod", "default/pod-5".into()),
        ("kuryr-pod-uid", "uid-5".into()),
        ("kuryr-ifname", "eth0".into()),
    ] {
        assert_eq!(stage.external_id(&tap(5), key), Some(value), "{key}");
    }
    let near = stage.host().await.link(&tap(5)).await.unwrap().unwrap();
    assert_eq!(
        serde_json::to_value(&result).unwrap(),
        json!({
            "cniVersion": "1.1.0",
            "interfaces": [
                {"name": tap(5), "mac": near.mac.unwrap().to_string(), "mtu": 1442},
                {"name": "eth0", "mac": mac(5), "mtu": 1442, "sandbox": pod.netns()},
            ],
            "ips": [
                {"interface": 1, "address": "10.1.0.5/16", "gateway": "10.1.255.254"},
                {"interface": 1, "address": "fd10:1::5/64", "gateway": "fd10:1::ffff"},
            ],
            "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.255.254"}, {"dst": "::/0", "gw": "fd10:1::ffff"}],
            "dns": {"nameservers": ["8.8.8.8"]},
        })
    );
}

#[tokio::test]
async fn a_repeated_add_gives_the_same_result_and_changes_nothing() {
    let mut stage = Stage::new().await;
    let pod = stage.pod_with_port(5);
    let first = stage.add(&pod).await.unwrap();
    let before = stage.host().await.link(&tap(5)).await.unwrap();
    assert_eq!(stage.add(&pod).await.unwrap(), first);
    stage.restart().await;
    assert_eq!(stage.add(&pod).await.unwrap(), first);
    assert_eq!(stage.host().await.link(&tap(5)).await.unwrap(), before);
}

#[tokio::test]
async fn an_add_waits_for_the_record_of_its_own_pod() {
    let stage = Stage::new().await;
    let old = stage.pod_with_port(5);
    let pod = stage.pod(&old.name, "newer", "sandbox-newer");
    let adding = stage.add(&pod);
    let recording = async {
        sleep(Duration::from_millis(100)).await;
        stage.record(&pod, json!({}));
        sleep(Duration::from_millis(100)).await;
        assert_eq!(stage.ports(), Vec::<String>::new(), "the record of the earlier pod must not be used");
        stage.record(&pod, json!({"eth0": {"default": true, "vif": vif(6)}}));
    };
    let (added, ()) = tokio::join!(adding, recording);
    added.unwrap();
    is_plugged(&stage, &pod, 6).await;
}

#[tokio::test]
async fn without_a_record_the_runtime_is_told_to_try_again_and_why() {
    let stage = Stage::new().await;
    let pod = stage.pod("web-0", "u", "s");
    let failure = stage.add(&pod).await.unwrap_err();
    let error = failure.to_cni();
    assert!(
        error.code == 11 && error.msg.contains("default/web-0") && error.msg.contains("no KuryrPort"),
        "{error:?}"
    );
    stage.record(&pod, json!({"eth0": "nonsense"}));
    let error = stage.add(&pod).await.unwrap_err().to_cni();
    assert!(error.code == 100 && error.msg.contains("not readable"), "{error:?}");
}

#[tokio::test]
async fn a_vif_that_this_node_cannot_plug_is_refused_with_the_reason() {
    let stage = Stage::new().await;
    let pod = stage.pod("web-0", "u", "s");
    let mut sriov = vif(5);
    sriov["versioned_object.name"] = json!("VIFSriov");
    stage.record(&pod, json!({"eth0": {"default": true, "vif": sriov}}));
    let error = stage.add(&pod).await.unwrap_err().to_cni();
    assert!(error.code == 100 && error.msg.contains("physnet_resource_mappings"), "{error:?}");
}

#[tokio::test]
async fn everything_is_undone_when_the_backend_does_not_wire() {
    let stage = Stage::new().await;
    stage.stop_vswitchd();
    let pod = stage.pod_with_port(5);
    let failure = stage.add(&pod).await.unwrap_err();
    assert!(matches!(failure, Failure::NotWired { .. }), "{failure:?}");
    assert_eq!(failure.code(), Code::TryAgainLater);
    nothing_is_left(&stage, &pod).await;
}

#[tokio::test]
async fn everything_is_undone_when_the_bridge_is_missing() {
    let stage = Stage::new().await;
    let pod = stage.pod("web-0", "u", "s");
    let mut elsewhere = vif(5);
    elsewhere["versioned_object.data"]["bridge_name"] = json!("br-none");
    stage.record(&pod, json!({"eth0": {"default": true, "vif": elsewhere}}));
    let error = stage.add(&pod).await.unwrap_err().to_cni();
    assert!(error.msg.contains("br-none"), "{error:?}");
    nothing_is_left(&stage, &pod).await;
}

#[tokio::test]
async fn a_link_that_ovs_cannot_use_fails_at_once() {
    let stage = Stage::new().await;
    stage.stop_vswitchd();
    let pod = stage.pod_with_port(5);
    let failing = async {
        stage.node().ovsdb.wait_for(|switch| switch.interface(&tap(5)).map(drop)).await;
        stage.server.vsctl(&["set", "Interface", &tap(5), "error=\"could not open network device\""]);
    };
    let (added, ()) = timeout(PATIENCE / 2, async { tokio::join!(stage.add(&pod), failing) }).await.unwrap();
    let error = added.unwrap_err().to_cni();
    assert!(error.msg.contains("could not open network device"), "{error:?}");
    nothing_is_left(&stage, &pod).await;
}

#[tokio::test]
async fn without_ovn_the_records_word_counts() {
    let stage = Stage::with(&["set", "open", ".", "external_ids:x=y"]).await;
    let pod = stage.pod("web-0", "u", "s");
    let mut waiting = vif(5);
    waiting["versioned_object.data"]["active"] = json!(false);
    stage.record(&pod, json!({"eth0": {"default": true, "vif": waiting}}));
    let activating = async {
        sleep(Duration::from_millis(200)).await;
        assert_eq!(stage.ports(), [tap(5)]);
        stage.record(&pod, json!({"eth0": {"default": true, "vif": vif(5)}}));
    };
    let mut adding = Box::pin(stage.add(&pod));
    assert!(timeout(Duration::from_millis(100), &mut adding).await.is_err(), "it must wait");
    let (added, ()) = tokio::join!(adding, activating);
    added.unwrap();
    is_plugged(&stage, &pod, 5).await;
}

#[tokio::test]
async fn further_interfaces_are_plugged_without_a_default_route() {
    let stage = Stage::new().await;
    let pod = stage.pod("web-0", "u", "s");
    let second = vif_in(6, &json!([subnet("10.2.0.0/16", "10.2.0.6", Some("10.2.0.1"))]));
    stage.record(
        &pod,
        json!({"eth0": {"default": true, "vif": vif(5)}, "eth1": {"default": false, "vif": second}}),
    );
    let result = stage.add(&pod).await.unwrap();
    assert_eq!(
        result.interfaces.iter().map(|found| found.name.clone()).collect::<Vec<_>>(),
        [tap(5), "eth0".into(), tap(6), "eth1".into()]
    );
    assert_eq!(result.ips[2].interface, Some(3));
    assert_eq!(result.routes.iter().filter(|route| route.dst == "0.0.0.0/0").count(), 1);
    stage.del(&pod).await.unwrap();
    nothing_is_left(&stage, &pod).await;
}

#[tokio::test]
async fn a_subnet_without_a_gateway_is_no_hindrance() {
    let stage = Stage::new().await;
    let pod = stage.pod("web-0", "u", "s");
    let vif = vif_in(5, &json!([subnet("10.1.0.0/16", "10.1.0.5", None)]));
    stage.record(&pod, json!({"eth0": {"default": true, "vif": vif}}));
    let result = stage.add(&pod).await.unwrap();
    assert_eq!((result.ips[0].gateway, result.routes.len()), (None, 0));
}

#[tokio::test]
async fn a_hybrid_plug_has_its_bridge_and_goes_whole() {
    let stage = Stage::new().await;
    let pod = stage.pod("web-0", "u", "s");
    let mut data = vif(5)["versioned_object.data"].take();
    data["bridge_name"] = json!("qbr00000005-11");
    stage.record(&pod, json!({"eth0": {"default": true, "vif": object("VIFBridge", data)}}));
    stage.add(&pod).await.unwrap();
    let host = stage.host().await;
    let bridge = host.link("qbr00000005-11").await.unwrap().unwrap();
    for port in [tap(5), "qvb00000005-11".into()] {
        assert_eq!(host.link(&port).await.unwrap().unwrap().controller, Some(bridge.index), "{port}");
    }
    assert_eq!(stage.ports(), ["qvo00000005-11"]);
    assert_eq!(stage.external_id("qvo00000005-11", "vm-uuid").as_deref(), Some("u"));
    stage.del(&pod).await.unwrap();
    nothing_is_left(&stage, &pod).await;
}

#[tokio::test]
async fn twenty_pods_at_once_get_what_is_theirs() {
    let stage = Stage::new().await;
    let pods: Vec<(u16, Pod)> = (1..=20).map(|number| (number, stage.pod_with_port(number))).collect();
    let added = futures::future::join_all(pods.iter().map(|(_, pod)| stage.add(pod))).await;
    for ((number, pod), result) in pods.iter().zip(added) {
        assert_eq!(result.unwrap().ips[0].address, format!("10.1.0.{number}/16"));
        is_plugged(&stage, pod, *number).await;
    }
    let deleted = futures::future::join_all(pods.iter().map(|(_, pod)| stage.del(pod))).await;
    assert!(deleted.iter().all(Result::is_ok));
    nothing_is_left(&stage, &pods[0].1).await;
}

#[tokio::test]
async fn what_stands_in_the_way_and_is_not_ours_stays() {
    let stage = Stage::new().await;
    let pod = stage.pod_with_port(5);
    pod.inside().await.add_patch("eth0", "other", 1500).await.unwrap();
    let error = stage.add(&pod).await.unwrap_err().to_cni();
    assert!(error.code == 101 && error.msg.contains("File exists"), "{error:?}");
    assert!(pod.inside().await.link("eth0").await.unwrap().is_some());
    assert_eq!(stage.ports(), Vec::<String>::new());
}

#[tokio::test]
async fn a_namespace_that_is_gone_or_the_hosts_own_is_refused() {
    let stage = Stage::new().await;
    let pod = stage.pod_with_port(5);
    for path in ["/run/netns/no-such-thing-of-kuryr", "/proc/self/status"] {
        let mut request = pod.request(Command::Add);
        request.netns = Some(path.into());
        let failure = stage.door.call(request).await.unwrap_err();
        assert!(matches!(&failure, Failure::Namespace { path: named, .. } if named == path), "{failure:?}");
    }
}

#[tokio::test]
async fn an_add_without_ovsdb_is_to_be_tried_again() {
    let mut stage = Stage::new().await;
    let pod = stage.pod_with_port(5);
    stage.server.stop();
    stage.node().ovsdb.wait_for(|switch| (!switch.is_up()).then_some(())).await;
    let error = stage.add(&pod).await.unwrap_err().to_cni();
    assert!(error.code == 11 && error.msg.contains("OVSDB"), "{error:?}");
    stage.server.start();
    stage.node().ovsdb.wait_for(|switch| switch.is_up().then_some(())).await;
    stage.add(&pod).await.unwrap();
    is_plugged(&stage, &pod, 5).await;
}

#[tokio::test]
async fn a_pod_that_goes_while_its_add_waits_ends_it() {
    let stage = Stage::new().await;
    let pod = stage.pod("web-0", "u", "s");
    let going = async {
        sleep(Duration::from_millis(100)).await;
        stage.api.put("pods", json!({"metadata": {
            "name": "web-0", "namespace": "default", "uid": "u", "deletionTimestamp": "2026-01-01T00:00:00Z"}}));
    };
    let (added, ()) = timeout(PATIENCE / 2, async { tokio::join!(stage.add(&pod), going) }).await.unwrap();
    assert_eq!(added.unwrap_err().code(), Code::UnknownContainer);
}

#[tokio::test]
async fn an_add_survives_that_its_record_goes_afterwards() {
    let stage = Stage::new().await;
    let pod = stage.pod_with_port(5);
    stage.add(&pod).await.unwrap();
    stage.api.delete(PORTS, &pod.name);
    is_plugged(&stage, &pod, 5).await;
}
