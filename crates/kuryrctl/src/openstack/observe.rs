//! What a project has, as the planner of layouts sees it.

use std::collections::HashMap;

use anyhow::{Context, Result};
use ipnet::IpNet;
use kuryr_api::ProjectId;
use kuryr_core::layout::{Direction, Family, Found, Group, Network, Opening, Pool, Router, Subnet};
use kuryr_openstack::neutron::{
    self, EtherType, NetworkFilter, Neutron, PortFilter, SecurityGroupFilter, SubnetFilter,
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
    .context("cannot list what the project has in Neutron")?;
    let networks: Vec<_> = networks.into_iter().filter(|network| network.usable_by(project)).collect();
    let inside = inside(neutron, &routers).await?;
    Ok(Found {
        subnets: subnets_of(&networks, subnets)?,
        networks: networks.into_iter().map(network).collect(),
        groups: groups.into_iter().map(group).collect(),
        routers: routers.into_iter().map(|found| router(found, &inside)).collect(),
    })
}

fn network(network: neutron::Network) -> Network {
    Network { id: network.id.to_string(), name: network.name, external: network.external }
}

fn subnets_of(networks: &[neutron::Network], subnets: Vec<neutron::Subnet>) -> Result<Vec<Subnet>> {
    let ours =
        subnets.into_iter().filter(|subnet| networks.iter().any(|network| network.id == subnet.network_id));
    ours.map(subnet).collect()
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
    let rules = group.rules.iter().map(|held| &held.rule);
    let open = rules.filter(|rule| rule.is_open()).map(|rule| Opening {
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

/// The subnets of each router, by its id: those of its ports.
async fn inside(neutron: &Neutron, routers: &[neutron::Router]) -> Result<HashMap<String, Vec<String>>> {
    let ids = routers.iter().map(|router| router.id.to_string()).collect();
    let filter =
        PortFilter { device_ids: Some(ids), fields: &["device_id", "fixed_ips"], ..PortFilter::default() };
    let mut inside = HashMap::<String, Vec<String>>::new();
    for port in neutron.ports(&filter).await.context("cannot list the ports of the project's routers")? {
        let subnets = port.fixed_ips.iter().map(|ip| ip.subnet_id.to_string());
        inside.entry(port.device_id).or_default().extend(subnets);
    }
    Ok(inside)
}

fn router(router: neutron::Router, inside: &HashMap<String, Vec<String>>) -> Router {
    Router {
        subnets: inside.get(router.id.as_str()).cloned().unwrap_or_default(),
        id: router.id.to_string(),
        name: router.name,
        external: router.external_gateway_info.map(|gateway| gateway.network_id.to_string()),
    }
}
