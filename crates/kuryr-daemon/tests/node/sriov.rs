//! Nodes whose pods have virtual functions.

use kuryr_cni::{Code, Command};
use kuryr_daemon::{failure::Failure, sriov::SriovSettings};
use kuryr_net::{Link, LinkChange, LinkState, Netlink};
use kuryr_ovsdb::{Link as SwitchLink, Switch};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    api::{PODS, PORTS},
    cut::{IN_FLIGHT, cut_and_next},
    nic::{CARD, MTU, Nic, RESOURCE, device, link_of},
    stage::{Pod, Stage, mac, vif},
};

const IN_USER_SPACE: &str = "vfio-pci";

async fn stage(count: u32, how: impl FnOnce(&mut SriovSettings)) -> (Stage, Nic) {
    let nic = Nic::new(count).await;
    let mut settings = nic.settings();
    how(&mut settings);
    let stage = Stage::with_functions(settings).await;
    nic.plug_into(&stage.host().await).await;
    (stage, nic)
}

fn in_user_space(settings: &mut SriovSettings) {
    settings.drivers.insert(RESOURCE.to_owned(), IN_USER_SPACE.to_owned());
}

fn function(number: u16) -> Value {
    let mut vif = vif(number);
    vif["versioned_object.name"] = json!("VIFSriov");
    vif["versioned_object.data"]["plugin"] = json!("noop");
    vif["versioned_object.data"]["physnet"] = json!("physnet1");
    vif
}

/// A pod with a record and one virtual function.
fn pod(stage: &Stage, nic: &Nic, number: u16, has: &[u32]) -> Pod {
    let pod = stage.pod(&format!("pod-{number}"), &format!("uid-{number}"), &format!("sandbox-{number}"));
    stage.record(&pod, json!({"eth0": {"default": true, "vif": function(number)}}));
    nic.give(&pod.name, has);
    pod
}

async fn eth0(pod: &Pod) -> Option<Link> {
    pod.inside().await.link("eth0").await.unwrap()
}

/// What a link is, but for its number.
fn looks(link: &Link) -> (String, Option<String>, u32, LinkState) {
    (link.name.clone(), link.mac.map(|mac| mac.to_string()), link.mtu, link.state)
}

async fn is_home(stage: &Stage, nic: &Nic, number: u32, before: &Link) {
    let after = stage.host().await.link(&link_of(number)).await.unwrap().expect("it is on the host again");
    assert_eq!((after.mac, after.mtu, after.state), (before.mac, before.mtu, LinkState::Down));
    assert_eq!(stage.host().await.addresses(after.index).await.unwrap(), []);
    assert_eq!(nic.held(), Vec::<String>::new());
}

async fn before(stage: &Stage, number: u32) -> Link {
    stage.host().await.link(&link_of(number)).await.unwrap().unwrap()
}

/// Lets a link go elsewhere as the kernel does it, with its MAC address.
async fn send(from: &Netlink, link: &Link, to: &kuryr_net::NetNs, name: &str) {
    let change = LinkChange { namespace: Some(to), name, mac: link.mac.unwrap(), mtu: link.mtu };
    from.change(link.index, &change).await.unwrap();
}

fn reason(failure: &Failure) -> String {
    failure.to_cni().msg
}

#[tokio::test]
async fn a_pod_gets_the_virtual_function_that_the_kubelet_has_given_it() {
    let (stage, nic) = stage(2, |_| {}).await;
    let pod = pod(&stage, &nic, 5, &[1]);
    let result = stage.add(&pod).await.unwrap();
    let link = eth0(&pod).await.unwrap();
    assert_eq!(looks(&link), ("eth0".to_owned(), Some(mac(5)), 1442, LinkState::Up));
    let addresses = pod.inside().await.addresses(link.index).await.unwrap();
    assert!(["10.1.0.5/16", "fd10:1::5/64"].iter().all(|text| addresses.contains(&text.parse().unwrap())));
    let host: Vec<_> = stage.host_links().await;
    assert!(
        host.contains(&link_of(0)) && host.contains(&CARD.to_owned()) && !host.contains(&link_of(1)),
        "{host:?}"
    );
    assert_eq!(
        serde_json::to_value(&result).unwrap(),
        json!({
            "cniVersion": "1.1.0",
            "interfaces": [{"name": "eth0", "mac": mac(5), "mtu": 1442, "sandbox": pod.netns()}],
            "ips": [
                {"interface": 0, "address": "10.1.0.5/16", "gateway": "10.1.255.254"},
                {"interface": 0, "address": "fd10:1::5/64", "gateway": "fd10:1::ffff"},
            ],
            "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.255.254"}, {"dst": "::/0", "gw": "fd10:1::ffff"}],
            "dns": {"nameservers": ["8.8.8.8"]},
        })
    );
    assert_eq!(nic.held(), [device(1)]);
    assert_eq!(stage.node().ovsdb.look(|switch: &Switch| switch.link().clone()), SwitchLink::Connecting);
    stage.node().status().await.unwrap();
}

