//! From Octavia's and Kubernetes' words about Services to the planner's, and back.

use super::balancers::{Members, Read, Trust};
use ipnet::IpNet;
use kuryr_api::{HealthMonitorId, LoadBalancerId, PoolId};
use kuryr_core::service::{
    Affinity, Balancer, Endpoint, EndpointState, Exposure, Front, Listener, Member, NewListener, NewPool,
    Ownership, Pool, PoolProtocol, Probing, Protocol, Service, ServicePort, Slice, SlicePort, Socket, State,
    Timeouts, Wishes,
};
use kuryr_k8s::slim;
use kuryr_openstack::octavia::{self, ListenerUpdate, NewMember, PoolUpdate, SessionPersistence, Status};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// What Octavia's lists show, to be put together.
pub struct Lists {
    /// Listeners.
    pub listeners: Vec<octavia::Listener>,
    /// Pools.
    pub pools: Vec<octavia::Pool>,
    /// Members by their pools.
    pub members: HashMap<PoolId, Members>,
    /// Health monitors.
    pub monitors: Vec<octavia::HealthMonitor>,
}

/// A load balancer with all that hangs on it.
pub fn read(balancer: &octavia::LoadBalancer, lists: &Lists, own_tag: &str) -> Read {
    let ids = |pool: &octavia::Pool| Some((pool.id.clone(), lists.members.get(&pool.id)?.ids.clone()));
    let state = state(&balancer.provisioning_status);
    Read {
        members: pools_of(lists, &balancer.id).filter_map(ids).collect(),
        // What it is being changed to, and by whom, is not known.
        trust: if matches!(state, State::Active | State::Error) { Trust::Certain } else { Trust::Doubted },
        balancer: Balancer {
            listeners: listeners_of(lists, &balancer.id).map(|one| (one.id.clone(), listener(one))).collect(),
            pools: pools_of(lists, &balancer.id).map(|one| (one.id.clone(), pool(one, lists))).collect(),
            ..bare(balancer, own_tag)
        },
    }
}

/// A load balancer that nothing hangs on.
pub fn bare(balancer: &octavia::LoadBalancer, own_tag: &str) -> Balancer {
    Balancer {
        id: balancer.id.clone(),
        name: balancer.name.clone(),
        vip: balancer.vip_address,
        subnet: balancer.vip_subnet_id.clone(),
        port: balancer.vip_port_id.clone(),
        provider: balancer.provider.clone(),
        project: balancer.project_id.clone(),
        state: state(&balancer.provisioning_status),
        ownership: ownership(&balancer.tags, own_tag),
        listeners: BTreeMap::new(),
        pools: BTreeMap::new(),
    }
}

/// One without a tag of any cluster may be the Python Kuryr's: who looks at a Service tells by its record and its name.
fn ownership(tags: &[String], own_tag: &str) -> Ownership {
    let family = own_tag.split_once('=').map_or(own_tag, |(family, _)| family);
    let is_clusters = |tag: &&String| tag.split_once('=').is_some_and(|(name, _)| name == family);
    match tags.iter().find(is_clusters) {
        _ if tags.iter().any(|tag| tag == own_tag) => Ownership::Ours,
        Some(_) => Ownership::Foreign,
        None => Ownership::Kuryr,
    }
}

fn state(status: &Status) -> State {
    match status {
        Status::Active => State::Active,
        Status::PendingDelete | Status::Deleted => State::Deleting,
        Status::Error => State::Error,
        Status::PendingCreate | Status::PendingUpdate | Status::Other(_) => State::Pending,
    }
}

fn listeners_of<'l>(lists: &'l Lists, of: &LoadBalancerId) -> impl Iterator<Item = &'l octavia::Listener> {
    lists.listeners.iter().filter(move |one| one.loadbalancers.contains(of))
}

fn pools_of<'l>(lists: &'l Lists, of: &LoadBalancerId) -> impl Iterator<Item = &'l octavia::Pool> {
    lists.pools.iter().filter(move |one| one.loadbalancers.contains(of))
}

/// The members of a pool.
pub fn members(found: &[octavia::Member]) -> Members {
    Members {
        ids: found.iter().map(|one| one.id.clone()).collect(),
        sockets: found.iter().map(member).collect(),
    }
}

/// A listener as planners see it.
pub fn listener(one: &octavia::Listener) -> Listener {
    let mut allowed: Vec<IpNet> =
        one.allowed_cidrs.iter().flatten().filter_map(|text| text.parse().ok()).collect();
    allowed.sort();
    Listener {
        name: one.name.clone(),
        front: Protocol::read(&one.protocol).map(|protocol| Front::new(protocol, one.protocol_port)),
        pool: one.default_pool_id.clone(),
        allowed,
        timeouts: Timeouts { client: one.timeout_client_data, member: one.timeout_member_data },
        state: state(&one.provisioning_status),
    }
}

fn pool(one: &octavia::Pool, lists: &Lists) -> Pool {
    let members = lists.members.get(&one.id).map(|members| members.sockets.clone());
    let monitor = lists.monitors.iter().find(|monitor| Some(&monitor.id) == one.healthmonitor_id.as_ref());
    Pool { members: members.unwrap_or_default(), monitor: monitor.map(watched), ..bare_pool(one) }
}

