//! What each change of a Service costs, by hand: calls of Octavia, and writes of the record.

use super::super::*;
use super::world::{World, endpoint, port, slice};

type Change = fn(&mut World);

fn service(world: &mut World) -> &mut Service {
    world.service.as_mut().unwrap()
}

/// Its load balancer is another provider's, as it should be.
fn amphora(world: &mut World) {
    world.site.provider = Some("amphora".to_owned());
    world.balancers.values_mut().for_each(|one| one.provider = "amphora".to_owned());
}

fn ready(world: &mut World, last: &[u8]) {
    let endpoints = last.iter().map(|last| endpoint(*last, false, EndpointState::Ready)).collect();
    world.slices = vec![slice("", 0, endpoints)];
}

/// From one TCP port with two endpoints.
const CHANGES: &[(&str, Change, usize, usize)] = &[
    ("nothing", |_| {}, 0, 0),
    ("an endpoint comes", |world| ready(world, &[1, 2, 3]), 1, 0),
    ("an endpoint goes", |world| ready(world, &[1]), 1, 0),
    ("all endpoints go", |world| ready(world, &[]), 1, 0),
    ("all endpoints are others", |world| ready(world, &[7, 8, 9]), 1, 0),
    ("an endpoint comes and one goes: what goes goes first", |world| ready(world, &[2, 3]), 2, 0),
    ("an endpoint comes and most go", |world| ready(world, &[3]), 1, 0),
    ("endpoints in another order", |world| ready(world, &[2, 1]), 0, 0),
    ("an endpoint twice", |world| ready(world, &[1, 2, 2]), 0, 0),
    (
        "endpoints in another number of slices",
        |world| {
            world.slices =
                [1, 2].map(|last| slice("", 0, vec![endpoint(last, false, EndpointState::Ready)])).into();
        },
        0,
        0,
    ),
    (
        "an endpoint that is not ready",
        |world| {
            world.slices.push(slice("", 0, vec![endpoint(3, false, EndpointState::NotReady)]));
        },
        0,
        0,
    ),
    (
        "an endpoint that ends, beside ready ones",
        |world| {
            world.slices.push(slice("", 0, vec![endpoint(3, false, EndpointState::Draining)]));
        },
        0,
        0,
    ),
    (
        "an endpoint of the other family",
        |world| {
            world.slices.push(slice("", 0, vec![endpoint(3, true, EndpointState::Ready)]));
        },
        0,
        0,
    ),
    (
        "a slice of another port",
        |world| {
            world.slices.push(slice("other", 0, vec![endpoint(3, false, EndpointState::Ready)]));
        },
        0,
        0,
    ),
    (
        "a slice of another protocol",
        |world| {
            world.slices.push(slice("", 1, vec![endpoint(3, false, EndpointState::Ready)]));
        },
        0,
        0,
    ),
    (
        "a slice of every port",
        |world| {
            let mut all = slice("", 0, vec![endpoint(3, false, EndpointState::Ready)]);
            all.ports[0].port = None;
            world.slices.push(all);
        },
        0,
        0,
    ),
    (
        "a pod of another name at the same address",
        |world| {
            world.slices[0].endpoints[0].pod = Some("renamed".into());
        },
        0,
        0,
    ),
    ("another target port", |world| world.slices[0].ports[0].port = Some(9090), 1, 0),
    ("a second port without endpoints", |world| service(world).ports.push(port("b", 0, 81)), 2, 1),
    (
        "a second port with endpoints",
        |world| {
            service(world).ports.push(port("b", 0, 81));
            world.slices.push(slice("b", 0, vec![endpoint(1, false, EndpointState::Ready)]));
        },
        3,
        1,
    ),
    ("the same port of another protocol", |world| service(world).ports.push(port("b", 1, 80)), 2, 1),
    ("another port number", |world| service(world).ports = vec![port("", 0, 81)], 5, 1),
    ("another protocol", |world| service(world).ports = vec![port("", 1, 80)], 4, 1),
    ("no ports", |world| service(world).ports.clear(), 2, 1),
    // The pool is deleted and made anew, and its members set.
    ("affinity, with OVN", |world| service(world).affinity = Some(Duration::from_hours(3)), 3, 1),
    (
        "affinity",
        |world| {
            amphora(world);
            service(world).affinity = Some(Duration::from_hours(3));
        },
        1,
        1,
    ),
    ("type LoadBalancer", |world| service(world).exposure = Exposure::LoadBalancer, 1, 2),
    ("type NodePort", |world| service(world).exposure = Exposure::NodePort, 0, 0),
    ("type ExternalName", |world| service(world).exposure = Exposure::ExternalName, 1, 0),
    ("headless", |world| service(world).cluster_ips.clear(), 1, 0),
    (
        "type LoadBalancer, inside",
        |world| {
            service(world).exposure = Exposure::LoadBalancer;
            service(world).wishes.internal = true;
        },
        0,
        2,
    ),
    (
        "type LoadBalancer, without an external network",
        |world| {
            service(world).exposure = Exposure::LoadBalancer;
            world.site.external = None;
        },
        0,
        1,
    ),
    (
        "another one's class",
        |world| {
            service(world).exposure = Exposure::LoadBalancer;
            service(world).class = Some("example.org/other".to_owned());
        },
        0,
        0,
    ),
    (
        "another one's class, of a type that has none",
        |world| {
            service(world).class = Some("example.org/other".to_owned());
        },
        0,
        0,
    ),
    (
        "source ranges, with OVN",
        |world| {
            service(world).exposure = Exposure::LoadBalancer;
            service(world).source_ranges = vec!["192.0.2.0/24".parse().unwrap()];
        },
        0,
        1,
    ),
    (
        "source ranges",
        |world| {
            amphora(world);
            service(world).exposure = Exposure::LoadBalancer;
            service(world).source_ranges = vec!["192.0.2.0/24".parse().unwrap()];
        },
        2,
        2,
    ),
    (
        "source ranges of a type that has none",
        |world| {
            service(world).source_ranges = vec!["192.0.2.0/24".parse().unwrap()];
        },
        0,
        0,
    ),
    ("a second family", |world| service(world).cluster_ips.push("fd00:96::7".parse().unwrap()), 3, 0),
    ("another cluster IP", |world| service(world).cluster_ips = vec!["10.96.0.8".parse().unwrap()], 5, 1),
    ("another algorithm, with OVN", |world| world.site.algorithm = "SOURCE_IP".to_owned(), 3, 1),
    (
        "another algorithm",
        |world| {
            amphora(world);
            world.site.algorithm = "ROUND_ROBIN".to_owned();
        },
        1,
        1,
    ),
    ("an algorithm that OVN has not", |world| world.site.algorithm = "ROUND_ROBIN".to_owned(), 0, 0),
    ("timeouts, with OVN", |world| world.site.timeouts.client = Some(5000), 0, 1),
    (
        "timeouts",
        |world| {
            amphora(world);
            world.site.timeouts.client = Some(5000);
        },
        1,
        1,
    ),
    ("timeouts no more", |world| world.site.timeouts = Timeouts::default(), 0, 0),
    (
        "a health monitor",
        |world| {
            let probing = Probing { delay: 5, timeout: 3, max_retries: 1, max_retries_down: 3 };
            service(world).wishes.balancing.monitor = Some(probing);
        },
        1,
        0,
    ),
    (
        "PROXY protocol",
        |world| {
            amphora(world);
            service(world).wishes.balancing.proxy = Some(ProxyVersion::V2);
        },
        3,
        1,
    ),
    (
        "PROXY protocol, with OVN",
        |world| service(world).wishes.balancing.proxy = Some(ProxyVersion::V1),
        0,
        0,
    ),
    ("somebody takes our finalizer off", |world| service(world).is_held = false, 0, 0),
    ("its deletion", |world| world.service = None, 1, 0),
    ("its deletion, with a finalizer of others", |world| service(world).deleting = true, 1, 0),
    ("another provider", |world| world.site.provider = Some("amphora".to_owned()), 5, 1),
    ("any provider", |world| world.site.provider = None, 0, 1),
    ("a record that is lost", |world| world.record = None, 0, 1),
];

#[test]
fn every_change_costs_what_it_must() {
    for (name, change, calls, writes) in CHANGES {
        let mut world = World::served();
        world.settle();
        let before = (world.calls, world.writes);
        change(&mut world);
        world.settle();
        assert_eq!((world.calls - before.0, world.writes - before.1), (*calls, *writes), "{name}");
    }
}

#[test]
fn a_new_service_costs_four_calls_and_two_writes() {
    let mut world = World::served();
    world.settle();
    assert_eq!((world.calls, world.writes), (4, 2));
}
