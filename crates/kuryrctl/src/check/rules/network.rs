//! Networks and subnets: whether they are there, and whether they get along with each other and with the cluster.

use std::net::IpAddr;

use ipnet::IpNet;
use kuryr_openstack::neutron::{AllocationPool, Subnet};

use crate::check::{
    facts::Facts,
    finding::{Finding, Gap, Verdict, known},
};

/// The least that a link with IPv6 carries.
const LEAST_MTU_V6: u32 = 1280;

const CHOOSE_RANGES: &str = "choose a range for one of them that nothing else has: a new subnet in OpenStack, or another \
                             service-cluster-ip-range of the API server";

pub(super) fn pod_subnets(facts: &Facts) -> Verdict {
    let found = known(&facts.cloud.pod_subnets)?;
    let wanted = &facts.settings()?.pod_subnets;
    let missing = wanted.iter().filter(|id| !found.iter().any(|subnet| subnet.id.as_str() == **id));
    let missing = missing.map(|id| subnet_missing("pod_subnets", id, "no pod gets an address"));
    let first = found.first().map(|subnet| &subnet.network_id);
    let elsewhere = found.iter().filter(|subnet| Some(&subnet.network_id) != first).map(|subnet| {
        Finding::problem(
            "pod-subnets-apart",
            format!(
                "{} is of another network than the first of [neutron_defaults] pod_subnets",
                named(subnet)
            ),
            "a pod has one port, and a port is on one network: no pod gets one",
            "name subnets of one network only",
        )
    });
    Ok(missing.chain(elsewhere).collect())
}

fn subnet_missing(option: &str, id: &str, why: &'static str) -> Finding {
    Finding::problem(
        "subnet-missing",
        format!("[neutron_defaults] {option} names subnet {id}, which Neutron does not show to this user"),
        why,
        "correct the id (openstack subnet list), or the project that the user works in",
    )
}

pub(super) fn security_groups(facts: &Facts) -> Verdict {
    let found = known(&facts.cloud.security_groups)?;
    let wanted = &facts.settings()?.security_groups;
    let missing = wanted.iter().filter(|id| !found.contains(*id)).map(|id| {
        Finding::problem(
            "security-group-missing",
            format!(
                "[neutron_defaults] pod_security_groups names {id}, which Neutron does not show to this user"
            ),
            "Neutron refuses every port that names it, so that no pod starts",
            "correct the id (openstack security group list)",
        )
    });
    Ok(missing.collect())
}

/// Subnets of OpenStack among themselves.
pub(super) fn overlaps(facts: &Facts) -> Verdict {
    let pods = known(&facts.cloud.pod_subnets)?;
    let services = facts.cloud.service_subnets.iter().flatten();
    let all: Vec<_> = pods.iter().chain(services).collect();
    let pairs =
        all.iter().enumerate().flat_map(|(at, one)| all.iter().skip(at + 1).map(move |other| (one, other)));
    let overlapping = pairs.filter(|(one, other)| one.id != other.id && overlap(range(one), range(other)));
    Ok(overlapping.map(|(one, other)| overlapping_pair(&named(one), &named(other))).collect())
}

fn overlapping_pair(one: &str, other: &str) -> Finding {
    Finding::problem(
        "ranges-overlap",
        format!("{one} and {other} have addresses in common"),
        "packets for one of them go to the other",
        CHOOSE_RANGES,
    )
}

/// What cluster IPs are given from, against pods and nodes.
pub(super) fn service_range(facts: &Facts) -> Verdict {
    let ranges = known(&facts.cluster.service_ranges)?;
    let pods = known(&facts.cloud.pod_subnets)?;
    let mut found = Vec::new();
    for service in ranges {
        let common = pods.iter().filter(|subnet| overlap(range(subnet), Some(*service)));
        let label = format!("the service range {service} of the cluster");
        found.extend(common.map(|subnet| overlapping_pair(&named(subnet), &label)));
        let nodes = facts.cluster.nodes.iter().flatten();
        let inside = nodes.filter(|node| node.addresses.iter().any(|address| service.contains(address)));
        found.extend(inside.map(|node| overlapping_pair(&format!("node {}", node.name), &label)));
    }
    Ok(found)
}

/// The subnets of Services: Kubernetes gives from one part of each, Neutron from another.
pub(super) fn service_subnets(facts: &Facts) -> Verdict {
    let ids = &facts.settings()?.service_subnets;
    if ids.is_empty() {
        return Err(Gap::skipped("[neutron_defaults] service_subnets is not set: no Service is served"));
    }
    let subnets = known(&facts.cloud.service_subnets)?;
    let is_missing = |id: &&String| subnets.iter().all(|subnet| subnet.id.as_str() != id.as_str());
    let mut found: Vec<_> = ids
        .iter()
        .filter(is_missing)
        .map(|id| subnet_missing("service_subnets", id, "no Service gets a load balancer"))
        .collect();
    for subnet in subnets {
        found.append(&mut service_subnet(facts, subnet)?);
    }
    Ok(found)
}

