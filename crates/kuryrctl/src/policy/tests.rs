//! Facts in, text out.

use std::{collections::BTreeMap, sync::Arc};

use kuryr_controller::explain::policies::{Said, Seen as Cloud};
use kuryr_core::{
    network::{Naming, PodNetwork},
    policy::{
        Groups,
        audit::Drift,
        held::{HeldAddresses, HeldGroup, Holdings},
        key::{GroupKey, PeerKey},
        model::{Name, Protocol},
        plan::{Carriers, Held, HeldPeer, HeldRule},
    },
    port::{Binding, Ownership, Port, Vnic, Wiring},
};
use kuryr_k8s::slim::Slim;
use serde_json::{Value, json};

use super::{
    audit, explain,
    facts::Facts,
    ovn::Simulated,
    trace::{self, Front},
    verify,
};

fn trimmed<T: Slim>(objects: &[Value]) -> Vec<Arc<T>> {
    let trim = |object: &Value| Arc::new(T::trim(serde_json::from_value(object.clone()).unwrap()));
    objects.iter().map(trim).collect()
}

fn pod(name: &str, spec: &Value) -> Value {
    let meta =
        json!({ "name": name, "namespace": "x", "uid": format!("u-{name}"), "labels": { "app": name } });
    json!({ "metadata": meta, "spec": spec, "status": { "phase": "Running" } })
}

fn ovo(name: &str, data: &Value) -> Value {
    json!({
        "versioned_object.name": name, "versioned_object.namespace": "os_vif", "versioned_object.version": "1.0",
        "versioned_object.data": data,
    })
}

fn record(pod: &str, address: &str) -> Value {
    let address = ovo("FixedIP", &json!({ "address": address }));
    let ips = ovo("FixedIPList", &json!({ "objects": [address] }));
    let subnet = ovo("Subnet", &json!({ "cidr": "10.0.0.0/24", "ips": ips }));
    let subnets = ovo("SubnetList", &json!({ "objects": [subnet] }));
    let network = ovo("Network", &json!({ "id": "n1", "subnets": subnets }));
    let vif = json!({ "id": port_id(pod), "address": "fa:16:3e:00:00:01", "network": network, "vif_name": "", "bridge_name": "" });
    json!({
        "metadata": { "name": pod, "namespace": "x" },
        "spec": { "podUid": format!("u-{pod}"), "podNodeName": "node1" },
        "status": { "vifs": { "eth0": { "default": true, "vif": ovo("VIFOpenVSwitch", &vif) } } },
    })
}

fn policy(name: &str, spec: &Value) -> Value {
    json!({ "metadata": { "name": name, "namespace": "x" }, "spec": spec })
}

/// `client` may reach port 80 of `web`, and nobody else may; `client` may go nowhere else.
fn said() -> Said {
    let of = |app: &str| json!({ "matchLabels": { "app": app } });
    let ports = json!([{ "port": 80, "protocol": "TCP" }]);
    let web = json!({
        "podSelector": of("web"), "policyTypes": ["Ingress"],
        "ingress": [{ "from": [{ "podSelector": of("client") }], "ports": ports }],
    });
    let client = json!({
        "podSelector": of("client"), "policyTypes": ["Egress"],
        "egress": [{ "to": [{ "podSelector": of("web") }], "ports": ports }],
    });
    let addresses = [("web", "10.0.0.1"), ("client", "10.0.0.2"), ("other", "10.0.0.3")];
    let mut pods: Vec<Value> = addresses.iter().map(|(name, _)| pod(name, &json!({}))).collect();
    pods.push(pod("agent", &json!({ "hostNetwork": true })));
    Said {
        namespaces: trimmed(&[json!({ "metadata": { "name": "x" } })]),
        pods: trimmed(&pods),
        records: trimmed(&addresses.map(|(pod, address)| record(pod, address))),
        nodes: trimmed(&[json!({
            "metadata": { "name": "node1" }, "status": { "addresses": [{ "address": "192.0.2.1" }] },
        })]),
        policies: trimmed(&[policy("web", &web), policy("client", &client)]),
        ..Said::default()
    }
}

fn name(of: &str) -> Name {
    Name::new("x", of)
}

fn port_id(pod: &str) -> String {
    format!("port-{pod}")
}

