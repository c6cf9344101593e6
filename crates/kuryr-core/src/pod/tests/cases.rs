//! One case for each situation that a user can meet.

use super::*;

fn seen<'a>(
    network: &'a PodNetwork,
    pod: Option<Pod<'a>>,
    record: Option<Record<'a>>,
    ports: Vec<Port>,
) -> Observed<'a> {
    let name = "default/web".into();
    let security = Security::Initial(network.security_groups.iter().cloned().collect());
    let (pooled, namespace, carrier) = (BTreeMap::new(), Namespace::Open, Carrier::Host);
    Observed {
        name,
        pod,
        record,
        ports,
        pooled,
        carrier,
        carried: BTreeMap::new(),
        network,
        security,
        namespace,
        failures: 0,
    }
}

fn on_trunk<'a>(carried: &[(&str, &str)], seen: Observed<'a>) -> Observed<'a> {
    let carried = carried.iter().map(|(port, trunk)| {
        (PortId::from(*port), Place::Trunk(Attachment { trunk: (*trunk).into(), vlan: 7 }))
    });
    let carrier = Carrier::Machine(Bearer::Trunk("trunk".into()));
    Observed { carrier, carried: carried.collect(), ..seen }
}

fn parent(port: &str) -> Parent {
    Parent { port: port.into(), mac: "fa:16:3e:00:00:99".into(), sharing: Sharing::Ipvlan }
}

/// The node is a machine whose link pods share; of port 1 so much is among the pairs of that port.
fn sharing<'a>(place: Option<(&str, Extent)>, seen: Observed<'a>) -> Observed<'a> {
    let carried = place.map(|(port, extent)| ("1".into(), Place::Pairs(parent(port), extent)));
    let carrier = Carrier::Machine(Bearer::Pairs(parent("parent")));
    Observed { carrier, carried: carried.into_iter().collect(), ..seen }
}

fn name_of(bearer: &Bearer) -> String {
    match bearer {
        Bearer::Trunk(trunk) => trunk.to_string(),
        Bearer::Pairs(parent) => format!("pairs of {}", parent.port),
    }
}

fn lack(needs: Needs) -> Carrier {
    Carrier::Missing(Lack { needs, why: "no port".into() })
}

/// Actions by name, so that a table reads as the story it tells.
fn names(actions: &[Action]) -> Vec<String> {
    let name = |action: &Action| match action {
        Action::CreatePort(_) => "create port".into(),
        Action::TagPort(id) => format!("tag {id}"),
        Action::Attach(id, bearer) => format!("attach {id} to {}", name_of(bearer)),
        Action::Detach(id, bearer) => format!("detach {id} from {}", name_of(bearer)),
        Action::DeletePort(id) => format!("delete {id}"),
        Action::ReturnPort(id) => format!("return {id}"),
        Action::AwaitUnplugging(ids) => format!("await unplugging of {}", ids[0]),
        Action::Record(_) => "record".into(),
        Action::Activate(names) => format!("activate {}", names.join(",")),
        Action::DeleteRecord => "delete record".into(),
        Action::ReleaseRecord => "release record".into(),
        Action::TakeOldFinalizerOff => "take old finalizer off".into(),
        Action::AwaitWiring(ids) => format!("await {}", ids[0]),
        Action::Tell(news) => format!("tell {}", news.reason),
        Action::Secure(id, groups) => format!("secure {id} {groups:?}"),
        Action::Retry(why) => format!("retry {why:?}"),
    };
    actions.iter().map(name).collect()
}

#[expect(clippy::unnecessary_wraps, reason = "what is observed is an optional pod")]
fn at(stage: Stage) -> Option<Pod<'static>> {
    Some(Pod { stage, ..pod("a") })
}

fn nonsense() -> Record<'static> {
    Record { content: Content::Nonsense("eth0: not an object".into()), ..record("a", "1") }
}

fn by_neutron(port: Port, wiring: Wiring) -> Port {
    let bound = Bound { vif_type: "ovs".into(), ..Bound::default() };
    Port { binding: Binding::Bound(bound), wiring, ..port }
}

fn idle() -> Record<'static> {
    let interface = Interface { name: "eth0".into(), port: "1".into(), active: false, link: Link::Own };
    Record { content: Content::Interfaces(vec![interface]), ..record("a", "1") }
}

