//! How the fake Neutron makes rules of security groups: all of a request or none, and none twice.

use super::{
    Checked, Object, State, bad_request, query,
    security_groups::{add_rule, remove_rules, rules},
    seed, text,
};
use crate::reply::Reply;
use ipnet::IpNet;
use serde_json::{Value, json};
use std::net::IpAddr;

/// What the server lets a request set.
const SETTABLE: [&str; 11] = [
    "security_group_id",
    "project_id",
    "direction",
    "ethertype",
    "protocol",
    "port_range_min",
    "port_range_max",
    "remote_ip_prefix",
    "remote_group_id",
    "remote_address_group_id",
    "description",
];

/// What tells a rule from others of its group.
const KEY: [&str; 7] = [
    "direction",
    "ethertype",
    "port_range_min",
    "port_range_max",
    "remote_group_id",
    "remote_address_group_id",
    "security_group_id",
];

const REMOTES: [&str; 3] = ["remote_ip_prefix", "remote_group_id", "remote_address_group_id"];

/// Protocols that have ports.
const WITH_PORTS: [&str; 3] = ["6", "17", "132"];

impl State {
    pub(super) fn create_rules(&mut self, body: &Value) -> Reply {
        let made = match (&body["security_group_rule"], body["security_group_rules"].as_array()) {
            (Value::Object(rule), _) => {
                let made = self.make_rules(vec![rule.clone()]);
                made.map(|mut made| json!({ "security_group_rule": made.pop() }))
            }
            (_, Some(rules)) if !rules.is_empty() => {
                let asked = rules.iter().filter_map(Value::as_object).cloned().collect();
                self.make_rules(asked).map(|made| json!({ "security_group_rules": made }))
            }
            _ => Err(bad_request("Resources required")),
        };
        made.map_or_else(|refusal| refusal, |made| Reply::new(201, made))
    }

    pub(super) fn list_rules(&self, query: &[(String, String)]) -> Reply {
        let all = self.groups.iter().flat_map(rules).filter_map(Value::as_object);
        query::list("security_group_rules", all, query)
    }

    pub(super) fn delete_rule(&mut self, id: &str) -> Reply {
        let removed = self.groups.iter_mut().any(|group| remove_rules(group, |rule| rule["id"] == id));
        if removed { Reply::no_content() } else { query::not_found("security_group_rule", id) }
    }

    /// Gives a rule what the server shows besides what was asked for.
    pub(super) fn complete_rule(&mut self, mut rule: Object) -> Object {
        rule.insert("id".into(), self.new_id().into());
        rule.insert("normalized_cidr".into(), normalized(text(&rule, "remote_ip_prefix")));
        rule.insert("tenant_id".into(), rule["project_id"].clone());
        let defaults = json!({
            "ethertype": "IPv4", "protocol": null, "port_range_min": null, "port_range_max": null, "remote_ip_prefix": null,
            "remote_group_id": null, "remote_address_group_id": null, "description": "", "belongs_to_default_sg": false,
            "revision_number": 0, "created_at": seed::TIME, "updated_at": seed::TIME,
        });
        for (name, value) in defaults.as_object().into_iter().flatten() {
            rule.entry(name.as_str()).or_insert_with(|| value.clone());
        }
        rule
    }

    fn make_rules(&mut self, mut asked: Vec<Object>) -> Checked<Vec<Object>> {
        for rule in &mut asked {
            self.check_settable(rule)?;
            let project = self.project_of(rule);
            rule.insert("project_id".into(), project.into());
        }
        self.check_rule_quota(&asked)?;
        if asked.iter().any(|rule| rule["security_group_id"] != asked[0]["security_group_id"]) {
            let why = "Only allowed to update rules for one security profile at a time";
            return Err(Reply::neutron_error(400, "SecurityGroupNotSingleGroupRules", why));
        }
        for rule in &mut asked {
            normalize(rule)?;
            self.check_named(rule)?;
        }
        self.check_duplicates(&asked)?;
        let made: Vec<_> = asked.into_iter().map(|rule| self.complete_rule(rule)).collect();
        for rule in &made {
            let mut groups = self.groups.iter_mut();
            if let Some(group) = groups.find(|group| group["id"] == rule["security_group_id"]) {
                add_rule(group, rule.clone());
            }
        }
        Ok(made)
    }

    fn check_settable(&self, asked: &Object) -> Checked<()> {
        let known = |name: &str| {
            SETTABLE.contains(&name)
                && (name != "remote_address_group_id"
                    || self.extensions.contains("security-groups-remote-address-group"))
        };
        match asked.keys().find(|name| !known(name)) {
            Some(name) => Err(bad_request(&format!("Unrecognized attribute(s) '{name}'"))),
            None => Ok(()),
        }
    }

    fn check_rule_quota(&self, asked: &[Object]) -> Checked<()> {
        asked.iter().try_for_each(|rule| {
            let project = text(rule, "project_id");
            let more = asked.iter().filter(|other| text(other, "project_id") == project).count();
            self.check_room(project, "security_group_rule", more)
        })
    }

    /// Refuses a rule that names a group that is not there.
    fn check_named(&self, rule: &Object) -> Checked<()> {
        for name in ["remote_group_id", "security_group_id"] {
            let id = text(rule, name);
            if !id.is_empty() && !self.groups.iter().any(|group| group["id"] == id) {
                return Err(query::not_found("security_group", id));
            }
        }
        let id = text(rule, "remote_address_group_id");
        if id.is_empty() || self.address_groups.contains_key(id) {
            return Ok(());
        }
        Err(query::not_found("address_group", id))
    }

