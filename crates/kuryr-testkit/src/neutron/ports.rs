//! How the fake Neutron makes, changes and removes ports: all of a bulk or none.

use super::{Checked, Object, State, bad_request, is_uuid, pairs, query, seed, text};
use crate::reply::Reply;
use axum::http::HeaderMap;
use serde_json::{Value, json};
use std::{collections::HashMap, net::IpAddr};

/// What the server lets a request set.
const SETTABLE: [&str; 14] = [
    "network_id",
    "project_id",
    "name",
    "description",
    "fixed_ips",
    "device_owner",
    "device_id",
    "security_groups",
    "admin_state_up",
    "binding:host_id",
    "binding:profile",
    "binding:vnic_type",
    "tags",
    "allowed_address_pairs",
];

impl State {
    pub(super) fn create_ports(&mut self, body: &Value) -> Reply {
        let made = match (&body["port"], body["ports"].as_array()) {
            (Value::Object(port), _) => {
                self.create_all(&[port]).map(|mut made| json!({ "port": made.pop() }))
            }
            (_, Some(ports)) if !ports.is_empty() => {
                let ports: Vec<_> = ports.iter().filter_map(Value::as_object).collect();
                self.create_all(&ports).map(|made| json!({ "ports": made }))
            }
            _ => Err(bad_request("Resources required")),
        };
        made.map_or_else(|refusal| refusal, |made| Reply::new(201, made))
    }

    pub(super) fn update_port(&mut self, id: &str, headers: &HeaderMap, body: &Value) -> Reply {
        let Some(port) = self.ports.get(id) else { return query::not_found("port", id) };
        let revision = port["revision_number"].as_u64().unwrap_or_default();
        if let Some(asked) = asked_revision(headers).filter(|asked| *asked != revision) {
            let message = format!("Constrained to {asked}, but current revision is {revision}");
            return Reply::neutron_error(412, "RevisionNumberConstraintFailed", &message);
        }
        let mut changes = body["port"].as_object().cloned().unwrap_or_default();
        let checked = check_attributes(&changes)
            .and_then(|()| self.check_groups(&changes))
            .and_then(|()| pairs::complete(port, &mut changes));
        if let Err(refusal) = checked {
            return refusal;
        }
        let before = port;
        let mut port = before.clone();
        port.extend(changes);
        self.bind(&mut port);
        if let Err(refusal) = pairs::check_wired(&port, self.foreign_macs) {
            return refusal;
        }
        if port != *before {
            port.insert("revision_number".into(), (revision + 1).into());
        }
        self.ports.insert(id.into(), port.clone());
        Reply::ok(json!({ "port": port }))
    }

    pub(super) fn delete_port(&mut self, id: &str) -> Reply {
        if let Some(refusal) = self.on_trunk(id) {
            return refusal;
        }
        let Some(port) = self.ports.remove(id) else { return query::not_found("port", id) };
        self.give_back(&port);
        self.cut_off(id);
        Reply::no_content()
    }

    pub(super) fn create_all(&mut self, asked: &[&Object]) -> Checked<Vec<Object>> {
        for port in asked {
            check_attributes(port)?;
            self.check_tags(port)?;
        }
        self.check_quota(asked)?;
        let mut made: Vec<Object> = Vec::new();
        for port in asked {
            match self.create(port) {
                Ok(port) => made.push(port),
                Err(refusal) => {
                    made.iter().for_each(|port| self.give_back(port));
                    return Err(refusal);
                }
            }
        }
        self.ports.extend(made.iter().map(|port| (text(port, "id").to_owned(), port.clone())));
        Ok(made)
    }