fn service_subnet(facts: &Facts, subnet: &Subnet) -> Verdict {
    let ranges = known(&facts.cluster.service_ranges)?;
    let Some(whole) = range(subnet) else {
        return Err(Gap::unknown(format!("{} has an unreadable range", named(subnet))));
    };
    let within = |part: &&IpNet| whole.contains(*part);
    let Some(part) = ranges.iter().find(within) else {
        return Ok(vec![outside(subnet, ranges)]);
    };
    let pools = subnet.allocation_pools.iter().filter(|pool| touches(pool, part));
    let pools = pools
        .map(|pool| shared(subnet, part, &format!("Neutron gives {} to {} to ports", pool.start, pool.end)));
    let gateway = subnet.gateway_ip.filter(|gateway| part.contains(gateway));
    let gateway = gateway.map(|gateway| shared(subnet, part, &format!("its gateway is {gateway}")));
    Ok(pools.chain(gateway).collect())
}

fn outside(subnet: &Subnet, ranges: &[IpNet]) -> Finding {
    let ranges = ranges.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    Finding::problem(
        "service-subnet-wrong",
        format!(
            "the cluster gives cluster IPs from {ranges}, which is not in the service subnet, {}",
            named(subnet)
        ),
        "a load balancer's address is the Service's cluster IP: Neutron refuses one that is not of the subnet",
        "name in [neutron_defaults] service_subnet a subnet that holds the API server's --service-cluster-ip-range and as much \
         again for Neutron; `kuryrctl openstack init` makes one",
    )
}

fn shared(subnet: &Subnet, part: &IpNet, how: &str) -> Finding {
    Finding::problem(
        "service-subnet-shared",
        format!("{}: {how}, and {part} is what the cluster gives cluster IPs from", named(subnet)),
        "sooner or later a Service and a port want the same address",
        "keep allocation pools and gateway out of the cluster's range: openstack subnet set --no-allocation-pool \
         --allocation-pool start=…,end=… --gateway …",
    )
}

/// The network that Services of type `LoadBalancer` get their addresses from.
pub(super) fn external(facts: &Facts) -> Verdict {
    let Some(id) = &facts.settings()?.external_network else {
        return Err(Gap::skipped(
            "[neutron_defaults] external_svc_net is not set: no address is given outside",
        ));
    };
    if *known(&facts.cloud.has_external_network)? {
        return Ok(Vec::new());
    }
    Ok(vec![Finding::problem(
        "external-network-missing",
        format!("[neutron_defaults] external_svc_net is {id}; there is no such network for this user"),
        "no Service of type LoadBalancer gets an address outside",
        "name an external network: openstack network list --external",
    )])
}

pub(super) fn mtu(facts: &Facts) -> Verdict {
    let network = known(&facts.cloud.pod_network)?;
    let limit = facts.settings()?.mtu;
    let v6 = facts.cloud.pod_subnets.iter().flatten().any(|subnet| subnet.ip_version == 6);
    let effective = if limit == 0 { network.mtu } else { limit.min(network.mtu) };
    if network.mtu == 0 {
        return Ok(vec![Finding::warning(
            "mtu-unknown",
            format!("Neutron does not tell the MTU of network {}", network.name),
            "pods get the kernel's 1500: if the network carries less, large packets are lost without a word",
            "set [neutron_defaults] network_device_mtu to what the network carries",
        )]);
    }
    if v6 && effective < LEAST_MTU_V6 {
        return Ok(vec![Finding::problem(
            "mtu-too-small",
            format!("pods get an MTU of {effective} and IPv6 addresses; IPv6 needs {LEAST_MTU_V6}"),
            "the kernel takes IPv6 off an interface with a smaller MTU",
            "raise the MTU of the network (openstack network set --mtu) or [neutron_defaults] network_device_mtu",
        )]);
    }
    let useless = limit > network.mtu;
    Ok(useless.then(|| too_large(limit, network.mtu)).into_iter().collect())
}

fn too_large(limit: u32, network: u32) -> Finding {
    Finding::warning(
        "mtu-too-large",
        format!("[neutron_defaults] network_device_mtu is {limit}; the pods' network carries {network}"),
        "it has no effect: a pod's interface never gets more than its network",
        "lower it to what pods should have, or leave it out",
    )
}

fn range(subnet: &Subnet) -> Option<IpNet> {
    subnet.cidr.parse().ok()
}

fn overlap(one: Option<IpNet>, other: Option<IpNet>) -> bool {
    one.zip(other).is_some_and(|(one, other)| one.contains(&other) || other.contains(&one))
}

/// Addresses of one family compare as numbers.
fn touches(pool: &AllocationPool, range: &IpNet) -> bool {
    let same_family = |address: &IpAddr| address.is_ipv6() == range.addr().is_ipv6();
    same_family(&pool.start) && pool.start <= range.broadcast() && range.network() <= pool.end
}

fn named(subnet: &Subnet) -> String {
    format!("subnet `{}` ({}, {})", subnet.name, subnet.cidr, subnet.id)
}

#[cfg(test)]
#[path = "network_tests.rs"]
mod tests;
