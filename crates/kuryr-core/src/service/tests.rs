//! A world in memory where calls do at once what Octavia takes its time for, and what the planner makes of it.

mod guards;
mod table;
mod world;

use super::*;
use proptest::prelude::*;
use world::{World, endpoint, port, site, slice};

fn service() -> impl Strategy<Value = Service> {
    let ports = prop::collection::btree_map((0_u8..3, 1_u16..4), "[ab]?", 0..4);
    let ips = prop::sample::subsequence(vec!["10.96.0.7", "fd00:96::7"], 0..=2);
    let exposure = prop::sample::select(vec![
        Exposure::ClusterIp,
        Exposure::NodePort,
        Exposure::LoadBalancer,
        Exposure::ExternalName,
    ]);
    let class = prop::option::of(prop::sample::select(vec!["openstack.org/kuryr", "example.org/other"]));
    let affinity = prop::option::of(1_u64..3);
    let probing =
        (1_u32..3).prop_map(|delay| Probing { delay, timeout: 1, max_retries: 1, max_retries_down: 1 });
    let wanted = prop::option::of(Just("198.51.100.7"));
    let wishes = (wanted, prop::bool::weighted(0.2), any::<bool>(), prop::option::weighted(0.3, probing));
    let wishes = wishes.prop_map(|(wanted, internal, keep_address, monitor)| {
        let balancing = Balancing { monitor, ..Balancing::default() };
        let wishes = Wishes { internal, keep_address, balancing, ..Wishes::default() };
        (wanted.map(|ip| ip.parse().unwrap()), wishes)
    });
    (ports, ips, exposure, class, affinity, prop::bool::weighted(0.2), wishes).prop_map(
        |(ports, ips, exposure, class, affinity, restricted, (wanted_address, wishes))| Service {
            wanted_address,
            wishes,
            exposure,
            cluster_ips: ips.into_iter().map(|ip| ip.parse().unwrap()).collect(),
            ports: ports
                .into_iter()
                .map(|((protocol, number), name)| port(&name, protocol, number))
                .collect(),
            affinity: affinity.map(Duration::from_secs),
            source_ranges: restricted.then(|| "192.0.2.0/24".parse().unwrap()).into_iter().collect(),
            class: class.map(ToOwned::to_owned),
            ..Service::default()
        },
    )
}

fn slices() -> impl Strategy<Value = Vec<Slice>> {
    let state =
        prop::sample::select(vec![EndpointState::Ready, EndpointState::Draining, EndpointState::NotReady]);
    let endpoints = prop::collection::vec((1_u8..6, state), 0..5);
    let one = (endpoints, "[ab]?", 0_u8..3, any::<bool>()).prop_map(|(endpoints, name, protocol, is_v6)| {
        let endpoints = endpoints.into_iter().map(|(last, state)| endpoint(last, is_v6, state)).collect();
        slice(&name, protocol, endpoints)
    });
    prop::collection::vec(one, 0..4)
}

proptest! {
    /// Applied until it is empty, the plan makes Octavia what Kubernetes wants, from any state that another Service left, and
    /// nothing else of ours is left.
    #[test]
    fn any_change_comes_to_rest(changes in prop::collection::vec((prop::option::of(service()), slices()), 1..4)) {
        let mut world = World::default();
        for (service, slices) in changes {
            world.replace(service);
            world.slices = slices;
            world.settle();
            world.check();
        }
    }

    /// The way there does not matter: what is there at the end is what it would be without the detours.
    #[test]
    fn history_does_not_matter(detour in (prop::option::of(service()), slices()), end in (service(), slices())) {
        let mut straight = World { service: Some(end.0.clone()), slices: end.1.clone(), ..World::default() };
        straight.settle();
        let mut round = World { service: detour.0, slices: detour.1, ..World::default() };
        round.settle();
        round.replace(Some(end.0));
        round.slices = end.1;
        round.settle();
        prop_assert_eq!(round.shape(), straight.shape());
    }

    /// Whatever breaks at Octavia, or is deleted by hand, is mended.
    #[test]
    fn damage_is_mended(service in service(), slices in slices(), damage in 0_usize..6, which in any::<prop::sample::Index>()) {
        let mut world = World { service: Some(service), slices, ..World::default() };
        world.settle();
        let before = world.shape();
        world.damage(damage, which);
        world.settle();
        prop_assert_eq!(world.shape(), before);
    }
}

