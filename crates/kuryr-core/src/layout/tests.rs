use super::*;
use proptest::prelude::*;

/// Something that a person did.
type Change = fn(&mut Layout, &mut Found);

fn layout() -> Layout {
    Layout {
        pod_network: "k8s-pod-net".into(),
        pod_ranges: vec![net("10.1.0.0/16"), net("fd10:1::/64")],
        service_network: "k8s-service-net".into(),
        service_range: net("10.96.0.0/16"),
        external_network: Some("public".into()),
        router: "k8s-router".into(),
        security_group: "k8s-pods".into(),
    }
}

fn net(range: &str) -> IpNet {
    range.parse().unwrap()
}

fn outside() -> Found {
    Found {
        networks: vec![Network { id: "outside".into(), name: "public".into(), external: true }],
        subnets: vec![subnet("public-subnet", "outside", "172.24.4.0/24")],
        ..Found::default()
    }
}

fn subnet(name: &str, network: &str, range: &str) -> Subnet {
    Subnet {
        id: format!("id of {name}"),
        name: name.into(),
        network: network.into(),
        range: net(range),
        pools: vec![],
    }
}

/// What the cloud does with a step. Ids are names here.
fn apply(found: &mut Found, step: Step) {
    match step {
        Step::Network(name) => found.networks.push(Network { id: name.clone(), name, external: false }),
        Step::Subnet(NewSubnet { name, network, range, pool, .. }) => {
            found.subnets.push(Subnet {
                id: name.clone(),
                name,
                network,
                range,
                pools: pool.into_iter().collect(),
            });
        }
        Step::Router { name, external } => {
            let external = external.and_then(|name| Some(found.network(&name)?.id.clone()));
            found.routers.push(Router { id: name.clone(), name, external, subnets: vec![] });
        }
        Step::Interface { router, subnet } => {
            let id = found.same(&subnet).unwrap().id.clone();
            found.routers.iter_mut().find(|found| found.name == router).unwrap().subnets.push(id);
        }
        Step::Group(name) => {
            let egress = |family| Opening { direction: Direction::Egress, family };
            found.groups.push(Group {
                id: name.clone(),
                name,
                open: vec![egress(Family::V4), egress(Family::V6)],
            });
        }
        Step::Rule { group, opening } => {
            found.groups.iter_mut().find(|found| found.name == group).unwrap().open.push(opening);
        }
    }
}

fn complete() -> Found {
    let mut found = outside();
    for step in plan(&layout(), &found).unwrap() {
        apply(&mut found, step);
    }
    found
}

#[test]
fn in_an_empty_project_everything_is_made() {
    let steps = plan(&layout(), &outside()).unwrap();
    let kinds: Vec<_> = steps
        .iter()
        .map(|step| match step {
            Step::Network(name) | Step::Group(name) | Step::Router { name, .. } => name.clone(),
            Step::Subnet(subnet) => format!("{} {}", subnet.name, subnet.range),
            Step::Interface { subnet, .. } => format!("router in {}", subnet.name),
            Step::Rule { opening, .. } => format!("{:?} {:?}", opening.direction, opening.family),
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "k8s-pod-net",
            "k8s-service-net",
            "k8s-pod-subnet 10.1.0.0/16",
            "k8s-pod-subnet-v6 fd10:1::/64",
            "k8s-service-subnet 10.96.0.0/15",
            "k8s-router",
            "router in k8s-pod-subnet",
            "router in k8s-pod-subnet-v6",
            "router in k8s-service-subnet",
            "k8s-pods",
            "Ingress V4",
            "Ingress V6",
        ]
    );
}

#[test]
fn a_complete_layout_is_left_alone() {
    assert_eq!(plan(&layout(), &complete()), Ok(vec![]));
}

#[test]
fn neutron_gives_from_the_half_that_kubernetes_does_not() {
    let halves = |range: &str| {
        let ServiceRange { subnet, pool, gateway } = ServiceRange::of(net(range)).unwrap();
        format!("{subnet} {}-{} {gateway}", pool.first, pool.last)
    };
    assert_eq!(halves("10.96.0.0/16"), "10.96.0.0/15 10.97.0.1-10.97.255.253 10.97.255.254");
    assert_eq!(halves("10.97.0.0/16"), "10.96.0.0/15 10.96.0.1-10.96.255.253 10.96.255.254");
    assert_eq!(halves("10.96.0.0/12"), "10.96.0.0/11 10.112.0.1-10.127.255.253 10.127.255.254");
    assert_eq!(halves("fd00:96::/108"), "fd00:96::/107 fd00:96::10:1-fd00:96::1f:fffd fd00:96::1f:fffe");
    assert_eq!(halves("192.168.0.0/30"), "192.168.0.0/29 192.168.0.5-192.168.0.5 192.168.0.6");
    for impossible in ["0.0.0.0/0", "10.0.0.0/31", "10.0.0.1/32"] {
        assert!(
            matches!(ServiceRange::of(net(impossible)), Err(Conflict::ServiceRange { .. })),
            "{impossible}"
        );
    }
}

