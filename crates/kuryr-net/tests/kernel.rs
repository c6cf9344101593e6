//! Against the real kernel, in namespaces that each test makes for itself. Needs root.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]

use std::{net::IpAddr, path::Path, time::Duration};

use futures::future::join_all;
use kuryr_net::{
    Function, LinkChange, LinkIndex, LinkRemover, LinkState, MacAddr, NetError, NetNs, Netlink, NewStacked,
    Route, Stack, Sysctl, VethPair,
};

const MAC: &str = "fa:16:3e:00:00:07";

/// A namespace of the test's own.
async fn namespace() -> NetNs {
    NetNs::fresh().await.expect("these tests make network namespaces: run them as root")
}

fn mac() -> MacAddr {
    MAC.parse().unwrap()
}

fn pair(pod: &NetNs) -> VethPair<'_> {
    VethPair { near: "tap1", far: "eth0", namespace: pod, mac: mac(), mtu: 1442 }
}

/// The namespaces, and with them the pair, are there as long as the sockets are.
async fn plugged() -> (Netlink, NetNs, Netlink) {
    let (host, pod) = (namespace().await.netlink().await.unwrap(), namespace().await);
    host.add_veth(&pair(&pod)).await.unwrap();
    let inside = pod.netlink().await.unwrap();
    (host, pod, inside)
}

#[tokio::test]
async fn a_pairs_far_end_is_born_in_its_namespace() {
    let (host, _, inside) = plugged().await;
    let far = inside.link("eth0").await.unwrap().unwrap();
    assert_eq!(
        (far.mac, far.mtu, far.state, far.kind.as_deref()),
        (Some(mac()), 1442, LinkState::Down, Some("veth"))
    );
    let near = host.link("tap1").await.unwrap().unwrap();
    assert_eq!((near.mtu, near.state, near.peer), (1442, LinkState::Down, Some(far.index)));
    assert!(host.link("eth0").await.unwrap().is_none(), "the far end must not appear in the first namespace");
}

#[tokio::test]
async fn what_is_told_of_a_pair_is_what_can_be_looked_up() {
    let (host, pod) = (namespace().await.netlink().await.unwrap(), namespace().await);
    let ends = host.add_veth(&pair(&pod)).await.unwrap().expect("this test needs Linux 6.2");
    let (near, far) = (ends.near.mac.unwrap().octets(), mac().octets());
    assert!(near[0] == 0xfe && near[1..] == far[1..], "{near:?}");
    assert_eq!(Some(ends.near), host.link("tap1").await.unwrap());
    assert_eq!(Some(ends.far), pod.netlink().await.unwrap().link("eth0").await.unwrap());
}

#[tokio::test]
async fn the_near_end_of_a_pair_has_no_address() {
    let (host, _, inside) = plugged().await;
    let (near, far) =
        (host.link("tap1").await.unwrap().unwrap(), inside.link("eth0").await.unwrap().unwrap());
    host.set_up_cable("tap1").await.unwrap();
    inside.set_up(far.index).await.unwrap();
    // The kernel gives a link its own address when its cable is in: by then the near end would have one as well.
    let given = async {
        while inside.addresses(far.index).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), given).await.expect("this test needs a kernel with IPv6");
    assert_eq!(host.addresses(near.index).await.unwrap(), []);
    let without_ipv6 =
        VethPair { near: "tap2", far: "eth1", namespace: &namespace().await, mac: mac(), mtu: 1000 };
    host.add_veth(&without_ipv6).await.unwrap();
    host.set_up_cable("tap2").await.unwrap();
    assert_eq!(host.link("tap2").await.unwrap().unwrap().state, LinkState::Up);
}

#[tokio::test]
async fn deleting_one_end_deletes_both_and_may_be_repeated() {
    let (host, _, inside) = plugged().await;
    assert_eq!(inside.delete_link("eth0").await.unwrap().unwrap().name, "eth0");
    assert!(host.link("tap1").await.unwrap().is_none());
    assert_eq!(inside.delete_link("eth0").await.unwrap(), None);
    assert_eq!(host.delete_link("tap1").await.unwrap(), None);
}

#[tokio::test]
async fn a_pair_that_exists_is_an_error_that_names_it() {
    let (host, pod, _) = plugged().await;
    let error = host.add_veth(&pair(&pod)).await.unwrap_err();
    assert_eq!(error.errno(), Some(nix::libc::EEXIST));
    assert_eq!(error.to_string(), "make the veth pair tap1 - eth0");
}

