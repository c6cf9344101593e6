//! What a plan is made of.

use super::{Affinity, External, Front, Member, PoolProtocol, Probing, Socket, Timeouts};
use crate::news::News;
use ipnet::IpNet;
use kuryr_api::load_balancer::{KuryrLoadBalancerSpec, KuryrLoadBalancerStatus};
use kuryr_api::{
    FloatingIpId, HealthMonitorId, ListenerId, LoadBalancerId, PoolId, PortId, ProjectId, SubnetId,
};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// One effect, idempotent.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Create the record.
    CreateRecord(RecordContent),
    /// Write what the record should say.
    UpdateRecord(RecordContent),
    /// Mark the record as deleted. It stays until it is released.
    DeleteRecord,
    /// Take our finalizer off the record, so that it goes.
    ReleaseRecord,
    /// Put our finalizer on the Service.
    HoldService,
    /// Take it off.
    ReleaseService,
    /// A call of Octavia.
    Call(Call),
    /// A call of Neutron about an address outside.
    Address(AddressCall),
    /// Say in the Service's status where it is reached from outside.
    SetIngress(Vec<IpAddr>),
    /// Look again when Octavia is done with these load balancers.
    Await(Vec<LoadBalancerId>),
    /// Tell the Service's owner.
    Tell(News),
}

/// A call of Octavia.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// Make a load balancer.
    CreateBalancer(NewBalancer),
    /// Put this cluster's tag on a load balancer that the Python Kuryr made.
    TagBalancer(LoadBalancerId),
    /// Delete a load balancer and all that hangs on it.
    DeleteBalancer(LoadBalancerId),
    /// Have Octavia make a broken load balancer anew, where its provider can.
    FailOver(LoadBalancerId),
    /// Make a listener.
    CreateListener(LoadBalancerId, NewListener),
    /// Change a listener.
    UpdateListener(LoadBalancerId, ListenerId, NewListener),
    /// Delete a listener.
    DeleteListener(LoadBalancerId, ListenerId),
    /// Make the pool of a listener.
    CreatePool(LoadBalancerId, ListenerId, NewPool),
    /// Change a pool.
    UpdatePool(LoadBalancerId, PoolId, NewPool),
    /// Delete a pool.
    DeletePool(LoadBalancerId, PoolId),
    /// Watch the members of a pool.
    CreateMonitor(LoadBalancerId, PoolId, NewMonitor),
    /// Change how a pool is watched.
    UpdateMonitor(LoadBalancerId, PoolId, HealthMonitorId, Probing),
    /// Watch a pool no more.
    DeleteMonitor(LoadBalancerId, PoolId, HealthMonitorId),
    /// Replace all members of a pool, in one request.
    SetMembers(LoadBalancerId, PoolId, BTreeMap<Socket, Member>),
}

/// The load balancer that a cluster IP needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewBalancer {
    /// Name.
    pub name: String,
    /// Address.
    pub vip: IpAddr,
    /// Subnet of the address.
    pub subnet: SubnetId,
    /// Octavia's provider.
    pub provider: Option<String>,
    /// Octavia's flavor.
    pub flavor: Option<String>,
    /// Where it is to be.
    pub availability_zone: Option<String>,
    /// Project.
    pub project: ProjectId,
    /// Tags.
    pub tags: Vec<String>,
}

/// The listener that a port needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewListener {
    /// Name.
    pub name: String,
    /// Where clients connect to.
    pub front: Front,
    /// Clients that may connect; empty: all. None: whom it lets in stays as it is.
    pub allowed: Option<Vec<IpNet>>,
    /// How long connections may be silent.
    pub timeouts: Timeouts,
    /// Tags.
    pub tags: Vec<String>,
}

/// The pool that a port needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPool {
    /// Name.
    pub name: String,
    /// How members are spoken to.
    pub protocol: PoolProtocol,
    /// How connections are spread.
    pub algorithm: String,
    /// Whether a client stays with a member.
    pub affinity: Option<Affinity>,
    /// Tags.
    pub tags: Vec<String>,
}

/// The health monitor that a pool needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMonitor {
    /// Name.
    pub name: String,
    /// How it asks, as Octavia spells it.
    pub kind: &'static str,
    /// How often.
    pub probing: Probing,
    /// Tags.
    pub tags: Vec<String>,
}

/// What a record should say.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordContent {
    /// What should be.
    pub spec: KuryrLoadBalancerSpec,
    /// What is.
    pub status: KuryrLoadBalancerStatus,
}

/// A call of Neutron about an address outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressCall {
    /// Make a floating IP that leads to a port.
    Make(NewAddress),
    /// Let one lead to a port.
    Lead(FloatingIpId, PortId),
    /// Let one lead nowhere.
    Detach(FloatingIpId),
    /// Let one lead nowhere, and leave it to whoever asked to keep it.
    Leave(FloatingIpId),
    /// Delete one.
    Delete(FloatingIpId),
}

/// The floating IP that a Service needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAddress {
    /// Where it is from.
    pub external: External,
    /// The address that the Service asks for.
    pub wanted: Option<IpAddr>,
    /// Port that it leads to.
    pub port: PortId,
    /// Project.
    pub project: ProjectId,
    /// Tags.
    pub tags: Vec<String>,
}
