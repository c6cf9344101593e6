//! The cases of nodes that are virtual machines.

use super::cases::{RELEASE, RELEASE_ALL, at, idle, names, seen};
use super::*;

fn on_trunk<'a>(on: &[(&str, &str)], seen: Observed<'a>) -> Observed<'a> {
    let place = |trunk: &str| Place::Trunk(Attachment { trunk: trunk.into(), vlan: 7 });
    let carried = on.iter().map(|(port, trunk)| (PortId::from(*port), place(trunk))).collect();
    Observed { carrier: Carrier::Machine(Bearer::Trunk("trunk".into())), carried, ..seen }
}

fn parent(port: &str) -> Parent {
    Parent { port: port.into(), mac: "fa:16:3e:00:00:99".into(), sharing: Sharing::Ipvlan }
}

/// The node is a machine whose link pods share; of port 1 so much is among the pairs of that port.
fn sharing<'a>(place: Option<(&str, Extent)>, seen: Observed<'a>) -> Observed<'a> {
    let carried = place.map(|(port, extent)| ("1".into(), Place::Pairs(parent(port), extent)));
    Observed {
        carrier: Carrier::Machine(Bearer::Pairs(parent("parent"))),
        carried: carried.into_iter().collect(),
        ..seen
    }
}

fn lack(needs: Needs) -> Carrier {
    Carrier::Missing(Lack { needs, why: "no port".into() })
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
fn a_pods_life_with_a_device_of_its_machine() {
    let network = network();
    let on = |server: Option<&str>, seen| {
        let place = server.map(|server| ("1".into(), Place::Server(server.into())));
        let carrier = Carrier::Machine(Bearer::Server("vm".into()));
        Observed { carrier, carried: place.into_iter().collect(), ..seen }
    };
    let port = |host: &str| vec![Port { host: host.into(), ..port("1", "a") }];
    let device = |active| {
        let interface = Interface { name: "eth0".into(), port: "1".into(), active, link: Link::Device };
        Some(Record { content: Content::Interfaces(vec![interface]), ..record("a", "1") })
    };
    let starting = |ports| seen(&network, at(Stage::Starting), None, ports);
    let recorded = |stage, active| seen(&network, at(stage), device(active), port("compute1"));
    let gone = |server| on(server, seen(&network, None, device(true), port("compute1")));
    let cases: Vec<(&str, Observed<'_>, &[&str])> = vec![
        ("new", on(None, starting(vec![])), &["create port"]),
        ("port made", on(None, starting(port(""))), &["attach 1 to server vm"]),
        ("attached", on(Some("vm"), starting(port("compute1"))), &["record"]),
        (
            "recorded: Neutron alone tells when it is wired",
            on(Some("vm"), recorded(Stage::Starting, false)),
            &["await 1"],
        ),
        ("running", on(Some("vm"), recorded(Stage::Running, true)), &[]),
        (
            "gone",
            gone(Some("vm")),
            &["delete record", "detach 1 from server vm", "delete 1", "release record"],
        ),
        ("gone, and detached", gone(None), RELEASE_ALL),
        (
            "attached to another machine",
            on(Some("other"), starting(port("compute1"))),
            &["detach 1 from server other", "delete 1", "create port"],
        ),
        ("somebody detached it", on(None, recorded(Stage::Running, true)), &["tell InterfaceDetached"]),
        ("somebody detached it before the pod ran", on(None, recorded(Stage::Starting, true)), RELEASE),
        (
            "no server",
            Observed { carrier: lack(Needs::Server), ..starting(vec![]) },
            &["tell NodeWithoutServer", "retry NoCarrier"],
        ),
    ];
    for (name, seen, expected) in cases {
        assert_eq!(names(&plan(&seen)), expected, "{name}");
    }
}
