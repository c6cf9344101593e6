//! A fake Neutron: it keeps ports, gives addresses, counts quotas, and answers in the real one's words.

mod address_groups;
mod floating_ips;
mod ipam;
mod pairs;
mod ports;
mod query;
mod quotas;
mod rules;
mod security_groups;
mod seed;
mod trunks;
mod vips;

use crate::{
    keystone::{FakeKeystone, unauthorized},
    reply::{Counts, Crowd, Reply, parameters, route, segments},
};
use axum::{
    body::Bytes,
    http::{HeaderMap, Method, Uri},
};
use ipam::Subnet;
pub use pairs::ForeignMacs;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

/// A fake Neutron's state. Clones share it.
#[derive(Debug, Clone)]
pub struct FakeNeutron {
    keystone: FakeKeystone,
    state: Arc<Mutex<State>>,
    /// Held while a request that takes time is at work: the real one's Python runs one at a time, too.
    at_work: Arc<tokio::sync::Mutex<()>>,
    counts: Counts,
    crowd: Crowd,
}

/// What decides who may talk to whom, as it is shown.
#[derive(Debug, Clone)]
pub struct WhoMay {
    /// Ports.
    pub ports: Vec<Value>,
    /// Security groups, with their rules.
    pub groups: Vec<Value>,
    /// Address groups.
    pub peers: Vec<Value>,
}

/// How long the fake takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pace {
    /// For each request.
    pub request: Duration,
    /// For each port that is made, besides.
    pub port: Duration,
}

/// Whether a server has read who may do what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Rights {
    /// It has.
    #[default]
    Read,
    /// Not yet, since it has just started: it denies creates, calls what exists missing without naming it, and leaves it out of lists.
    Unread,
}

type Object = Map<String, Value>;
type Checked<T> = Result<T, Reply>;

#[derive(Debug)]
pub(crate) struct State {
    project: String,
    networks: Vec<Object>,
    subnets: Vec<Subnet>,
    groups: Vec<Object>,
    address_groups: BTreeMap<String, Object>,
    ports: BTreeMap<String, Object>,
    floating_ips: BTreeMap<String, Object>,
    trunks: BTreeMap<String, Object>,
    foreign_macs: ForeignMacs,
    quotas: HashMap<String, BTreeMap<String, i64>>,
    extensions: BTreeSet<&'static str>,
    hosts: BTreeSet<String>,
    /// Those with an SR-IOV agent.
    hosts_with_functions: BTreeSet<String>,
    failures: Vec<Failure>,
    rights: Rights,
    pace: Pace,
    next: u64,
}

#[derive(Debug)]
struct Failure {
    route: String,
    times: u32,
    reply: Reply,
}

impl FakeNeutron {
    pub(crate) fn new(keystone: FakeKeystone, project: &str) -> Self {
        let state = Arc::new(Mutex::new(seed::state(project)));
        Self { keystone, state, at_work: Arc::default(), counts: Counts::default(), crowd: Crowd::default() }
    }

    /// The id of the network, subnet or security group of this name.
    pub fn id_of(&self, name: &str) -> Option<String> {
        let state = self.state.lock();
        let objects =
            state.networks.iter().chain(state.subnets.iter().map(|s| &s.shown)).chain(&state.groups);
        objects.into_iter().find(|object| object["name"] == name).map(|object| text(object, "id").to_owned())
    }

    /// All ports as they are shown.
    pub fn ports(&self) -> Vec<Value> {
        self.state.lock().ports.values().cloned().map(Value::Object).collect()
    }

    /// A port as it is shown.
    pub(crate) fn port(&self, id: &str) -> Option<Value> {
        self.state.lock().ports.get(id).cloned().map(Value::Object)
    }

    /// Changes a port as another service does.
    pub(crate) fn change_port(&self, id: &str, changes: &Value) {
        let mut state = self.state.lock();
        if let (Some(port), Some(changes)) = (state.ports.get_mut(id), changes.as_object()) {
            port.extend(changes.clone());
            security_groups::revise(port);
        }
    }

    /// All security groups as they are shown, with their rules.
    pub fn security_groups(&self) -> Vec<Value> {
        self.state.lock().groups.iter().cloned().map(Value::Object).collect()
    }

    /// All address groups as they are shown.
    pub fn address_groups(&self) -> Vec<Value> {
        self.state.lock().address_groups.values().cloned().map(Value::Object).collect()
    }

    /// Ports, security groups and address groups as they are at one moment.
    pub fn who_may(&self) -> WhoMay {
        let state = self.state.lock();
        WhoMay {
            ports: state.ports.values().cloned().map(Value::Object).collect(),
            groups: state.groups.iter().cloned().map(Value::Object).collect(),
            peers: state.address_groups.values().cloned().map(Value::Object).collect(),
        }
    }

    /// All trunks as they are shown.
    pub fn trunks(&self) -> Vec<Value> {
        self.state.lock().trunks.values().cloned().map(Value::Object).collect()
    }