const RELEASE: &[&str] = &["delete record", "release record"];
const RELEASE_ALL: &[&str] = &["delete record", "delete 1", "release record"];

#[test]
fn a_pods_life() {
    let network = network();
    let late = Record { deleting: true, ..record("a", "1") };
    let cases: Vec<(&str, Observed<'_>, &[&str])> = vec![
        ("not bound to a node", seen(&network, Some(Pod { node: None, ..pod("a") }), None, vec![]), &[]),
        ("new", seen(&network, at(Stage::Starting), None, vec![]), &["create port"]),
        ("port made", seen(&network, at(Stage::Starting), None, vec![port("1", "a")]), &["record"]),
        ("recorded", seen(&network, at(Stage::Starting), Some(record("a", "1")), vec![port("1", "a")]), &[]),
        ("running", seen(&network, at(Stage::Running), Some(record("a", "1")), vec![port("1", "a")]), &[]),
        (
            "done",
            seen(&network, at(Stage::Finished), Some(record("a", "1")), vec![port("1", "a")]),
            RELEASE_ALL,
        ),
        ("gone", seen(&network, None, Some(record("a", "1")), vec![port("1", "a")]), RELEASE_ALL),
        (
            "gone, and the garbage collector was faster",
            seen(&network, None, Some(late), vec![port("1", "a")]),
            &["delete 1", "release record"],
        ),
        ("gone, its port too", seen(&network, None, Some(record("a", "1")), vec![]), RELEASE),
        (
            "gone before its port was recorded",
            seen(&network, None, None, vec![port("1", "a")]),
            &["delete 1"],
        ),
        ("deleted before it had a port", seen(&network, at(Stage::Running), None, vec![]), &[]),
    ];
    for (name, seen, expected) in cases {
        assert_eq!(names(&plan(&seen)), expected, "{name}");
    }
}

#[test]
fn a_pods_life_on_a_trunk() {
    let network = network();
    let subport = || {
        vec![Port {
            wiring: Wiring::Pending,
            binding: Binding::Unbound,
            host: String::new(),
            ..port("1", "a")
        }]
    };
    let starting = |ports| seen(&network, at(Stage::Starting), None, ports);
    let gone = || seen(&network, None, Some(record("a", "1")), subport());
    let without = Observed { carrier: lack(Needs::Trunk), ..starting(vec![]) };
    let release: &[&str] = &["delete record", "detach 1 from trunk", "delete 1", "release record"];
    let cases: Vec<(&str, Observed<'_>, &[&str])> = vec![
        ("new", on_trunk(&[], starting(vec![])), &["create port"]),
        ("port made", on_trunk(&[], starting(subport())), &["attach 1 to trunk"]),
        ("attached", on_trunk(&[("1", "trunk")], starting(subport())), &["record"]),
        (
            "recorded: Neutron alone tells when it is wired",
            on_trunk(
                &[("1", "trunk")],
                seen(
                    &network,
                    at(Stage::Starting),
                    Some(idle()),
                    vec![Port { wiring: Wiring::Pending, ..port("1", "a") }],
                ),
            ),
            &["await 1"],
        ),
        ("gone", on_trunk(&[("1", "trunk")], gone()), release),
        (
            "gone, its node too",
            Observed { carrier: Carrier::Host, ..on_trunk(&[("1", "trunk")], gone()) },
            release,
        ),
        (
            "on another node's trunk",
            on_trunk(&[("1", "other")], starting(subport())),
            &["detach 1 from other", "delete 1", "create port"],
        ),
        (
            "bound to a host that became a virtual machine",
            on_trunk(&[], starting(vec![port("1", "a")])),
            &["delete 1", "create port"],
        ),
        (
            "a subport for a node that Neutron binds ports to",
            Observed {
                carrier: Carrier::Host,
                ..on_trunk(&[("1", "trunk")], starting(vec![port("1", "a")]))
            },
            &["detach 1 from trunk", "delete 1", "create port"],
        ),
        ("no trunk", without, &["tell NodeWithoutTrunk", "retry NoCarrier"]),
    ];
    for (name, seen, expected) in cases {
        assert_eq!(names(&plan(&seen)), expected, "{name}");
    }
}