#[test]
fn the_router_has_the_first_address_of_pods_and_the_last_of_services() {
    let subnets = layout().subnets().unwrap();
    let gateways: Vec<_> = subnets.iter().map(|subnet| subnet.gateway.to_string()).collect();
    assert_eq!(gateways, ["10.1.0.1", "fd10:1::1", "10.97.255.254"]);
}

#[test]
fn a_subnet_of_another_name_will_do() {
    let mut found = complete();
    found.subnets.iter_mut().find(|subnet| subnet.name == "k8s-pod-subnet").unwrap().name = "mine".into();
    found.routers[0].subnets.clear();
    let steps = plan(&layout(), &found).unwrap();
    let joined: Vec<_> = steps
        .iter()
        .map(|step| match step {
            Step::Interface { subnet, .. } => found.same(subnet).unwrap().name.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(joined, ["mine", "k8s-pod-subnet-v6", "k8s-service-subnet"]);
}

#[test]
fn what_only_a_person_can_mend_is_named() {
    let told = |change: Change| {
        let (mut layout, mut found) = (layout(), complete());
        change(&mut layout, &mut found);
        plan(&layout, &found).unwrap_err().to_string()
    };
    let cases: [(Change, &str); 9] = [
        (|layout, _| layout.pod_ranges.clear(), "pods have no range: name at least one by --pod-range"),
        (
            |layout, _| layout.pod_ranges.push(net("10.3.0.0/16")),
            "10.1.0.0/16 and 10.3.0.0/16, which are of one family",
        ),
        (
            |layout, _| layout.pod_ranges[0] = net("10.97.128.0/17"),
            "subnet `k8s-pod-subnet` (10.97.128.0/17) overlaps subnet `k8s-service-subnet` (10.96.0.0/15)",
        ),
        (
            |layout, _| layout.pod_ranges[0] = net("172.24.0.0/16"),
            "overlaps external subnet `public-subnet` (172.24.4.0/24)",
        ),
        (
            |_, found| found.networks.push(found.networks[1].clone()),
            "there are 2 networks called `k8s-pod-net`: rename or delete all but one",
        ),
        (
            |layout, _| layout.pod_ranges[0] = net("10.2.0.0/16"),
            "subnet `k8s-pod-subnet` (k8s-pod-subnet) is 10.1.0.0/16, but 10.2.0.0/16 is wanted",
        ),
        (
            |layout, _| layout.service_range = net("10.97.0.0/16"),
            "Neutron gives addresses of the service range 10.97.0.0/16 to ports",
        ),
        (
            |layout, _| layout.external_network = Some("internet".into()),
            "there is no external network called `internet`; the project sees `public`",
        ),
        (
            |_, found| found.routers[0].external = None,
            "router `k8s-router` (k8s-router) does not lead to `public`",
        ),
    ];
    for (change, expected) in cases {
        let told = told(change);
        assert!(told.contains(expected), "{told}");
    }
}

proptest! {
    /// Whatever part of it is there, the steps complete it, and then there is none.
    #[test]
    fn the_steps_complete_it(kept in prop::collection::vec(any::<bool>(), 12)) {
        let mut found = outside();
        for (step, keep) in plan(&layout(), &found).unwrap().into_iter().zip(kept) {
            let network = |name: &String| found.network(name).is_some();
            let possible = match &step {
                Step::Network(_) | Step::Router { .. } | Step::Group(_) => true,
                Step::Subnet(subnet) => network(&subnet.network),
                Step::Interface { router, subnet } => found.router(router).is_some() && found.same(subnet).is_some(),
                Step::Rule { group, .. } => found.group(group).is_some(),
            };
            if keep && possible {
                apply(&mut found, step);
            }
        }
        for step in plan(&layout(), &found).unwrap() {
            apply(&mut found, step);
        }
        prop_assert_eq!(plan(&layout(), &found), Ok(vec![]));
        prop_assert_eq!(found.networks.len(), 3);
    }
}