    /// All floating IPs as they are shown.
    pub fn floating_ips(&self) -> Vec<Value> {
        self.state.lock().floating_ips.values().cloned().map(Value::Object).collect()
    }

    /// Sets a port's status, as the plugging of its node does. Tells whether there is such a port.
    pub fn set_port_status(&self, id: &str, status: &str) -> bool {
        let mut state = self.state.lock();
        let port = state.ports.get_mut(id);
        port.map(|port| port.insert("status".into(), status.into())).is_some()
    }

    /// Lets ports be bound to `host`.
    pub fn add_host(&self, host: &str) {
        self.state.lock().hosts.insert(host.into());
    }

    /// What ports may send from, from now on.
    pub fn set_foreign_macs(&self, may: ForeignMacs) {
        self.state.lock().foreign_macs = may;
    }

    /// Lets ports be bound to `host` as virtual functions of its network cards.
    pub fn add_functions(&self, host: &str) {
        self.state.lock().hosts_with_functions.insert(host.into());
    }

    /// Limits what `project` may have of `resource` (`port`); -1 lifts the limit.
    pub fn set_quota(&self, project: &str, resource: &str, limit: i64) {
        self.state.lock().quotas.entry(project.into()).or_default().insert(resource.into(), limit);
    }

    /// Lets a subnet have so many addresses for ports in all.
    pub fn set_room(&self, subnet: &str, addresses: usize) {
        let mut state = self.state.lock();
        state
            .subnets
            .iter_mut()
            .filter(|known| known.shown["name"] == subnet)
            .for_each(|known| known.limit(addresses));
    }

    /// Takes an API extension away.
    pub fn remove_extension(&self, alias: &str) {
        self.state.lock().extensions.remove(alias);
    }

    /// How long requests take from now on.
    pub fn set_pace(&self, pace: Pace) {
        self.state.lock().pace = pace;
    }

    /// Whether it has read who may do what, from now on.
    pub fn set_rights(&self, rights: Rights) {
        self.state.lock().rights = rights;
    }

    /// Answers the next `times` requests of `route` (`POST /ports`) with `reply`, doing nothing.
    pub fn fail_next(&self, route: &str, times: u32, reply: Reply) {
        self.state.lock().failures.push(Failure { route: route.into(), times, reply });
    }

    /// The requests that have arrived, by method and route.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// How many requests were open at the same time.
    pub fn crowd(&self) -> &Crowd {
        &self.crowd
    }

    pub(crate) async fn serve(&self, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Reply {
        let path = segments(uri.path());
        let path: Vec<_> = path.iter().skip(1).map(String::as_str).collect();
        let route = route(&method, &path);
        self.counts.add(&route);
        let _open = self.crowd.enter(&route);
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        self.take_time(&body).await;
        let mut state = self.state.lock();
        let reply = state.planned_failure(&route).unwrap_or_else(|| {
            if self.keystone.accepts(&headers) {
                match state.rights {
                    Rights::Read => state.answer(&method, &path, &parameters(&uri), &headers, &body),
                    Rights::Unread => state.hide(&method, &path),
                }
            } else {
                unauthorized()
            }
        });
        reply.with_header("x-openstack-request-id", &format!("req-{}", state.new_id()))
    }

    async fn take_time(&self, body: &Value) {
        let pace = self.state.lock().pace;
        let single = || usize::from(body["port"]["network_id"].is_string());
        let new_ports = body["ports"].as_array().map_or_else(single, Vec::len);
        let time = pace.request + pace.port * u32::try_from(new_ports).unwrap_or(u32::MAX);
        if !time.is_zero() {
            let _alone = self.at_work.lock().await;
            tokio::time::sleep(time).await;
        }
    }
}

impl State {
    fn answer(
        &mut self,
        method: &Method,
        path: &[&str],
        query: &[(String, String)],
        headers: &HeaderMap,
        body: &Value,
    ) -> Reply {
        match (method.as_str(), path) {
            ("GET", ["extensions"]) => self.list_extensions(),
            ("GET", ["networks"]) => query::list("networks", self.networks.iter(), query),
            ("GET", ["networks", id]) => query::show("network", self.networks.iter(), id),
            ("GET", ["network-ip-availabilities", id]) => self.show_availability(id),
            ("GET", ["subnets"]) => query::list("subnets", self.subnets.iter().map(|s| &s.shown), query),
            ("GET", ["subnets", id]) => query::show("subnet", self.subnets.iter().map(|s| &s.shown), id),
            ("GET", ["security-groups"]) => query::list("security_groups", self.groups.iter(), query),
            ("GET", ["security-groups", id]) => query::show("security_group", self.groups.iter(), id),
            ("POST", ["security-groups"]) => self.create_group(body),
            ("DELETE", ["security-groups", id]) => self.delete_group(id),
            ("GET", ["security-group-rules"]) => self.list_rules(query),
            ("POST", ["security-group-rules"]) => self.create_rules(body),
            ("DELETE", ["security-group-rules", id]) => self.delete_rule(id),
            (_, ["address-groups", ..]) if !self.extensions.contains("address-group") => no_such_path(),
            ("GET", ["address-groups"]) => query::list("address_groups", self.address_groups.values(), query),
            ("POST", ["address-groups"]) => self.create_address_group(body),
            ("GET", ["address-groups", id]) => query::show("address_group", self.address_groups.values(), id),
            ("DELETE", ["address-groups", id]) => self.delete_address_group(id),
            ("PUT", ["address-groups", id, "add_addresses"]) => self.add_addresses(id, body),
            ("PUT", ["address-groups", id, "remove_addresses"]) => self.remove_addresses(id, body),
            ("GET", ["ports"]) => query::list("ports", self.ports.values(), query),
            ("POST", ["ports"]) => self.create_ports(body),
            ("GET", ["ports", id]) => query::show("port", self.ports.values(), id),
            ("PUT", ["ports", id]) => self.update_port(id, headers, body),
            ("DELETE", ["ports", id]) => self.delete_port(id),
            ("GET", ["trunks"]) => query::list("trunks", self.trunks.values(), query),
            ("POST", ["trunks"]) => self.create_trunk(body),
            ("PUT", ["trunks", id]) => self.update_trunk(id, body),
            ("DELETE", ["trunks", id]) => self.delete_trunk(id),
            ("PUT", ["trunks", id, "add_subports"]) => self.add_subports(id, body),
            ("PUT", ["trunks", id, "remove_subports"]) => self.remove_subports(id, body),
            ("GET", ["floatingips"]) => query::list("floatingips", self.floating_ips.values(), query),
            ("POST", ["floatingips"]) => self.create_floating_ip(body),
            ("PUT", ["floatingips", id]) => self.update_floating_ip(id, body),
            ("DELETE", ["floatingips", id]) => self.delete_floating_ip(id),
            ("PUT", [kind, id, "tags"]) => self.set_tags(kind, id, body),
            ("GET", ["quotas", project, "details.json"]) => self.show_quotas(project),
            ("PUT", ["quotas", project]) => self.update_quotas(project, body),
            ("DELETE", ["quotas", project]) => self.reset_quotas(project),
            _ => no_such_path(),
        }
    }