#[test]
fn a_pods_life_on_its_machines_link() {
    let network = network();
    let unbound = || {
        vec![Port {
            wiring: Wiring::Pending,
            binding: Binding::Unbound,
            host: String::new(),
            ..port("1", "a")
        }]
    };
    let shared = |active| {
        let link = Link::Shared(Sharing::Ipvlan);
        let interface = Interface { name: "eth0".into(), port: "1".into(), active, link };
        Some(Record { content: Content::Interfaces(vec![interface]), ..record("a", "1") })
    };
    let starting = |ports| seen(&network, at(Stage::Starting), None, ports);
    let running = |active| seen(&network, at(Stage::Running), shared(active), unbound());
    let gone = || seen(&network, None, shared(true), unbound());
    let whole = Some(("parent", Extent::Whole));
    let cases: Vec<(&str, Observed<'_>, &[&str])> = vec![
        ("new", sharing(None, starting(vec![])), &["create port"]),
        ("port made", sharing(None, starting(unbound())), &["attach 1 to pairs of parent"]),
        (
            "some pairs made",
            sharing(Some(("parent", Extent::Part)), starting(unbound())),
            &["attach 1 to pairs of parent"],
        ),
        ("all pairs made", sharing(whole, starting(unbound())), &["record"]),
        ("recorded: Neutron never calls it ACTIVE", sharing(whole, running(true)), &[]),
        ("recorded by one who did not know that", sharing(whole, running(false)), &["activate eth0"]),
        ("somebody took its pairs", sharing(None, running(true)), &["attach 1 to pairs of parent"]),
        (
            "somebody took one of them",
            sharing(Some(("parent", Extent::Part)), running(true)),
            &["attach 1 to pairs of parent"],
        ),
        (
            "its machine has another port",
            sharing(Some(("old", Extent::Whole)), running(true)),
            &["detach 1 from pairs of old", "attach 1 to pairs of parent"],
        ),
        ("nobody knows its machine", Observed { carrier: Carrier::Host, ..running(true) }, &[]),
        (
            "gone",
            sharing(whole, gone()),
            &["delete record", "detach 1 from pairs of parent", "delete 1", "release record"],
        ),
        (
            "gone, with some pairs",
            sharing(Some(("parent", Extent::Part)), gone()),
            &["delete record", "detach 1 from pairs of parent", "delete 1", "release record"],
        ),
        (
            "of another machine",
            sharing(Some(("old", Extent::Whole)), starting(unbound())),
            &["detach 1 from pairs of old", "delete 1", "create port"],
        ),
        (
            "no port",
            Observed { carrier: lack(Needs::Port), ..starting(vec![]) },
            &["tell NodeWithoutPort", "retry NoCarrier"],
        ),
    ];
    for (name, seen, expected) in cases {
        assert_eq!(names(&plan(&seen)), expected, "{name}");
    }
}

#[test]
fn a_port_that_is_not_where_its_record_says() {
    let network = network();
    let plugged = || {
        let interface =
            Interface { name: "eth0".into(), port: "1".into(), active: true, link: Link::Vlan(7) };
        Some(Record { content: Content::Interfaces(vec![interface]), ..record("a", "1") })
    };
    let of = |stage| seen(&network, at(stage), plugged(), vec![port("1", "a")]);
    let told: &[&str] = &["tell PortOffTrunk"];
    assert_eq!(names(&plan(&on_trunk(&[("1", "trunk")], of(Stage::Running)))), Vec::<String>::new());
    assert_eq!(names(&plan(&on_trunk(&[], of(Stage::Running)))), told);
    assert_eq!(names(&plan(&on_trunk(&[], of(Stage::Starting)))), RELEASE);
}

#[test]
fn a_subport_of_somebody_else_stays_whatever_a_record_says() {
    let network = network();
    let theirs = Port { ownership: Ownership::Kuryr, network: "other".into(), ..port("1", "") };
    let gone =
        |port: Port| on_trunk(&[("1", "trunk")], seen(&network, None, Some(record("a", "1")), vec![port]));
    assert_eq!(names(&plan(&gone(theirs.clone()))), RELEASE);
    let ours = Interface { name: "eth0".into(), port: "1".into(), active: true, link: Link::Vlan(7) };
    let record = Record { content: Content::Interfaces(vec![ours]), ..record("a", "1") };
    let adopted = Port { network: "net".into(), ..theirs };
    let gone = on_trunk(&[("1", "trunk")], seen(&network, None, Some(record), vec![adopted]));
    assert_eq!(names(&plan(&gone)), ["delete record", "detach 1 from trunk", "delete 1", "release record"]);
}

