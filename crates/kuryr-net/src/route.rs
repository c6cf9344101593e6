//! Routes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures::TryStreamExt;
use ipnet::IpNet;
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage};
use rtnetlink::RouteMessageBuilder;

use crate::{error::NetError, link::LinkIndex, netlink::Netlink};

/// A route of the main table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Route {
    /// Where to; the default route is the prefix of length 0.
    pub destination: IpNet,
    /// By way of; without it the destination is on the link itself.
    pub gateway: Option<IpAddr>,
}

impl Netlink {
    /// Adds a route over a link. One to the same destination that is there already stays as it is.
    pub async fn add_route(&self, link: LinkIndex, route: Route) -> Result<(), NetError> {
        let message = match (route.destination, route.gateway) {
            (IpNet::V4(destination), None) => v4(link, destination).build(),
            (IpNet::V4(destination), Some(IpAddr::V4(gateway))) => {
                v4(link, destination).gateway(gateway).build()
            }
            (IpNet::V4(destination), Some(IpAddr::V6(gateway))) => v4(link, destination).via(gateway).build(),
            (IpNet::V6(destination), None) => v6(link, destination).build(),
            (IpNet::V6(destination), Some(IpAddr::V6(gateway))) => {
                v6(link, destination).gateway(gateway).build()
            }
            // An IPv4 gateway cannot carry IPv6; the kernel has no way to say so either.
            (IpNet::V6(_), Some(IpAddr::V4(_))) => {
                return Err(NetError::Netlink {
                    action: describe(route),
                    source: nix::errno::Errno::EINVAL.into(),
                });
            }
        };
        let made = self.handle.route().add(message).execute().await;
        match made.map_err(|error| NetError::netlink(describe(route), error)) {
            Err(error) if !error.is_there_already() => Err(error),
            _ => Ok(()),
        }
    }

    /// The unicast routes of the main table over a link, those among them that the kernel made for its addresses.
    pub async fn routes(&self, link: LinkIndex) -> Result<Vec<Route>, NetError> {
        let mut routes = Vec::new();
        for family in [v4_all(), v6_all()] {
            let messages = self.handle.route().get(family).execute();
            let all: Vec<RouteMessage> =
                messages.try_collect().await.map_err(|error| NetError::netlink("list routes", error))?;
            routes.extend(all.iter().filter(|message| is_over(message, link)).filter_map(route_of));
        }
        Ok(routes)
    }
}

fn v4(link: LinkIndex, destination: ipnet::Ipv4Net) -> RouteMessageBuilder<Ipv4Addr> {
    RouteMessageBuilder::<Ipv4Addr>::new()
        .output_interface(link.0)
        .destination_prefix(destination.network(), destination.prefix_len())
}

fn v6(link: LinkIndex, destination: ipnet::Ipv6Net) -> RouteMessageBuilder<Ipv6Addr> {
    RouteMessageBuilder::<Ipv6Addr>::new()
        .output_interface(link.0)
        .destination_prefix(destination.network(), destination.prefix_len())
}

fn v4_all() -> RouteMessage {
    RouteMessageBuilder::<Ipv4Addr>::new().build()
}

fn v6_all() -> RouteMessage {
    RouteMessageBuilder::<Ipv6Addr>::new().build()
}

fn describe(route: Route) -> String {
    match route.gateway {
        Some(gateway) => format!("add the route to {} via {gateway}", route.destination),
        None => format!("add the route to {}", route.destination),
    }
}

fn is_over(message: &RouteMessage, link: LinkIndex) -> bool {
    let over = message
        .attributes
        .iter()
        .any(|attribute| matches!(attribute, RouteAttribute::Oif(index) if *index == link.0));
    over && message.header.table == RouteHeader::RT_TABLE_MAIN
}

fn route_of(message: &RouteMessage) -> Option<Route> {
    let find = |wanted: fn(&RouteAttribute) -> Option<IpAddr>| message.attributes.iter().find_map(wanted);
    let gateway = find(|attribute| match attribute {
        RouteAttribute::Gateway(address) => ip(address),
        _ => None,
    });
    let destination = find(|attribute| match attribute {
        RouteAttribute::Destination(address) => ip(address),
        _ => None,
    });
    // The kernel leaves the destination of a default route out.
    let destination = destination.unwrap_or(match message.header.address_family {
        netlink_packet_route::AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        _ => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    });
    let destination = IpNet::new(destination, message.header.destination_prefix_length).ok()?;
    Some(Route { destination, gateway })
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some(IpAddr::V4(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}
