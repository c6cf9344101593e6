//! A Service as chance wants it: its manifests, and what Octavia is to have for it.

use crate::chance::Chance;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

/// Where clients connect to, `TCP:80`, and who answers them.
pub type Fronts = BTreeMap<String, BTreeSet<SocketAddr>>;

/// A Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    kind: &'static str,
    ports: Vec<Port>,
    endpoints: BTreeSet<IpAddr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Port {
    protocol: &'static str,
    number: u16,
    target: u16,
}

const KINDS: [&str; 6] =
    ["ClusterIP", "ClusterIP", "NodePort", "LoadBalancer", "LoadBalancer", "ExternalName"];
const PROTOCOLS: [&str; 3] = ["TCP", "TCP", "UDP"];
const NUMBERS: [u16; 4] = [80, 81, 82, 443];
const TARGETS: [u16; 2] = [8080, 8081];

impl Wanted {
    /// One of any kind, of some of these endpoints.
    pub fn any(chance: &mut Chance, all: &[IpAddr]) -> Self {
        Self { kind: chance.one_of(&KINDS), ports: ports(chance), endpoints: endpoints(chance, all) }
    }

    /// It, with one thing changed.
    #[must_use]
    pub fn changed(mut self, chance: &mut Chance, all: &[IpAddr]) -> Self {
        match chance.below(6) {
            0 => self.ports = ports(chance),
            1 => {
                let port = &mut self.ports[0];
                port.protocol = if port.protocol == "TCP" { "UDP" } else { "TCP" };
            }
            2 => self.kind = chance.one_of(&KINDS),
            _ => self.endpoints = endpoints(chance, all),
        }
        self
    }

    /// Whether it gets a load balancer.
    pub fn is_served(&self) -> bool {
        self.kind != "ExternalName"
    }

    /// Whether it gets an address outside.
    pub fn is_outside(&self) -> bool {
        self.kind == "LoadBalancer"
    }

    /// What Octavia is to have for it.
    pub fn fronts(&self) -> Fronts {
        let front = |port: &Port| {
            let members = self.endpoints.iter().map(|one| SocketAddr::new(*one, port.target));
            (format!("{}:{}", port.protocol, port.number), members.collect())
        };
        self.ports.iter().map(front).collect()
    }

    /// The Service's spec, as a change of what it was before.
    pub fn spec(&self) -> Value {
        let port = |port: &Port| {
            json!({
                "name": name(*port), "protocol": port.protocol, "port": port.number, "targetPort": port.target,
            })
        };
        let mut spec = json!({
            "type": self.kind, "externalName": null, "ports": self.ports.iter().map(port).collect::<Vec<_>>(),
        });
        if !self.is_served() {
            spec["externalName"] = "example.org".into();
            spec["clusterIP"] = Value::Null;
            spec["clusterIPs"] = Value::Null;
        }
        spec
    }

    /// The ports and endpoints of its EndpointSlice.
    pub fn slice(&self) -> Value {
        let port =
            |port: &Port| json!({ "name": name(*port), "protocol": port.protocol, "port": port.target });
        let endpoint = |address: &IpAddr| json!({ "addresses": [address] });
        json!({
            "ports": self.ports.iter().map(port).collect::<Vec<_>>(),
            "endpoints": self.endpoints.iter().map(endpoint).collect::<Vec<_>>(),
        })
    }
}

fn name(port: Port) -> String {
    format!("p{}", port.number)
}

fn ports(chance: &mut Chance) -> Vec<Port> {
    let mut numbers = chance.some_of(&NUMBERS);
    if numbers.is_empty() {
        numbers.push(NUMBERS[0]);
    }
    let port = |number| Port { protocol: chance.one_of(&PROTOCOLS), number, target: chance.one_of(&TARGETS) };
    numbers.into_iter().take(3).map(port).collect()
}

fn endpoints(chance: &mut Chance, all: &[IpAddr]) -> BTreeSet<IpAddr> {
    chance.some_of(all).into_iter().collect()
}
