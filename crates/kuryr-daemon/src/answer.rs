//! The result of ADD, from what was plugged.

use kuryr_cni::{AddResult, Dns, Interface, Ip, Route};
use kuryr_net::Link;

use crate::{
    failure::Failure,
    plug::Place,
    sandbox::Sandbox,
    wiring::{self, Wiring},
};

/// Describes the interfaces, their ends on the host if they have any and those in the sandbox, with their addresses and routes.
pub async fn describe(wirings: &[Wiring], inside: &[Link], place: &Place<'_>) -> Result<AddResult, Failure> {
    let mut result = AddResult::default();
    for (wiring, link) in wirings.iter().zip(inside) {
        if let Some(port) = wiring.plug.ovs_port() {
            let near = place.host.link(port.tap).await?;
            result.interfaces.push(outside(port.tap, near.as_ref(), wiring.mtu));
        }
        let position = result.interfaces.len();
        result.interfaces.push(within(wiring, link, place.sandbox));
        result.ips.extend(ips(wiring, position));
        result.routes.extend(
            wiring
                .routes()
                .iter()
                .map(|route| Route { dst: route.destination.to_string(), gw: route.gateway }),
        );
    }
    result.dns = Dns { nameservers: wiring::name_servers(wirings), ..Dns::default() };
    Ok(result)
}

fn outside(tap: &str, link: Option<&Link>, mtu: u32) -> Interface {
    let mac = link.and_then(|link| link.mac).map(|mac| mac.to_string());
    Interface { name: tap.to_owned(), mac, mtu: Some(mtu), sandbox: None }
}

/// An IPVLAN's MAC address is not the port's.
fn within(wiring: &Wiring, link: &Link, sandbox: &Sandbox) -> Interface {
    Interface {
        name: wiring.ifname.to_string(),
        mac: Some(link.mac.unwrap_or(wiring.mac).to_string()),
        mtu: Some(wiring.mtu),
        sandbox: Some(sandbox.netns_path.clone()),
    }
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
