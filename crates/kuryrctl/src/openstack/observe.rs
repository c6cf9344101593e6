//! What a project has, as the planner of layouts sees it.

use anyhow::{Context, Result};
use ipnet::IpNet;
use kuryr_api::ProjectId;
use kuryr_core::layout::{Direction, Family, Found, Group, Network, Opening, Pool, Router, Subnet};
use kuryr_openstack::neutron::{
    self, EtherType, Neutron, NetworkFilter, PortFilter, SecurityGroupFilter, SubnetFilter,
};

pub(super) async fn observe(neutron: &Neutron, project: &ProjectId) -> Result<Found> {
    let groups = SecurityGroupFilter { project: Some(project.clone()), ..SecurityGroupFilter::default() };
    let networks = NetworkFilter::default();
    let subnets = SubnetFilter::default();
    let (networks, subnets, groups, routers) = tokio::try_join!(
        neutron.networks(&networks),
        neutron.subnets(&subnets),
        neutron.security_groups(&groups),
        neutron.routers(project),
    )
    .context("failed to list what the project has in Neutron")?;
    let mut found = Found {
        networks: networks.into_iter().map(network).collect(),
        subnets: subnets.into_iter().map(subnet).collect::<Result<_>>()?,
        groups: groups.into_iter().map(group).collect(),
        routers: Vec::new(),
    };
    for router in routers {
        found.routers.push(inside(neutron, router).await?);
    }
    Ok(found)
}

fn network(network: neutron::Network) -> Network {
    Network { id: network.id.to_string(), name: network.name, external: network.external }
}

fn subnet(subnet: neutron::Subnet) -> Result<Subnet> {
    let range: IpNet = subnet
        .cidr
        .parse()
        .with_context(|| format!("Neutron says that subnet {} has the range `{}`", subnet.id, subnet.cidr))?;
    let pools = subnet.allocation_pools.iter().map(|pool| Pool { first: pool.start, last: pool.end });
    Ok(Subnet {
        id: subnet.id.to_string(),
        pools: pools.collect(),
        name: subnet.name,
        network: subnet.network_id.to_string(),
        range,
    })
}

fn group(group: neutron::SecurityGroup) -> Group {
    let open = group.rules.iter().filter(|rule| rule.is_open()).map(|rule| Opening {
        direction: match rule.direction {
            neutron::Direction::Ingress => Direction::Ingress,
            neutron::Direction::Egress => Direction::Egress,
        },
        family: match rule.ethertype {
            EtherType::IPv4 => Family::V4,
            EtherType::IPv6 => Family::V6,
        },
    });
    Group { id: group.id.to_string(), open: open.collect(), name: group.name }
}

/// A router's subnets are those of its ports.
async fn inside(neutron: &Neutron, router: neutron::Router) -> Result<Router> {
    let filter = PortFilter { device_id: Some(router.id.to_string()), ..PortFilter::default() };
    let ports = neutron.ports(&filter).await;
    let ports = ports.with_context(|| format!("failed to list the ports of router {}", router.id))?;
    let subnets = ports.iter().flat_map(|port| &port.fixed_ips).map(|ip| ip.subnet_id.to_string());
    Ok(Router {
        id: router.id.to_string(),
        subnets: subnets.collect(),
        name: router.name,
        external: router.external_gateway_info.map(|gateway| gateway.network_id.to_string()),
    })
}