#[test]
fn a_foreign_load_balancer_is_left_alone() {
    let mut world = World::served();
    world.settle();
    let balancer = world.balancers.values_mut().next().unwrap();
    balancer.ownership = Ownership::Foreign;
    balancer.listeners.clear();
    let actions = world.plan();
    assert!(
        matches!(&actions[..], [Action::Tell(news), ..] if news.reason == "ClusterIpTaken"),
        "{actions:?}"
    );
    assert!(!actions.iter().any(|action| matches!(action, Action::Call(_))), "{actions:?}");
}

#[test]
fn one_of_the_python_kuryr_is_adopted_with_a_tag_and_nothing_else() {
    let mut world = World::served();
    world.settle();
    let calls = world.calls;
    world.balancers.values_mut().next().unwrap().ownership = Ownership::Kuryr;
    world.settle();
    assert_eq!(world.calls - calls, 1);
    assert_eq!(world.balancers.values().next().unwrap().ownership, Ownership::Ours);
}

#[test]
fn a_load_balancer_in_error_that_still_forwards_is_not_deleted() {
    let mut world = World::served();
    world.settle();
    world.balancers.values_mut().next().unwrap().state = State::Error;
    assert!(
        matches!(&world.plan()[..], [Action::Tell(news)] if news.reason == "LoadBalancerInError"),
        "{:?}",
        world.plan()
    );
    world.balancers.values_mut().next().unwrap().provider = "amphora".to_owned();
    assert!(matches!(&world.plan()[..], [Action::Call(Call::FailOver(_))]), "{:?}", world.plan());
    world.slices = vec![slice("", 0, vec![endpoint(9, false, EndpointState::Ready)])];
    assert!(matches!(&world.plan()[..], [Action::Call(Call::DeleteBalancer(_))]), "{:?}", world.plan());
}

#[test]
fn nothing_is_changed_while_octavia_is_at_work() {
    let mut world = World::served();
    world.settle();
    world.balancers.values_mut().next().unwrap().state = State::Pending;
    world.slices.clear();
    let ids = world.balancers.keys().cloned().collect();
    assert_eq!(world.plan(), vec![Action::Await(ids)]);
}

#[test]
fn octavia_that_is_at_work_for_too_long_is_told_and_waited_for() {
    let mut world = World::served();
    world.settle();
    world.balancers.values_mut().next().unwrap().state = State::Overdue;
    let actions = world.plan();
    assert!(
        matches!(&actions[..], [Action::Tell(news), Action::Await(_)] if news.reason == "LoadBalancerStuck"),
        "{actions:?}"
    );
}

#[test]
fn the_api_servers_load_balancer_of_an_installer_is_left_alone_and_an_own_one_kept() {
    let mut world = World { name: "default/kubernetes", ..World::served() };
    world.settle();
    assert_eq!((world.balancers.len(), world.record.is_some()), (1, true));
    let mut world = World { name: "default/kubernetes", ..World::served() };
    world.settle();
    world.balancers.values_mut().next().unwrap().ownership = Ownership::Foreign;
    (world.record, world.service.as_mut().unwrap().is_held) = (None, false);
    assert_eq!(world.plan(), []);
}

#[test]
fn a_record_that_somebody_deletes_is_written_anew() {
    let mut world = World::served();
    world.settle();
    world.deleting = true;
    assert_eq!(world.plan(), vec![Action::ReleaseRecord]);
    world.settle();
    assert!(world.record.is_some() && !world.deleting);
    assert_eq!(world.balancers.len(), 1);
}

