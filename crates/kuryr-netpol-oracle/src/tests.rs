//! What the documentation says, quoted and asked.

mod isolation;
mod peers;
mod ports;
mod selectors;
mod special;

use crate::{Cluster, Endpoint, Family, NamedPort, OraclePod, Protocol, Verdict, allows, allows_over};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde_json::{Value, json};
use std::net::IpAddr;

/// A policy, of which no field is lost in reading.
pub(crate) fn policy(namespace: &str, name: &str, spec: &Value) -> NetworkPolicy {
    let metadata = json!({ "namespace": namespace, "name": name });
    let given = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec,
    });
    let policy = serde_json::from_value(given.clone()).unwrap();
    assert_eq!(serde_json::to_value(&policy).unwrap(), given);
    policy
}

/// Namespaces `x` and `y`, each with pods `a`, `b` and `c`: `x/a` is 10.0.1.1 and `fd00::1:1`, `y/c` 10.0.2.3 and `fd00::2:3`. All serve
/// `web` on TCP 80, but `c` on TCP 81, and `dns` on UDP 53. The node is 192.168.0.1, and `x/host` is in its network.
fn cluster(policies: &[(&str, Value)]) -> Cluster {
    let mut cluster = Cluster::default();
    for (row, namespace) in (1..).zip(["x", "y"]) {
        let labels = [("ns".to_owned(), namespace.to_owned())];
        cluster.namespaces.insert(namespace.to_owned(), labels.into());
        for (column, name) in (1..).zip(["a", "b", "c"]) {
            cluster.pods.push(pod(namespace, name, (row, column)));
        }
    }
    let node: IpAddr = "192.168.0.1".parse().unwrap();
    cluster.node_addresses.push(node);
    let host = OraclePod { addresses: vec![node], host_network: true, ..pod("x", "host", (1, 4)) };
    cluster.pods.push(host);
    let numbered = policies.iter().enumerate();
    cluster.policies =
        numbered.map(|(number, (namespace, spec))| policy(namespace, &format!("p{number}"), spec)).collect();
    cluster
}

fn pod(namespace: &str, name: &str, (row, column): (u8, u8)) -> OraclePod {
    let number = if name == "c" { 81 } else { 80 };
    OraclePod {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        labels: [("pod".to_owned(), name.to_owned())].into(),
        addresses: vec![
            format!("10.0.{row}.{column}").parse().unwrap(),
            format!("fd00::{row}:{column}").parse().unwrap(),
        ],
        ports: vec![
            NamedPort { name: "web".to_owned(), protocol: Protocol::Tcp, number },
            NamedPort { name: "dns".to_owned(), protocol: Protocol::Udp, number: 53 },
        ],
        host_network: false,
        node: "node1".to_owned(),
    }
}

impl Cluster {
    /// `x/a` as its pod, anything else as an address.
    fn end(&self, text: &str) -> Endpoint {
        let pod = self.pods.iter().position(|pod| pod.path() == text);
        pod.map_or_else(|| Endpoint::Address(text.parse().unwrap()), Endpoint::Pod)
    }

    fn asked(&self, from: &str, to: &str, protocol: Protocol, port: u16) -> Verdict {
        allows(self, self.end(from), self.end(to), protocol, port)
    }

    fn tcp(&self, from: &str, to: &str, port: u16) -> bool {
        self.asked(from, to, Protocol::Tcp, port).is_allowed()
    }

    fn udp(&self, from: &str, to: &str, port: u16) -> bool {
        self.asked(from, to, Protocol::Udp, port).is_allowed()
    }

    fn over(&self, family: Family, from: &str, to: &str) -> bool {
        allows_over(family, self, self.end(from), self.end(to), Protocol::Tcp, 80).is_allowed()
    }

    /// Of all pods with networks of their own, those that reach `to` at TCP port 80, without `to`.
    fn who_reaches(&self, to: &str) -> Vec<String> {
        let others = self.pods.iter().filter(|pod| !pod.host_network).map(OraclePod::path);
        others.filter(|from| from != to && self.tcp(from, to, 80)).collect()
    }

    /// The pods that `from` reaches at TCP port 80, without `from`.
    fn reached_by(&self, from: &str) -> Vec<String> {
        let others = self.pods.iter().filter(|pod| !pod.host_network).map(OraclePod::path);
        others.filter(|to| to != from && self.tcp(from, to, 80)).collect()
    }
}

/// A policy that isolates all pods of its namespace for ingress, and has this peer alone.
fn from(peer: &Value) -> Value {
    json!({ "podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{ "from": [peer] }] })
}

/// The same for egress.
fn to(peer: &Value) -> Value {
    json!({ "podSelector": {}, "policyTypes": ["Egress"], "egress": [{ "to": [peer] }] })
}

/// A policy that isolates all pods of its namespace for ingress, and has this port alone.
fn at(port: &Value) -> Value {
    json!({ "podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{ "ports": [port] }] })
}
