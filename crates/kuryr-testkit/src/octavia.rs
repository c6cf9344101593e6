//! A fake Octavia: it keeps load balancers and what hangs on them, is immutable while it is at work, and answers in the real one's
//! words.
//!
//! It has two providers, as a cloud may. Each knows what the real one knows and refuses what that refuses; the one of ovn has
//! the faults that the real one has, too, where a controller could stumble over them.

mod balancers;
mod kind;
mod listeners;
mod members;
mod monitors;
mod pools;
mod provider;
mod query;
mod quota;
mod state;
mod statuses;

use crate::{
    keystone::{FakeKeystone, unauthorized},
    neutron::FakeNeutron,
    reply::{Counts, Reply, parameters, route, segments},
};
use axum::{
    body::Bytes,
    http::{HeaderMap, Method, Uri},
};
pub use kind::Kind;
use parking_lot::Mutex;
pub use provider::Provider;
use serde_json::{Map, Value, json};
use state::State;
use std::{sync::Arc, time::Duration};

/// A fake Octavia's state. Clones share it.
#[derive(Debug, Clone)]
pub struct FakeOctavia {
    keystone: FakeKeystone,
    state: Arc<Mutex<State>>,
    counts: Counts,
}

type Object = Map<String, Value>;

/// What a request comes to: an answer or a refusal.
type Answer = Result<Reply, Reply>;

impl FakeOctavia {
    pub(crate) fn new(keystone: FakeKeystone, neutron: FakeNeutron, project: &str) -> Self {
        let state = Arc::new(Mutex::new(State::new(neutron, project)));
        Self { keystone, state, counts: Counts::default() }
    }

    /// All objects of a kind as they are shown.
    pub fn all(&self, kind: Kind) -> Vec<Value> {
        let state = self.settled();
        state.all(kind).map(|(_, object)| Value::Object(state.shown(kind, object))).collect()
    }

    /// The members of a pool as they are shown.
    pub fn members(&self, pool: &str) -> Vec<Value> {
        let state = self.settled();
        state.members_of(pool).map(|(_, object)| Value::Object(state.shown(Kind::Member, object))).collect()
    }

    /// Sets an object's `provisioning_status`, whatever Octavia is about to do with it, which it then does not. Tells whether there
    /// is such an object.
    pub fn set_status(&self, kind: Kind, id: &str, status: &str) -> bool {
        self.settled().force_status(kind, id, status)
    }

    /// Removes an object and what hangs on it at once, as somebody else would. Tells whether there was one.
    pub fn remove(&self, kind: Kind, id: &str) -> bool {
        self.settled().remove(kind, id)
    }

    /// Lets load balancers stay as they are at work (`true`), or lets Octavia end its work again.
    pub fn set_paused(&self, paused: bool) {
        self.settled().paused = paused;
    }

    /// For how long a load balancer is immutable after each change from now on. The real one's with OVN are for 200 to 500 ms.
    pub fn set_pace(&self, pace: Duration) {
        self.settled().pace = pace;
    }

    /// Which provider makes load balancers that name none.
    pub fn set_default_provider(&self, provider: Provider) {
        self.settled().default_provider = provider;
    }

    /// Limits how many of a kind `project` may have; -1 lifts the limit.
    pub fn set_quota(&self, project: &str, kind: Kind, limit: i64) {
        self.settled().set_quota(project, kind, limit);
    }

    /// How often a call came while Octavia was still at work with an earlier one, though it called the load balancer ACTIVE. The
    /// real one does both at once then, and may lose either.
    pub fn overtaken(&self) -> u64 {
        self.settled().overtaken
    }

