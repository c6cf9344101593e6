//! Facts in, text out.

use std::{collections::BTreeMap, sync::Arc};

use kuryr_api::{KuryrLoadBalancer, LoadBalancerId};
use kuryr_controller::explain::{Said, Seen as Sight};
use kuryr_core::service::{
    Address, AddressOwnership, Balancer, Front, Listener, Member, MemberMode, Ownership, Pool, PoolProtocol,
    Protocol, Site, Socket, State, Timeouts, WithoutClass,
};
use kuryr_k8s::{
    Key,
    slim::{BalancerRecord, EndpointSlice, Service, Slim},
};
use serde_json::{Value, json};

use super::{
    facts::{Cloud, Event, Facts},
    judge::judge,
    render,
};

const BALANCER: &str = "6f0c9a52";

fn wanted(spec: &Value) -> Value {
    let mut service = json!({
        "metadata": {
            "name": "web", "namespace": "default", "uid": "u1", "finalizers": ["kuryr.openstack.org/service-finalizer"],
        },
        "spec": {
            "type": "ClusterIP", "clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"],
            "ports": [{ "name": "http", "port": 80, "protocol": "TCP", "targetPort": "web" }],
        },
    });
    for (name, value) in spec.as_object().unwrap() {
        service["spec"][name] = value.clone();
    }
    service
}

/// Endpoints by address: whether each is ready, and else whether it serves.
fn slice(endpoints: &[(&str, bool, bool)]) -> Arc<EndpointSlice> {
    let endpoint = |(address, ready, serving): &(&str, bool, bool)| {
        json!({
            "addresses": [address], "conditions": { "ready": ready, "serving": serving },
            "targetRef": { "kind": "Pod", "name": "web-1" },
        })
    };
    let slice = json!({
        "metadata": { "name": "web-x", "namespace": "default", "labels": { "kubernetes.io/service-name": "web" } },
        "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }],
        "endpoints": endpoints.iter().map(endpoint).collect::<Vec<_>>(),
    });
    Arc::new(EndpointSlice::trim(serde_json::from_value(slice).unwrap()))
}

fn said(spec: &Value, endpoints: &[(&str, bool, bool)]) -> Said {
    Said {
        service: Some(Arc::new(Service::trim(serde_json::from_value(wanted(spec)).unwrap()))),
        slices: vec![slice(endpoints)],
        record: None,
        project: None,
    }
}

fn recorded(mut said: Said, balancer: &Balancer, sight: impl Fn(Said) -> Sight) -> Said {
    // What the planner itself wants to be written.
    let seen = sight(said.clone());
    let plan = kuryr_core::service::plan(&seen.view(&balancer.name));
    let content = plan.into_iter().find_map(|action| match action {
        kuryr_core::service::Action::CreateRecord(content) => Some(content),
        _ => None,
    });
    let mut record = KuryrLoadBalancer::new("web", content.clone().unwrap().spec);
    record.status = Some(content.unwrap().status);
    said.record = Some(Arc::new(BalancerRecord::from(record)));
    said
}

fn site() -> Arc<Site> {
    Arc::new(Site {
        service_subnets: vec![("services".into(), "10.96.0.0/16".parse().unwrap())],
        member_subnets: Vec::new(),
        provider: Some("ovn".to_owned()),
        algorithm: "SOURCE_IP_PORT".to_owned(),
        member_mode: MemberMode::L3,
        project: "p1".into(),
        tags: vec!["kuryr-cluster=c1".to_owned()],
        timeouts: Timeouts::default(),
        security_groups: Vec::new(),
        external: None,
        without_class: WithoutClass::Ours,
    })
}

fn balancer(state: State, members: &[&str]) -> Balancer {
    let member = |address: &&str| {
        let socket = Socket { address: address.parse().unwrap(), port: 8080 };
        (socket, Member { name: "default/web-1:8080".to_owned(), subnet: Some("services".into()) })
    };
    let name = "default/web:TCP:80".to_owned();
    let listener = Listener {
        name: name.clone(),
        front: Some(Front::new(Protocol::Tcp, 80)),
        pool: Some("pool".into()),
        allowed: Vec::new(),
        timeouts: Timeouts::default(),
        state: State::Active,
    };
    let pool = Pool {
        name,
        algorithm: "SOURCE_IP_PORT".to_owned(),
        protocol: Some(PoolProtocol::Plain(Protocol::Tcp)),
        monitor: None,
        affinity: None,
        members: members.iter().map(member).collect(),
        state: State::Active,
    };
    Balancer {
        id: BALANCER.into(),
        name: "default/web".to_owned(),
        vip: [10, 96, 0, 7].into(),
        subnet: Some("services".into()),
        port: Some("vip-port".into()),
        provider: "ovn".to_owned(),
        project: "p1".into(),
        state,
        ownership: Ownership::Ours,
        listeners: BTreeMap::from([("listener".into(), listener)]),
        pools: BTreeMap::from([("pool".into(), pool)]),
    }
}