/// A pool that has no members.
pub fn bare_pool(one: &octavia::Pool) -> Pool {
    let affinity = one.session_persistence.as_ref().map(|persistence| Affinity {
        timeout: persistence.persistence_timeout.map(|seconds| Duration::from_secs(seconds.into())),
    });
    Pool {
        name: one.name.clone(),
        protocol: PoolProtocol::read(&one.protocol),
        algorithm: one.lb_algorithm.clone(),
        affinity,
        members: BTreeMap::new(),
        monitor: None,
        state: state(&one.provisioning_status),
    }
}

/// What watches a pool, as planners see it.
pub fn watched(one: &octavia::HealthMonitor) -> (HealthMonitorId, Probing) {
    let octavia::Probing { delay, timeout, max_retries, max_retries_down } = one.probing;
    (one.id.clone(), Probing { delay, timeout, max_retries, max_retries_down })
}

/// How members are asked, as Octavia takes it.
pub fn probing(of: Probing) -> octavia::Probing {
    let Probing { delay, timeout, max_retries, max_retries_down } = of;
    octavia::Probing { delay, timeout, max_retries, max_retries_down }
}

fn member(one: &octavia::Member) -> (Socket, Member) {
    let socket = Socket { address: one.address, port: one.protocol_port };
    (socket, Member { name: one.name.clone(), subnet: one.subnet_id.clone() })
}

/// What can change of a listener, as it should be.
pub fn listener_settings(new: &NewListener, is_new: bool) -> ListenerUpdate {
    let allowed = |ranges: &Vec<IpNet>| {
        let texts: Vec<_> = ranges.iter().map(ToString::to_string).collect();
        // A provider that has none refuses to be told that there are none.
        (!is_new || !texts.is_empty()).then(|| (!texts.is_empty()).then_some(texts))
    };
    ListenerUpdate {
        timeout_client_data: new.timeouts.client,
        timeout_member_data: new.timeouts.member,
        allowed_cidrs: new.allowed.as_ref().and_then(allowed),
    }
}

/// What can change of a pool, as it should be.
pub fn pool_settings(new: &NewPool) -> PoolUpdate {
    let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
    PoolUpdate {
        lb_algorithm: new.algorithm.clone(),
        session_persistence: new.affinity.map(|affinity| SessionPersistence {
            kind: "SOURCE_IP".to_owned(),
            persistence_timeout: affinity.timeout.map(seconds),
        }),
    }
}

/// A member, as it should be.
pub fn new_member((socket, member): (&Socket, &Member)) -> NewMember {
    NewMember {
        name: member.name.clone(),
        address: socket.address,
        protocol_port: socket.port,
        subnet_id: member.subnet.clone(),
    }
}

/// A Service as planners see it. Ports of protocols that Kubernetes does not have either are left out.
pub fn service(service: &slim::Service) -> Service {
    Service {
        exposure: match &*service.kind {
            "LoadBalancer" => Exposure::LoadBalancer,
            "NodePort" => Exposure::NodePort,
            "ExternalName" => Exposure::ExternalName,
            _ => Exposure::ClusterIp,
        },
        cluster_ips: service.cluster_ips.to_vec(),
        ports: service.ports.iter().filter_map(service_port).collect(),
        affinity: service.affinity.map(|seconds| Duration::from_secs(seconds.into())),
        source_ranges: service.source_ranges.iter().filter_map(|range| range.trim().parse().ok()).collect(),
        wanted_address: service.wanted_address.as_deref().and_then(|text| text.parse().ok()),
        ingress: service.ingress.to_vec(),
        wishes: Wishes::read(service.annotations.iter().map(|(name, value)| (&**name, &**value))),
        is_local: service.is_local,
        class: service.class.as_deref().map(ToOwned::to_owned),
        is_held: service.held.by_us,
        deleting: service.deleting,
    }
}

fn service_port(port: &slim::ServicePort) -> Option<ServicePort> {
    Some(ServicePort {
        name: port.name.to_string(),
        front: Front::new(Protocol::read(&port.protocol)?, port.port),
        target: port.target.to_string(),
    })
}

/// A slice as planners see it.
pub fn slice(slice: &slim::EndpointSlice) -> Slice {
    let port = |port: &slim::EndpointPort| {
        let protocol = Protocol::read(&port.protocol)?;
        Some(SlicePort { name: port.name.to_string(), protocol, port: port.port })
    };
    Slice {
        ports: slice.ports.iter().filter_map(port).collect(),
        endpoints: slice.endpoints.iter().map(endpoint).collect(),
    }
}

fn endpoint(endpoint: &slim::Endpoint) -> Endpoint {
    Endpoint {
        address: endpoint.address,
        state: match (endpoint.ready, endpoint.serving) {
            (true, _) => EndpointState::Ready,
            (false, true) => EndpointState::Draining,
            (false, false) => EndpointState::NotReady,
        },
        pod: endpoint.pod.clone(),
    }
}
