//! Against the real kernel, in namespaces that each test makes for itself. Needs root.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]

use std::{net::IpAddr, path::Path};

use futures::future::join_all;
use kuryr_net::{LinkRemover, LinkState, MacAddr, NetNs, Netlink, Route, Sysctl, VethPair};

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
    assert_eq!((near.mtu, near.state, near.peer), (1442, LinkState::Up, Some(far.index)));
    assert!(host.link("eth0").await.unwrap().is_none(), "the far end must not appear in the first namespace");
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
    let (_, _, inside) = plugged().await;
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
    let (_, pod, inside) = plugged().await;
    let eth0 = inside.link("eth0").await.unwrap().unwrap().index;
    inside.add_address(eth0, "fd00:1::5/64".parse().unwrap()).await.unwrap();
    inside.set_up(eth0).await.unwrap();
    let bound = pod.enter(|| std::net::UdpSocket::bind("[fd00:1::5]:0").map(|_| ())).await.unwrap();
    bound.unwrap();
}

#[tokio::test]
async fn a_route_that_cannot_be_is_refused_with_its_text() {
    let (_, _, inside) = plugged().await;
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
    let (_, pod, _) = plugged().await;
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