#[tokio::test]
async fn addresses_and_routes_of_both_families_are_set_and_listed() {
    let (_host, _pod, inside) = plugged().await;
    let eth0 = inside.link("eth0").await.unwrap().unwrap().index;
    let addresses = ["10.1.0.5/16", "fd00:1::5/64"].map(|text| text.parse().unwrap());
    for _ in 0..2 {
        for address in addresses {
            inside.add_address(eth0, address).await.unwrap();
        }
        inside.set_up(eth0).await.unwrap();
        for (destination, gateway) in [
            ("0.0.0.0/0", "10.1.0.1"),
            ("::/0", "fd00:1::1"),
            ("10.20.0.0/16", "10.1.0.254"),
            ("fd00:2::/64", "fd00:1::fe"),
        ] {
            let gateway: IpAddr = gateway.parse().unwrap();
            let route = Route { destination: destination.parse().unwrap(), gateway: Some(gateway) };
            inside.add_route(eth0, route).await.unwrap();
        }
    }
    let listed = inside.addresses(eth0).await.unwrap();
    assert!(addresses.iter().all(|address| listed.contains(address)), "{listed:?}");
    let routes = inside.routes(eth0).await.unwrap();
    let with_gateway = routes.iter().filter(|route| route.gateway.is_some()).count();
    assert_eq!(with_gateway, 4, "{routes:?}");
    assert!(routes.contains(&Route { destination: "10.1.0.0/16".parse().unwrap(), gateway: None }));
}

#[tokio::test]
async fn an_ipv6_address_can_be_bound_to_at_once() {
    let (_host, pod, inside) = plugged().await;
    let eth0 = inside.link("eth0").await.unwrap().unwrap().index;
    inside.add_address(eth0, "fd00:1::5/64".parse().unwrap()).await.unwrap();
    inside.set_up(eth0).await.unwrap();
    let bound = pod.enter(|| std::net::UdpSocket::bind("[fd00:1::5]:0").map(|_| ())).await.unwrap();
    bound.unwrap();
}

#[tokio::test]
async fn a_route_that_cannot_be_is_refused_with_its_text() {
    let (_host, _pod, inside) = plugged().await;
    let eth0 = inside.link("eth0").await.unwrap().unwrap().index;
    let route =
        Route { destination: "10.9.0.0/16".parse().unwrap(), gateway: Some("10.8.0.1".parse().unwrap()) };
    let error = inside.add_route(eth0, route).await.unwrap_err();
    assert_eq!(error.to_string(), "add the route to 10.9.0.0/16 via 10.8.0.1");
    let crossed = Route { destination: "::/0".parse().unwrap(), gateway: Some("10.8.0.1".parse().unwrap()) };
    assert_eq!(inside.add_route(eth0, crossed).await.unwrap_err().errno(), Some(nix::libc::EINVAL));
}

#[tokio::test]
async fn sysctls_are_those_of_the_namespace() {
    let (_host, pod, _inside) = plugged().await;
    let read = |path: &'static str| {
        let pod = pod.clone();
        async move { pod.enter(move || std::fs::read_to_string(path).unwrap().trim().to_owned()).await.unwrap() }
    };
    let own = std::fs::read_to_string("/proc/sys/net/ipv4/conf/all/arp_announce").unwrap();
    pod.set_sysctls(vec![
        (Sysctl::ArpNotify("eth0".into()), 1),
        (Sysctl::ArpAnnounce("all".into()), 2),
        (Sysctl::DisableIpv6("all".into()), 1),
        (Sysctl::NdiscNotify("no-such-link".into()), 1),
    ])
    .await
    .unwrap();
    assert_eq!(read("/proc/sys/net/ipv4/conf/eth0/arp_notify").await, "1");
    assert_eq!(read("/proc/sys/net/ipv6/conf/eth0/disable_ipv6").await, "1");
    assert_eq!(std::fs::read_to_string("/proc/sys/net/ipv4/conf/all/arp_announce").unwrap(), own);
}

