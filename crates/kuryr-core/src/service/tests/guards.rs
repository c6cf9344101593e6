//! Whom listeners let in where policies isolate the pods behind a load balancer that hides its clients.

use super::*;
use std::collections::BTreeSet;

fn nets(texts: &[&str]) -> BTreeSet<IpNet> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// A Service with endpoints 10.1.0.1 and 10.1.0.2, each of which lets in just these.
fn guarded(provider: &str, of: [Option<&[&str]>; 2]) -> World {
    let mut world = World::served();
    world.site.provider = Some(provider.to_owned());
    guard(&mut world, of);
    world
}

fn guard(world: &mut World, of: [Option<&[&str]>; 2]) {
    let socket = |last| Socket { address: IpAddr::from([10, 1, 0, last]), port: 8080 };
    let guards = [1, 2].into_iter().zip(of);
    world.guards =
        guards.filter_map(|(last, only)| Some(((Protocol::Tcp, socket(last)), nets(only?)))).collect();
}

fn allowed(world: &World) -> Vec<String> {
    let listeners = world.balancers.values().flat_map(|one| one.listeners.values());
    listeners.flat_map(|one| &one.allowed).map(ToString::to_string).collect()
}

fn settled(mut world: World) -> World {
    world.settle();
    world
}

#[test]
fn those_may_connect_whom_every_endpoint_lets_in() {
    for (of, expected) in [
        ([None, None], vec![]),
        ([Some(&["10.1.0.7/32"][..]), None], vec!["10.1.0.7/32"]),
        ([Some(&["10.1.0.0/24"]), Some(&["10.1.0.7/32", "10.2.0.1/32"])], vec!["10.1.0.7/32"]),
        ([Some(&["10.1.0.6/32", "10.1.0.7/32", "fd00::1/128"]), None], vec!["10.1.0.6/31"]),
        ([Some(&["10.1.0.7/32"]), Some(&["10.1.0.8/32"])], vec!["10.96.0.7/32"]),
        ([Some(&[]), None], vec!["10.96.0.7/32"]),
        ([Some(&["fd00::/64"]), None], vec!["10.96.0.7/32"]),
    ] {
        assert_eq!(allowed(&settled(guarded("amphora", of))), expected, "{of:?}");
    }
}

#[test]
fn source_ranges_hold_beside_them() {
    let mut world = guarded("amphora", [Some(&["10.1.0.0/24", "192.0.2.7/32"]), None]);
    let service = world.service.as_mut().unwrap();
    service.exposure = Exposure::LoadBalancer;
    service.source_ranges = nets(&["192.0.2.0/24", "fd00::/64"]).into_iter().collect();
    assert_eq!(allowed(&settled(world)), ["192.0.2.7/32"]);
}

#[test]
fn pods_behind_ovn_see_their_clients_themselves() {
    assert_eq!(allowed(&settled(guarded("ovn", [Some(&["10.1.0.7/32"]), None]))), [""; 0]);
}

#[test]
fn fewer_are_let_in_before_members_come_and_more_after() {
    let mut world = settled(guarded("amphora", [None, None]));
    let first = |world: &World| {
        let calls = world.plan().into_iter().filter_map(|action| match action {
            Action::Call(call) => Some(call),
            _ => None,
        });
        calls.take(1).collect::<Vec<_>>()
    };
    let more = slice("", 0, [1, 2, 3].map(|last| endpoint(last, false, EndpointState::Ready)).into());
    world.slices = vec![more];
    guard(&mut world, [Some(&["10.1.0.7/32"]), None]);
    assert!(matches!(first(&world)[..], [Call::UpdateListener(..)]), "{:?}", first(&world));
    world.settle();
    let fewer = slice("", 0, [1].map(|last| endpoint(last, false, EndpointState::Ready)).into());
    world.slices = vec![fewer];
    guard(&mut world, [None, None]);
    assert!(matches!(first(&world)[..], [Call::SetMembers(..)]), "{:?}", first(&world));
}

#[test]
fn what_is_not_known_stays() {
    let world = settled(guarded("amphora", [Some(&["10.1.0.7/32"]), None]));
    let balancers: Vec<_> = world.balancers.values().cloned().map(Arc::new).collect();
    let (spec, status) = world.record.as_ref().unwrap();
    let seen = Observed {
        name: world.name,
        service: world.service.as_ref(),
        slices: &world.slices,
        record: Some(Record { deleting: false, spec, status: Some(status) }),
        balancers: &balancers,
        addresses: &[],
        site: &world.site,
        guards: None,
    };
    assert_eq!(plan(&seen), []);
}
