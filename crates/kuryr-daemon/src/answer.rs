//! The result of ADD, from what was plugged.

use kuryr_cni::{AddResult, Dns, Interface, Ip, Route};
use kuryr_net::Netlink;

use crate::{
    failure::Failure,
    sandbox::Sandbox,
    wiring::{self, Wiring},
};

/// Describes the interfaces, host and sandbox ends, with their addresses and routes.
pub async fn describe(wirings: &[Wiring], sandbox: &Sandbox, host: &Netlink) -> Result<AddResult, Failure> {
    let mut result = AddResult::default();
    for wiring in wirings {
        let near = host.link(wiring.plug.tap()).await?;
        let mac = near.and_then(|link| link.mac).map(|mac| mac.to_string());
        result.interfaces.push(Interface {
            name: wiring.plug.tap().to_owned(),
            mac,
            mtu: Some(wiring.mtu),
            sandbox: None,
        });
        let position = result.interfaces.len();
        result.interfaces.push(inside(wiring, sandbox));
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

fn inside(wiring: &Wiring, sandbox: &Sandbox) -> Interface {
    Interface {
        name: wiring.ifname.to_string(),
        mac: Some(wiring.mac.to_string()),
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
