//! What Kuryr needs in OpenStack before it can run, and what of it is missing.
//!
//! ```text
//!   external network ◄── router ──┬── pod network:     one subnet of each family, all of it Neutron's to give
//!                                 └── service network: one subnet, half of it Kubernetes', half of it Neutron's
//!   security group: everything may reach a pod, and a pod everything, until a policy says otherwise
//! ```
//!
//! Kubernetes gives cluster IPs itself. The service subnet is therefore twice the service range: Neutron gives from the half that
//! Kubernetes does not know, for the ports that load balancers have of their own.

mod conflict;
mod range;
#[cfg(test)]
mod tests;

pub use conflict::Conflict;
pub use range::{Pool, ServiceRange};

use ipnet::IpNet;
use std::net::IpAddr;

/// What is wanted, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Network of pods.
    pub pod_network: String,
    /// Their ranges: at most one of each family.
    pub pod_ranges: Vec<IpNet>,
    /// Network of Services.
    pub service_network: String,
    /// The range that Kubernetes gives cluster IPs from (`--service-cluster-ip-range`).
    pub service_range: IpNet,
    /// Where the router leads to; nowhere if there is none.
    pub external_network: Option<String>,
    /// The router between all of them.
    pub router: String,
    /// The security group of pods.
    pub security_group: String,
}

/// What the project has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Networks that the project sees.
    pub networks: Vec<Network>,
    /// Their subnets.
    pub subnets: Vec<Subnet>,
    /// The project's routers.
    pub routers: Vec<Router>,
    /// The project's security groups.
    pub groups: Vec<Group>,
}

/// A network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its id.
    pub id: String,
    /// Its name, which need not be the only one of its kind.
    pub name: String,
    /// Whether routers may lead to it as to the outside.
    pub external: bool,
}

/// A subnet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its network's id.
    pub network: String,
    /// Its prefix.
    pub range: IpNet,
    /// What Neutron gives addresses from.
    pub pools: Vec<Pool>,
}

/// A router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Router {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The id of the external network that it leads to.
    pub external: Option<String>,
    /// The ids of the subnets that it is in.
    pub subnets: Vec<String>,
}

/// A security group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Those of its rules that let everything through.
    pub open: Vec<Opening>,
}

/// A rule that lets everything of a family through in a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Whither.
    pub direction: Direction,
    /// Which family.
    pub family: Family,
}

/// Seen from the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the pod.
    Ingress,
    /// From the pod.
    Egress,
}

/// Of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Something to be made. What it belongs to is named, since it may still have to be made itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A network of this name.
    Network(String),
    /// A subnet.
    Subnet(NewSubnet),
    /// A router, leading to this external network.
    Router {
        /// Its name.
        name: String,
        /// The external network's name.
        external: Option<String>,
    },
    /// A subnet becomes the router's.
    Interface {
        /// The router's name.
        router: String,
        /// The subnet, as it was wanted: [`Found::same`] tells which it is.
        subnet: NewSubnet,
    },
    /// A security group of this name.
    Group(String),
    /// A rule of the group of this name.
    Rule {
        /// The group's name.
        group: String,
        /// What it lets through.
        opening: Opening,
    },
}

/// A subnet to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSubnet {
    /// Its name.
    pub name: String,
    /// Its network's name.
    pub network: String,
    /// Its prefix.
    pub range: IpNet,
    /// The router's address.
    pub gateway: IpAddr,
    /// What Neutron gives from; all of it if there is none.
    pub pool: Option<Pool>,
}

/// What is missing, in an order in which it can be made.
pub fn plan(layout: &Layout, found: &Found) -> Result<Vec<Step>, Conflict> {
    let subnets = layout.subnets()?;
    conflict::check(layout, &subnets, found)?;
    let mut steps = Vec::new();
    for network in [&layout.pod_network, &layout.service_network] {
        if found.network(network).is_none() {
            steps.push(Step::Network(network.clone()));
        }
    }
    steps.extend(subnets.iter().filter(|wanted| found.same(wanted).is_none()).cloned().map(Step::Subnet));
    steps.extend(router(layout, &subnets, found));
    steps.extend(group(&layout.security_group, found));
    Ok(steps)
}

fn router(layout: &Layout, subnets: &[NewSubnet], found: &Found) -> Vec<Step> {
    let router = found.router(&layout.router);
    let make = || Step::Router { name: layout.router.clone(), external: layout.external_network.clone() };
    let is_in = |wanted: &&NewSubnet| {
        let pair = router.zip(found.same(wanted));
        pair.is_some_and(|(router, subnet)| router.subnets.contains(&subnet.id))
    };
    let missing = subnets.iter().filter(|wanted| !is_in(wanted)).cloned();
    let joins = missing.map(|subnet| Step::Interface { router: layout.router.clone(), subnet });
    router.is_none().then(make).into_iter().chain(joins).collect()
}

fn group(name: &str, found: &Found) -> Vec<Step> {
    let group = found.group(name);
    let make = || Step::Group(name.to_owned());
    let has = |opening: &Opening| match group {
        Some(group) => group.open.contains(opening),
        // Neutron lets a new group's members out.
        None => opening.direction == Direction::Egress,
    };
    let missing = Opening::ALL.into_iter().filter(|opening| !has(opening));
    let rules = missing.map(|opening| Step::Rule { group: name.to_owned(), opening });
    group.is_none().then(make).into_iter().chain(rules).collect()
}

impl Layout {
    /// The subnets that it takes: those of pods first.
    pub fn subnets(&self) -> Result<Vec<NewSubnet>, Conflict> {
        let services = ServiceRange::of(self.service_range)?;
        let pods = self.pod_ranges.iter().map(|range| NewSubnet {
            name: subnet_name(&self.pod_network, *range),
            network: self.pod_network.clone(),
            range: *range,
            gateway: range::first(*range),
            pool: None,
        });
        let services = NewSubnet {
            name: subnet_name(&self.service_network, services.subnet),
            network: self.service_network.clone(),
            range: services.subnet,
            gateway: services.gateway,
            pool: Some(services.pool),
        };
        Ok(pods.chain([services]).collect())
    }
}

impl Found {
    /// The network of this name.
    pub fn network(&self, name: &str) -> Option<&Network> {
        self.networks.iter().find(|network| network.name == name)
    }

    /// The router of this name.
    pub fn router(&self, name: &str) -> Option<&Router> {
        self.routers.iter().find(|router| router.name == name)
    }

    /// The security group of this name.
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name == name)
    }

    /// The subnet that stands for a wanted one: that of the same range in the same network, whatever its name.
    pub fn same(&self, wanted: &NewSubnet) -> Option<&Subnet> {
        let network = self.network(&wanted.network)?;
        self.subnets.iter().find(|subnet| subnet.network == network.id && subnet.range == wanted.range)
    }
}

impl Opening {
    const ALL: [Self; 4] = [
        Self { direction: Direction::Ingress, family: Family::V4 },
        Self { direction: Direction::Ingress, family: Family::V6 },
        Self { direction: Direction::Egress, family: Family::V4 },
        Self { direction: Direction::Egress, family: Family::V6 },
    ];
}

/// `k8s-pod-net` has `k8s-pod-subnet`, and `k8s-pod-subnet-v6` for the other family.
fn subnet_name(network: &str, range: IpNet) -> String {
    let stem = network.strip_suffix("-net").unwrap_or(network);
    let family = if range.addr().is_ipv6() { "-v6" } else { "" };
    format!("{stem}-subnet{family}")
}
