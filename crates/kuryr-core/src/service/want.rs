//! From a Service and its EndpointSlices to the load balancers that it should have.

use super::provider::Provider;
use super::{
    Affinity, Balancer, EndpointState, Exposure, Front, Member, MemberMode, NewBalancer, NewListener,
    NewPool, Observed, Ownership, Protocol, Service, ServicePort, Site, Slice, Socket, Timeouts,
    WithoutClass,
};
use crate::news::News;
use ipnet::IpNet;
use kuryr_api::SubnetId;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// The value of `loadBalancerClass` that means us.
const CLASS: &str = "openstack.org/kuryr";
/// The API server's own Service.
const API_SERVER: &str = "default/kubernetes";

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
    let Some(service) = seen.service.filter(|service| is_served(seen, service)) else {
        return Verdict { balancers: None, news };
    };
    if service.exposure == Exposure::NodePort {
        news.push(no_node_ports());
    }
    let mut balancers = Vec::new();
    for vip in &service.cluster_ips {
        match subnet_of(&seen.site.service_subnets, *vip) {
            Some(subnet) => balancers.push(balancer(seen, service, *vip, subnet, &mut news)),
            None => news.push(outside(*vip)),
        }
    }
    Verdict { balancers: Some(balancers), news }
}

/// Every cluster IP is served, whoever makes the load balancer outside.
fn is_served(seen: &Observed<'_>, service: &Service) -> bool {
    !service.deleting
        && !service.cluster_ips.is_empty()
        && service.exposure != Exposure::ExternalName
        && !(seen.name == API_SERVER && has_foreign(seen, service))
}

/// Installers make the load balancer of the API server's Service before there is a cluster. It is theirs.
fn has_foreign(seen: &Observed<'_>, service: &Service) -> bool {
    let at_cluster_ip = |one: &&Arc<Balancer>| service.cluster_ips.contains(&one.vip);
    seen.balancers.iter().filter(at_cluster_ip).any(|one| one.ownership == Ownership::Foreign)
}

/// Whether its address outside is Kuryr's to give.
pub(super) fn is_exposed(site: &Site, service: &Service) -> bool {
    service.exposure == Exposure::LoadBalancer
        && match service.class.as_deref() {
            None => site.without_class == WithoutClass::Ours,
            Some(class) => class == CLASS,
        }
}

fn balancer(
    seen: &Observed<'_>,
    service: &Service,
    vip: IpAddr,
    subnet: &SubnetId,
    news: &mut Vec<News>,
) -> Wanted {
    let site = seen.site;
    let provider = provider(seen, vip);
    let ranges = source_ranges(site, service);
    if !ranges.is_empty() && !provider.has_source_ranges() {
        news.push(no_source_ranges());
    }
    let front = FrontEnd {
        allowed: if provider.has_source_ranges() { ranges } else { Vec::new() },
        timeouts: if provider.has_timeouts() { site.timeouts } else { Timeouts::default() },
        algorithm: provider.algorithm(&site.algorithm, service.affinity.is_some()).to_owned(),
    };
    let listener = |port: &ServicePort| {
        let members = members(seen, port, vip, subnet);
        (port.front, listener(seen, service, port, &front, members))
    };
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

/// What all ports of a load balancer have in common.
struct FrontEnd {
    allowed: Vec<IpNet>,
    timeouts: Timeouts,
    algorithm: String,
}

/// Octavia tells what its default is once a load balancer is made, which is before anything of it is asked.
fn provider(seen: &Observed<'_>, vip: IpAddr) -> Provider {
    let made = seen.balancers.iter().find(|one| one.vip == vip).map(|one| one.provider.as_str());
    Provider::named(made.or(seen.site.provider.as_deref()).unwrap_or_default())
}

fn listener(
    seen: &Observed<'_>,
    service: &Service,
    port: &ServicePort,
    front: &FrontEnd,
    members: BTreeMap<Socket, Member>,
) -> WantedListener {
    let site = seen.site;
    // As the Python Kuryr calls it and its pool.
    let name = format!("{}:{}", seen.name, port.front);
    WantedListener {
        listener: NewListener {
            name: name.clone(),
            front: port.front,
            allowed: front.allowed.clone(),
            timeouts: front.timeouts,
            tags: site.tags.clone(),
        },
        pool: NewPool {
            name,
            protocol: port.front.protocol,
            algorithm: front.algorithm.clone(),
            affinity: service.affinity.map(|time| affinity(port.front.protocol, time)),
            tags: site.tags.clone(),
        },
        members,
    }
}

fn affinity(protocol: Protocol, timeout: Duration) -> Affinity {
    Affinity { timeout: (protocol == Protocol::Udp).then_some(timeout) }
}

/// Source ranges are asked of load balancers only; other Services ignore the field.
fn source_ranges(site: &Site, service: &Service) -> Vec<IpNet> {
    if !is_exposed(site, service) {
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

fn no_source_ranges() -> News {
    News::warning(
        "SourceRangesNotServed",
        "loadBalancerSourceRanges needs Octavia's provider amphora: OVN forwards to members whoever the client is. The Service is \
         served inside of the cluster and gets no address outside. Use a NetworkPolicy on its pods, which see their clients' own \
         addresses, and remove the field.",
    )
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
