//! What is told of a Service.

use std::net::IpAddr;

use serde::Serialize;

use super::facts::Event;

/// All of it. What could not be seen is `null`, and said in `unknown`.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    /// `namespace/name`.
    pub(super) name: String,
    /// What Kubernetes wants.
    pub(super) service: Option<Service>,
    pub(super) endpoints: Option<Endpoints>,
    /// What Kuryr has written down.
    pub(super) record: Option<Record>,
    /// What Octavia has.
    pub(super) load_balancers: Option<Vec<Balancer>>,
    pub(super) floating_ips: Option<Vec<FloatingIp>>,
    pub(super) events: Option<Vec<Event>>,
    /// What there is to know: why it has nothing, or less than it asks for.
    pub(super) notes: Vec<String>,
    /// What does not work.
    pub(super) wrong: Vec<String>,
    /// What Kuryr does next.
    pub(super) next: Vec<String>,
    /// What it waits for.
    pub(super) waits: Vec<String>,
    /// What could not be seen, and why.
    pub(super) unknown: Vec<String>,
}

impl Report {
    /// Whether all is as Kuryr wants it.
    pub(super) fn is_done(&self) -> bool {
        self.wrong.is_empty() && self.next.is_empty() && self.waits.is_empty()
    }
}

/// A Service.
#[derive(Debug, Serialize)]
pub(super) struct Service {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) class: Option<String>,
    pub(super) cluster_ips: Vec<IpAddr>,
    /// Where it is reached from outside, as its status says.
    pub(super) outside: Vec<IpAddr>,
    pub(super) ports: Vec<Port>,
    /// For how many seconds a client stays with an endpoint.
    pub(super) affinity: Option<u32>,
    /// Kuryr's finalizer is on it.
    pub(super) held: bool,
    pub(super) deleting: bool,
}

/// A port of a Service.
#[derive(Debug, Serialize)]
pub(super) struct Port {
    pub(super) name: String,
    /// `TCP:80`.
    pub(super) front: String,
    /// Number or name of the pods' port.
    pub(super) target: String,
}

/// How many endpoints there are.
#[derive(Debug, Default, Serialize)]
pub(super) struct Endpoints {
    pub(super) ready: usize,
    /// They end, but still serve.
    pub(super) draining: usize,
    pub(super) not_ready: usize,
}

/// A KuryrLoadBalancer.
#[derive(Debug, Serialize)]
pub(super) struct Record {
    pub(super) load_balancer: Option<String>,
    pub(super) floating_ip: Option<String>,
    pub(super) deleting: bool,
}

/// How something in Octavia does.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Status {
    #[serde(rename = "provisioning_status")]
    pub(super) provisioning: String,
    /// Not known of what Octavia has just begun to make.
    #[serde(rename = "operating_status")]
    pub(super) operating: Option<String>,
}

/// A load balancer.
#[derive(Debug, Serialize)]
pub(super) struct Balancer {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) address: IpAddr,
    pub(super) provider: String,
    /// `this cluster's`, `the Python Kuryr's` or `somebody else's`.
    pub(super) owner: &'static str,
    #[serde(flatten)]
    pub(super) status: Status,
    pub(super) listeners: Vec<Listener>,
}

/// A listener.
#[derive(Debug, Serialize)]
pub(super) struct Listener {
    pub(super) id: String,
    /// `TCP:80`; its name where no Service has such a protocol.
    pub(super) front: String,
    #[serde(flatten)]
    pub(super) status: Status,
    pub(super) pool: Option<Pool>,
}

/// A pool.
#[derive(Debug, Serialize)]
pub(super) struct Pool {
    pub(super) id: String,
    pub(super) algorithm: String,
    #[serde(flatten)]
    pub(super) status: Status,
    pub(super) members: Vec<Member>,
}

/// A member.
#[derive(Debug, Serialize)]
pub(super) struct Member {
    pub(super) address: IpAddr,
    pub(super) port: u16,
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) status: Status,
}

/// A floating IP.
#[derive(Debug, Serialize)]
pub(super) struct FloatingIp {
    pub(super) id: String,
    pub(super) address: IpAddr,
    /// Made by Kuryr for this Service.
    pub(super) ours: bool,
    /// The address or the port that it leads to.
    pub(super) leads_to: Option<String>,
}