#[test]
fn a_port_for_a_trunk_is_bound_to_no_host() {
    let network = network();
    let plan = plan(&on_trunk(&[], seen(&network, at(Stage::Starting), None, vec![])));
    assert!(matches!(&plan[..], [Action::CreatePort(PortRequest { host: None, .. })]), "{plan:?}");
}

#[test]
fn pods_that_are_none_of_our_business() {
    let network = network();
    let host = Some(Pod { wants: Wants::Nothing, ..pod("a") });
    assert!(plan(&seen(&network, host.clone(), None, vec![])).is_empty());
    assert!(plan(&seen(&network, at(Stage::Running), None, vec![])).is_empty());
    assert_eq!(names(&plan(&seen(&network, host, Some(record("a", "1")), vec![]))), RELEASE);
}

#[test]
fn a_pod_of_the_same_name_follows() {
    let network = network();
    let both = vec![port("1", "a"), port("2", "b")];
    let replaced = seen(&network, Some(pod("b")), Some(record("a", "1")), both);
    assert_eq!(names(&plan(&replaced)), RELEASE_ALL);
}

#[test]
fn records_that_users_broke() {
    let network = network();
    let starting = || at(Stage::Starting);
    let foreign = || vec![Port { ownership: Ownership::Foreign, ..port("1", "vm") }];
    let deleting = Record { deleting: true, ..record("a", "1") };
    let empty = Record { content: Content::Interfaces(vec![]), ..record("a", "1") };
    let elsewhere = Record { node: "node2", ..record("a", "1") };
    let unusable: &[&str] = &["tell KuryrPortUnusable", "delete record", "release record"];
    let cases: Vec<(&str, Observed<'_>, &[&str])> = vec![
        (
            "deleted under a running pod: the port stays",
            seen(&network, at(Stage::Running), Some(deleting), vec![port("1", "a")]),
            &["release record"],
        ),
        (
            "deleted by force: written again from the port",
            seen(&network, at(Stage::Running), None, vec![port("1", "a")]),
            &["record"],
        ),
        ("nonsense", seen(&network, starting(), Some(nonsense()), vec![port("1", "a")]), unusable),
        (
            "empty, as the Python Kuryr writes it at first",
            seen(&network, starting(), Some(empty), vec![]),
            RELEASE,
        ),
        ("for another node", seen(&network, starting(), Some(elsewhere), vec![port("1", "a")]), RELEASE),
        (
            "naming a virtual machine's port",
            seen(&network, starting(), Some(record("a", "1")), foreign()),
            unusable,
        ),
        (
            "naming a virtual machine's port, for no pod",
            seen(&network, None, Some(record("a", "1")), foreign()),
            RELEASE,
        ),
    ];
    for (name, seen, expected) in cases {
        assert_eq!(names(&plan(&seen)), expected, "{name}");
    }
}

#[test]
fn ports_that_are_not_as_they_should_be() {
    let network = network();
    let starting = || at(Stage::Starting);
    let failed = Port { binding: Binding::Failed, ..port("1", "a") };
    let elsewhere = Port { host: "node2".into(), ..port("1", "a") };
    let tap = Binding::Bound(Bound { vif_type: "tap".into(), ..Bound::default() });
    let odd = Port { binding: tap, ..port("1", "a") };
    let cases: Vec<(&str, Observed<'_>, &[&str])> = vec![
        (
            "binding failed",
            seen(&network, starting(), None, vec![failed]),
            &["delete 1", "tell PortBindingFailed", "retry BindingFailed"],
        ),
        (
            "bound to another node",
            seen(&network, starting(), None, vec![elsewhere]),
            &["delete 1", "create port"],
        ),
        (
            "bound in an odd way",
            seen(&network, starting(), None, vec![odd]),
            &["tell PortNotPluggable", "retry NotPluggable"],
        ),
        (
            "two, by a controller that died in between",
            seen(&network, starting(), None, vec![port("2", "a"), port("1", "a")]),
            &["delete 2", "record"],
        ),
        (
            "two, one recorded",
            seen(&network, starting(), Some(record("a", "2")), vec![port("2", "a"), port("1", "a")]),
            &["delete 1"],
        ),
        (
            "vanished before the pod started",
            seen(&network, starting(), Some(record("a", "1")), vec![]),
            RELEASE,
        ),
        (
            "vanished under a running pod",
            seen(&network, at(Stage::Running), Some(record("a", "1")), vec![]),
            &["tell PortVanished"],
        ),
    ];
    for (name, seen, expected) in cases {
        assert_eq!(names(&plan(&seen)), expected, "{name}");
    }
}

