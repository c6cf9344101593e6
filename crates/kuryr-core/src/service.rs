//! Which load balancers a Service has in Octavia, which it should have, and what to do about the difference.
//!
//! ```text
//!   Service, slices ── want ──► Wanted ─┐
//!                                       ├── differ ──► the next call for each balancer ──► Await ──► (look again)
//!   Octavia ────────► Balancer ─────────┘
//!
//!   no balancer ─ CreateBalancer ─► CreateListener ─► CreatePool ─► SetMembers ─► UpdateRecord ─► (nothing to plan)
//!   Service gone ─ DeleteBalancer ─► gone ─► DeleteRecord, ReleaseRecord ─► ReleaseService
//! ```
//!
//! Octavia takes one change of a load balancer at a time and is immutable until that is done, so that a plan holds one call for each
//! of a Service's balancers, the most urgent, and the next look plans the rest. There is a balancer for each cluster IP: Octavia
//! does not mix address families in one.
//!
//! A Service is held by a finalizer while it has load balancers, so that Kubernetes gives its cluster IP to nobody else before they
//! are gone.

mod action;
mod allowed;
mod balancer;
mod differ;
mod outside;
mod provider;
mod record;
#[cfg(test)]
mod tests;
mod told;
mod want;
mod wishes;

pub use crate::protocol::Protocol;
pub use action::{
    Action, AddressCall, Call, NewAddress, NewBalancer, NewListener, NewMonitor, NewPool, RecordContent,
};
pub use balancer::{
    Affinity, Balancer, Listener, Member, Ownership, Pool, PoolProtocol, Probing, ProxyVersion, Socket,
    State, Timeouts,
};
pub use want::{Unserved, is_exposed, unserved};
pub use wishes::{Balancing, Wishes};

use ipnet::IpNet;
use kuryr_api::load_balancer::{KuryrLoadBalancerSpec, KuryrLoadBalancerStatus};
use kuryr_api::{FloatingIpId, NetworkId, PortId, ProjectId, SubnetId};
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// What Kubernetes, our record and Octavia say of one Service name.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    /// `namespace/name`.
    pub name: &'a str,
    /// The Service, if there is one.
    pub service: Option<&'a Service>,
    /// Its EndpointSlices, in the order of their names.
    pub slices: &'a [Slice],
    /// The record, if there is one.
    pub record: Option<Record<'a>>,
    /// Every load balancer that may be this Service's: it is called so, stands in the record, or has one of its cluster IPs.
    pub balancers: &'a [Arc<Balancer>],
    /// Every floating IP that may be this Service's: it was made for it, leads to one of its load balancers, or has the address
    /// that it asks for.
    pub addresses: &'a [Address],
    /// How load balancers are made here.
    pub site: &'a Site,
    /// What policies say of its endpoints. None: it is not known, and whom listeners let in stays as it is.
    pub guards: Option<&'a Guards>,
}

/// Who may connect to an endpoint, where not everybody may: for load balancers that hide their clients from the pods behind them.
pub type Guards = HashMap<(Protocol, Socket), BTreeSet<IpNet>>;

/// A Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// What it is reached by.
    pub exposure: Exposure,
    /// Cluster IPs, the first family first. None: it is headless, or has none yet.
    pub cluster_ips: Vec<IpAddr>,
    /// Ports.
    pub ports: Vec<ServicePort>,
    /// How long a client stays with an endpoint (`sessionAffinity: ClientIP`).
    pub affinity: Option<Duration>,
    /// Who may reach it from outside (`loadBalancerSourceRanges`); empty: everybody.
    pub source_ranges: Vec<IpNet>,
    /// Address outside that it asks for (`loadBalancerIP`, or else the first of `externalIPs`).
    pub wanted_address: Option<IpAddr>,
    /// Where it is reached from outside, as its status says.
    pub ingress: Vec<IpAddr>,
    /// What its annotations ask for.
    pub wishes: Wishes,
    /// Clients are to be served by endpoints of their own node only (`internalTrafficPolicy: Local`).
    pub is_local: bool,
    /// Who makes its load balancer (`loadBalancerClass`).
    pub class: Option<String>,
    /// Our finalizer is on it: its cluster IPs are nobody else's until its load balancers are gone.
    pub is_held: bool,
    /// It is being deleted.
    pub deleting: bool,
}

