//! The result of ADD, from what was plugged.

use kuryr_cni::{AddResult, Dns, Interface, Ip, Route};
use kuryr_net::VethEnds;

use crate::{
    failure::Failure,
    plug::{Inside, Place},
    sandbox::Sandbox,
    wiring::{self, Wiring},
};

/// The ends on the host, of interfaces that have one.
pub async fn outside(
    wirings: &[Wiring],
    pairs: &[Option<VethEnds>],
    place: &Place<'_>,
) -> Result<Vec<Option<Interface>>, Failure> {
    let mut ends = Vec::with_capacity(wirings.len());
    for (wiring, pair) in wirings.iter().zip(pairs) {
        let tap = wiring.plug.host_links().first().copied();
        let Some(tap) = tap else {
            ends.push(None);
            continue;
        };
        let mac = match pair {
            Some(pair) => pair.near.mac,
            None => place.host.link(tap).await?.and_then(|link| link.mac),
        };
        let mac = mac.map(|mac| mac.to_string());
        ends.push(Some(Interface {
            name: tap.to_owned(),
            mac,
            mtu: Some(wiring.mtu),
            ..Interface::default()
        }));
    }
    Ok(ends)
}

/// Describes the interfaces, their ends on the host if they have any and those in the sandbox, with their addresses and routes.
///
/// One without a link has its addresses all the same, which a program in the pod's user space is to use. There are no routes by it.
pub fn describe(
    wirings: &[Wiring],
    inside: &[Inside],
    outside: &[Option<Interface>],
    sandbox: &Sandbox,
) -> AddResult {
    let mut result = AddResult::default();
    for ((wiring, inside), outside) in wirings.iter().zip(inside).zip(outside) {
        result.interfaces.extend(outside.clone());
        let position = result.interfaces.len();
        result.interfaces.push(within(wiring, inside, sandbox));
        result.ips.extend(ips(wiring, position));
        if !matches!(inside, Inside::Link(_)) {
            continue;
        }
        result.routes.extend(
            wiring
                .routes()
                .iter()
                .map(|route| Route { dst: route.destination.to_string(), gw: route.gateway }),
        );
    }
    result.dns = Dns { nameservers: wiring::name_servers(wirings), ..Dns::default() };
    result
}

/// An IPVLAN's MAC address is not the port's.
fn within(wiring: &Wiring, inside: &Inside, sandbox: &Sandbox) -> Interface {
    let mac = if let Inside::Link(link) = inside { link.mac } else { None };
    let mut interface = Interface {
        name: wiring.ifname.to_string(),
        mac: Some(mac.unwrap_or(wiring.mac).to_string()),
        mtu: Some(wiring.mtu),
        sandbox: Some(sandbox.netns_path.clone()),
        ..Interface::default()
    };
    match inside {
        Inside::Link(_) => {}
        Inside::Socket(path) => interface.socket_path = Some(path.display().to_string()),
        Inside::Device(address) => interface.pci_id = Some(address.to_string()),
    }
    interface
}

fn ips(wiring: &Wiring, position: usize) -> Vec<Ip> {
    let ip = |address: &ipnet::IpNet, gateway| Ip {
        version: None,
        interface: Some(position),
        address: address.to_string(),
        gateway,
    };
    let subnets = wiring.subnets.iter();
    subnets
        .flat_map(|subnet| subnet.addresses.iter().map(move |address| ip(address, subnet.gateway)))
        .collect()
}
