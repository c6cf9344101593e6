//! The network that pods get their ports on.

use ipnet::IpNet;
use kuryr_api::{NetworkId, ProjectId, SecurityGroupId, SubnetId};
use std::net::IpAddr;

/// The network of pods, with what every port on it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodNetwork {
    /// Network.
    pub id: NetworkId,
    /// Its name.
    pub name: String,
    /// MTU in bytes.
    pub mtu: Option<u32>,
    /// Segmentation id, where it is a provider network of type `vlan`.
    pub vlan: Option<u16>,
    /// Physical network behind it, as far as it is known.
    pub physnet: Option<String>,
    /// Subnets: a pod gets an address in each, so that one of each family makes it dual-stack.
    pub subnets: Vec<Subnet>,
    /// Security groups of the ports of pods that no policy is for.
    pub security_groups: Vec<SecurityGroupId>,
    /// Owner of a port, if not the project of the credentials.
    pub project: Option<ProjectId>,
    /// Tags of a port; the last one tells ours from another cluster's.
    pub tags: Vec<String>,
    /// Bridge to plug into where the port's binding names none (`[neutron_defaults] ovs_bridge`).
    pub bridge: Option<String>,
    /// Directory of vhost-user sockets (`[vhostuser] mount_point`).
    pub vhostuser_dir: String,
    /// Whether ports are named after their pods (`[kubernetes] port_debug`).
    pub naming: Naming,
}

/// Whether ports carry names that help a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Naming {
    /// No name.
    #[default]
    None,
    /// `namespace/pod`.
    Pod,
}

/// A subnet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// Subnet.
    pub id: SubnetId,
    /// Prefix.
    pub cidr: IpNet,
    /// Gateway; a subnet may have none.
    pub gateway: Option<IpAddr>,
    /// Name servers.
    pub dns: Vec<IpAddr>,
    /// Host routes: destination and next hop.
    pub routes: Vec<(IpNet, IpAddr)>,
}
