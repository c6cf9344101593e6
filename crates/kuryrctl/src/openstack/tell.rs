//! Steps of a layout in words.

use kuryr_core::layout::{Direction, Family, NewSubnet, Step};

pub(super) fn step(step: &Step) -> String {
    match step {
        Step::Network(name) => format!("network `{name}`"),
        Step::Subnet(NewSubnet { name, network, range, pool, .. }) => {
            let given = pool.map(|pool| format!(", Neutron gives {} to {}", pool.first, pool.last));
            format!("subnet `{name}` of network `{network}`: {range}{}", given.unwrap_or_default())
        }
        Step::Router { name, external: Some(external) } => {
            format!("router `{name}`, leading to `{external}`")
        }
        Step::Router { name, external: None } => format!("router `{name}`, leading nowhere outside"),
        Step::Interface { router, subnet } => {
            format!(
                "an interface of router `{router}` in subnet {} of network `{}`",
                subnet.range, subnet.network
            )
        }
        Step::Group(name) => format!("security group `{name}`"),
        Step::Rule { group, opening } => {
            let whither = match opening.direction {
                Direction::Ingress => "in",
                Direction::Egress => "out",
            };
            let family = match opening.family {
                Family::V4 => "IPv4",
                Family::V6 => "IPv6",
            };
            format!("a rule of security group `{group}` that lets all {family} {whither}")
        }
    }
}
