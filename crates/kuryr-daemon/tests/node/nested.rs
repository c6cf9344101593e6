//! Nodes that are VMs, whose pods are on top of their own link. A kernel that lacks a kind of link passes its test by.

use std::time::Duration;

use kuryr_cni::{Code, Command};
use kuryr_daemon::failure::Failure;
use kuryr_net::{Link as NetLink, LinkState, NewStacked, Route, Stack};
use kuryr_ovsdb::{Link, Switch};
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::{
    api::{NODES, PODS, PORTS},
    cut::cut_and_next,
    stage::{LOWER, PATIENCE, Pod, Stage, mac, namespace, nested, port_id, until},
};

const VLAN: u16 = 101;
const STACKS: [Stack; 3] = [Stack::Vlan(VLAN), Stack::Macvlan, Stack::Ipvlan];

/// What a kernel answers that lacks a kind of link.
const UNKNOWN: Option<i32> = Some(nix::libc::EOPNOTSUPP);

/// A VM, unless the kernel cannot give its pods links of that kind.
async fn vm(stack: Stack) -> Option<Stage> {
    let stage = Stage::vm("nested-vlan").await;
    let (other, _file) = namespace();
    let made = stack_up(&stage, stack, &other, "try").await;
    if made.as_ref().is_err_and(|error| error.errno() == UNKNOWN) {
        return None;
    }
    made.unwrap();
    other.netlink().await.unwrap().delete_link("try").await.unwrap();
    Some(stage)
}

async fn stack_up(
    stage: &Stage,
    stack: Stack,
    namespace: &kuryr_net::NetNs,
    name: &str,
) -> Result<(), kuryr_net::NetError> {
    let host = stage.host().await;
    let lower = host.link(LOWER).await.unwrap().unwrap().index;
    let mac = mac(99).parse().unwrap();
    host.add_stacked(&NewStacked { name, stack, lower, namespace, mac, mtu: 1400 }).await
}

fn pod(stage: &Stage, number: u16, stack: Stack) -> Pod {
    let pod = stage.pod(&format!("pod-{number}"), &format!("uid-{number}"), &format!("sandbox-{number}"));
    stage.record(&pod, json!({"eth0": {"default": true, "vif": nested(number, stack)}}));
    pod
}

async fn eth0(pod: &Pod) -> Option<NetLink> {
    pod.inside().await.link("eth0").await.unwrap()
}

/// DEL does not wait until the kernel has taken a link apart.
async fn link_goes(pod: &Pod) {
    let gone = async {
        while eth0(pod).await.is_some() {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(Duration::from_secs(5), gone).await.expect("the link stays");
}

fn leaves_open_vswitch_alone(stage: &Stage) {
    assert_eq!(stage.node().ovsdb.look(|switch: &Switch| switch.link().clone()), Link::Connecting);
}

#[tokio::test]
async fn a_pod_gets_a_link_on_top_of_the_nodes_own() {
    for stack in STACKS {
        let Some(stage) = vm(stack).await else { continue };
        let pod = pod(&stage, 5, stack);
        let result = stage.add(&pod).await.unwrap();
        let link = eth0(&pod).await.unwrap();
        let lower = stage.host().await.link(LOWER).await.unwrap().unwrap();
        let expected = if stack == Stack::Ipvlan { lower.mac.unwrap().to_string() } else { mac(5) };
        assert_eq!(
            (link.state, link.mtu, link.mac.unwrap().to_string()),
            (LinkState::Up, 1442, expected.clone())
        );
        assert_eq!(link.stacked.map(|it| (it.stack, it.lower)), Some((stack, lower.index)));
        assert_eq!(link.alias.unwrap(), format!("kuryr port={} sandbox=sandbox-5 pod=uid-5", port_id(5)));
        let inside = pod.inside().await;
        let addresses = inside.addresses(link.index).await.unwrap();
        assert!(
            ["10.1.0.5/16", "fd10:1::5/64"]
                .iter()
                .all(|address| addresses.contains(&address.parse().unwrap()))
        );
        let default = Route {
            destination: "0.0.0.0/0".parse().unwrap(),
            gateway: Some("10.1.255.254".parse().unwrap()),
        };
        assert!(inside.routes(link.index).await.unwrap().contains(&default));
        assert_eq!(
            serde_json::to_value(&result).unwrap(),
            json!({
                "cniVersion": "1.1.0",
                "interfaces": [{"name": "eth0", "mac": expected, "mtu": 1442, "sandbox": pod.netns()}],
                "ips": [
                    {"interface": 0, "address": "10.1.0.5/16", "gateway": "10.1.255.254"},
                    {"interface": 0, "address": "fd10:1::5/64", "gateway": "fd10:1::ffff"},
                ],
                "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.255.254"}, {"dst": "::/0", "gw": "fd10:1::ffff"}],
                "dns": {"nameservers": ["8.8.8.8"]},
            })
        );
        leaves_open_vswitch_alone(&stage);
    }
}