    fn create(&mut self, asked: &Object) -> Checked<Object> {
        let network = text(asked, "network_id");
        if !self.networks.iter().any(|known| known["id"] == network) {
            return Err(query::not_found("network", network));
        }
        self.check_groups(asked)?;
        let fixed_ips = self.allocate(network, asked)?;
        let project = self.project_of(asked);
        let groups = asked.get("security_groups").cloned();
        let groups = groups.unwrap_or_else(|| json!([self.default_group(&project)]));
        let id = self.new_id();
        let mac = format!(
            "fa:16:3e:{:02x}:{:02x}:{:02x}",
            self.next >> 16 & 255,
            self.next >> 8 & 255,
            self.next & 255
        );
        let mut port: Object = asked.clone();
        let mut set = |name: &str, value: Value| drop(port.insert(name.into(), value));
        set("id", id.into());
        set("mac_address", mac.into());
        set("fixed_ips", fixed_ips);
        set("security_groups", groups);
        set("project_id", project.clone().into());
        set("tenant_id", project.into());
        set("revision_number", 2.into());
        set("status", "DOWN".into());
        for name in ["created_at", "updated_at"] {
            set(name, seed::TIME.into());
        }
        let defaults = json!({
            "name": "", "device_id": "", "device_owner": "", "admin_state_up": true, "tags": [], "description": "",
            "allowed_address_pairs": [], "extra_dhcp_opts": [], "port_security_enabled": true, "binding:host_id": "",
            "binding:vnic_type": "normal", "binding:profile": {},
        });
        for (name, value) in defaults.as_object().into_iter().flatten() {
            port.entry(name.as_str()).or_insert_with(|| value.clone());
        }
        self.bind(&mut port);
        Ok(port)
    }

    fn bind(&self, port: &mut Object) {
        let host = text(port, "binding:host_id").to_owned();
        let (kind, details) = if host.is_empty() {
            ("unbound", json!({}))
        } else if text(port, "binding:vnic_type") == "direct" {
            self.bind_function(&host)
        } else if self.hosts.contains(&host) {
            let details = json!({ "port_filter": true, "connectivity": "l2", "bridge_name": "br-int",
                "datapath_type": "system", "bound_drivers": { "0": "ovn" } });
            ("ovs", details)
        } else {
            ("binding_failed", json!({}))
        };
        port.insert("binding:vif_type".into(), kind.into());
        port.insert("binding:vif_details".into(), details);
    }

    /// OVN leaves virtual functions to the driver `sriovnicswitch`, which needs its agent on the host.
    fn bind_function(&self, host: &str) -> (&'static str, Value) {
        if !self.hosts_with_functions.contains(host) {
            return ("binding_failed", json!({}));
        }
        let details = json!({ "port_filter": false, "connectivity": "l2", "vlan": "101",
            "bound_drivers": { "0": "sriovnicswitch" } });
        ("hw_veb", details)
    }

    fn check_quota(&self, asked: &[&Object]) -> Checked<()> {
        let mut more: HashMap<String, usize> = HashMap::new();
        for port in asked {
            *more.entry(self.project_of(port)).or_default() += 1;
        }
        more.into_iter().try_for_each(|(project, more)| self.check_room(&project, "port", more))
    }

    fn check_tags(&self, asked: &Object) -> Checked<()> {
        let allowed =
            ["tag-creation", "tag-ports-during-bulk-creation"].iter().any(|a| self.extensions.contains(a));
        if asked.contains_key("tags") && !allowed {
            return Err(bad_request("Attribute 'tags' not allowed in POST"));
        }
        Ok(())
    }

    fn check_groups(&self, asked: &Object) -> Checked<()> {
        let groups = asked.get("security_groups").and_then(Value::as_array);
        let groups: Vec<_> = groups.into_iter().flatten().filter_map(Value::as_str).collect();
        let invalid =
            |why: String| bad_request(&format!("Invalid input for security_groups. Reason: {why}."));
        for (at, id) in groups.iter().enumerate() {
            if !is_uuid(id) {
                return Err(invalid(format!("'{id}' is not a valid UUID")));
            }
            if groups[..at].contains(id) {
                return Err(invalid(format!("Duplicate items in the list: '{id}'")));
            }
            if !self.groups.iter().any(|group| group["id"] == *id) {
                return Err(query::not_found("security_group", id));
            }
        }
        Ok(())
    }

