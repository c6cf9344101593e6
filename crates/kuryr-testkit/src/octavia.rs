//! A fake Octavia with the OVN provider: it keeps load balancers and what hangs on them, is immutable while it is at work, and
//! answers in the real one's words.

mod state;

use crate::{
    keystone::{FakeKeystone, unauthorized},
    reply::{Reply, parameters, segments},
};
use axum::{
    body::Bytes,
    http::{HeaderMap, Method, Uri},
};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use state::State;
use std::sync::Arc;

/// A fake Octavia's state. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct FakeOctavia {
    keystone: FakeKeystone,
    state: Arc<Mutex<State>>,
}

type Object = Map<String, Value>;

impl FakeOctavia {
    pub(crate) fn new(keystone: FakeKeystone, project: &str) -> Self {
        Self { keystone, state: Arc::new(Mutex::new(State::new(project))) }
    }

    pub(crate) fn serve(&self, method: &Method, uri: &Uri, headers: &HeaderMap, body: &Bytes) -> Reply {
        if !self.keystone.accepts(headers) {
            return unauthorized();
        }
        let path = segments(uri.path());
        let path: Vec<_> = path.iter().map(String::as_str).collect();
        let ["v2.0", "lbaas", path @ ..] = path.as_slice() else { return no_such_path() };
        let body: Object = serde_json::from_slice(body).unwrap_or_default();
        let mut state = self.state.lock();
        state.settle();
        let answer = match (method.as_str(), path) {
            ("GET", ["providers"]) => {
                Ok(json!({ "providers": [{ "name": "ovn", "description": "Octavia OVN driver" }] }))
            }
            ("GET", ["pools", pool, "members"]) => state.members(pool),
            ("PUT", ["pools", pool, "members"]) => state.set_members(pool, &body),
            ("PUT", ["loadbalancers", id, "failover"]) => state.fail_over(id),
            ("GET", [kind]) => state.list(kind, &parameters(uri)),
            ("GET", ["loadbalancers", id]) => state.balancer(id),
            ("POST", [kind]) => state.create(kind, &body),
            ("PUT", [kind, id]) => state.update(kind, id, &body),
            ("DELETE", [kind, id]) => state.delete(kind, id, uri.query()),
            _ => return no_such_path(),
        };
        match (answer, method) {
            (Err(refused), _) => refused,
            (Ok(body), &Method::POST) => Reply::new(201, body),
            (Ok(Value::Null), &Method::DELETE) => Reply::no_content(),
            (Ok(Value::Null), _) => Reply::new(202, json!({})),
            (Ok(body), _) => Reply::ok(body),
        }
    }
}

/// A refusal in Octavia's words.
fn fault(status: u16, text: &str) -> Reply {
    Reply::new(status, json!({ "faultcode": "Client", "faultstring": text, "debuginfo": null }))
}

fn no_such_path() -> Reply {
    fault(404, "Not found")
}