    fn check_duplicates(&self, asked: &[Object]) -> Checked<()> {
        let keys: Vec<_> = asked.iter().map(key).collect();
        if (1..keys.len()).any(|at| keys[..at].contains(&keys[at])) {
            let why = "Duplicate Security Group Rule in POST.";
            return Err(Reply::neutron_error(409, "DuplicateSecurityGroupRuleInPost", why));
        }
        let mut held = self.groups.iter().flat_map(rules).filter_map(Value::as_object);
        match held.find(|rule| keys.contains(&key(rule))) {
            Some(rule) => {
                let why = format!("Security group rule already exists. Rule id is {}.", text(rule, "id"));
                Err(Reply::neutron_error(409, "SecurityGroupRuleExists", &why))
            }
            None => Ok(()),
        }
    }
}

fn key(rule: &Object) -> Vec<String> {
    let value = |name: &&str| rule.get(*name).filter(|value| !value.is_null()).map(ToString::to_string);
    let mut key: Vec<_> = KEY.iter().map(|name| value(name).unwrap_or_default()).collect();
    key.push(number(text(rule, "protocol"), is_v6(rule)).to_owned());
    let prefix = text(rule, "remote_ip_prefix");
    key.push(if ["0.0.0.0/0", "::/0"].contains(&prefix) { String::new() } else { prefix.to_owned() });
    key
}

/// Checks a rule in itself, and spells it as the server does.
fn normalize(rule: &mut Object) -> Checked<()> {
    rule.entry("ethertype").or_insert_with(|| "IPv4".into());
    if is_v6(rule) && ["icmp", "icmpv6"].contains(&text(rule, "protocol")) {
        rule.insert("protocol".into(), "ipv6-icmp".into());
    }
    if ports(rule) == (Some(1), Some(65535)) {
        rule.insert("port_range_min".into(), Value::Null);
        rule.insert("port_range_max".into(), Value::Null);
    }
    check_protocol(rule)?;
    check_ports(rule)?;
    check_prefix(rule)?;
    if REMOTES.iter().filter(|name| !text(rule, name).is_empty()).count() > 1 {
        let why =
            "Only one of remote_ip_prefix or remote_group_id or remote_address_group_id may be provided.";
        return Err(Reply::neutron_error(400, "SecurityGroupMultipleRemoteEntites", why));
    }
    Ok(())
}

fn check_protocol(rule: &Object) -> Checked<()> {
    let protocol = text(rule, "protocol");
    if protocol.is_empty() || number(protocol, is_v6(rule)).parse::<u8>().is_ok() {
        return Ok(());
    }
    let why = format!("Security group rule protocol {protocol} not supported.");
    Err(Reply::neutron_error(400, "SecurityGroupRuleInvalidProtocol", &why))
}

fn check_ports(rule: &Object) -> Checked<()> {
    let refused = |name: &str, why: &str| Err(Reply::neutron_error(400, name, why));
    let ports = ports(rule);
    if ports == (None, None) {
        return Ok(());
    }
    let protocol = number(text(rule, "protocol"), is_v6(rule));
    match (protocol, ports) {
        ("", _) => refused(
            "SecurityGroupProtocolRequiredWithPorts",
            "Must also specify protocol if port range is given.",
        ),
        ("1" | "58", (Some(_), _)) => Ok(()),
        (protocol, (Some(first), Some(last))) if WITH_PORTS.contains(&protocol) && first <= last => Ok(()),
        (protocol, _) if WITH_PORTS.contains(&protocol) => refused(
            "SecurityGroupInvalidPortRange",
            "For TCP/UDP protocols, port_range_min must be <= port_range_max",
        ),
        (protocol, _) => refused(
            "SecurityGroupInvalidProtocolForPort",
            &format!("Ports cannot be specified for protocol {protocol}."),
        ),
    }
}

fn check_prefix(rule: &mut Object) -> Checked<()> {
    let asked = text(rule, "remote_ip_prefix").to_owned();
    if asked.is_empty() {
        return Ok(());
    }
    let prefix = asked.parse::<IpNet>().or_else(|_| asked.parse::<IpAddr>().map(IpNet::from));
    let Ok(prefix) = prefix else {
        return Err(Reply::neutron_error(
            400,
            "InvalidCIDR",
            &format!("Invalid CIDR {asked} given as IP prefix."),
        ));
    };
    if prefix.addr().is_ipv6() != is_v6(rule) {
        let why = format!("Conflicting value ethertype {} for CIDR {asked}", text(rule, "ethertype"));
        return Err(Reply::neutron_error(400, "SecurityGroupRuleParameterConflict", &why));
    }
    rule.insert("remote_ip_prefix".into(), prefix.to_string().into());
    Ok(())
}

fn ports(rule: &Object) -> (Option<u64>, Option<u64>) {
    let port = |name: &str| rule.get(name).and_then(Value::as_u64);
    (port("port_range_min"), port("port_range_max"))
}

fn is_v6(rule: &Object) -> bool {
    text(rule, "ethertype") == "IPv6"
}

/// A protocol's number, where the fake knows it.
fn number(protocol: &str, v6: bool) -> &str {
    match protocol {
        "tcp" => "6",
        "udp" => "17",
        "sctp" => "132",
        "icmp" | "1" if v6 => "58",
        "ipv6-icmp" | "icmpv6" => "58",
        "icmp" => "1",
        other => other,
    }
}

fn normalized(prefix: &str) -> Value {
    prefix.parse::<IpNet>().map_or(Value::Null, |prefix| prefix.trunc().to_string().into())
}