/// A Neutron that has just what is wanted.
fn cloud(said: &Said) -> Cloud {
    let index = said.index();
    let policies = index.policies().flat_map(|(name, _)| index.groups_of_policy(name));
    let wanted: Groups = index.shared_groups().into_iter().chain(policies).collect();
    let rules = |key: &GroupKey| {
        let rule = |(at, rule): (usize, &kuryr_core::policy::key::GroupRule<PeerKey>)| HeldRule {
            id: format!("{key}-{at}").as_str().into(),
            rule: rule.with_group(|peer| Some(peer.name().as_str().into())),
        };
        wanted[key].iter().enumerate().map(rule).collect::<Vec<_>>()
    };
    let held = |key: &GroupKey| Held {
        key: key.clone(),
        id: key.name().as_str().into(),
        rules: rules(key),
        carriers: Carriers::Settled,
    };
    let addresses = |key: &PeerKey| index.addresses_of(key).unwrap_or_default();
    let peer = |key: PeerKey| {
        let held = HeldPeer { id: key.name().as_str().into(), addresses: addresses(&key), used: true };
        (key, held)
    };
    let peers: Vec<_> = index.peer_keys().into_iter().map(peer).collect();
    let open = [GroupKey::OpenIngress, GroupKey::OpenEgress].iter().flat_map(rules).collect();
    let default = HeldGroup { name: "pods".to_owned(), rules: open };
    let group =
        |key: &GroupKey| (key.name().as_str().into(), HeldGroup { name: key.name(), rules: rules(key) });
    let named = |(key, held): &(PeerKey, HeldPeer)| {
        (held.id.clone(), HeldAddresses { name: key.name(), addresses: held.addresses.clone() })
    };
    let holdings = Holdings {
        groups: wanted.keys().map(group).chain([("default".into(), default)]).collect(),
        addresses: peers.iter().map(named).collect(),
    };
    let ports: BTreeMap<Name, Vec<Arc<Port>>> = index
        .pods()
        .map(|(name, pod)| {
            let groups = index.groups_of(name);
            let carried = groups.iter().flatten().map(|key| key.name().as_str().into());
            let carried: Vec<_> = if groups.is_some() { carried.collect() } else { vec!["default".into()] };
            (name.clone(), vec![Arc::new(port(&name.name, pod.addresses[0], carried))])
        })
        .collect();
    Cloud {
        is_enforced: true,
        by_address: false,
        groups: wanted.keys().map(held).collect(),
        network: network(),
        index,
        peers,
        ports,
        holdings,
    }
}

fn port(pod: &str, address: std::net::IpAddr, groups: Vec<kuryr_api::SecurityGroupId>) -> Port {
    Port {
        id: port_id(pod).as_str().into(),
        network: "n1".into(),
        mac: format!("fa:16:3e:00:00:0{}", pod.len()),
        addresses: vec![("s1".into(), address)],
        pod_uid: format!("u-{pod}"),
        host: "node1".to_owned(),
        security_groups: groups.into_iter().collect(),
        wiring: Wiring::Active,
        vnic: Vnic::Normal,
        binding: Binding::Unbound,
        server: None,
        ownership: Ownership::Ours,
    }
}

fn network() -> PodNetwork {
    PodNetwork {
        id: "n1".into(),
        name: "pods".to_owned(),
        mtu: None,
        vlan: None,
        physnet: None,
        subnets: Vec::new(),
        security_groups: vec!["default".into()],
        project: None,
        tags: Vec::new(),
        bridge: None,
        vhostuser_dir: String::new(),
        naming: Naming::None,
    }
}

fn facts() -> Facts {
    let said = said();
    let cloud = cloud(&said);
    Facts::new(said, Ok(cloud))
}

fn blind() -> Facts {
    Facts::new(said(), Err("no way to Neutron".to_owned()))
}

