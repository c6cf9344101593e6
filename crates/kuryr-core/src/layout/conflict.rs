//! What stands in the way of a layout, and is not for a program to take away.

use super::{Found, Layout, Network, NewSubnet, Subnet};
use ipnet::IpNet;
use thiserror::Error;

/// Why a layout can't be had.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Conflict {
    /// The service range leaves Neutron no half of its own.
    #[error(
        "service range {range} can't be doubled: choose one between /1 and two bits short of a single address"
    )]
    ServiceRange {
        /// The range.
        range: IpNet,
    },
    /// Two ranges of pods of one family.
    #[error(
        "pods have the ranges {first} and {second}, which are of one family: a pod has one address of each family at most"
    )]
    Family {
        /// One.
        first: IpNet,
        /// The other.
        second: IpNet,
    },
    /// No range of pods.
    #[error("pods have no range: name at least one by --pod-range")]
    NoPods,
    /// Ranges that share addresses.
    #[error("{one} overlaps {other}: choose another range for one of them")]
    Overlap {
        /// One, with its range.
        one: String,
        /// The other, with its range.
        other: String,
    },
    /// Nobody can say which is meant.
    #[error(
        "there are {count} {kind}s called `{name}`: rename or delete all but one, or choose another name"
    )]
    Ambiguous {
        /// `network`, `router`, …
        kind: &'static str,
        /// The name.
        name: String,
        /// How many there are.
        count: usize,
    },
    /// A subnet has the name but not the range.
    #[error("subnet `{name}` ({id}) is {found}, but {wanted} is wanted: name that range, or another network")]
    Range {
        /// The subnet's name.
        name: String,
        /// Its id.
        id: String,
        /// Its range.
        found: IpNet,
        /// What it should be.
        wanted: IpNet,
    },
    /// Neutron would give cluster IPs to ports.
    #[error(
        "subnet `{name}` ({id}): Neutron gives addresses of the service range {range} to ports: \
         restrict its allocation pools to the other half (openstack subnet set --no-allocation-pool --allocation-pool …)"
    )]
    Pool {
        /// The subnet's name.
        name: String,
        /// Its id.
        id: String,
        /// Kubernetes' range.
        range: IpNet,
    },
    /// The external network is not there, or not external.
    #[error("there is no external network called `{name}`; the project sees {}", listed(.known))]
    External {
        /// The name.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// The router leads elsewhere.
    #[error(
        "router `{name}` ({id}) does not lead to `{wanted}`: set its gateway (openstack router set --external-gateway), or choose another router"
    )]
    Gateway {
        /// The router's name.
        name: String,
        /// Its id.
        id: String,
        /// The external network's name.
        wanted: String,
    },
}

pub(super) fn check(layout: &Layout, subnets: &[NewSubnet], found: &Found) -> Result<(), Conflict> {
    families(&layout.pod_ranges)?;
    names(layout, found)?;
    let external = external(layout, found)?;
    overlaps(subnets, external, found)?;
    subnets.iter().try_for_each(|wanted| range(wanted, found))?;
    pools(layout, subnets, found)?;
    gateway(layout, external, found)
}

fn families(ranges: &[IpNet]) -> Result<(), Conflict> {
    if ranges.is_empty() {
        return Err(Conflict::NoPods);
    }
    match pair(ranges, |one, other| one.addr().is_ipv6() == other.addr().is_ipv6()) {
        Some((first, second)) => Err(Conflict::Family { first: *first, second: *second }),
        None => Ok(()),
    }
}

fn names(layout: &Layout, found: &Found) -> Result<(), Conflict> {
    let networks = || found.networks.iter().map(|network| network.name.as_str());
    once("network", &layout.pod_network, networks())?;
    once("network", &layout.service_network, networks())?;
    once("router", &layout.router, found.routers.iter().map(|router| router.name.as_str()))?;
    once("security group", &layout.security_group, found.groups.iter().map(|group| group.name.as_str()))
}

fn once<'a>(kind: &'static str, name: &str, names: impl Iterator<Item = &'a str>) -> Result<(), Conflict> {
    match names.filter(|found| *found == name).count() {
        0 | 1 => Ok(()),
        count => Err(Conflict::Ambiguous { kind, name: name.to_owned(), count }),
    }
}

fn external<'a>(layout: &Layout, found: &'a Found) -> Result<Option<&'a Network>, Conflict> {
    let Some(name) = &layout.external_network else { return Ok(None) };
    let mut outside = found.networks.iter().filter(|network| network.external);
    match outside.clone().find(|network| network.name == *name) {
        Some(network) => Ok(Some(network)),
        None => Err(Conflict::External {
            name: name.clone(),
            known: outside.by_ref().map(|network| network.name.clone()).collect(),
        }),
    }
}

/// The ranges must not share addresses, nor with what else the router leads to.
fn overlaps(subnets: &[NewSubnet], external: Option<&Network>, found: &Found) -> Result<(), Conflict> {
    let ours =
        subnets.iter().map(|subnet| (format!("subnet `{}` ({})", subnet.name, subnet.range), subnet.range));
    let outside =
        found.subnets.iter().filter(|subnet| external.is_some_and(|network| network.id == subnet.network));
    let outside =
        outside.map(|subnet| (format!("external subnet `{}` ({})", subnet.name, subnet.range), subnet.range));
    let all: Vec<_> = ours.chain(outside).collect();
    match pair(&all, |(_, one), (_, other)| overlap(one, other)) {
        Some(((one, _), (other, _))) => Err(Conflict::Overlap { one: one.clone(), other: other.clone() }),
        None => Ok(()),
    }
}

fn overlap(one: &IpNet, other: &IpNet) -> bool {
    one.contains(other) || other.contains(one)
}

fn range(wanted: &NewSubnet, found: &Found) -> Result<(), Conflict> {
    let Some(network) = found.network(&wanted.network) else { return Ok(()) };
    let other = |subnet: &&Subnet| {
        subnet.network == network.id && subnet.name == wanted.name && subnet.range != wanted.range
    };
    match found.subnets.iter().find(other) {
        Some(Subnet { id, name, range, .. }) => {
            Err(Conflict::Range { name: name.clone(), id: id.clone(), found: *range, wanted: wanted.range })
        }
        None => Ok(()),
    }
}

fn pools(layout: &Layout, subnets: &[NewSubnet], found: &Found) -> Result<(), Conflict> {
    let services =
        subnets.iter().filter(|subnet| subnet.pool.is_some()).find_map(|subnet| found.same(subnet));
    let range = layout.service_range.trunc();
    match services.filter(|subnet| subnet.pools.iter().any(|pool| pool.touches(&range))) {
        Some(Subnet { id, name, .. }) => Err(Conflict::Pool { name: name.clone(), id: id.clone(), range }),
        None => Ok(()),
    }
}

fn gateway(layout: &Layout, external: Option<&Network>, found: &Found) -> Result<(), Conflict> {
    let Some((router, wanted)) = found.router(&layout.router).zip(external) else { return Ok(()) };
    if router.external.as_ref() == Some(&wanted.id) {
        return Ok(());
    }
    Err(Conflict::Gateway { name: router.name.clone(), id: router.id.clone(), wanted: wanted.name.clone() })
}

/// The first two of `all` between which it holds.
fn pair<T>(all: &[T], holds: impl Fn(&T, &T) -> bool) -> Option<(&T, &T)> {
    let others = |index: usize| all.iter().skip(index + 1);
    all.iter()
        .enumerate()
        .find_map(|(index, one)| Some((one, others(index).find(|other| holds(one, other))?)))
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    }
}
