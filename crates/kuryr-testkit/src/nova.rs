//! A fake Nova: servers that have ports as interfaces, attached and detached as its API reference tells.
//!
//! A port that is attached gets the server as its device and is bound to the server's host; it stays, unbound, when it is detached,
//! which happens after the answer.

use crate::{
    keystone::{FakeKeystone, unauthorized},
    neutron::FakeNeutron,
    reply::{Counts, Reply, route, segments},
};
use axum::{
    body::Bytes,
    http::{HeaderMap, Method, Uri},
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// Who has a port that a server has.
const OWNER: &str = "compute:nova";
/// How long the hypervisor needs to take an interface away.
const DETACHING: Duration = Duration::from_millis(30);

/// A fake Nova's state. Clones share it.
#[derive(Debug, Clone)]
pub struct FakeNova {
    keystone: FakeKeystone,
    neutron: FakeNeutron,
    state: Arc<Mutex<State>>,
    counts: Counts,
}

#[derive(Debug, Default)]
struct State {
    servers: BTreeMap<String, Server>,
    lost: u32,
    next: u64,
}

#[derive(Debug)]
struct Server {
    host: String,
    interfaces: BTreeSet<String>,
}

impl FakeNova {
    pub(crate) fn new(keystone: FakeKeystone, neutron: FakeNeutron) -> Self {
        Self { keystone, neutron, state: Arc::default(), counts: Counts::default() }
    }

    /// A server on a hypervisor, with one port. Returns its id.
    pub fn boot(&self, host: &str, port: &str) -> String {
        let id = {
            let mut state = self.state.lock();
            state.next += 1;
            let id = format!("00000000-0000-4000-9000-{:012x}", state.next);
            state.servers.insert(id.clone(), Server { host: host.to_owned(), interfaces: BTreeSet::new() });
            id
        };
        self.attach(&id, &json!({ "interfaceAttachment": { "port_id": port } }));
        id
    }

    /// The ports of a server.
    pub fn interfaces(&self, server: &str) -> Vec<String> {
        let state = self.state.lock();
        state.servers.get(server).into_iter().flat_map(|server| server.interfaces.iter().cloned()).collect()
    }

    /// The answers to the next requests get lost after Nova has done what they ask for.
    pub fn lose_answers(&self, count: u32) {
        self.state.lock().lost = count;
    }

    /// The requests that have arrived, by method and route.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    pub(crate) fn serve(&self, method: &Method, uri: &Uri, headers: &HeaderMap, body: &Bytes) -> Reply {
        if !self.keystone.accepts(headers) {
            return unauthorized();
        }
        let path = segments(uri.path());
        let path: Vec<_> = path.iter().skip(1).map(String::as_str).collect();
        self.counts.add(&route(method, &path[..path.len().min(3)]));
        let body = serde_json::from_slice(body).unwrap_or(Value::Null);
        let reply = match (method.as_str(), path.as_slice()) {
            ("GET", ["servers", server]) => self.show(server),
            ("POST", ["servers", server, "os-interface"]) => self.attach(server, &body),
            ("DELETE", ["servers", server, "os-interface", port]) => self.detach(server, port),
            _ => fault(404, "itemNotFound", "The resource could not be found."),
        };
        let mut state = self.state.lock();
        if state.lost == 0 {
            return reply;
        }
        state.lost -= 1;
        fault(500, "computeFault", "Unexpected API Error.")
    }

    fn show(&self, server: &str) -> Reply {
        if !self.state.lock().servers.contains_key(server) {
            return no_server(server);
        }
        Reply::ok(json!({ "server": { "id": server, "status": "ACTIVE" } }))
    }

    fn attach(&self, server: &str, body: &Value) -> Reply {
        let port = body["interfaceAttachment"]["port_id"].as_str().unwrap_or_default();
        let mut state = self.state.lock();
        let Some(known) = state.servers.get_mut(server) else { return no_server(server) };
        let Some(found) = self.neutron.port(port) else {
            return fault(404, "itemNotFound", &format!("Port id {port} could not be found."));
        };
        if found["device_id"].as_str().is_some_and(|device| !device.is_empty()) {
            return fault(409, "conflictingRequest", &format!("Port {port} is still in use."));
        }
        self.neutron.change_port(
            port,
            &json!({
                "device_id": server, "device_owner": OWNER, "binding:host_id": known.host, "binding:vif_type": "ovs",
                "status": "ACTIVE",
            }),
        );
        known.interfaces.insert(port.to_owned());
        let fields = ["network_id", "mac_address", "fixed_ips"].map(|name| found[name].clone());
        let [network, mac, fixed_ips] = fields;
        Reply::ok(json!({ "interfaceAttachment": {
            "port_id": port, "net_id": network, "mac_addr": mac, "fixed_ips": fixed_ips, "port_state": "ACTIVE",
        }}))
    }

    fn detach(&self, server: &str, port: &str) -> Reply {
        let mut state = self.state.lock();
        let Some(known) = state.servers.get_mut(server) else { return no_server(server) };
        if !known.interfaces.remove(port) {
            let message = format!("Interface attachment {port} could not be found for instance {server}.");
            return fault(404, "itemNotFound", &message);
        }
        let (neutron, port) = (self.neutron.clone(), port.to_owned());
        tokio::spawn(async move {
            tokio::time::sleep(DETACHING).await;
            neutron.change_port(
                &port,
                &json!({
                    "device_id": "", "device_owner": "", "binding:host_id": "", "binding:vif_type": "unbound", "status": "DOWN",
                }),
            );
        });
        Reply::accepted()
    }
}

fn no_server(id: &str) -> Reply {
    fault(404, "itemNotFound", &format!("Instance {id} could not be found."))
}

fn fault(status: u16, name: &str, message: &str) -> Reply {
    Reply::new(status, json!({ name: { "code": status, "message": message } }))
}