#[tokio::test]
async fn a_repeated_add_gives_the_same_result_also_after_a_restart() {
    let (mut stage, nic) = stage(2, |_| {}).await;
    let pod = pod(&stage, &nic, 5, &[0]);
    let first = stage.add(&pod).await.unwrap();
    let link = eth0(&pod).await;
    assert_eq!(stage.add(&pod).await.unwrap(), first);
    stage.restart().await;
    assert_eq!(stage.add(&pod).await.unwrap(), first);
    assert_eq!((eth0(&pod).await, nic.held()), (link, vec![device(0)]));
}

#[tokio::test]
async fn what_goes_is_as_it_was_and_needs_neither_record_nor_kubelet() {
    let (mut stage, nic) = stage(1, |_| {}).await;
    let home = before(&stage, 0).await;
    let pod = pod(&stage, &nic, 5, &[0]);
    stage.add(&pod).await.unwrap();
    stage.api.delete(PORTS, &pod.name);
    stage.api.delete(PODS, &pod.name);
    nic.give(&pod.name, &[]);
    stage.restart().await;
    for _ in 0..2 {
        stage.del(&pod).await.unwrap();
        is_home(&stage, &nic, 0, &home).await;
    }
    assert_eq!(pod.inside().await.links().await.unwrap().len(), 1, "lo");
}

#[tokio::test]
async fn each_pod_has_its_own_and_one_that_has_none_is_told() {
    let (stage, nic) = stage(2, |_| {}).await;
    let pods = [pod(&stage, &nic, 5, &[0]), pod(&stage, &nic, 6, &[1]), pod(&stage, &nic, 7, &[])];
    for pod in &pods[..2] {
        stage.add(pod).await.unwrap();
        assert!(eth0(pod).await.is_some());
    }
    let failure = stage.add(&pods[2]).await.unwrap_err();
    assert!(
        failure.code() == Code::TryAgainLater && reason(&failure).contains("request one more"),
        "{failure:?}"
    );
    assert_eq!(nic.held(), [device(0), device(1)]);
}

#[tokio::test]
async fn interfaces_of_one_pod_have_one_each() {
    let (stage, nic) = stage(2, |_| {}).await;
    let homes = [before(&stage, 0).await, before(&stage, 1).await];
    let pod = pod(&stage, &nic, 5, &[0, 1]);
    let (one, other) =
        (json!({"default": true, "vif": function(5)}), json!({"default": false, "vif": function(6)}));
    stage.record(&pod, json!({"eth0": one, "eth1": other}));
    // The record that was there is in the daemon's cache until the other one comes.
    while stage.node().records.ports.all().iter().all(|record| record.content.vifs().count() < 2) {
        sleep(IN_FLIGHT).await;
    }
    stage.add(&pod).await.unwrap();
    let inside = pod.inside().await;
    for (name, number) in [("eth0", 5), ("eth1", 6)] {
        let link = inside.link(name).await.unwrap().unwrap();
        assert_eq!(link.mac.unwrap().to_string(), mac(number), "{name}");
    }
    stage.del(&pod).await.unwrap();
    is_home(&stage, &nic, 0, &homes[0]).await;
    is_home(&stage, &nic, 1, &homes[1]).await;
}

#[tokio::test]
async fn without_the_kubelets_word_no_pod_gets_one() {
    let (stage, nic) = stage(1, |settings| settings.kubelet = None).await;
    let pod = pod(&stage, &nic, 5, &[0]);
    let failure = stage.add(&pod).await.unwrap_err();
    assert!(reason(&failure).contains("set [sriov] enable_pod_resource_service"), "{failure:?}");
    let Failure::Unavailable { reasons, .. } = stage.node().status().await.unwrap_err() else { panic!() };
    assert!(reasons[0].contains("enable_pod_resource_service is off"), "{reasons:?}");
}

#[tokio::test]
async fn a_kubelet_that_is_not_there_is_named() {
    let (stage, nic) = stage(1, |settings| settings.kubelet = Some("/run/no-such-kubelet.sock".into())).await;
    let failure = stage.add(&pod(&stage, &nic, 5, &[0])).await.unwrap_err();
    assert!(
        reason(&failure).contains("/run/no-such-kubelet.sock, below [sriov] kubelet_root_dir"),
        "{failure:?}"
    );
    assert!(stage.node().status().await.is_err());
}