    /// The requests that have arrived, by method and route below `/v2.0/lbaas`.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The state, after whatever has taken long enough has ended.
    fn settled(&self) -> parking_lot::MutexGuard<'_, State> {
        let mut state = self.state.lock();
        state.settle();
        state
    }

    pub(crate) fn serve(&self, method: &Method, uri: &Uri, headers: &HeaderMap, body: &Bytes) -> Reply {
        if !self.keystone.accepts(headers) {
            return unauthorized();
        }
        let path = segments(uri.path());
        let path: Vec<_> = path.iter().map(String::as_str).collect();
        let ["v2.0", "lbaas", path @ ..] = path.as_slice() else { return no_such_path() };
        self.counts.add(&route(method, path));
        let body: Object = serde_json::from_slice(body).unwrap_or_default();
        let answer = self.settled().answer(method, path, &parameters(uri), &body);
        answer.unwrap_or_else(|refusal| refusal)
    }
}

impl State {
    fn answer(
        &mut self,
        method: &Method,
        path: &[&str],
        query: &[(String, String)],
        body: &Object,
    ) -> Answer {
        match (method.as_str(), path) {
            ("GET", ["providers"]) => Ok(Reply::ok(json!({ "providers": Provider::shown() }))),
            ("GET", ["quotas", project]) => Ok(self.show_quotas(project)),
            ("PUT", ["quotas", project]) => Ok(self.update_quotas(project, body)),
            ("DELETE", ["quotas", project]) => Ok(self.reset_quotas(project)),
            ("GET", ["pools", pool, "members"]) => self.list_members(pool, query),
            ("PUT", ["pools", pool, "members"]) => self.set_members(pool, body),
            ("GET", ["loadbalancers", id, "status"]) => self.statuses(id),
            ("PUT", ["loadbalancers", id, "failover"]) => self.fail_over(id),
            (_, [list, rest @ ..]) => {
                let kind = Kind::of_list(list).ok_or_else(no_such_path)?;
                self.answer_of(kind, method, rest, query, body)
            }
            _ => Err(no_such_path()),
        }
    }

    fn answer_of(
        &mut self,
        kind: Kind,
        method: &Method,
        path: &[&str],
        query: &[(String, String)],
        body: &Object,
    ) -> Answer {
        let asked = || body.get(kind.one()).and_then(Value::as_object).cloned().unwrap_or_default();
        match (method.as_str(), path, kind) {
            ("GET", [], _) => self.list(kind, query),
            ("GET", [id], _) => self.show(kind, id, 200),
            ("POST", [], Kind::LoadBalancer) => self.create_balancer(asked()),
            ("POST", [], Kind::Listener) => self.create_listener(asked()),
            ("POST", [], Kind::Pool) => self.create_pool(asked()),
            ("POST", [], Kind::HealthMonitor) => self.create_monitor(asked()),
            ("PUT", [id], Kind::LoadBalancer) => self.update_balancer(id, &asked()),
            ("PUT", [id], Kind::Listener) => self.update_listener(id, &asked()),
            ("PUT", [id], Kind::Pool) => self.update_pool(id, &asked()),
            ("PUT", [id], Kind::HealthMonitor) => self.update_monitor(id, &asked()),
            ("DELETE", [id], Kind::LoadBalancer) => self.delete_balancer(id, query),
            ("DELETE", [id], Kind::Listener | Kind::Pool) => self.delete_child(kind, id),
            ("DELETE", [id], Kind::HealthMonitor) => self.delete_monitor(id),
            _ => Err(no_such_path()),
        }
    }
}

/// A refusal in Octavia's words.
fn fault(status: u16, text: &str) -> Reply {
    let code = if status < 500 { "Client" } else { "Server" };
    Reply::new(status, json!({ "faultcode": code, "faultstring": text, "debuginfo": null }))
}

fn invalid(why: &str) -> Reply {
    fault(400, &format!("Validation failure: {why}"))
}

fn immutable(kind: Kind, id: &str) -> Reply {
    fault(409, &format!("{} {id} is immutable and cannot be updated.", kind.spoken()))
}

fn no_such_path() -> Reply {
    fault(404, "Not found")
}

fn text<'a>(object: &'a Object, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}
