//! CHECK: whether everything is as ADD left it.

use kuryr_cni::{AddResult, Interface, Request};
use kuryr_net::{Link, LinkState, Netlink, Route};

use crate::{failure::Failure, kind::Kind, mark::Mark, node::Node, sandbox::Sandbox, sriov::taken::Form};

impl Node {
    /// Fails with all differences between what there is and what ADD said.
    pub async fn check(&self, request: &Request) -> Result<(), Failure> {
        let sandbox = Sandbox::of(request)?;
        let expected = request.previous_result()?;
        let _turn = self.turns.take(&sandbox.pod, request.command, &sandbox.id).await;
        let namespace = self.netns.open(&sandbox.netns_path, self.host.id())?;
        // A link on top of the node's own has no other end that could be otherwise.
        let stacked = self.stacked_to_go(&sandbox, namespace.as_ref()).await?;
        let functions = self.functions_of(&sandbox)?;
        let has_ports = matches!(self.own.kind(), None | Some(Kind::OpenVSwitch));
        let mut differences = if stacked.is_empty() && functions.is_empty() && has_ports {
            self.check_ports(&sandbox, &expected).await?
        } else {
            self.check_functions(&functions).await?
        };
        if functions.is_empty() && self.own.kind() == Some(Kind::Sriov) {
            differences.push("no virtual function of this node is this sandbox's".to_owned());
        }
        differences.extend(self.check_host(&expected).await?);
        let mut without_link = self.check_without_link(&sandbox, &expected, &mut differences)?;
        let devices = functions.iter().filter(|held| held.taken.form != Form::Link);
        without_link.extend(devices.map(|held| held.taken.ifname.clone()));
        match namespace {
            Some(namespace) => {
                let inside = namespace.netlink().await?;
                differences.extend(check_inside(&expected, &inside, &without_link).await?);
            }
            None => differences.push(format!("the network namespace {} is gone", sandbox.netns_path)),
        }
        if differences.is_empty() { Ok(()) } else { Err(Failure::Differs(differences)) }
    }

    async fn check_ports(&self, sandbox: &Sandbox, expected: &AddResult) -> Result<Vec<String>, Failure> {
        let marks = self.marks().await?;
        let mut ports = marks.iter().filter(|mark| is_of(mark, sandbox, expected)).peekable();
        if ports.peek().is_none() {
            return Ok(vec!["Open vSwitch has no port for this sandbox".to_owned()]);
        }
        let broken = ports.filter_map(|mark| {
            let error = self
                .ovsdb
                .look(|switch| switch.interface(&mark.ovs_port).and_then(|found| found.error.clone()))?;
            Some(format!("Open vSwitch cannot use {}: {error}", mark.ovs_port))
        });
        Ok(broken.collect())
    }

    /// Interfaces of programs in user space. Tells which they are.
    fn check_without_link(
        &self,
        sandbox: &Sandbox,
        expected: &AddResult,
        differences: &mut Vec<String>,
    ) -> Result<Vec<String>, Failure> {
        let mut names = Vec::new();
        let marks: Vec<_> = self.ovsdb.look(|switch| switch.interfaces().filter_map(Mark::read).collect());
        for mark in marks.iter().filter(|mark| mark.is_vhost_user() && is_of(mark, sandbox, expected)) {
            differences.extend(self.plug.sockets.differences(mark, sandbox));
            names.push(mark.ifname.clone().unwrap_or_else(|| sandbox.ifname.to_string()));
        }
        for held in self.plug.devices.of(sandbox)? {
            if !self.plug.devices.is_handed_out(&held)? {
                differences.push(format!("device {} is not with {}", held.device, self.plug.devices.driver));
            }
            names.push(held.taken.whose.ifname.to_string());
        }
        Ok(names)
    }

    async fn check_host(&self, expected: &AddResult) -> Result<Vec<String>, Failure> {
        let host = self.host.netlink().await?;
        let mut differences = Vec::new();
        for interface in expected.interfaces.iter().filter(|interface| interface.sandbox.is_none()) {
            let found = host.link(&interface.name).await?;
            differences.extend(compare(interface, found.as_ref(), "on the host"));
        }
        Ok(differences)
    }
}

/// A port that the Python Kuryr plugged is known by its MAC address alone.
fn is_of(mark: &Mark, sandbox: &Sandbox, expected: &AddResult) -> bool {
    match &mark.sandbox {
        Some(id) => *id == sandbox.id,
        None => mark.mac.is_some() && expected.interfaces.iter().any(|interface| interface.mac == mark.mac),
    }
}

async fn check_inside(
    expected: &AddResult,
    inside: &Netlink,
    without_link: &[String],
) -> Result<Vec<String>, Failure> {
    let mut differences = Vec::new();
    let mut routes: Vec<Route> = Vec::new();
    let is_link =
        |interface: &Interface| interface.sandbox.is_some() && !without_link.contains(&interface.name);
    for (position, interface) in
        expected.interfaces.iter().enumerate().filter(|(_, interface)| is_link(interface))
    {
        let found = inside.link(&interface.name).await?;
        differences.extend(compare(interface, found.as_ref(), "in the sandbox"));
        let Some(link) = found else { continue };
        let addresses = inside.addresses(link.index).await?;
        routes.extend(inside.routes(link.index).await?);
        let missing = expected.ips.iter().filter(|ip| ip.interface == Some(position)).filter(|ip| {
            let address = ip.address.parse::<ipnet::IpNet>();
            address.is_ok_and(|address| !addresses.contains(&address))
        });
        differences
            .extend(missing.map(|ip| format!("{} has lost its address {}", interface.name, ip.address)));
    }
    let lost = expected.routes.iter().filter(|route| !is_there(route, &routes));
    differences.extend(lost.map(|route| format!("the route to {} is gone", route.dst)));
    Ok(differences)
}

/// A runtime passes on what ADD said; a destination that is none was not said by this daemon.
fn is_there(expected: &kuryr_cni::Route, routes: &[Route]) -> bool {
    let Ok(destination) = expected.dst.parse::<ipnet::IpNet>() else { return true };
    routes.iter().any(|route| {
        route.destination == destination.trunc() && (expected.gw.is_none() || expected.gw == route.gateway)
    })
}

fn compare(expected: &Interface, found: Option<&Link>, place: &str) -> Vec<String> {
    let name = &expected.name;
    let Some(link) = found else { return vec![format!("there is no link {name} {place}")] };
    let mut differences = Vec::new();
    if link.state == LinkState::Down {
        differences.push(format!("{name} {place} is down"));
    }
    let mac = link.mac.map(|mac| mac.to_string());
    if let Some(expected) = expected
        .mac
        .as_ref()
        .filter(|expected| !mac.as_ref().is_some_and(|mac| mac.eq_ignore_ascii_case(expected)))
    {
        differences.push(format!(
            "{name} {place} has MAC address {} instead of {expected}",
            mac.unwrap_or_default()
        ));
    }
    if let Some(expected) = expected.mtu.filter(|expected| *expected != link.mtu) {
        differences.push(format!("{name} {place} has MTU {} instead of {expected}", link.mtu));
    }
    differences
}
