//! Clusters and policies by chance: the same for the same seed, on every machine.
//!
//! They are small and have few labels, ports and addresses, so that what a policy names is there more often than not. All of it is
//! what an API server accepts.

mod dice;
mod policy;
#[cfg(test)]
mod tests;

use crate::cluster::{Cluster, Labels, NamedPort, OraclePod, Protocol};
use dice::Dice;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use policy::Writer;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A cluster of two to four namespaces, three or four pods in each, two nodes, and two to six policies.
pub fn random_cluster(seed: u64) -> Cluster {
    let mut dice = Dice::new(seed);
    let mut cluster = Cluster { node_addresses: nodes().concat(), ..Cluster::default() };
    let mut hosts = BTreeSet::new();
    for namespace in names("n", 2 + dice.below(3)) {
        cluster.namespaces.insert(namespace.clone(), namespace_labels(&mut dice, &namespace));
        for name in names("p", 3 + dice.below(2)) {
            cluster.pods.push(pod(&mut dice, &namespace, name, &mut hosts));
        }
    }
    let count = 2 + dice.below(5);
    cluster.policies = Writer::new(&mut dice, &cluster).policies(count);
    cluster
}

/// One to three policies for the pods, labels, ports and addresses of a cluster. Those that it has do not matter.
pub fn generate(seed: u64, cluster: &Cluster) -> Vec<NetworkPolicy> {
    let mut dice = Dice::new(seed);
    let count = 1 + dice.below(3);
    Writer::new(&mut dice, cluster).policies(count)
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}{number}")).collect()
}

/// The addresses of two nodes.
fn nodes() -> [Vec<IpAddr>; 2] {
    [1, 2].map(|number| {
        let v6 = Ipv6Addr::new(0xfd00, 0xaa, 0, 0, 0, 0, 0, u16::from(number));
        vec![Ipv4Addr::new(192, 168, 0, number).into(), v6.into()]
    })
}

fn namespace_labels(dice: &mut Dice, name: &str) -> Labels {
    let mut labels = Labels::from([("ns".to_owned(), name.to_owned())]);
    maybe(dice, &mut labels, "team", &["red", "blue"]);
    labels
}

fn pod(dice: &mut Dice, namespace: &str, name: String, hosts: &mut BTreeSet<u8>) -> OraclePod {
    let mut labels = Labels::new();
    maybe(dice, &mut labels, "app", &["web", "db", "cache"]);
    maybe(dice, &mut labels, "tier", &["front", "back"]);
    let node = dice.below(2);
    let host_network = dice.one_in(10);
    OraclePod {
        namespace: namespace.to_owned(),
        name,
        labels,
        addresses: if host_network { nodes()[node].clone() } else { addresses(dice, hosts) },
        ports: ports(dice),
        host_network,
        node: format!("node{}", node + 1),
    }
}

/// A label, three times of four.
fn maybe(dice: &mut Dice, labels: &mut Labels, key: &str, values: &[&str]) {
    if !dice.one_in(4) {
        labels.insert(key.to_owned(), (*dice.pick(values)).to_owned());
    }
}

/// Of both families as a rule, in no order that namespaces have.
fn addresses(dice: &mut Dice, hosts: &mut BTreeSet<u8>) -> Vec<IpAddr> {
    let host = loop {
        let host = u8::try_from(2 + dice.below(60)).unwrap_or(2);
        if hosts.insert(host) {
            break host;
        }
    };
    let v4 = IpAddr::from(Ipv4Addr::new(10, 1, 0, host));
    let v6 = IpAddr::from(Ipv6Addr::new(0xfd10, 1, 0, 0, 0, 0, 0, u16::from(host)));
    match dice.below(8) {
        0 => vec![v4],
        1 => vec![v6],
        2 => vec![v6, v4],
        _ => vec![v4, v6],
    }
}

/// `web` is another number from pod to pod, and `dns` is of two protocols.
fn ports(dice: &mut Dice) -> Vec<NamedPort> {
    let mut ports = Vec::new();
    let mut add = |name: &str, protocol, number| {
        ports.push(NamedPort { name: name.to_owned(), protocol, number });
    };
    if !dice.one_in(4) {
        add("web", Protocol::Tcp, *dice.pick(&[80, 81]));
    }
    if dice.one_in(2) {
        add("dns", *dice.pick(&[Protocol::Tcp, Protocol::Udp]), 53);
    }
    if dice.one_in(6) {
        add("sig", Protocol::Sctp, 80);
    }
    ports
}
