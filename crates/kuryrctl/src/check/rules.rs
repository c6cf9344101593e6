//! The checks: pure functions of the facts.

mod balancer;
mod cloud;
mod cluster;
mod config;
mod host;
mod network;
mod parents;
mod room;
#[cfg(test)]
pub(super) mod sample;
mod servers;
mod trunks;

pub(crate) use self::config::pool_sizes;
use super::{
    facts::Facts,
    finding::{Area, Verdict},
};

/// A check.
#[derive(Clone, Copy)]
pub(crate) struct Check {
    pub(crate) area: Area,
    pub(crate) name: &'static str,
    pub(crate) verdict: fn(&Facts) -> Verdict,
}

/// All of them, in the order in which they are told.
pub(crate) const CHECKS: &[Check] = &[
    check(Area::Configuration, "kuryr.conf", config::readable),
    check(Area::Configuration, "needed options", config::complete),
    check(Area::Configuration, "files it names", config::files),
    check(Area::Configuration, "pool sizes", config::pools),
    check(Area::Openstack, "sign-in", cloud::sign_in),
    check(Area::Openstack, "Neutron extensions", cloud::extensions),
    check(Area::Openstack, "right to bind ports", cloud::binding),
    check(Area::Openstack, "pod subnets", network::pod_subnets),
    check(Area::Openstack, "security groups", network::security_groups),
    check(Area::Openstack, "overlaps", network::overlaps),
    check(Area::Openstack, "service range", network::service_range),
    check(Area::Openstack, "service subnets", network::service_subnets),
    check(Area::Openstack, "external network", network::external),
    check(Area::Openstack, "MTU", network::mtu),
    check(Area::Openstack, "port quota", room::quota),
    check(Area::Openstack, "addresses for pods", room::addresses),
    check(Area::Openstack, "trunks of nodes", trunks::nodes),
    check(Area::Openstack, "ports of nodes", parents::nodes),
    check(Area::Openstack, "servers of nodes", servers::nodes),
    check(Area::Openstack, "load balancers", balancer::provider),
    check(Area::Kubernetes, "definitions", cluster::definitions),
    check(Area::Kubernetes, "controller's rights", cluster::controller),
    check(Area::Kubernetes, "daemons' rights", cluster::daemons),
    check(Area::Kubernetes, "network policies", cluster::policies),
    check(Area::Host, "free ports", host::ports),
    check(Area::Host, "kernel", host::kernel),
    check(Area::Host, "Open vSwitch", host::switch),
];

const fn check(area: Area, name: &'static str, verdict: fn(&Facts) -> Verdict) -> Check {
    Check { area, name, verdict }
}
