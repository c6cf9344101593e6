//! What a KuryrLoadBalancer says, as the Python Kuryr reads it.
//!
//! Members and endpoints are not in it: Octavia and the EndpointSlices have them, and a Service of thousands would not fit.

use super::outside;
use super::want::{Wanted, is_exposed};
use super::{Address, AddressOwnership, Balancer, Observed, Ownership, Record, RecordContent, Service};
use kuryr_api::load_balancer::{
    KuryrLoadBalancerSpec, KuryrLoadBalancerStatus, Listener, LoadBalancer, Pool, PublicIp, ServicePort,
};
use std::net::IpAddr;
use std::sync::Arc;

/// What the record should say. It has room for one load balancer: that of the first cluster IP.
pub(super) fn content(seen: &Observed<'_>, wanted: &[Wanted]) -> RecordContent {
    let first = wanted.first();
    let spec = seen.service.map(|service| spec(seen, service, first)).unwrap_or_default();
    let vip = first.map(|want| want.balancer.vip);
    let is_first = |one: &&Arc<Balancer>| Some(one.vip) == vip && one.ownership != Ownership::Foreign;
    let status = seen.balancers.iter().find(is_first).map(|one| status(seen, one)).unwrap_or_default();
    RecordContent { spec, status }
}

/// Whether a record says so already.
pub(super) fn says(record: &Record<'_>, content: &RecordContent) -> bool {
    *record.spec == content.spec && record.status.cloned().unwrap_or_default() == content.status
}

fn spec(seen: &Observed<'_>, service: &Service, first: Option<&Wanted>) -> KuryrLoadBalancerSpec {
    let site = seen.site;
    let port = |port: &super::ServicePort| ServicePort {
        name: Some(port.name.clone()).filter(|name| !name.is_empty()),
        port: port.front.port.into(),
        protocol: port.front.protocol.as_str().to_owned(),
        target_port: port.target.clone(),
    };
    KuryrLoadBalancerSpec {
        endpoint_slices: None,
        ip: service.cluster_ips.first().map(IpAddr::to_string),
        lb_ip: service.wanted_address.as_ref().map(IpAddr::to_string),
        ports: Some(service.ports.iter().map(port).collect()),
        project_id: Some(site.project.to_string()),
        security_groups_ids: Some(site.security_groups.clone()),
        subnet_id: first.map(|want| want.balancer.subnet.to_string()),
        service_type: Some(if is_exposed(site, service) { "LoadBalancer" } else { "ClusterIP" }.to_owned()),
        provider: site.provider.clone(),
        timeout_client_data: site.timeouts.client.map(Into::into),
        timeout_member_data: site.timeouts.member.map(Into::into),
    }
}

fn status(seen: &Observed<'_>, balancer: &Balancer) -> KuryrLoadBalancerStatus {
    KuryrLoadBalancerStatus {
        loadbalancer: Some(load_balancer(seen, balancer)),
        listeners: Some(listeners(balancer)),
        pools: Some(pools(balancer)),
        members: None,
        service_pub_ip_info: outside::current(seen, balancer).map(public_ip),
    }
}

fn load_balancer(seen: &Observed<'_>, balancer: &Balancer) -> LoadBalancer {
    LoadBalancer {
        id: balancer.id.to_string(),
        ip: balancer.vip.to_string(),
        name: balancer.name.clone(),
        port_id: balancer.port.as_ref().map(ToString::to_string).unwrap_or_default(),
        project_id: balancer.project.to_string(),
        provider: balancer.provider.clone(),
        security_groups: seen.site.security_groups.clone(),
        subnet_id: balancer.subnet.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

fn listeners(balancer: &Balancer) -> Vec<Listener> {
    let listener = |(id, listener): (&kuryr_api::ListenerId, &super::Listener)| {
        let front = listener.front?;
        Some(Listener {
            id: id.to_string(),
            loadbalancer_id: balancer.id.to_string(),
            name: listener.name.clone(),
            port: front.port.into(),
            project_id: balancer.project.to_string(),
            protocol: front.protocol.as_str().to_owned(),
            timeout_client_data: listener.timeouts.client.map(Into::into),
            timeout_member_data: listener.timeouts.member.map(Into::into),
        })
    };
    balancer.listeners.iter().filter_map(listener).collect()
}

fn pools(balancer: &Balancer) -> Vec<Pool> {
    let of = |(id, listener): (&kuryr_api::ListenerId, &super::Listener)| {
        let pool_id = listener.pool.as_ref()?;
        let pool = balancer.pools.get(pool_id)?;
        Some(Pool {
            id: pool_id.to_string(),
            listener_id: id.to_string(),
            loadbalancer_id: balancer.id.to_string(),
            name: pool.name.clone(),
            project_id: balancer.project.to_string(),
            protocol: listener.front?.protocol.as_str().to_owned(),
        })
    };
    balancer.listeners.iter().filter_map(of).collect()
}

fn public_ip(address: &Address) -> PublicIp {
    PublicIp {
        ip_id: address.id.to_string(),
        ip_addr: address.ip.to_string(),
        alloc_method: match address.ownership {
            AddressOwnership::Ours => "pool",
            AddressOwnership::Others => "user",
        }
        .to_owned(),
    }
}
