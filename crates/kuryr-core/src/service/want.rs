//! From a Service and its EndpointSlices to the load balancers that it should have.

use super::allowed::allowed;
use super::provider::Provider;
use super::told;
use super::{
    Balancer, EndpointState, Exposure, Front, Member, MemberMode, NewBalancer, NewListener, NewMonitor,
    NewPool, Observed, Ownership, PoolProtocol, Probing, Protocol, ProxyVersion, Service, ServicePort, Site,
    Slice, Socket, Timeouts, WithoutClass,
};
use crate::news::News;
use ipnet::IpNet;
use kuryr_api::SubnetId;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

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

/// Why a Service gets no load balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unserved {
    /// It is being deleted.
    Deleting,
    /// It is a name in DNS.
    ExternalName,
    /// It is headless, or has no cluster IP yet.
    NoClusterIp,
    /// It is the API server's, and an installer has made its load balancer.
    Installers,
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
    pub monitor: Option<NewMonitor>,
    pub members: BTreeMap<Socket, Member>,
}

/// What the Service should have.
pub(super) fn want(seen: &Observed<'_>) -> Verdict {
    let mut news = Vec::new();
    let Some(service) = seen.service.filter(|service| unserved(seen, service).is_none()) else {
        return Verdict { balancers: None, news };
    };
    if service.exposure == Exposure::NodePort {
        news.push(told::no_node_ports());
    }
    if service.is_local {
        news.push(told::no_local_traffic());
    }
    news.extend(service.wishes.news.iter().cloned());
    let mut balancers = Vec::new();
    for vip in &service.cluster_ips {
        match subnet_of(&seen.site.service_subnets, *vip) {
            Some(subnet) => balancers.push(balancer(seen, service, *vip, subnet, &mut news)),
            None => news.push(told::outside(*vip)),
        }
    }
    Verdict { balancers: Some(balancers), news }
}

/// Why a Service gets no load balancer; none: it does. Every cluster IP is served, whoever makes the load balancer outside.
pub fn unserved(seen: &Observed<'_>, service: &Service) -> Option<Unserved> {
    if service.deleting {
        return Some(Unserved::Deleting);
    }
    if service.exposure == Exposure::ExternalName {
        return Some(Unserved::ExternalName);
    }
    if service.cluster_ips.is_empty() {
        return Some(Unserved::NoClusterIp);
    }
    (seen.name == API_SERVER && has_foreign(seen, service)).then_some(Unserved::Installers)
}

/// Installers make the load balancer of the API server's Service before there is a cluster. It is theirs.
fn has_foreign(seen: &Observed<'_>, service: &Service) -> bool {
    let at_cluster_ip = |one: &&Arc<Balancer>| service.cluster_ips.contains(&one.vip);
    seen.balancers.iter().filter(at_cluster_ip).any(|one| one.ownership == Ownership::Foreign)
}

/// Whether its address outside is Kuryr's to give.
pub fn is_exposed(site: &Site, service: &Service) -> bool {
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
        news.push(told::no_source_ranges());
    }
    let front = FrontEnd {
        provider,
        ranges,
        timeouts: timeouts(site, service, provider, news),
        algorithm: algorithm(site, service, provider, news),
        proxy: proxy(service, provider, news),
        probing: service.wishes.balancing.monitor,
    };
    if (service.wishes.flavor.is_some() || service.wishes.availability_zone.is_some())
        && !provider.has_machines()
    {
        news.push(told::lacks("flavors or availability zones"));
    }
    let listener = |port: &ServicePort| {
        (port.front, listener(seen, service, port, &front, vip, members(seen, port, vip, subnet)))
    };
    Wanted {
        balancer: NewBalancer {
            name: seen.name.to_owned(),
            vip,
            subnet: subnet.clone(),
            provider: site.provider.clone(),
            flavor: service.wishes.flavor.clone().filter(|_| provider.has_machines()),
            availability_zone: service.wishes.availability_zone.clone().filter(|_| provider.has_machines()),
            project: site.project.clone(),
            tags: site.tags.clone(),
        },
        listeners: service.ports.iter().map(listener).collect(),
    }
}

/// What all ports of a load balancer have in common.
struct FrontEnd {
    provider: Provider,
    ranges: Vec<IpNet>,
    timeouts: Timeouts,
    algorithm: String,
    proxy: Option<ProxyVersion>,
    probing: Option<Probing>,
}

/// What the Service asks for goes before what is asked for all, and is told if the provider can't.
fn algorithm(site: &Site, service: &Service, provider: Provider, news: &mut Vec<News>) -> String {
    let asked = service.wishes.balancing.algorithm.as_deref();
    let given = provider.algorithm(asked.unwrap_or(&site.algorithm), service.affinity);
    if asked.is_some_and(|asked| asked != given) && service.affinity.is_none() {
        news.push(told::lacks(&format!("another way to spread connections than {given}")));
    }
    given.to_owned()
}

fn proxy(service: &Service, provider: Provider, news: &mut Vec<News>) -> Option<ProxyVersion> {
    let asked = service.wishes.balancing.proxy?;
    if provider.has_proxy_protocol() {
        return Some(asked);
    }
    news.push(told::lacks("PROXY protocol (members see their clients' own addresses without it)"));
    None
}

fn timeouts(site: &Site, service: &Service, provider: Provider, news: &mut Vec<News>) -> Timeouts {
    let asked = service.wishes.balancing.timeouts;
    if provider.has_timeouts() {
        return Timeouts {
            client: asked.client.or(site.timeouts.client),
            member: asked.member.or(site.timeouts.member),
        };
    }
    if asked != Timeouts::default() {
        news.push(told::lacks("times after which silent connections end"));
    }
    Timeouts::default()
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
    vip: IpAddr,
    members: BTreeMap<Socket, Member>,
) -> WantedListener {
    let site = seen.site;
    let allowed = || allowed(seen, &front.ranges, vip, port.front.protocol, &members);
    // As the Python Kuryr calls it and its pool.
    let name = format!("{}:{}", seen.name, port.front);
    let protocol = port.front.protocol;
    WantedListener {
        listener: NewListener {
            name: name.clone(),
            front: port.front,
            // Where members see their clients themselves, they know whom to let in.
            allowed: if front.provider.has_source_ranges() { allowed() } else { Some(Vec::new()) },
            timeouts: front.timeouts,
            tags: site.tags.clone(),
        },
        monitor: front.probing.map(|probing| NewMonitor {
            name: name.clone(),
            kind: front.provider.monitor(protocol),
            probing,
            tags: site.tags.clone(),
        }),
        pool: NewPool {
            name,
            protocol: match front.proxy.filter(|_| protocol == Protocol::Tcp) {
                Some(version) => PoolProtocol::Proxy(version),
                None => PoolProtocol::Plain(protocol),
            },
            algorithm: front.algorithm.clone(),
            affinity: service.affinity.and_then(|time| front.provider.affinity(port.front.protocol, time)),
            tags: site.tags.clone(),
        },
        members,
    }
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