fn statuses(state: &str, members: &[&str]) -> Value {
    let status = |id: &str, operating: &str| json!({ "id": id, "provisioning_status": "ACTIVE", "operating_status": operating });
    let member = |address: &&str| {
        let mut member = status(address, "NO_MONITOR");
        (member["address"], member["protocol_port"]) = (json!(address), json!(8080));
        member
    };
    let mut pool = status("pool", "ONLINE");
    pool["members"] = members.iter().map(member).collect();
    let mut listener = status("listener", "ONLINE");
    listener["pools"] = json!([pool]);
    json!({ "provisioning_status": state, "operating_status": "ONLINE", "listeners": [listener] })
}

fn facts(said: Said, balancers: Vec<Balancer>, addresses: Vec<Address>, tree: Option<Value>) -> Facts {
    let tree = tree.map(|tree| (LoadBalancerId::from(BALANCER), Ok(serde_json::from_value(tree).unwrap())));
    let balancers = balancers.into_iter().map(Arc::new).collect();
    let seen = Sight::new(said.clone(), balancers, addresses, site());
    Facts {
        key: Key::new("default", "web"),
        said: Ok(said),
        events: Ok(Vec::new()),
        cloud: Ok(Some(Cloud { seen, statuses: tree.into_iter().collect() })),
    }
}