#[test]
fn what_the_python_kuryr_left_is_adopted() {
    let network = network();
    let theirs = Port { ownership: Ownership::Kuryr, ..port("1", "a") };
    let adopted = seen(&network, at(Stage::Running), Some(record("a", "1")), vec![theirs.clone()]);
    assert_eq!(names(&plan(&adopted)), ["tag 1"]);
    let gone = seen(&network, None, Some(record("a", "1")), vec![theirs.clone()]);
    assert_eq!(names(&plan(&gone)), RELEASE_ALL);
    assert!(plan(&seen(&network, None, None, vec![theirs])).is_empty());
    let finalized = Some(Pod { has_old_finalizer: true, ..pod("a") });
    let running = seen(&network, finalized, Some(record("a", "1")), vec![port("1", "a")]);
    assert_eq!(names(&plan(&running)), ["take old finalizer off"]);
}

#[test]
fn without_ovn_the_record_follows_neutrons_status() {
    let network = network();
    let cases: Vec<(Record<'_>, Wiring, &[&str])> = vec![
        (idle(), Wiring::Pending, &["await 1"]),
        (idle(), Wiring::Active, &["activate eth0"]),
        (record("a", "1"), Wiring::Active, &[]),
        (record("a", "1"), Wiring::Pending, &[]),
    ];
    for (record, wiring, expected) in cases {
        let port = by_neutron(port("1", "a"), wiring);
        let seen = seen(&network, at(Stage::Starting), Some(record), vec![port]);
        assert_eq!(names(&plan(&seen)), expected);
    }
}

#[test]
fn a_port_that_is_not_bound_yet_is_told_of_only_when_it_stays_so() {
    let network = network();
    let unbound = Port { binding: Binding::Unbound, ..port("1", "a") };
    let after =
        |failures| Observed { failures, ..seen(&network, at(Stage::Starting), None, vec![unbound.clone()]) };
    assert_eq!(names(&plan(&after(0))), ["retry NotPluggable"]);
    assert_eq!(names(&plan(&after(10))), ["tell PortNotPluggable", "retry NotPluggable"]);
}

#[test]
fn a_port_of_a_pool_goes_back_to_it_once_it_is_unplugged() {
    let network = network();
    let late = || Record { deleting: true, ..record("a", "1") };
    let with = |record, plugging| Observed {
        pooled: BTreeMap::from([("1".into(), plugging)]),
        ..seen(&network, None, record, vec![port("1", "a")])
    };
    let of = |record, plugging| names(&plan(&with(record, plugging)));
    assert_eq!(of(Some(record("a", "1")), Plugging::Plugged), ["delete record", "await unplugging of 1"]);
    assert_eq!(of(Some(late()), Plugging::Plugged), ["await unplugging of 1"]);
    assert_eq!(of(Some(late()), Plugging::Unplugged), ["return 1", "release record"]);
    assert_eq!(of(None, Plugging::Unplugged), ["return 1"]);
}

#[test]
fn a_namespace_that_goes_gets_nothing_new() {
    let network = network();
    let with = |ports| Observed {
        namespace: Namespace::Terminating,
        ..seen(&network, at(Stage::Starting), None, ports)
    };
    assert!(plan(&with(vec![])).is_empty());
    assert_eq!(names(&plan(&with(vec![port("1", "a")]))), ["delete 1"]);
}

#[test]
fn a_port_is_asked_for_with_all_that_it_needs() {
    let network = PodNetwork { naming: Naming::Pod, project: Some("project".into()), ..network() };
    let actions = plan(&seen(&network, Some(pod("a")), None, vec![]));
    let [Action::CreatePort(request)] = actions.as_slice() else { panic!("{actions:?}") };
    let expected = PortRequest {
        network: "net".into(),
        subnets: vec!["v4".into(), "v6".into()],
        node: NODE.into(),
        host: Some(NODE.into()),
        pod_uid: "a".into(),
        security_groups: ["sg".into()].into(),
        project: Some("project".into()),
        tags: vec!["kuryr-cluster=c".into()],
        name: Some("default/web".into()),
    };
    assert_eq!(*request, expected);
}