#[tokio::test]
async fn a_repeated_add_gives_the_same_result_and_changes_nothing() {
    for stack in STACKS {
        let Some(mut stage) = vm(stack).await else { continue };
        let pod = pod(&stage, 5, stack);
        let first = stage.add(&pod).await.unwrap();
        let before = eth0(&pod).await;
        assert_eq!(stage.add(&pod).await.unwrap(), first);
        stage.restart().await;
        assert_eq!(stage.add(&pod).await.unwrap(), first);
        assert_eq!(eth0(&pod).await, before);
    }
}

#[tokio::test]
async fn the_node_may_have_a_link_of_the_same_name() {
    for stack in STACKS {
        let Some(stage) = vm(stack).await else { continue };
        stage.host().await.add_patch("eth0", "eth0-peer", 1500).await.unwrap();
        let pod = pod(&stage, 5, stack);
        stage.add(&pod).await.unwrap();
        assert_eq!(eth0(&pod).await.unwrap().stack(), Some(stack));
        assert_eq!(pod.inside().await.links().await.unwrap().len(), 2, "lo and eth0");
        assert!(stage.host().await.link("eth0").await.unwrap().is_some_and(|link| link.stacked.is_none()));
    }
}

#[tokio::test]
async fn a_pod_goes_and_needs_neither_record_nor_api_server() {
    for stack in STACKS {
        let Some(mut stage) = vm(stack).await else { continue };
        let pod = pod(&stage, 5, stack);
        stage.add(&pod).await.unwrap();
        stage.api.delete(PORTS, &pod.name);
        stage.api.delete(PODS, &pod.name);
        stage.restart().await;
        for _ in 0..2 {
            stage.del(&pod).await.unwrap();
            link_goes(&pod).await;
        }
        let mut request = pod.request(Command::Del);
        request.netns = Some("/run/netns/no-such-thing-of-kuryr".into());
        stage.door.call(request).await.unwrap();
        leaves_open_vswitch_alone(&stage);
    }
}

#[tokio::test]
async fn a_link_of_the_node_or_of_somebody_else_is_not_taken_away() {
    let stage = vm(Stack::Macvlan).await.unwrap();
    let pod = pod(&stage, 5, Stack::Macvlan);
    pod.inside().await.add_patch("eth0", "other", 1500).await.unwrap();
    stage.host().await.add_patch("eth0", "eth0-peer", 1500).await.unwrap();
    let error = stage.add(&pod).await.unwrap_err().to_cni();
    assert!(error.code == 101 && error.msg.contains("File exists"), "{error:?}");
    stage.del(&pod).await.unwrap();
    assert!(eth0(&pod).await.is_some_and(|link| link.kind.as_deref() == Some("veth")));
    assert_eq!(pod.inside().await.links().await.unwrap().len(), 3, "lo, eth0 and other");
    let mut request = pod.request(Command::Del);
    request.netns = Some(stage.host_path());
    stage.door.call(request).await.unwrap();
    assert!(stage.host().await.link("eth0").await.unwrap().is_some());
}

#[tokio::test]
async fn the_records_word_is_waited_for_and_without_it_all_is_undone() {
    let stage = vm(Stack::Macvlan).await.unwrap();
    let pod = stage.pod("web-0", "u", "s");
    let mut waiting = nested(5, Stack::Macvlan);
    waiting["versioned_object.data"]["active"] = json!(false);
    stage.record(&pod, json!({"eth0": {"default": true, "vif": waiting}}));
    let failure = stage.add(&pod).await.unwrap_err();
    assert!(matches!(failure, Failure::NotWired { .. }), "{failure:?}");
    assert!(eth0(&pod).await.is_none());
    let activating = async {
        sleep(Duration::from_millis(200)).await;
        assert!(eth0(&pod).await.is_some());
        stage.record(&pod, json!({"eth0": {"default": true, "vif": nested(5, Stack::Macvlan)}}));
    };
    let (added, ()) = tokio::join!(stage.add(&pod), activating);
    added.unwrap();
}