fn told(facts: &Facts) -> String {
    let mut out = Vec::new();
    render::text(&judge(facts), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// What is told below the empty line.
fn verdict(facts: &Facts) -> String {
    told(facts).split_once("\n\n").unwrap().1.to_owned()
}

#[test]
fn a_service_that_is_served_is_shown_with_all_that_it_has() {
    let members = ["10.1.0.5", "10.1.0.6"];
    let endpoints = [("10.1.0.5", true, true), ("10.1.0.6", true, true), ("10.1.0.7", false, false)];
    let said = said(&json!({ "type": "LoadBalancer" }), &endpoints);
    let has = balancer(State::Active, &members);
    let address = Address {
        id: "fip".into(),
        ip: [203, 0, 113, 7].into(),
        port: Some("vip-port".into()),
        ownership: AddressOwnership::Ours,
    };
    let facts = facts(said, vec![has], vec![address], Some(statuses("ACTIVE", &members)));
    let text = told(&facts);
    let expected = "\
Service        default/web
type           LoadBalancer
cluster IPs    10.96.0.7
port           http TCP:80 -> web
endpoints      2 ready, 0 draining, 1 not ready
record         none
load balancer  6f0c9a52 at 10.96.0.7 (ovn, this cluster's) ACTIVE ONLINE
  listener     TCP:80 ACTIVE ONLINE
    pool       SOURCE_IP_PORT ACTIVE ONLINE
      member   10.1.0.5:8080 default/web-1:8080 ACTIVE NO_MONITOR
      member   10.1.0.6:8080 default/web-1:8080 ACTIVE NO_MONITOR
floating IP    203.0.113.7 (made by Kuryr) leads to 10.96.0.7
";
    assert!(text.starts_with(expected), "{text}");
}

#[test]
fn what_is_as_it_should_be_needs_nothing() {
    let has = balancer(State::Active, &["10.1.0.5"]);
    let sight = |said| Sight::new(said, vec![Arc::new(has.clone())], Vec::new(), site());
    let said = recorded(said(&json!({}), &[("10.1.0.5", true, true)]), &has, sight);
    let facts = facts(said, vec![has.clone()], Vec::new(), Some(statuses("ACTIVE", &["10.1.0.5"])));
    assert_eq!(verdict(&facts), "nothing to do\n");
    assert!(told(&facts).contains("record         load balancer 6f0c9a52\n"), "{}", told(&facts));
    assert!(judge(&facts).is_done());
}

#[test]
fn members_that_differ_are_named() {
    let has = balancer(State::Active, &["10.1.0.5"]);
    let facts = facts(said(&json!({}), &[("10.1.0.6", true, true)]), vec![has], Vec::new(), None);
    let text = verdict(&facts);
    assert!(
        text.contains("next: set the members of pool pool: add 10.1.0.6:8080, take away 10.1.0.5:8080\n"),
        "{text}"
    );
}

#[test]
fn what_octavia_is_at_work_with_is_waited_for() {
    let has = balancer(State::Pending, &["10.1.0.5"]);
    let tree = statuses("PENDING_UPDATE", &["10.1.0.5"]);
    let facts = facts(said(&json!({}), &[("10.1.0.5", true, true)]), vec![has], Vec::new(), Some(tree));
    assert!(told(&facts).contains("this cluster's) PENDING_UPDATE ONLINE"), "{}", told(&facts));
    let text = verdict(&facts);
    assert!(text.contains("waits: until Octavia is done with load balancer 6f0c9a52\n"), "{text}");
}

#[test]
fn what_is_broken_and_forwards_is_told() {
    let has = balancer(State::Error, &["10.1.0.5"]);
    let facts = facts(said(&json!({}), &[("10.1.0.5", true, true)]), vec![has], Vec::new(), None);
    assert!(verdict(&facts).contains("wrong: LoadBalancerInError: "), "{}", verdict(&facts));
}

#[test]
fn why_a_service_has_no_load_balancer() {
    let cases = [
        (json!({ "clusterIP": "None", "clusterIPs": ["None"] }), "it is headless"),
        (json!({ "type": "ExternalName", "clusterIP": "", "clusterIPs": [] }), "a name in DNS"),
        (
            json!({ "type": "LoadBalancer", "loadBalancerClass": "example.org/other" }),
            "names the loadBalancerClass example.org/other",
        ),
    ];
    for (spec, reason) in cases {
        let facts = facts(said(&spec, &[("10.1.0.5", true, true)]), Vec::new(), Vec::new(), None);
        let text = verdict(&facts);
        assert!(text.lines().any(|line| line.starts_with("note: ") && line.contains(reason)), "{text}");
    }
    let mut unserved = facts(said(&json!({}), &[]), Vec::new(), Vec::new(), None);
    unserved.cloud = Ok(None);
    let text = verdict(&unserved);
    assert!(
        text.contains("note: no Service is served") && text.contains("no endpoint takes connections"),
        "{text}"
    );
}

#[test]
fn what_cannot_be_seen_hides_nothing_else() {
    let mut facts = facts(said(&json!({}), &[("10.1.0.5", false, true)]), Vec::new(), Vec::new(), None);
    facts.cloud = Err("no way to OpenStack".to_owned());
    let told = told(&facts);
    assert!(told.contains("endpoints      0 ready, 1 draining, 0 not ready\n"), "{told}");
    assert!(told.ends_with("can't tell: no way to OpenStack\n"), "{told}");
}

#[test]
fn what_kuryr_has_told_is_shown() {
    let mut facts = facts(said(&json!({}), &[("10.1.0.5", true, true)]), Vec::new(), Vec::new(), None);
    facts.events = Ok(vec![Event {
        said: "2026-01-01T00:00:00Z".parse().ok(),
        kind: "Warning".to_owned(),
        reason: "LoadBalancerQuotaExceeded".to_owned(),
        message: "Raise it.".to_owned(),
    }]);
    let text = told(&facts);
    let expected = "event          Warning at 2026-01-01T00:00:00Z: LoadBalancerQuotaExceeded: Raise it.\n";
    assert!(text.contains(expected), "{text}");
    assert!(text.contains("next: make a load balancer at 10.96.0.7\n"), "{text}");
}

#[test]
fn a_service_that_is_gone_leaves_what_is_taken_away() {
    let gone = Said::default();
    let facts = facts(gone, vec![balancer(State::Active, &[])], Vec::new(), None);
    let text = verdict(&facts);
    assert!(text.contains("note: there is no such Service\n"), "{text}");
    assert!(text.contains("next: delete load balancer 6f0c9a52\n"), "{text}");
}