/// What a Service is reached by (`type`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Exposure {
    /// Its cluster IP.
    #[default]
    ClusterIp,
    /// Its cluster IP, and a port of every node, which Kuryr does not serve.
    NodePort,
    /// Its cluster IP, and an address outside the cluster.
    LoadBalancer,
    /// A name in DNS.
    ExternalName,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Name; empty if there is only one.
    pub name: String,
    /// Where clients connect to.
    pub front: Front,
    /// Number or name of the pods' port.
    pub target: String,
}

/// Where clients connect to: a listener's place at its load balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Front {
    /// Protocol.
    pub protocol: Protocol,
    /// Port.
    pub port: u16,
}

/// An EndpointSlice: endpoints with the same ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// Ports by the names and protocols of the Service's ports.
    pub ports: Vec<SlicePort>,
    /// Endpoints.
    pub endpoints: Vec<Endpoint>,
}

/// A port of the endpoints of a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlicePort {
    /// Name of the Service's port.
    pub name: String,
    /// Protocol.
    pub protocol: Protocol,
    /// Number. None: every port, which a load balancer can't serve.
    pub port: Option<u16>,
}

/// An endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Address. Others of an endpoint are the same one's by the API's word.
    pub address: IpAddr,
    /// What it can do now.
    pub state: EndpointState,
    /// Pod behind it.
    pub pod: Option<Box<str>>,
}

/// What an endpoint can do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EndpointState {
    /// Takes connections.
    Ready,
    /// Ends, but still serves: used where no endpoint is ready.
    Draining,
    /// Takes none.
    NotReady,
}

/// A record.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// It is being deleted, and waits for us.
    pub deleting: bool,
    /// What it says should be.
    pub spec: &'a KuryrLoadBalancerSpec,
    /// What it says is.
    pub status: Option<&'a KuryrLoadBalancerStatus>,
}

/// How load balancers are made here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Subnets of cluster IPs.
    pub service_subnets: Vec<(SubnetId, IpNet)>,
    /// Subnets that pods' and nodes' addresses are from.
    pub member_subnets: Vec<(SubnetId, IpNet)>,
    /// Octavia's provider; none: Octavia's own default.
    pub provider: Option<String>,
    /// How connections are spread, where the provider can.
    pub algorithm: String,
    /// How members are reached.
    pub member_mode: MemberMode,
    /// Project of load balancers.
    pub project: ProjectId,
    /// Tags of what we make; the cluster's own is the last.
    pub tags: Vec<String>,
    /// How long connections may be silent.
    pub timeouts: Timeouts,
    /// Security groups that guard load balancers, as the record names them.
    pub security_groups: Vec<String>,
    /// Where addresses outside are from; none: there are none.
    pub external: Option<External>,
    /// Who makes load balancers of Services that do not say it (`[octavia_defaults] serve_without_class`).
    pub without_class: WithoutClass,
}

/// Where addresses outside are from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct External {
    /// Network.
    pub network: NetworkId,
    /// Subnet, if it is not left to Neutron.
    pub subnet: Option<SubnetId>,
}

/// A floating IP that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Floating IP.
    pub id: FloatingIpId,
    /// The address outside.
    pub ip: IpAddr,
    /// The port that it leads to.
    pub port: Option<PortId>,
    /// Whose it is.
    pub ownership: AddressOwnership,
}

/// Whose a floating IP is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressOwnership {
    /// Made by a Kuryr of this cluster for this Service.
    Ours,
    /// A user's, or another Service's.
    Others,
}

/// Who makes the load balancers of Services of type `LoadBalancer` that have no `loadBalancerClass`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WithoutClass {
    /// Kuryr.
    #[default]
    Ours,
    /// Somebody else.
    Others,
}

/// How members are reached (`[octavia_defaults] member_mode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberMode {
    /// Through the router of the load balancer's subnet.
    L3,
    /// On their own subnet.
    L2,
}

/// What to do, in this order. Empty when all is as it should be.
pub fn plan(seen: &Observed<'_>) -> Vec<Action> {
    let verdict = want::want(seen);
    let mut actions: Vec<_> = verdict.news.into_iter().map(Action::Tell).collect();
    match verdict.balancers {
        Some(wanted) => differ::keep(seen, &wanted, &mut actions),
        None => differ::release(seen, &mut actions),
    }
    actions
}

impl Front {
    /// A listener's place.
    pub fn new(protocol: Protocol, port: u16) -> Self {
        Self { protocol, port }
    }
}

impl fmt::Display for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.protocol.as_str(), self.port)
    }
}