fn explained(facts: &Facts, pod: &str, with_addresses: bool) -> String {
    let mut out = Vec::new();
    explain::text(&explain::judge(facts, &name(pod)).unwrap(), with_addresses, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn reported(facts: &Facts, from: &str, to: &str, front: &str, is_verified: bool) -> trace::Report {
    let (from, to) = (trace::end(facts, from).unwrap(), trace::end(facts, to).unwrap());
    let front: Front = front.parse().unwrap();
    let ways = facts.index().trace(&from, &to, front.protocol, front.port).unwrap();
    let mut report = trace::judge(facts, (&from, &to), front, &ways);
    if is_verified {
        verify::neutron(facts, &ways, &mut report).unwrap();
    }
    report
}

fn traced(facts: &Facts, from: &str, to: &str, front: &str, is_verified: bool) -> String {
    let mut out = Vec::new();
    trace::text(&reported(facts, from, to, front, is_verified), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_pod_is_explained_with_all_that_reaches_it() {
    let expected = "\
Pod            x/web
addresses      10.0.0.1
ingress        isolated by x/web
  allowed      by kuryr/isolated: all protocols from the cluster's nodes (1 address), IPv4
    address    192.0.2.1
  allowed      by kuryr/isolated: all protocols from the cluster's Services (a pod that reaches itself) (0 addresses), IPv4
  allowed      by x/web: tcp 80 from pods of x with app=client (1 address), IPv4
    address    10.0.0.2
egress         open: no policy isolates it
group          kuryr/open-egress kuryr/open-egress
group          kuryr/isolated kuryr/isolated
group          np/x/web np/x/web
port           port-web carries just these
";
    assert_eq!(explained(&facts(), "web", true), expected);
}

#[test]
fn what_neutron_does_not_tell_is_told_from_kubernetes() {
    let text = explained(&blind(), "web", false);
    assert!(text.contains("by x/web: tcp 80 from pods of x with app=client (1 address), IPv4\n"), "{text}");
    assert!(text.contains("group          np/x/web\n") && !text.contains("\nport"), "{text}");
    assert!(text.ends_with("can't tell     no way to Neutron\n"), "{text}");
}

#[test]
fn a_port_that_carries_others_is_told() {
    let mut facts = facts();
    let cloud = facts.cloud.as_mut().unwrap();
    let wrong = port("web", [10, 0, 0, 1].into(), vec!["default".into(), "np/x/web".into()]);
    cloud.ports.insert(name("web"), vec![Arc::new(wrong)]);
    let text = explained(&facts, "web", false);
    let expected =
        "port           port-web lacks kuryr/isolated, kuryr/open-egress; should not carry pods (default)\n";
    assert!(text.contains(expected), "{text}");
    let told = audit::judge(&facts).unwrap();
    assert_eq!((told.drift[0].kind, told.drift[0].of.as_str()), ("port-groups", "x/web"));
    let text = traced(&facts, "x/client", "x/web", "80", true);
    assert!(text.contains("differs: port port-web of x/web lacks kuryr/isolated\n"), "{text}");
}

#[test]
fn a_pod_that_has_no_port_yet_is_not_well() {
    let mut facts = facts();
    assert_eq!(explain::judge(&facts, &name("web")).unwrap().code(), 0);
    facts.cloud.as_mut().unwrap().ports.insert(name("web"), Vec::new());
    assert!(explained(&facts, "web", false).ends_with("port           none yet\n"));
    assert_eq!(explain::judge(&facts, &name("web")).unwrap().code(), 1);
    assert_eq!(explain::judge(&blind(), &name("web")).unwrap().code(), 2);
}

#[test]
fn pods_that_no_policy_is_for_are_told_why() {
    let text = explained(&facts(), "other", false);
    assert!(text.contains("group          pods default\n"), "{text}");
    assert!(text.contains("note           no policy is for it"), "{text}");
    let why = explain::judge(&facts(), &name("agent")).unwrap_err().to_string();
    assert!(why.contains("in its node's network"), "{why}");
    assert!(explain::judge(&facts(), &name("gone")).is_err());
    assert!(trace::end(&facts(), "x/agent").is_err() && trace::end(&facts(), "nonsense").is_err());
}

#[test]
fn a_connection_is_told_with_what_decides() {
    let expected = "\
x/client -> x/web at 80/tcp: allowed
IPv4 10.0.0.2 -> 10.0.0.1: allowed
  egress of x/client to x/web: allowed: by x/client: tcp 80 to pods of x with app=web (1 address)
    Neutron: allowed by np/x/client, rule np/x/client-0
  ingress of x/web from x/client: allowed: by x/web: tcp 80 from pods of x with app=client (1 address)
    Neutron: allowed by np/x/web, rule np/x/web-0
";
    assert_eq!(traced(&facts(), "x/client", "x/web", "80/TCP", true), expected);
    let text = traced(&blind(), "10.0.0.2", "10.0.0.3", "80/udp", false);
    assert!(text.starts_with("x/client -> x/other at 80/udp: denied\n"), "{text}");
    assert!(text.contains("denied: isolated by x/client, which has no rule for it\n"), "{text}");
    assert!(text.contains("ingress of x/other from x/client: allowed: no policy isolates it\n"), "{text}");
}

#[test]
fn neutron_that_does_otherwise_is_told() {
    let mut facts = facts();
    let cloud = facts.cloud.as_mut().unwrap();
    for group in cloud.holdings.groups.values_mut().filter(|group| group.name == "np/x/web") {
        group.rules[0].rule = None;
    }
    let report = reported(&facts, "x/client", "x/web", "80", true);
    let unclear = "ingress of x/web should be allowed, and Neutron says: unclear: it depends on rules that Kuryr would not make: np/x/web-0";
    assert_eq!(report.differences, [unclear]);
    assert!(report.allowed);
    assert!(reported(&facts, "x/other", "192.0.2.9", "80", true).differences.is_empty());
}

#[test]
fn an_audit_has_a_line_for_each_difference() {
    let mut facts = facts();
    let text = |facts: &Facts| {
        let mut out = Vec::new();
        audit::text(&audit::judge(facts).unwrap(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    assert_eq!(text(&facts), "2 policies, 3 pods, 5 security groups, 4 address groups: no difference\n");
    let cloud = facts.cloud.as_mut().unwrap();
    let web = GroupKey::Policy(name("web"));
    let held = cloud.groups.iter_mut().find(|held| held.key == web).unwrap();
    let mut open = held.rules[0].clone();
    (open.id, open.rule.as_mut().unwrap().ports) = ("r22".into(), Some((22, 22)));
    held.rules.push(open);
    cloud.peers.retain(|(key, _)| *key != PeerKey::Services);
    assert!(cloud.drift().iter().any(|one| matches!(one, Drift::NoAddressGroup(PeerKey::Services))));
    let text = text(&facts);
    let strange = "np/x/web: nobody asked for the rule r22: ingress IPv4 tcp 22 from pods x: app=client\n";
    assert!(text.contains(strange) && text.contains("services: the address group is missing\n"), "{text}");
    assert!(text.contains(
        "kuryr/isolated: a rule is missing: ingress IPv4 all protocols from the cluster's Services"
    ));
    assert!(audit::judge(&blind()).is_err());
}

#[test]
fn what_is_not_enforced_is_told() {
    let mut facts = facts();
    facts.cloud.as_mut().unwrap().is_enforced = false;
    assert!(explained(&facts, "web", false).contains("note           no policy is enforced"));
    assert!(audit::judge(&facts).is_err());
}

#[test]
fn ports_are_read_as_people_write_them() {
    let front = |text: &str| text.parse::<Front>().ok();
    assert_eq!(front("80"), Some(Front { protocol: Protocol::Tcp, port: 80 }));
    assert_eq!(front("53/udp"), Some(Front { protocol: Protocol::Udp, port: 53 }));
    assert_eq!((front("0/TCP"), front("80/ICMP"), front("http"), front("65536")), (None, None, None, None));
}

#[test]
fn ovn_trace_is_asked_for_the_first_packet_and_understood() {
    let (from, to) =
        (port("client", [10, 0, 0, 2].into(), vec![]), port("web", [10, 0, 0, 1].into(), vec![]));
    let front = "80".parse().unwrap();
    let packet = Simulated { from: (&from, [10, 0, 0, 2].into()), to: (&to, [10, 0, 0, 1].into()), front };
    let words = packet.words("tcp:192.0.2.1:6642");
    let flow = "inport == \"port-client\" && eth.src == fa:16:3e:00:00:06 && eth.dst == fa:16:3e:00:00:03 && \
                ip4.src == 10.0.0.2 && ip4.dst == 10.0.0.1 && ip.ttl == 64 && tcp.dst == 80";
    let expected = ["--db", "tcp:192.0.2.1:6642", "--ct=new", "--ct=new", "--minimal", "neutron-n1", flow];
    assert_eq!(words, expected);
    // It cuts ids short.
    let passed =
        "# tcp,reg14=0x11\nct_lb_mark {\n    ct_lb_mark {\n        output(\"port-w\");\n    };\n};\n";
    assert_eq!(packet.arrives(passed), Ok(true));
    assert_eq!(packet.arrives(&passed.replace("port-w", "port-o")), Ok(false));
    assert_eq!(packet.arrives("# tcp,reg14=0x11\nct_lb_mark;\n"), Ok(false));
    assert!(packet.arrives("microflow does not specify ingress port").is_err());
}
