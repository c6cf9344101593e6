//! From a Service and its EndpointSlices to the load balancers that it should have.

use super::{
    Affinity, EndpointState, Exposure, Front, Member, MemberMode, NewBalancer, NewListener, NewPool,
    Observed, Protocol, Service, ServicePort, Site, Slice, Socket,
};
use crate::news::News;
use ipnet::IpNet;
use kuryr_api::SubnetId;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// The value of `loadBalancerClass` that means us.
const CLASS: &str = "openstack.org/kuryr";

/// What a Service should have.
pub(super) struct Verdict {
    /// Its load balancers, in the order of its cluster IPs. None: Kuryr serves no Service of that name.
    pub balancers: Option<Vec<Wanted>>,
    /// What its owner should know.
    pub news: Vec<News>,
}

/// A load balancer that should be.
pub(super) struct Wanted {
    pub balancer: NewBalancer,
    pub listeners: BTreeMap<Front, WantedListener>,
}

/// A listener that should be, with its pool.
pub(super) struct WantedListener {
    pub listener: NewListener,
    pub pool: NewPool,
    pub members: BTreeMap<Socket, Member>,
}

/// What the Service should have.
pub(super) fn want(seen: &Observed<'_>) -> Verdict {
    let mut news = Vec::new();
    let Some(service) = seen.service.filter(|service| is_ours(service)) else {
        return Verdict { balancers: None, news };
    };
    if service.exposure == Exposure::NodePort {
        news.push(no_node_ports());
    }
    let mut balancers = Vec::new();
    for vip in &service.cluster_ips {
        match subnet_of(&seen.site.service_subnets, *vip) {
            Some(subnet) => balancers.push(balancer(seen, service, *vip, subnet)),
            None => news.push(outside(*vip)),
        }
    }
    Verdict { balancers: Some(balancers), news }
}

fn is_ours(service: &Service) -> bool {
    let class = service.class.as_deref().filter(|_| service.exposure == Exposure::LoadBalancer);
    !service.deleting
        && !service.cluster_ips.is_empty()
        && service.exposure != Exposure::ExternalName
        && class.is_none_or(|class| class == CLASS)
}

fn balancer(seen: &Observed<'_>, service: &Service, vip: IpAddr, subnet: &SubnetId) -> Wanted {
    let site = seen.site;
    let listener = |port: &ServicePort| (port.front, listener(seen, service, port, vip, subnet));
    Wanted {
        balancer: NewBalancer {
            name: seen.name.to_owned(),
            vip,
            subnet: subnet.clone(),
            provider: site.provider.clone(),
            project: site.project.clone(),
            tags: site.tags.clone(),
        },
        listeners: service.ports.iter().map(listener).collect(),
    }
}

fn listener(
    seen: &Observed<'_>,
    service: &Service,
    port: &ServicePort,
    vip: IpAddr,
    subnet: &SubnetId,
) -> WantedListener {
    let site = seen.site;
    // As the Python Kuryr calls it and its pool.
    let name = format!("{}:{}", seen.name, port.front);
    WantedListener {
        listener: NewListener {
            name: name.clone(),
            front: port.front,
            allowed: allowed(service),
            timeouts: site.timeouts,
            tags: site.tags.clone(),
        },
        pool: NewPool {
            name,
            protocol: port.front.protocol,
            algorithm: site.algorithm.clone(),
            affinity: service.affinity.map(|time| affinity(port.front.protocol, time)),
            tags: site.tags.clone(),
        },
        members: members(seen, port, vip, subnet),
    }
}

fn affinity(protocol: Protocol, timeout: Duration) -> Affinity {
    Affinity { timeout: (protocol == Protocol::Udp).then_some(timeout) }
}

/// Source ranges are asked of load balancers only; other Services ignore the field.
fn allowed(service: &Service) -> Vec<IpNet> {
    if service.exposure != Exposure::LoadBalancer {
        return Vec::new();
    }
    let mut ranges: Vec<_> = service.source_ranges.iter().map(IpNet::trunc).collect();
    ranges.sort();
    ranges.dedup();
    ranges
}

/// Endpoints that are ready; where none is, those that end but still serve, as kube-proxy does.
fn members(
    seen: &Observed<'_>,
    port: &ServicePort,
    vip: IpAddr,
    subnet: &SubnetId,
) -> BTreeMap<Socket, Member> {
    let collect = |state: EndpointState| -> BTreeMap<Socket, Member> {
        let slices = seen.slices.iter().filter_map(|slice| Some((slice, number(slice, port)?)));
        slices
            .flat_map(|(slice, number)| slice.endpoints.iter().map(move |endpoint| (endpoint, number)))
            .filter(|(endpoint, _)| endpoint.state == state && endpoint.address.is_ipv4() == vip.is_ipv4())
            .map(|(endpoint, number)| {
                let socket = Socket { address: endpoint.address, port: number };
                let name = member_name(seen.name, endpoint.pod.as_deref(), number);
                (socket, Member { name, subnet: member_subnet(seen.site, endpoint.address, subnet) })
            })
            .collect()
    };
    let ready = collect(EndpointState::Ready);
    if ready.is_empty() { collect(EndpointState::Draining) } else { ready }
}

/// The number of the Service's port at the endpoints of a slice.
fn number(slice: &Slice, port: &ServicePort) -> Option<u16> {
    let same = |candidate: &&super::SlicePort| {
        candidate.name == port.name && candidate.protocol == port.front.protocol
    };
    slice.ports.iter().find(same)?.port
}

/// As the Python Kuryr calls it: by the pod, or by the Service where no pod stands behind an endpoint.
fn member_name(service: &str, pod: Option<&str>, number: u16) -> String {
    match (pod, service.split_once('/')) {
        (Some(pod), Some((namespace, _))) => format!("{namespace}/{pod}:{number}"),
        _ => format!("{service}:{number}"),
    }
}

fn member_subnet(site: &Site, address: IpAddr, vip: &SubnetId) -> Option<SubnetId> {
    match site.member_mode {
        MemberMode::L3 => Some(vip.clone()),
        MemberMode::L2 => subnet_of(&site.member_subnets, address).cloned(),
    }
}

fn subnet_of(subnets: &[(SubnetId, IpNet)], address: IpAddr) -> Option<&SubnetId> {
    subnets.iter().find(|(_, range)| range.contains(&address)).map(|(id, _)| id)
}

fn no_node_ports() -> News {
    News {
        kind: crate::news::Kind::Normal,
        reason: "NodePortNotServed",
        message: "Kuryr serves this Service at its cluster IP. Its node ports are served by kube-proxy, where one runs; use \
                  type LoadBalancer to reach it from outside."
            .to_owned(),
    }
}

fn outside(vip: IpAddr) -> News {
    News::warning(
        "ClusterIpOutsideServiceSubnet",
        format!(
            "The cluster IP {vip} is in no subnet of [neutron_defaults] service_subnet, so that no load balancer can have it. \
             The subnet has to hold the whole range of the API server's --service-cluster-ip-range."
        ),
    )
}
