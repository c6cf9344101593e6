//! A small cluster for the tests of what is told of policies.

use super::index::Index;
use super::model::{
    Family, Name, Namespaces, Peer, Pod, Policy, Port, Protocol, Rule, Service, ServicePort, Which,
};
use super::selector::{Requirement, Selector};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

pub(super) const WEB: &str = "10.0.0.1";
pub(super) const CLIENT: &str = "10.0.0.2";
pub(super) const OTHER: &str = "10.0.0.3";
pub(super) const NODE: &str = "10.0.0.9";
pub(super) const VIP: &str = "10.96.0.1";

pub(super) fn name(name: &str) -> Name {
    Name::new("x", name)
}

fn app(value: &str) -> Selector {
    Selector::new([Requirement::equals("app", value)])
}

/// Pods `web`, `client` and `other`, a policy `web` that lets `client` reach `web` at port 80, and a Service `web` at port 8080.
pub(super) fn cluster() -> Index {
    let mut index = Index::new([Family::V4]);
    index.set_namespace("x", [].into());
    for (pod, address) in [("web", WEB), ("client", CLIENT), ("other", OTHER)] {
        let (labels, addresses) = ([("app".into(), pod.into())].into(), vec![address.parse().unwrap()]);
        index.set_pod(&name(pod), Pod { labels, addresses, ports: Vec::new() });
    }
    index.set_nodes(BTreeSet::from([NODE.parse().unwrap()]));
    let endpoints = BTreeSet::from([(WEB.parse::<IpAddr>().unwrap(), 80)]);
    let ports = vec![ServicePort { protocol: Protocol::Tcp, number: 8080, endpoints }];
    index.set_service(&name("web"), Service { vips: BTreeSet::from([VIP.parse().unwrap()]), ports });
    let policy = Policy { subjects: app("web"), ingress: Some(vec![rule("client", 80)]), egress: None };
    index.set_policy(&name("web"), &Arc::new(policy));
    index
}

/// Also lets `client` out to port 80 of `to`, and nowhere else.
pub(super) fn confine_client(index: &mut Index, to: &str) {
    let policy = Policy { subjects: app("client"), ingress: None, egress: Some(vec![rule(to, 80)]) };
    index.set_policy(&name("client"), &Arc::new(policy));
}

fn rule(peer: &str, port: u16) -> Rule {
    let peer = Peer::Pods { namespaces: Namespaces::Own, pods: app(peer) };
    let port = Port { protocol: Protocol::Tcp, which: Which::Range(port, port) };
    Rule { peers: Some(vec![peer]), ports: Some(vec![port]) }
}
