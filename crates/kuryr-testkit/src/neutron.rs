//! A fake Neutron: it keeps ports, gives addresses, counts quotas, and answers in the real one's words.

mod floating_ips;
mod ipam;
mod ports;
mod query;
mod seed;
mod vips;

use crate::{
    keystone::{FakeKeystone, unauthorized},
    reply::{Counts, Reply, parameters, route, segments},
};
use axum::{
    body::Bytes,
    http::{HeaderMap, Method, Uri},
};
use ipam::Subnet;
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
}

/// How long the fake takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pace {
    /// For each request.
    pub request: Duration,
    /// For each port that is made, besides.
    pub port: Duration,
}

type Object = Map<String, Value>;
type Checked<T> = Result<T, Reply>;

#[derive(Debug)]
pub(crate) struct State {
    project: String,
    networks: Vec<Object>,
    subnets: Vec<Subnet>,
    groups: Vec<Object>,
    ports: BTreeMap<String, Object>,
    floating_ips: BTreeMap<String, Object>,
    quotas: HashMap<String, BTreeMap<String, i64>>,
    extensions: BTreeSet<&'static str>,
    hosts: BTreeSet<String>,
    failures: Vec<Failure>,
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
        Self { keystone, state, at_work: Arc::default(), counts: Counts::default() }
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

    /// Limits what `project` may have of `resource` (`port`); -1 lifts the limit.
    pub fn set_quota(&self, project: &str, resource: &str, limit: i64) {
        self.state.lock().quotas.entry(project.into()).or_default().insert(resource.into(), limit);
    }

    /// Takes an API extension away.
    pub fn remove_extension(&self, alias: &str) {
        self.state.lock().extensions.remove(alias);
    }

    /// How long requests take from now on.
    pub fn set_pace(&self, pace: Pace) {
        self.state.lock().pace = pace;
    }

    /// Answers the next `times` requests of `route` (`POST /ports`) with `reply`, doing nothing.
    pub fn fail_next(&self, route: &str, times: u32, reply: Reply) {
        self.state.lock().failures.push(Failure { route: route.into(), times, reply });
    }

    /// The requests that have arrived, by method and route.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    pub(crate) async fn serve(&self, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Reply {
        let path = segments(uri.path());
        let path: Vec<_> = path.iter().skip(1).map(String::as_str).collect();
        let route = route(&method, &path);
        self.counts.add(&route);
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        self.take_time(&body).await;
        let mut state = self.state.lock();
        let reply = state.planned_failure(&route).unwrap_or_else(|| {
            if self.keystone.accepts(&headers) {
                state.answer(&method, &path, &parameters(&uri), &headers, &body)
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
            ("DELETE", ["security-groups", id]) => self.delete_group(id),
            ("GET", ["ports"]) => query::list("ports", self.ports.values(), query),
            ("POST", ["ports"]) => self.create_ports(body),
            ("GET", ["ports", id]) => query::show("port", self.ports.values(), id),
            ("PUT", ["ports", id]) => self.update_port(id, headers, body),
            ("DELETE", ["ports", id]) => self.delete_port(id),
            ("GET", ["floatingips"]) => query::list("floatingips", self.floating_ips.values(), query),
            ("POST", ["floatingips"]) => self.create_floating_ip(body),
            ("PUT", ["floatingips", id]) => self.update_floating_ip(id, body),
            ("DELETE", ["floatingips", id]) => self.delete_floating_ip(id),
            ("PUT", ["ports", id, "tags"]) => set_tags("port", &mut self.ports, id, body),
            ("PUT", ["floatingips", id, "tags"]) => set_tags("floatingip", &mut self.floating_ips, id, body),
            ("GET", ["quotas", project, "details.json"]) => self.show_quotas(project),
            ("PUT", ["quotas", project]) => self.update_quotas(project, body),
            ("DELETE", ["quotas", project]) => self.reset_quotas(project),
            _ => Reply::neutron_error(404, "HTTPNotFound", "The resource could not be found."),
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

    fn delete_group(&mut self, id: &str) -> Reply {
        let before = self.groups.len();
        self.groups.retain(|group| group["id"] != id);
        if self.groups.len() < before { Reply::no_content() } else { query::not_found("security_group", id) }
    }

    fn show_quotas(&self, project: &str) -> Reply {
        let used = |resource: &str| match resource {
            "port" => self.ports.values().filter(|port| port["project_id"] == project).count(),
            "floatingip" => self.floating_ips.values().filter(|one| one["project_id"] == project).count(),
            "security_group" => self.groups.iter().filter(|group| group["project_id"] == project).count(),
            _ => 0,
        };
        let detail = |resource: &str| json!({ "limit": self.limit(project, resource), "used": used(resource), "reserved": 0 });
        let details: Object = seed::QUOTAS.iter().map(|name| ((*name).to_owned(), detail(name))).collect();
        Reply::ok(json!({ "quota": details }))
    }

    fn update_quotas(&mut self, project: &str, body: &Value) -> Reply {
        let quotas = self.quotas.entry(project.into()).or_default();
        let asked = body["quota"].as_object().into_iter().flatten();
        quotas.extend(asked.filter_map(|(name, limit)| Some((name.clone(), limit.as_i64()?))));
        let shown: Object =
            seed::QUOTAS.iter().map(|name| ((*name).to_owned(), self.limit(project, name).into())).collect();
        Reply::ok(json!({ "quota": shown }))
    }

    fn reset_quotas(&mut self, project: &str) -> Reply {
        match self.quotas.remove(project) {
            Some(_) => Reply::no_content(),
            None => Reply::neutron_error(
                404,
                "TenantQuotaNotFound",
                &format!("Quota for tenant {project} could not be found."),
            ),
        }
    }

    fn limit(&self, project: &str, resource: &str) -> i64 {
        self.quotas.get(project).and_then(|quotas| quotas.get(resource)).copied().unwrap_or(-1)
    }

    fn new_id(&mut self) -> String {
        self.next += 1;
        format!("00000000-0000-4000-8000-{:012x}", self.next)
    }
}

fn set_tags(kind: &str, objects: &mut BTreeMap<String, Object>, id: &str, body: &Value) -> Reply {
    let Some(object) = objects.get_mut(id) else { return query::not_found(kind, id) };
    object.insert("tags".into(), body["tags"].clone());
    let revision = object["revision_number"].as_u64().unwrap_or_default();
    object.insert("revision_number".into(), (revision + 1).into());
    Reply::ok(json!({ "tags": body["tags"] }))
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