/// The card of a test takes no VLAN: that is what goes wrong here.
#[tokio::test]
async fn an_add_that_fails_in_between_leaves_all_as_it_was() {
    let (stage, nic) = stage(1, |_| {}).await;
    let home = before(&stage, 0).await;
    let pod = pod(&stage, &nic, 5, &[0]);
    let mut vif = function(5);
    let network = &mut vif["versioned_object.data"]["network"]["versioned_object.data"];
    (network["should_provide_vlan"], network["vlan"]) = (json!(true), json!(101));
    stage.record(&pod, json!({"eth0": {"default": true, "vif": vif}}));
    while !format!("{:?}", stage.node().records.ports.all()).contains("101") {
        sleep(IN_FLIGHT).await;
    }
    let failure = stage.add(&pod).await.unwrap_err();
    let expected = format!("give virtual function 0 of {CARD} the MAC address {} and VLAN 101", mac(5));
    assert!(reason(&failure).contains(&expected), "{failure:?}");
    let after = before(&stage, 0).await;
    assert_eq!((looks(&after), nic.held()), (looks(&home), vec![]));
}

#[tokio::test]
async fn a_link_that_the_kernel_gave_back_gets_its_name_and_address_again() {
    let (stage, nic) = stage(1, |_| {}).await;
    let home = before(&stage, 0).await;
    let pod = pod(&stage, &nic, 5, &[0]);
    stage.add(&pod).await.unwrap();
    send(&pod.inside().await, &eth0(&pod).await.unwrap(), &stage.host, "dev7").await;
    nic.shows(0, Some("dev7"));
    let mut request = pod.request(Command::Del);
    request.netns = Some("/run/netns/no-such-thing".to_owned());
    stage.door.call(request).await.unwrap();
    is_home(&stage, &nic, 0, &home).await;
}

#[tokio::test]
async fn a_link_that_the_kernel_still_has_is_waited_for_by_the_sweep() {
    let (stage, nic) = stage(1, |_| {}).await;
    let home = before(&stage, 0).await;
    let pod = pod(&stage, &nic, 5, &[0]);
    stage.add(&pod).await.unwrap();
    send(&pod.inside().await, &eth0(&pod).await.unwrap(), &nic.beyond, "eth0").await;
    nic.shows(0, None);
    stage.del(&pod).await.unwrap();
    assert_eq!(nic.held(), [device(0)], "who it was is remembered");
    stage.api.delete(PORTS, &pod.name);
    stage.api.delete(PODS, &pod.name);
    while !stage.node().records.ports.all().is_empty() || !stage.node().records.pods.all().is_empty() {
        sleep(IN_FLIGHT).await;
    }
    assert_eq!(stage.node().sweep().await.unwrap(), 0);
    let beyond = nic.beyond.netlink().await.unwrap();
    send(&beyond, &beyond.link("eth0").await.unwrap().unwrap(), &stage.host, "eth0").await;
    nic.shows(0, Some("eth0"));
    assert_eq!(stage.node().sweep().await.unwrap(), 1);
    is_home(&stage, &nic, 0, &home).await;
}

#[tokio::test]
async fn the_next_pod_takes_over_what_a_dead_one_did_not_give_back() {
    let (stage, nic) = stage(1, |_| {}).await;
    let home = before(&stage, 0).await;
    let dead = pod(&stage, &nic, 5, &[0]);
    stage.add(&dead).await.unwrap();
    nic.give(&dead.name, &[]);
    let next = pod(&stage, &nic, 6, &[0]);
    stage.add(&next).await.unwrap();
    assert!(eth0(&dead).await.is_none());
    assert_eq!(eth0(&next).await.unwrap().mac.unwrap().to_string(), mac(6));
    // It is not the dead one's any more.
    stage.del(&dead).await.unwrap();
    assert!(eth0(&next).await.is_some());
    stage.del(&next).await.unwrap();
    is_home(&stage, &nic, 0, &home).await;
}

#[tokio::test]
async fn sandboxes_that_the_runtime_does_not_know_give_theirs_back() {
    let (stage, nic) = stage(2, |_| {}).await;
    let home = before(&stage, 1).await;
    let (kept, gone) = (pod(&stage, &nic, 5, &[0]), pod(&stage, &nic, 6, &[1]));
    for pod in [&kept, &gone] {
        stage.add(pod).await.unwrap();
    }
    let mut request = kept.request(Command::Gc);
    request.config["cni.dev/valid-attachments"] = json!([{"containerID": kept.sandbox, "ifname": "eth0"}]);
    stage.door.call(request).await.unwrap();
    assert!(eth0(&kept).await.is_some() && eth0(&gone).await.is_none());
    assert_eq!(nic.held(), [device(0)]);
    assert_eq!(looks(&before(&stage, 1).await).1, home.mac.map(|mac| mac.to_string()));
}