#[tokio::test]
async fn a_bridge_with_ports() {
    let host = namespace().await.netlink().await.unwrap();
    for _ in 0..2 {
        host.add_bridge("qbr1", 1442).await.unwrap();
        host.add_patch("qvb1", "qvo1", 1442).await.unwrap();
        let (bridge, port) =
            (host.link("qbr1").await.unwrap().unwrap(), host.link("qvb1").await.unwrap().unwrap());
        host.enslave(port.index, bridge.index).await.unwrap();
        assert_eq!(host.link("qvb1").await.unwrap().unwrap().controller, Some(bridge.index));
        assert_eq!((bridge.state, bridge.kind.as_deref()), (LinkState::Up, Some("bridge")));
        assert_eq!(host.link("qvo1").await.unwrap().unwrap().state, LinkState::Up);
    }
    host.set_mtu(host.link("qvo1").await.unwrap().unwrap().index, 1300).await.unwrap();
    let names: Vec<String> = host.links().await.unwrap().into_iter().map(|link| link.name).collect();
    assert!(
        ["lo", "qbr1", "qvb1", "qvo1"].iter().all(|name| names.contains(&(*name).to_owned())),
        "{names:?}"
    );
    assert_eq!(host.link("qvo1").await.unwrap().unwrap().mtu, 1300);
}

#[tokio::test]
async fn what_is_no_namespace_is_not_opened() {
    let folder = std::env::temp_dir();
    assert!(NetNs::open(&folder.join("no-such-file-of-kuryr")).unwrap().is_none());
    // What stays behind of a namespace's mount point.
    assert!(NetNs::open(Path::new("/proc/self/status")).unwrap().is_none());
    let own = NetNs::own().unwrap();
    assert_eq!(own.id(), NetNs::open(Path::new("/proc/self/ns/net")).unwrap().unwrap().id());
    assert_ne!(own.id(), namespace().await.id());
}

#[tokio::test]
async fn the_callers_thread_stays_where_it_was() {
    let (before, pod) = (NetNs::own().unwrap().id(), namespace().await);
    let inside = pod.enter(|| NetNs::own().unwrap().id()).await.unwrap();
    assert_eq!(inside, pod.id());
    assert!(pod.enter(|| panic!("as a test")).await.is_err());
    assert_eq!(NetNs::own().unwrap().id(), before);
}

