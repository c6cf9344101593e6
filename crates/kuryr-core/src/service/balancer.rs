//! What Octavia has.

use super::provider::Provider;
use super::{Front, Protocol};
use ipnet::IpNet;
use kuryr_api::{HealthMonitorId, ListenerId, LoadBalancerId, PoolId, PortId, ProjectId, SubnetId};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// A load balancer that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balancer {
    /// Load balancer.
    pub id: LoadBalancerId,
    /// Name.
    pub name: String,
    /// Address.
    pub vip: IpAddr,
    /// Subnet of the address.
    pub subnet: Option<SubnetId>,
    /// Neutron port of the address.
    pub port: Option<PortId>,
    /// What makes it.
    pub provider: String,
    /// Project.
    pub project: ProjectId,
    /// What Octavia does with it.
    pub state: State,
    /// Whose it is.
    pub ownership: Ownership,
    /// Listeners.
    pub listeners: BTreeMap<ListenerId, Listener>,
    /// Pools.
    pub pools: BTreeMap<PoolId, Pool>,
}

impl Balancer {
    /// Whether OVN's provider makes it: in Octavia's own process, and not many at a time.
    pub fn is_ovns(&self) -> bool {
        Provider::named(&self.provider) == Provider::Ovn
    }
}

/// What Octavia does with an object (`provisioning_status`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing: it can be changed.
    Active,
    /// It makes or changes it: nobody can change it now.
    Pending,
    /// It has been at that for longer than it should.
    Overdue,
    /// It deletes it.
    Deleting,
    /// It gave up.
    Error,
}

/// Whose a load balancer is, and so what we may do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// It carries this cluster's tag.
    Ours,
    /// A record of this cluster names it, or it is made as the Python Kuryr makes them for this Service: ours, once it is tagged.
    Kuryr,
    /// Somebody else's.
    Foreign,
}

/// A listener that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Name.
    pub name: String,
    /// Where clients connect to. None: a protocol that no Service has.
    pub front: Option<Front>,
    /// Pool that it forwards to.
    pub pool: Option<PoolId>,
    /// Clients that may connect; empty: all.
    pub allowed: Vec<IpNet>,
    /// How long connections may be silent.
    pub timeouts: Timeouts,
    /// What Octavia does with it.
    pub state: State,
}

/// How long connections may be silent, in milliseconds. None: as Octavia has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// Clients.
    pub client: Option<u32>,
    /// Members.
    pub member: Option<u32>,
}

/// A pool that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Name.
    pub name: String,
    /// How members are spoken to. None: in a way that no Service asks for.
    pub protocol: Option<PoolProtocol>,
    /// How connections are spread.
    pub algorithm: String,
    /// Whether a client stays with a member.
    pub affinity: Option<Affinity>,
    /// Members.
    pub members: BTreeMap<Socket, Member>,
    /// What finds out which of them answer.
    pub monitor: Option<(HealthMonitorId, Probing)>,
    /// What Octavia does with it.
    pub state: State,
}

/// How members are spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolProtocol {
    /// As clients speak.
    Plain(Protocol),
    /// TCP that begins with a line that tells who the client is.
    Proxy(ProxyVersion),
}

/// A version of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyVersion {
    /// In words.
    V1,
    /// In binary.
    V2,
}

/// How often members are asked, and what is made of the answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probing {
    /// From one question to the next, in seconds.
    pub delay: u32,
    /// How long an answer may take, in seconds.
    pub timeout: u32,
    /// After so many answers a member is up.
    pub max_retries: u8,
    /// After so many questions without one it is down.
    pub max_retries_down: u8,
}

/// A client stays with a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Affinity {
    /// After which silence it is forgotten. None: as the provider has it. Octavia takes a time for UDP only.
    pub timeout: Option<Duration>,
}

/// Where a member takes connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Socket {
    /// Address.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
}

/// What else is said of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Name.
    pub name: String,
    /// Subnet that Octavia reaches it from.
    pub subnet: Option<SubnetId>,
}

impl PoolProtocol {
    /// As Octavia spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain(protocol) => protocol.as_str(),
            Self::Proxy(ProxyVersion::V1) => "PROXY",
            Self::Proxy(ProxyVersion::V2) => "PROXYV2",
        }
    }

    /// What is spelled so.
    pub fn read(text: &str) -> Option<Self> {
        match text {
            "PROXY" => Some(Self::Proxy(ProxyVersion::V1)),
            "PROXYV2" => Some(Self::Proxy(ProxyVersion::V2)),
            _ => Protocol::read(text).map(Self::Plain),
        }
    }
}
