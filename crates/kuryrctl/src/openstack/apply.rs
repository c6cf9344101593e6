//! One step of a layout, done.

use anyhow::Result;
use kuryr_core::layout::{self, Family, Found, Opening, Pool, Step};
use kuryr_openstack::neutron::{
    AllocationPool, Direction, EtherType, Neutron, NewRule, NewSecurityGroup, NewSubnet,
};

use super::known;

pub(super) async fn apply(neutron: &Neutron, found: &Found, step: &Step) -> Result<()> {
    match step {
        Step::Network(name) => neutron.create_network(name).await.map(drop)?,
        Step::Subnet(wanted) => neutron.create_subnet(&subnet(found, wanted)?).await.map(drop)?,
        Step::Router { name, external } => {
            let outside = external.as_ref().map(|name| known(found.network(name), name)).transpose()?;
            let outside = outside.map(|network| network.id.as_str().into());
            neutron.create_router(name, outside.as_ref()).await.map(drop)?;
        }
        Step::Interface { router, subnet } => {
            let router = known(found.router(router), router)?.id.as_str().into();
            let subnet = known(found.same(subnet), &subnet.name)?.id.as_str().into();
            neutron.add_router_interface(&router, &subnet).await?;
        }
        Step::Group(name) => neutron.create_security_group(&security_group(name)).await.map(drop)?,
        Step::Rule { group, opening } => {
            neutron.create_security_group_rules(&[rule(found, group, *opening)?]).await?;
        }
    }
    Ok(())
}

const DESCRIPTION: &str = "Pods of Kubernetes: open until a NetworkPolicy says otherwise";

fn subnet(found: &Found, wanted: &layout::NewSubnet) -> Result<NewSubnet> {
    let pool = |pool: &Pool| AllocationPool { start: pool.first, end: pool.last };
    Ok(NewSubnet {
        name: wanted.name.clone(),
        network_id: known(found.network(&wanted.network), &wanted.network)?.id.as_str().into(),
        cidr: wanted.range.to_string(),
        ip_version: if wanted.range.addr().is_ipv6() { 6 } else { 4 },
        gateway_ip: Some(wanted.gateway),
        allocation_pools: wanted.pool.iter().map(pool).collect(),
        // Pods are told their addresses by Kuryr.
        enable_dhcp: false,
    })
}

fn security_group(name: &str) -> NewSecurityGroup {
    NewSecurityGroup { name: name.to_owned(), description: DESCRIPTION.to_owned(), project_id: None }
}

fn rule(found: &Found, group: &str, opening: Opening) -> Result<NewRule> {
    let direction = match opening.direction {
        layout::Direction::Ingress => Direction::Ingress,
        layout::Direction::Egress => Direction::Egress,
    };
    let ethertype = match opening.family {
        Family::V4 => EtherType::IPv4,
        Family::V6 => EtherType::IPv6,
    };
    let group = known(found.group(group), group)?.id.as_str();
    Ok(NewRule::open(group.into(), direction, ethertype))
}