    fn allocate(&mut self, network: &str, asked: &Object) -> Checked<Value> {
        let wanted = match asked.get("fixed_ips").and_then(Value::as_array) {
            Some(wanted) => wanted.iter().map(read_wanted).collect(),
            None => self.one_of_each_family(network),
        };
        let mut given: Vec<(String, IpAddr)> = Vec::new();
        for (subnet, address) in &wanted {
            match self.allocate_one(network, subnet, *address) {
                Ok(address) => given.push((subnet.clone(), address)),
                Err(refusal) => {
                    given.iter().for_each(|(subnet, address)| self.give_back_one(subnet, *address));
                    return Err(refusal);
                }
            }
        }
        let shown =
            given.iter().map(|(subnet, address)| json!({ "subnet_id": subnet, "ip_address": address }));
        Ok(shown.collect())
    }

    pub(super) fn allocate_one(
        &mut self,
        network: &str,
        subnet: &str,
        address: Option<IpAddr>,
    ) -> Checked<IpAddr> {
        let known = self.subnets.iter_mut().find(|known| known.id() == subnet && known.network() == network);
        let Some(known) = known else { return Err(query::not_found("subnet", subnet)) };
        match address {
            None => known.take_any().ok_or_else(|| {
                let message = format!("No more IP addresses available on network {network}.");
                Reply::neutron_error(409, "IpAddressGenerationFailure", &message)
            }),
            Some(address) if !known.contains(address) => {
                let message = format!("IP address {address} is not a valid IP for the specified subnet.");
                Err(Reply::neutron_error(400, "InvalidIpForSubnet", &message))
            }
            Some(address) if !known.take(address) => {
                let message = format!("IP address {address} already allocated in subnet {subnet}");
                Err(Reply::neutron_error(409, "IpAddressAlreadyAllocated", &message))
            }
            Some(address) => Ok(address),
        }
    }

    fn one_of_each_family(&self, network: &str) -> Vec<(String, Option<IpAddr>)> {
        let of = |v4| self.subnets.iter().find(move |s| s.network() == network && s.is_v4() == v4);
        [true, false].into_iter().filter_map(of).map(|subnet| (subnet.id().to_owned(), None)).collect()
    }

    fn give_back(&mut self, port: &Object) {
        let addresses: Vec<_> = port["fixed_ips"].as_array().into_iter().flatten().map(read_wanted).collect();
        for (subnet, address) in addresses {
            address.into_iter().for_each(|address| self.give_back_one(&subnet, address));
        }
    }

    fn give_back_one(&mut self, subnet: &str, address: IpAddr) {
        self.subnets
            .iter_mut()
            .filter(|known| known.id() == subnet)
            .for_each(|known| known.give_back(address));
    }

    pub(super) fn project_of(&self, port: &Object) -> String {
        port.get("project_id").and_then(Value::as_str).unwrap_or(&self.project).to_owned()
    }
}

fn read_wanted(fixed_ip: &Value) -> (String, Option<IpAddr>) {
    let address = fixed_ip["ip_address"].as_str().and_then(|address| address.parse().ok());
    (fixed_ip["subnet_id"].as_str().unwrap_or_default().to_owned(), address)
}

fn asked_revision(headers: &HeaderMap) -> Option<u64> {
    headers.get("if-match")?.to_str().ok()?.strip_prefix("revision_number=")?.parse().ok()
}

fn check_attributes(asked: &Object) -> Checked<()> {
    match asked.keys().find(|name| !SETTABLE.contains(&name.as_str())) {
        Some(name) => Err(bad_request(&format!("Unrecognized attribute(s) '{name}'"))),
        None => Ok(()),
    }
}