#[tokio::test]
async fn links_that_go_together_go_whole_and_the_others_stay() {
    let (space, pods) = (namespace().await, join_all(std::iter::repeat_with(namespace).take(10)).await);
    let host = space.netlink().await.unwrap();
    let names: Vec<String> = (0..10).map(|number| format!("tap{number}")).collect();
    for (name, pod) in names.iter().zip(&pods) {
        host.add_veth(&VethPair { near: name, ..pair(pod) }).await.unwrap();
    }
    host.add_bridge("stays", 1500).await.unwrap();
    let remover = LinkRemover::new(space.clone());
    for _ in 0..2 {
        let removing = names.iter().map(|name| remover.remove(vec![name.clone(), "no-such-link".to_owned()]));
        assert!(futures::future::join_all(removing).await.iter().all(Result::is_ok));
        let left: Vec<String> = host.links().await.unwrap().into_iter().map(|link| link.name).collect();
        assert_eq!(left, ["lo", "stays"]);
    }
    for pod in &pods {
        assert!(pod.netlink().await.unwrap().link("eth0").await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_link_that_cannot_be_deleted_keeps_no_other() {
    let (space, pod) = (namespace().await, namespace().await);
    let host = space.netlink().await.unwrap();
    host.add_veth(&pair(&pod)).await.unwrap();
    let remover = LinkRemover::new(space.clone());
    let (good, bad) =
        tokio::join!(remover.remove(vec!["tap1".to_owned()]), remover.remove(vec!["lo".to_owned()]));
    good.unwrap();
    assert_eq!(bad.unwrap_err().to_string(), "delete link lo");
    assert!(host.link("tap1").await.unwrap().is_none());
    // Were `lo` still in the group, it would keep these from being deleted in one go, and then one by one.
    host.add_bridge("one", 1500).await.unwrap();
    host.add_bridge("two", 1500).await.unwrap();
    remover.remove(vec!["one".to_owned(), "two".to_owned()]).await.unwrap();
    assert_eq!(host.links().await.unwrap().len(), 1);
}

/// A namespace with a link that others can be on top of.
async fn with_lower() -> (NetNs, Netlink, LinkIndex) {
    let space = namespace().await;
    let host = space.netlink().await.unwrap();
    host.add_patch("vec0", "uplink", 1500).await.unwrap();
    let lower = host.link("vec0").await.unwrap().unwrap().index;
    (space, host, lower)
}

fn stacked(stack: Stack, lower: LinkIndex, namespace: &NetNs) -> NewStacked<'_> {
    NewStacked { name: "eth0", stack, lower, namespace, mac: mac(), mtu: 1442 }
}

/// Whether the kernel has this kind of link. What it lacks is to be tested where it has it.
async fn is_known(stack: Stack) -> bool {
    let ((_, host, lower), pod) = (with_lower().await, namespace().await);
    let made = host.add_stacked(&stacked(stack, lower, &pod)).await;
    let lacks_it = made.as_ref().is_err_and(|error| error.errno() == Some(nix::libc::EOPNOTSUPP));
    assert!(made.is_ok() || lacks_it, "{stack}: {made:?}");
    !lacks_it
}

#[tokio::test]
async fn a_link_on_top_of_another_is_born_in_its_namespace() {
    for stack in [Stack::Vlan(101), Stack::Macvlan, Stack::Ipvlan] {
        if !is_known(stack).await {
            continue;
        }
        let ((space, host, lower), pod) = (with_lower().await, namespace().await);
        host.add_stacked(&stacked(stack, lower, &pod)).await.unwrap();
        let inside = pod.netlink().await.unwrap();
        let link = inside.link("eth0").await.unwrap().unwrap();
        let lower_mac = host.link("vec0").await.unwrap().unwrap().mac;
        let expected = if stack == Stack::Ipvlan { lower_mac } else { Some(mac()) };
        assert_eq!((link.mac, link.mtu, link.state, link.peer), (expected, 1442, LinkState::Down, None));
        let it = link.stacked.unwrap();
        assert_eq!((it.stack, it.lower), (stack, lower));
        assert_eq!(it.lower_netns, inside.number_of(&space).await.unwrap());
        assert!(it.lower_netns.is_some() && host.link("eth0").await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_link_can_be_renamed_and_written_about() {
    let ((_, host, lower), pod) = (with_lower().await, namespace().await);
    // Older kernels look for the new name where the request comes from.
    host.add_patch("eth0", "eth0-peer", 1500).await.unwrap();
    host.add_stacked(&NewStacked { name: "tap1", ..stacked(Stack::Macvlan, lower, &pod) }).await.unwrap();
    let inside = pod.netlink().await.unwrap();
    let index = inside.link("tap1").await.unwrap().unwrap().index;
    inside.rename(index, "eth0").await.unwrap();
    let longest = "x".repeat(kuryr_net::ALIAS_MAX);
    for alias in ["kuryr port=1", &longest] {
        inside.set_alias(index, alias).await.unwrap();
        assert_eq!(inside.link("eth0").await.unwrap().unwrap().alias.as_deref(), Some(alias));
    }
    assert!(inside.set_alias(index, &format!("{longest}x")).await.is_err());
}

#[tokio::test]
async fn links_on_top_of_a_namespaces_are_found_wherever_they_are() {
    let ((space, host, lower), (elsewhere, other_host, other_lower)) =
        (with_lower().await, with_lower().await);
    let pods = [namespace().await, namespace().await, namespace().await];
    host.add_stacked(&stacked(Stack::Macvlan, lower, &pods[0])).await.unwrap();
    other_host.add_stacked(&stacked(Stack::Macvlan, other_lower, &pods[1])).await.unwrap();
    host.add_veth(&pair(&pods[2])).await.unwrap();
    let all: Vec<NetNs> = pods.iter().chain([&space, &elsewhere]).cloned().collect();
    let found = space.stacked_in(&all).await.unwrap();
    let ids: Vec<_> = found.iter().map(|found| (found.namespace.id(), found.link.name.as_str())).collect();
    assert_eq!(ids, [(pods[0].id(), "eth0")]);
}

#[tokio::test]
async fn a_vlan_id_is_on_a_link_once() {
    if !is_known(Stack::Vlan(101)).await {
        return;
    }
    let ((_, host, lower), pods) = (with_lower().await, [namespace().await, namespace().await]);
    host.add_stacked(&stacked(Stack::Vlan(101), lower, &pods[0])).await.unwrap();
    let again = host.add_stacked(&stacked(Stack::Vlan(101), lower, &pods[1])).await;
    assert!(again.as_ref().is_err_and(NetError::is_there_already), "{again:?}");
    host.add_stacked(&stacked(Stack::Vlan(102), lower, &pods[1])).await.unwrap();
}

#[tokio::test]
async fn the_link_that_has_an_address_is_found() {
    let (_, host, lower) = with_lower().await;
    host.add_address(lower, "10.2.0.7/24".parse().unwrap()).await.unwrap();
    assert_eq!(host.link_with_address("10.2.0.7".parse().unwrap()).await.unwrap(), Some(lower));
    assert_eq!(host.link_with_address("10.2.0.8".parse().unwrap()).await.unwrap(), None);
}

#[tokio::test]
async fn namespaces_are_found_once_each_and_nothing_else_is() {
    let folder = std::env::temp_dir().join(format!("kuryr-net-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("no-namespace"), "").unwrap();
    for (name, target) in [("one", "ns/net"), ("same", "ns/net"), ("gone", "no-such-thing")] {
        let _ = std::os::unix::fs::symlink(format!("/proc/self/{target}"), folder.join(name));
    }
    let found = kuryr_net::namespaces(&[folder.clone(), folder.join("nowhere")], &folder).unwrap();
    assert_eq!(found.iter().map(NetNs::id).collect::<Vec<_>>(), [NetNs::own().unwrap().id()]);
    let of_processes = kuryr_net::namespaces(&[], Path::new("/proc")).unwrap();
    assert!(of_processes.iter().any(|namespace| namespace.id() == NetNs::own().unwrap().id()));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn a_link_goes_to_another_namespace_and_back_with_all_that_it_is_there() {
    let (home, pod) = (namespace().await, namespace().await);
    let (host, inside) = (home.netlink().await.unwrap(), pod.netlink().await.unwrap());
    host.add_patch("ens1f0v1", "uplink", 1500).await.unwrap();
    let before = host.link("ens1f0v1").await.unwrap().unwrap();
    // What the host calls so is another one.
    host.add_patch("eth0", "other", 1500).await.unwrap();

    let there = LinkChange { namespace: Some(&pod), name: "eth0", mac: mac(), mtu: 1442 };
    host.change(before.index, &there).await.unwrap();
    assert_eq!(host.link("ens1f0v1").await.unwrap(), None);
    let moved = inside.link("eth0").await.unwrap().unwrap();
    assert_eq!((moved.mac, moved.mtu, moved.state), (Some(mac()), 1442, LinkState::Down));
    inside.add_address(moved.index, "10.1.0.5/16".parse().unwrap()).await.unwrap();
    inside.set_up(moved.index).await.unwrap();

    let back =
        LinkChange { namespace: Some(&home), name: "ens1f0v1", mac: before.mac.unwrap(), mtu: before.mtu };
    inside.change(moved.index, &back).await.unwrap();
    assert_eq!(inside.links().await.unwrap().len(), 1, "lo");
    let after = host.link("ens1f0v1").await.unwrap().unwrap();
    assert_eq!((after.mac, after.mtu, after.state), (before.mac, before.mtu, LinkState::Down));
    assert_eq!(host.addresses(after.index).await.unwrap(), []);
}

#[tokio::test]
async fn a_link_becomes_another_where_it_is() {
    let host = namespace().await.netlink().await.unwrap();
    host.add_patch("dev7", "uplink", 1500).await.unwrap();
    let link = host.link("dev7").await.unwrap().unwrap().index;
    host.set_down(link).await.unwrap();
    let change = LinkChange { namespace: None, name: "ens1f0v1", mac: mac(), mtu: 1400 };
    host.change(link, &change).await.unwrap();
    let found = host.link("ens1f0v1").await.unwrap().unwrap();
    assert_eq!((found.index, found.mac, found.mtu), (link, Some(mac()), 1400));
}

#[tokio::test]
async fn a_link_without_virtual_functions_has_none_and_takes_none() {
    let host = namespace().await.netlink().await.unwrap();
    host.add_patch("ens1f0", "uplink", 1500).await.unwrap();
    let link = host.link("ens1f0").await.unwrap().unwrap();
    assert_eq!(host.function(&link, 0).await.unwrap(), None);
    let error = host.set_function(&link, 0, Function { mac: mac(), vlan: 7 }).await.unwrap_err();
    assert_eq!(error.errno(), Some(nix::libc::EOPNOTSUPP));
    assert_eq!(
        error.to_string(),
        "give virtual function 0 of ens1f0 the MAC address fa:16:3e:00:00:07 and VLAN 7"
    );
}
