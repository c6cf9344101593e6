//! The network of pods, read from Neutron: what every port has in common.

use crate::settings::PodDefaults;
use ipnet::IpNet;
use kuryr_api::{NetworkId, SubnetId};
use kuryr_core::network::{PodNetwork, Subnet};
use kuryr_openstack::neutron::{self, Neutron, SubnetFilter};
use thiserror::Error;

/// Why the network is not known.
#[derive(Debug, Error)]
pub enum Error {
    /// Neutron did not tell.
    #[error("failed to read networks from Neutron")]
    Read(#[from] kuryr_openstack::Error),
    /// The configuration names a subnet that does not exist, or that the credentials may not see.
    #[error(
        "[neutron_defaults] {option} names subnet {subnet}, which Neutron does not have (or not for this user)"
    )]
    FindSubnet {
        /// Where it stands.
        option: &'static str,
        /// What stands there.
        subnet: SubnetId,
    },
    /// Load balancers belong to a project.
    #[error("[neutron_defaults] project is not set, and the credentials are of no project")]
    FindProject,
    /// A port lives on one network.
    #[error(
        "[neutron_defaults] pod_subnets are of several networks ({first}, {other}); a pod's port has one"
    )]
    OneNetwork {
        /// Network of the first subnet.
        first: NetworkId,
        /// Another.
        other: NetworkId,
    },
    /// Neutron answers with something that is no prefix.
    #[error("subnet {subnet} has the unreadable prefix `{text}`")]
    ParsePrefix {
        /// Subnet.
        subnet: SubnetId,
        /// What stands there.
        text: String,
        /// What is wrong with it.
        #[source]
        source: ipnet::AddrParseError,
    },
}

/// Reads the network of the configured subnets.
pub async fn read(neutron: &Neutron, defaults: &PodDefaults, own_tag: &str) -> Result<PodNetwork, Error> {
    let ids: Vec<SubnetId> = defaults.subnets.iter().map(|id| id.as_str().into()).collect();
    let found = neutron.subnets(&SubnetFilter { ids: Some(ids.clone()), ..SubnetFilter::default() }).await?;
    let subnets = in_order("pod_subnets", &ids, &found)?;
    let network = neutron.network(&one_network(&subnets)?).await?;
    Ok(PodNetwork {
        id: network.id,
        name: network.name,
        mtu: (network.mtu > 0).then_some(network.mtu),
        vlan: network
            .segmentation_id
            .filter(|_| network.provider_type.as_deref() == Some("vlan"))
            .and_then(|id| u16::try_from(id).ok()),
        physnet: defaults.functions.physnet_of(&ids).map(ToOwned::to_owned).or(network.physical_network),
        subnets: subnets.into_iter().map(subnet).collect::<Result<_, _>>()?,
        security_groups: defaults.security_groups.iter().map(|id| id.as_str().into()).collect(),
        project: defaults.project.as_deref().map(Into::into),
        tags: defaults.tags.iter().cloned().chain([own_tag.to_owned()]).collect(),
        bridge: defaults.bridge.clone(),
        vhostuser_dir: defaults.vhostuser_dir.clone(),
        naming: defaults.naming,
    })
}

/// The subnets that `option` names, in its order.
pub fn in_order<'f>(
    option: &'static str,
    ids: &[SubnetId],
    found: &'f [neutron::Subnet],
) -> Result<Vec<&'f neutron::Subnet>, Error> {
    let missing = |id: &SubnetId| Error::FindSubnet { option, subnet: id.clone() };
    let find = |id: &SubnetId| found.iter().find(|subnet| subnet.id == *id).ok_or_else(|| missing(id));
    ids.iter().map(find).collect()
}

fn one_network(subnets: &[&neutron::Subnet]) -> Result<NetworkId, Error> {
    let mut networks = subnets.iter().map(|subnet| &subnet.network_id);
    let first = networks.next().cloned().unwrap_or_else(|| NetworkId::from(""));
    match networks.find(|id| **id != first) {
        Some(other) => Err(Error::OneNetwork { first, other: other.clone() }),
        None => Ok(first),
    }
}

/// A prefix that stands in a subnet.
pub fn prefix(subnet: &neutron::Subnet, text: &str) -> Result<IpNet, Error> {
    text.parse().map_err(|source| Error::ParsePrefix {
        subnet: subnet.id.clone(),
        text: text.to_owned(),
        source,
    })
}

fn subnet(subnet: &neutron::Subnet) -> Result<Subnet, Error> {
    let route = |route: &neutron::HostRoute| Ok((prefix(subnet, &route.destination)?, route.nexthop));
    Ok(Subnet {
        id: subnet.id.clone(),
        cidr: prefix(subnet, &subnet.cidr)?,
        gateway: subnet.gateway_ip,
        dns: subnet.dns_nameservers.clone(),
        routes: subnet.host_routes.iter().map(route).collect::<Result<_, Error>>()?,
    })
}