/// Exposed, with an address of the user's that is there already.
fn exposed(wanted: &str) -> World {
    let mut world = World::served();
    let service = world.service.as_mut().unwrap();
    (service.exposure, service.wanted_address) = (Exposure::LoadBalancer, wanted.parse().ok());
    let address = Address {
        id: "theirs".into(),
        ip: "198.51.100.7".parse().unwrap(),
        port: None,
        ownership: AddressOwnership::Others,
    };
    world.addresses.insert(address.id.clone(), address);
    world
}

#[test]
fn a_users_address_is_used_and_left_to_the_user() {
    let mut world = exposed("198.51.100.7");
    world.settle();
    let info = world.record.as_ref().unwrap().1.service_pub_ip_info.clone().unwrap();
    assert_eq!((info.ip_id.as_str(), info.alloc_method.as_str()), ("theirs", "user"));
    world.service.as_mut().unwrap().exposure = Exposure::ClusterIp;
    world.settle();
    assert_eq!(world.addresses.values().map(|one| one.port.clone()).collect::<Vec<_>>(), [None]);
    assert!(world.service.as_ref().unwrap().ingress.is_empty());
}

#[test]
fn an_address_that_leads_elsewhere_is_not_taken() {
    let mut world = exposed("198.51.100.7");
    world.addresses.values_mut().for_each(|one| one.port = Some("elsewhere".into()));
    world.settle();
    let told = |action: &Action| matches!(action, Action::Tell(news) if news.reason == "AddressInUse");
    assert!(world.plan().iter().any(told), "{:?}", world.plan());
}

#[test]
fn another_address_is_asked_for() {
    let mut world = exposed("");
    world.settle();
    assert_eq!(world.addresses.len(), 2, "a free one of somebody else's is not taken");
    world.service.as_mut().unwrap().wanted_address = "198.51.100.7".parse().ok();
    world.settle();
    assert_eq!(world.addresses.len(), 1);
    assert_eq!(
        world.service.as_ref().unwrap().ingress,
        ["198.51.100.7".parse::<std::net::IpAddr>().unwrap()]
    );
}

#[test]
fn a_kept_address_outlives_its_service() {
    let mut world = exposed("");
    world.service.as_mut().unwrap().wishes.keep_address = true;
    world.settle();
    world.replace(None);
    world.settle();
    assert!(
        world.addresses.values().all(|one| one.port.is_none() && one.ownership == AddressOwnership::Others)
    );
    assert_eq!(world.addresses.len(), 2);
}

#[test]
fn a_cluster_ip_outside_the_subnets_is_told() {
    let mut world = World::served();
    world.service.as_mut().unwrap().cluster_ips = vec!["10.0.0.1".parse().unwrap()];
    let told = |action: &Action| matches!(action, Action::Tell(news) if news.reason == "ClusterIpOutsideServiceSubnet");
    assert!(world.plan().iter().any(told));
}

#[test]
fn members_are_asked_on_their_own_subnet_in_l2_mode() {
    let mut world = World::served();
    world.site.member_mode = MemberMode::L2;
    world.settle();
    let balancer = world.balancers.values().next().unwrap();
    let members = balancer.pools.values().flat_map(|pool| pool.members.values());
    assert!(members.into_iter().all(|member| member.subnet.as_ref().is_some_and(|id| id.as_str() == "pods")));
}

#[test]
fn draining_endpoints_serve_only_where_none_is_ready() {
    let mut world = World::served();
    world.slices = vec![slice(
        "",
        0,
        vec![endpoint(1, false, EndpointState::Ready), endpoint(2, false, EndpointState::Draining)],
    )];
    world.settle();
    assert_eq!(world.addresses(), ["10.1.0.1"]);
    world.slices = vec![slice("", 0, vec![endpoint(2, false, EndpointState::Draining)])];
    world.settle();
    assert_eq!(world.addresses(), ["10.1.0.2"]);
    assert_eq!(site().algorithm, "SOURCE_IP_PORT");
    let mut pools = world.balancers.values().flat_map(|balancer| balancer.pools.values());
    assert!(pools.all(|pool| pool.algorithm == site().algorithm));
}