#[tokio::test]
async fn check_passes_until_something_differs() {
    let (stage, nic) = stage(1, |_| {}).await;
    let pod = pod(&stage, &nic, 5, &[0]);
    let result = stage.add(&pod).await.unwrap();
    let mut request = pod.request(Command::Check);
    request.config["prevResult"] = serde_json::to_value(result).unwrap();
    stage.door.call(request.clone()).await.unwrap();
    let link = eth0(&pod).await.unwrap();
    pod.inside().await.set_mtu(link.index, 1400).await.unwrap();
    let Failure::Differs(differences) = stage.door.call(request.clone()).await.unwrap_err() else { panic!() };
    assert_eq!(differences, ["eth0 in the sandbox has MTU 1400 instead of 1442"]);
    stage.del(&pod).await.unwrap();
    let Failure::Differs(differences) = stage.door.call(request).await.unwrap_err() else { panic!() };
    assert!(
        differences.contains(&"no virtual function of this node is this sandbox's".to_owned()),
        "{differences:?}"
    );
}

#[tokio::test]
async fn a_device_for_user_space_gets_its_driver_and_loses_it_again() {
    let (mut stage, nic) = stage(1, in_user_space).await;
    let pod = pod(&stage, &nic, 5, &[0]);
    let result = stage.add(&pod).await.unwrap();
    assert_eq!((nic.unbound("iavf"), nic.driver_override(0)), (device(0), IN_USER_SPACE.to_owned()));
    assert_eq!(nic.driver(0), IN_USER_SPACE);
    assert!(eth0(&pod).await.is_none() && result.routes.is_empty());
    assert_eq!((result.interfaces[0].name.as_str(), result.ips.len()), ("eth0", 2));
    assert_eq!(result.interfaces[0].pci_id, Some(device(0)));
    assert_eq!(stage.add(&pod).await.unwrap(), result);

    let mut request = pod.request(Command::Check);
    request.config["prevResult"] = serde_json::to_value(&result).unwrap();
    stage.door.call(request).await.unwrap();
    stage.restart().await;
    stage.del(&pod).await.unwrap();
    assert_eq!((nic.unbound(IN_USER_SPACE), nic.driver_override(0)), (device(0), "\n".to_owned()));
    assert_eq!((nic.driver(0).as_str(), nic.held()), ("iavf", vec![]));
}

#[tokio::test]
async fn nobody_waits_while_the_kernel_binds_a_driver() {
    let (stage, nic) = stage(1, in_user_space).await;
    let pod = pod(&stage, &nic, 5, &[0]);
    let (added, bound, went_on) = nic.while_the_kernel_binds(IN_USER_SPACE, stage.add(&pod)).await;
    added.unwrap();
    assert_eq!((bound, went_on, nic.driver(0).as_str()), (device(0), true, IN_USER_SPACE));
    let (gone, bound, went_on) = nic.while_the_kernel_binds("iavf", stage.del(&pod)).await;
    gone.unwrap();
    assert_eq!((bound, went_on, nic.driver(0).as_str()), (device(0), true, "iavf"));
}

#[tokio::test]
async fn a_driver_that_the_kernel_lacks_is_named_and_nothing_is_changed() {
    let (stage, nic) =
        stage(1, |settings| drop(settings.drivers.insert(RESOURCE.to_owned(), "igb_uio".to_owned()))).await;
    let failure = stage.add(&pod(&stage, &nic, 5, &[0])).await.unwrap_err();
    assert!(reason(&failure).contains("no driver igb_uio"), "{failure:?}");
    assert_eq!((nic.driver(0).as_str(), nic.held()), ("iavf", vec![]));
}

#[tokio::test]
async fn an_add_that_is_cut_short_keeps_nothing_from_the_next_sandbox() {
    let (mut stage, nic) = stage(1, |_| {}).await;
    let home = before(&stage, 0).await;
    let first = pod(&stage, &nic, 5, &[0]);
    for steps in 0.. {
        let (cut, next, ended) = cut_and_next(&mut stage, &first, steps).await;
        assert!(eth0(&next).await.is_some() && eth0(&cut).await.is_none(), "after {steps} steps");
        for pod in [&cut, &next] {
            stage.del(pod).await.unwrap();
        }
        is_home(&stage, &nic, 0, &home).await;
        if ended {
            assert!(steps > 5, "ADD has many steps, not {steps}");
            break;
        }
    }
    assert_eq!(home.mtu, MTU);
}
