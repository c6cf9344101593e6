//! How the fake Neutron makes floating IPs and lets them lead to ports.

use super::{Checked, Object, State, bad_request, is_uuid, query, seed, text};
use crate::reply::Reply;
use serde_json::{Value, json};
use std::net::IpAddr;

/// What the server lets a request set. Unlike ports, floating IPs can't be tagged as they are made.
const SETTABLE: [&str; 6] =
    ["floating_network_id", "subnet_id", "floating_ip_address", "port_id", "description", "project_id"];

impl State {
    pub(super) fn create_floating_ip(&mut self, body: &Value) -> Reply {
        let asked = body["floatingip"].as_object().cloned().unwrap_or_default();
        self.make_floating_ip(&asked).map_or_else(
            |refusal| refusal,
            |made| {
                let id = text(&made, "id").to_owned();
                self.floating_ips.insert(id, made.clone());
                Reply::new(201, json!({ "floatingip": made }))
            },
        )
    }

    pub(super) fn update_floating_ip(&mut self, id: &str, body: &Value) -> Reply {
        let Some(mut floating) = self.floating_ips.get(id).cloned() else {
            return query::not_found("floatingip", id);
        };
        if let Err(refusal) = self.lead(&mut floating, &body["floatingip"]["port_id"]) {
            return refusal;
        }
        self.floating_ips.insert(id.into(), floating.clone());
        Reply::ok(json!({ "floatingip": floating }))
    }

    pub(super) fn delete_floating_ip(&mut self, id: &str) -> Reply {
        let Some(floating) = self.floating_ips.remove(id) else { return query::not_found("floatingip", id) };
        self.give_back_floating(&floating);
        Reply::no_content()
    }

    /// What led to a port that is gone leads nowhere.
    pub(super) fn cut_off(&mut self, port: &str) {
        let led_there = self.floating_ips.values_mut().filter(|floating| floating["port_id"] == port);
        led_there.for_each(lead_nowhere);
    }

    fn make_floating_ip(&mut self, asked: &Object) -> Checked<Object> {
        if let Some(name) = asked.keys().find(|name| !SETTABLE.contains(&name.as_str())) {
            return Err(bad_request(&format!("Attribute '{name}' not allowed in POST")));
        }
        let network = text(asked, "floating_network_id");
        self.check_external(network)?;
        let project = self.project_of(asked);
        self.check_room(&project, "floatingip", 1)?;
        let address = self.allocate_floating(network, asked)?;
        let id = self.new_id();
        let mut floating = seed::floating_ip(&project, &id, network, &address, text(asked, "description"));
        if let Err(refusal) = self.lead(&mut floating, asked.get("port_id").unwrap_or(&Value::Null)) {
            self.give_back_floating(&floating);
            return Err(refusal);
        }
        Ok(floating)
    }

    fn check_external(&self, network: &str) -> Checked<()> {
        if !is_uuid(network) {
            let why =
                format!("Invalid input for floating_network_id. Reason: '{network}' is not a valid UUID.");
            return Err(bad_request(&why));
        }
        let known = self.networks.iter().find(|known| known["id"] == network);
        match known.map(|known| known["router:external"] == true) {
            Some(true) => Ok(()),
            Some(false) => Err(bad_floating(&format!("Network {network} is not a valid external network."))),
            None => Err(query::not_found("network", network)),
        }
    }

    /// Takes an address of the subnet that is asked for, or of the network's.
    fn allocate_floating(&mut self, network: &str, asked: &Object) -> Checked<String> {
        let wanted = asked.get("floating_ip_address").and_then(Value::as_str);
        let wanted = wanted.and_then(|address| address.parse().ok());
        let subnet = match asked.get("subnet_id").and_then(Value::as_str) {
            Some(subnet) => self.check_subnet(network, subnet)?,
            None => self.subnet_with(network, wanted)?,
        };
        Ok(self.allocate_one(network, &subnet, wanted)?.to_string())
    }

    fn check_subnet(&self, network: &str, subnet: &str) -> Checked<String> {
        match self.subnets.iter().find(|known| known.id() == subnet) {
            None => Err(query::not_found("subnet", subnet)),
            Some(known) if known.network() == network => Ok(subnet.to_owned()),
            Some(_) => {
                let why = format!(
                    "Invalid input for operation: Failed to create port on network {network}, because fixed_ips included \
                     invalid subnet {subnet}."
                );
                Err(Reply::neutron_error(400, "InvalidInput", &why))
            }
        }
    }

    fn subnet_with(&self, network: &str, wanted: Option<IpAddr>) -> Checked<String> {
        let mut subnets = self.subnets.iter().filter(|one| one.network() == network && one.is_v4());
        let found = subnets.find(|one| wanted.is_none_or(|wanted| one.contains(wanted)));
        found.map(|one| one.id().to_owned()).ok_or_else(|| match wanted {
            Some(wanted) => {
                let why = format!(
                    "IP address {wanted} is not a valid IP for any of the subnets on the specified network."
                );
                Reply::neutron_error(400, "InvalidIpForNetwork", &why)
            }
            None => bad_floating(&format!("Network {network} does not contain any IPv4 subnet.")),
        })
    }

    fn give_back_floating(&mut self, floating: &Object) {
        let Ok(address) = text(floating, "floating_ip_address").parse() else { return };
        let network = text(floating, "floating_network_id");
        self.subnets.iter_mut().filter(|one| one.network() == network).for_each(|one| one.give_back(address));
    }

    fn lead(&self, floating: &mut Object, port: &Value) -> Checked<()> {
        let Some(port) = port.as_str() else {
            lead_nowhere(floating);
            return Ok(());
        };
        let Some(found) = self.ports.get(port) else { return Err(query::not_found("port", port)) };
        let addresses = found["fixed_ips"].as_array().into_iter().flatten();
        let first = addresses.filter_map(|one| one["ip_address"].as_str()).find(|one| !one.contains(':'));
        let Some(address) = first else {
            let why = format!("Cannot add floating IP to port {port} that has no fixed IPv4 addresses.");
            return Err(bad_floating(&why));
        };
        let other = self.floating_ips.values().find(|one| {
            one["port_id"] == port
                && one["floating_network_id"] == floating["floating_network_id"]
                && one["id"] != floating["id"]
        });
        if other.is_some() {
            return Err(already_led(floating, port, address));
        }
        floating.insert("port_id".into(), port.into());
        floating.insert("fixed_ip_address".into(), address.into());
        floating.insert("status".into(), "ACTIVE".into());
        Ok(())
    }
}

fn lead_nowhere(floating: &mut Object) {
    floating.insert("port_id".into(), Value::Null);
    floating.insert("fixed_ip_address".into(), Value::Null);
    floating.insert("status".into(), "DOWN".into());
}

fn bad_floating(why: &str) -> Reply {
    Reply::neutron_error(400, "BadRequest", &format!("Bad floatingip request: {why}"))
}

fn already_led(floating: &Object, port: &str, address: &str) -> Reply {
    let (outside, id) = (text(floating, "floating_ip_address"), text(floating, "id"));
    let network = text(floating, "floating_network_id");
    let why = format!(
        "Cannot associate floating IP {outside} ({id}) with port {port} using fixed IP {address}, as that fixed IP already \
         has a floating IP on external network {network}."
    );
    Reply::neutron_error(409, "FloatingIPPortAlreadyAssociated", &why)
}