#[tokio::test]
async fn a_link_with_too_small_an_mtu_is_named() {
    let stage = vm(Stack::Macvlan).await.unwrap();
    let host = stage.host().await;
    host.set_mtu(host.link(LOWER).await.unwrap().unwrap().index, 1400).await.unwrap();
    let pod = pod(&stage, 5, Stack::Macvlan);
    let error = stage.add(&pod).await.unwrap_err().to_cni();
    for part in ["eth0", "1442", "vec0", "1400", "network_device_mtu"] {
        assert!(error.msg.contains(part), "{error:?}");
    }
    assert!(eth0(&pod).await.is_none());
}

#[tokio::test]
async fn without_a_link_for_pods_everybody_hears_what_to_set() {
    let stage = vm(Stack::Macvlan).await.unwrap();
    let pod = pod(&stage, 5, Stack::Macvlan);
    stage.door.call(pod.request(Command::Status)).await.unwrap();
    stage.host().await.delete_link(LOWER).await.unwrap();
    for command in [Command::Add, Command::Status] {
        let error = stage.door.call(pod.request(command)).await.unwrap_err().to_cni();
        assert!(error.msg.contains("InternalIP 10.2.0.7") && error.msg.contains("link_iface"), "{error:?}");
        assert_eq!(error.code, if command == Command::Status { 50 } else { 101 });
    }
}

#[tokio::test]
async fn a_port_for_open_vswitch_is_refused_where_there_is_none() {
    let stage = Stage::vm("nested-vlan").await;
    let pod = stage.pod_with_port(5);
    let failure = stage.add(&pod).await.unwrap_err();
    assert_eq!(failure.code(), Code::BadRecord);
    let text = failure.to_string();
    assert!(text.contains("default/pod-5") && text.contains("label pod_vif is nested-vlan"), "{text}");
    leaves_open_vswitch_alone(&stage);
}

#[tokio::test]
async fn a_nodes_kind_may_change() {
    let stage = vm(Stack::Macvlan).await.unwrap();
    let node = json!({"metadata": {"name": "node1", "labels": {"pod_vif": "neutron-vif"}}});
    stage.api.put(NODES, node);
    let connected = stage.node().ovsdb.wait_for(|switch| switch.is_up().then_some(()));
    timeout(PATIENCE, connected).await.expect("now there is an Open vSwitch to talk to");
}

#[tokio::test]
async fn what_is_as_it_was_passes_and_what_differs_is_said() {
    let stage = vm(Stack::Macvlan).await.unwrap();
    let pod = pod(&stage, 5, Stack::Macvlan);
    let result = stage.add(&pod).await.unwrap();
    let mut request = pod.request(Command::Check);
    request.config["prevResult"] = serde_json::to_value(result).unwrap();
    stage.door.call(request.clone()).await.unwrap();
    pod.inside().await.delete_link("eth0").await.unwrap();
    match stage.door.call(request).await.unwrap_err() {
        Failure::Differs(differences) => {
            assert!(
                differences.contains(&"there is no link eth0 in the sandbox".to_owned()),
                "{differences:?}"
            );
        }
        other => panic!("{other:?}"),
    }
    leaves_open_vswitch_alone(&stage);
}

#[tokio::test]
async fn gc_removes_what_the_runtime_does_not_list() {
    let stage = vm(Stack::Macvlan).await.unwrap();
    let (kept, gone) = (pod(&stage, 5, Stack::Macvlan), pod(&stage, 6, Stack::Macvlan));
    stage.add(&kept).await.unwrap();
    stage.add(&gone).await.unwrap();
    let (other, _file) = namespace();
    stack_up(&stage, Stack::Macvlan, &other, "not-ours").await.unwrap();
    let mut request = kept.request(Command::Gc);
    request.config["cni.dev/valid-attachments"] = json!([{"containerID": kept.sandbox, "ifname": "eth0"}]);
    stage.door.call(request).await.unwrap();
    assert!(eth0(&kept).await.is_some() && eth0(&gone).await.is_none());
    assert!(other.netlink().await.unwrap().link("not-ours").await.unwrap().is_some());
    leaves_open_vswitch_alone(&stage);
}