    fn hide(&mut self, method: &Method, path: &[&str]) -> Reply {
        match (method.as_str(), path) {
            ("GET", ["extensions"]) => self.list_extensions(),
            ("GET", [collection]) => Reply::ok(json!({ collection.replace('-', "_"): [] })),
            // Not wrapped as other errors are.
            ("GET", _) => Reply::new(
                404,
                json!({ "type": "HTTPNotFound", "message": "The resource could not be found.", "detail": "" }),
            ),
            ("POST", _) => Reply::neutron_error(403, "HTTPForbidden", "Access was denied to this resource."),
            _ => no_such_path(),
        }
    }

    fn planned_failure(&mut self, route: &str) -> Option<Reply> {
        let at = self.failures.iter().position(|failure| failure.route == route)?;
        let failure = &mut self.failures[at];
        failure.times = failure.times.saturating_sub(1);
        let reply = failure.reply.clone();
        if failure.times == 0 {
            self.failures.remove(at);
        }
        Some(reply)
    }

    fn show_availability(&self, network: &str) -> Reply {
        let subnets = self.subnets.iter().filter(|subnet| subnet.network() == network);
        let subnets: Vec<_> = subnets.map(ipam::Subnet::availability).collect();
        Reply::ok(
            json!({ "network_ip_availability": { "network_id": network, "subnet_ip_availability": subnets } }),
        )
    }

    fn list_extensions(&self) -> Reply {
        let extension =
            |alias: &&str| json!({ "alias": alias, "name": alias, "description": "", "links": [] });
        Reply::ok(json!({ "extensions": self.extensions.iter().map(extension).collect::<Vec<_>>() }))
    }

    fn set_tags(&mut self, kind: &str, id: &str, body: &Value) -> Reply {
        let (kind, object) = match kind {
            "ports" => ("port", self.ports.get_mut(id)),
            "floatingips" => ("floatingip", self.floating_ips.get_mut(id)),
            "security-groups" => ("security_group", self.groups.iter_mut().find(|group| group["id"] == id)),
            _ => return no_such_path(),
        };
        let Some(object) = object else { return query::not_found(kind, id) };
        object.insert("tags".into(), body["tags"].clone());
        security_groups::revise(object);
        Reply::ok(json!({ "tags": body["tags"] }))
    }

    fn new_id(&mut self) -> String {
        self.next += 1;
        format!("00000000-0000-4000-8000-{:012x}", self.next)
    }
}

fn no_such_path() -> Reply {
    Reply::neutron_error(404, "HTTPNotFound", "The resource could not be found.")
}

fn bad_request(message: &str) -> Reply {
    Reply::neutron_error(400, "HTTPBadRequest", message)
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36 && text.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
}

fn text<'a>(object: &'a Object, field: &str) -> &'a str {
    object.get(field).and_then(Value::as_str).unwrap_or_default()
}
