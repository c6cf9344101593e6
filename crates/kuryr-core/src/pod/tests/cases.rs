//! One case for each situation that a user can meet.

use super::*;

pub(super) fn seen<'a>(
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

fn name_of(bearer: &Bearer) -> String {
    match bearer {
        Bearer::Trunk(trunk) => trunk.to_string(),
        Bearer::Pairs(parent) => format!("pairs of {}", parent.port),
        Bearer::Server(server) => format!("server {server}"),
    }
}

/// Actions by name, so that a table reads as the story it tells.
pub(super) fn names(actions: &[Action]) -> Vec<String> {
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
pub(super) fn at(stage: Stage) -> Option<Pod<'static>> {
    Some(Pod { stage, ..pod("a") })
}

fn nonsense() -> Record<'static> {
    Record { content: Content::Nonsense("eth0: not an object".into()), ..record("a", "1") }
}

fn by_neutron(port: Port, wiring: Wiring) -> Port {
    let bound = Bound { vif_type: "ovs".into(), ..Bound::default() };
    Port { binding: Binding::Bound(bound), wiring, ..port }
}

pub(super) fn idle() -> Record<'static> {
    let interface = Interface { name: "eth0".into(), port: "1".into(), active: false, link: Link::Own };
    Record { content: Content::Interfaces(vec![interface]), ..record("a", "1") }
}

pub(super) const RELEASE: &[&str] = &["delete record", "release record"];
pub(super) const RELEASE_ALL: &[&str] = &["delete record", "delete 1", "release record"];

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
        vnic: Vnic::Normal,
        pod_uid: "a".into(),
        security_groups: ["sg".into()].into(),
        project: Some("project".into()),
        tags: vec!["kuryr-cluster=c".into()],
        name: Some("default/web".into()),
    };
    assert_eq!(*request, expected);
}