#[tokio::test]
async fn links_of_pods_that_are_gone_are_swept() {
    let stage = vm(Stack::Macvlan).await.unwrap();
    let pods = [5, 6, 7].map(|number| pod(&stage, number, Stack::Macvlan));
    for pod in &pods {
        stage.add(pod).await.unwrap();
    }
    assert_eq!(stage.node().sweep().await.unwrap(), 0);
    // Somebody has forced the record of a pod that runs, and a pod has gone with its record.
    stage.api.delete(PORTS, &pods[1].name);
    stage.api.delete(PORTS, &pods[2].name);
    stage.api.delete(PODS, &pods[2].name);
    let gone = async {
        while stage.node().sweep().await.unwrap() == 0 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, gone).await.unwrap();
    assert!(
        eth0(&pods[0]).await.is_some() && eth0(&pods[1]).await.is_some() && eth0(&pods[2]).await.is_none()
    );
}

#[tokio::test]
async fn an_add_that_is_cut_short_anywhere_keeps_no_later_sandbox_from_its_link() {
    for stack in STACKS {
        let Some(mut stage) = vm(stack).await else { continue };
        let first = pod(&stage, 5, stack);
        for steps in 0.. {
            let (cut, next, ended) = cut_and_next(&mut stage, &first, steps).await;
            for pod in [&cut, &next] {
                stage.del(pod).await.unwrap();
                link_goes(pod).await;
            }
            if ended {
                assert!(steps > 5, "ADD has many steps, not {steps}");
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_newer_sandbox_takes_over_from_one_that_nobody_took_away() {
    for stack in STACKS {
        let Some(stage) = vm(stack).await else { continue };
        let first = pod(&stage, 5, stack);
        stage.add(&first).await.unwrap();
        let newer = first.again("sandbox-newer");
        stage.add(&newer).await.unwrap();
        assert!(eth0(&first).await.is_none() && eth0(&newer).await.is_some(), "{stack}");
        stage.del(&first).await.unwrap();
        assert!(eth0(&newer).await.is_some(), "{stack}: a late DEL");
    }
}

#[tokio::test]
async fn twenty_pods_at_once_get_what_is_theirs() {
    for stack in STACKS {
        let Some(stage) = vm(stack).await else { continue };
        let stack_of =
            |number: u16| if stack == Stack::Vlan(VLAN) { Stack::Vlan(VLAN + number) } else { stack };
        let pods: Vec<_> = (1..=20).map(|number| (number, pod(&stage, number, stack_of(number)))).collect();
        let added = futures::future::join_all(pods.iter().map(|(_, pod)| stage.add(pod))).await;
        for ((number, pod), result) in pods.iter().zip(added) {
            assert_eq!(result.unwrap().ips[0].address, format!("10.1.0.{number}/16"));
            assert_eq!(eth0(pod).await.unwrap().stack(), Some(stack_of(*number)));
        }
        let deleted = futures::future::join_all(pods.iter().map(|(_, pod)| stage.del(pod))).await;
        assert!(deleted.iter().all(Result::is_ok));
        for (_, pod) in &pods {
            link_goes(pod).await;
        }
    }
}

#[tokio::test]
async fn the_link_of_a_dead_sandbox_makes_room_for_the_next_pod_with_its_vlan_id() {
    let stack = Stack::Vlan(VLAN);
    let Some(stage) = vm(stack).await else { return };
    let first = pod(&stage, 5, stack);
    stage.add(&first).await.unwrap();
    stage.api.delete(PORTS, &first.name);
    stage.api.delete(PODS, &first.name);
    until(|| stage.node().records.ports.is_empty()).await;
    let next = pod(&stage, 6, stack);
    stage.add(&next).await.unwrap();
    assert!(eth0(&first).await.is_none() && eth0(&next).await.is_some());
}

#[tokio::test]
async fn a_vlan_id_that_somebody_needs_is_not_taken() {
    let stack = Stack::Vlan(VLAN);
    let Some(stage) = vm(stack).await else { return };
    let (first, second) = (pod(&stage, 5, stack), pod(&stage, 6, stack));
    stage.add(&first).await.unwrap();
    let error = stage.add(&second).await.unwrap_err().to_cni();
    assert!(
        error.code == 11 && error.msg.contains("default/pod-5") && error.msg.contains("VLAN 101"),
        "{error:?}"
    );
    assert!(eth0(&first).await.is_some());
    stage.del(&first).await.unwrap();
    link_goes(&first).await;
    let host = stage.host.clone();
    stack_up(&stage, stack, &host, "vec0.101").await.unwrap();
    let error = stage.add(&second).await.unwrap_err().to_cni();
    assert!(error.code == 11 && error.msg.contains("vec0.101"), "{error:?}");
}
