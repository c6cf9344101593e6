//! A Kubernetes API server in memory: objects with versions, finalizers and owners; LIST, WATCH, and the writes that Kuryr makes.
//!
//! ```text
//!   kube::Client ──► Router ──► Store ── log of changes ──► every open WATCH
//! ```
//!
//! It serves any resource by its path, without schemas. What it promises is what the real server promises: versions grow, a create
//! of an existing name is 409, a uid or version in a patch is a precondition, an object with finalizers is marked before it goes,
//! what belongs to a deleted object is deleted too.

mod path;
mod store;
mod watch;

use crate::reply::Counts;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode, header};
use kube::Client;
use parking_lot::Mutex;
use path::Target;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use store::{Refused, Store};
use tokio::sync::watch::Sender;

/// An API server in memory. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct FakeKubernetes {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    store: Mutex<Store>,
    revision: Sender<u64>,
    counts: Counts,
    failures: Mutex<BTreeMap<String, (u32, u16)>>,
}

/// How long after its owner an object goes.
const GARBAGE_AFTER: Duration = Duration::from_millis(50);

/// The most that a request body may hold.
const BODY_LIMIT: usize = 1 << 20;

impl FakeKubernetes {
    /// A client of it. Needs a tokio runtime.
    pub fn client(&self) -> Client {
        let router = Router::new().fallback(serve).with_state(self.clone());
        Client::new(router, "default")
    }

    /// Puts an object there, as a user would with a create. Its path says what it is: `/api/v1/namespaces/default/pods`.
    ///
    /// # Panics
    /// The server refuses it.
    pub fn create(&self, path: &str, object: Value) -> Value {
        let target = Target::parse(path).expect("a path of the API");
        self.change(|store| store.create(&target, object)).expect("accepted")
    }

    /// Merges into an object, as a user would with a patch.
    ///
    /// # Panics
    /// The server refuses it.
    pub fn patch(&self, at: &str, patch: &Value) -> Value {
        let target = Target::parse(at).expect("a path of the API");
        self.change(|store| store.patch(&target, patch)).expect("accepted")
    }

    /// Puts an object there, whatever was there of that name: nothing of that stays.
    ///
    /// # Panics
    /// The server refuses it.
    pub fn put(&self, at: &str, object: &Value) -> Value {
        let target = Target::parse(at).expect("a path of the API");
        let put = |store: &mut Store| {
            if store.get(&target).is_some() {
                return store.replace(&target, object.clone());
            }
            let (all, _) = at.rsplit_once('/').expect("a name");
            store.create(&Target::parse(all).expect("a path of the API"), object.clone())
        };
        self.change(put).expect("accepted")
    }

    /// Deletes an object, as a user would.
    ///
    /// # Panics
    /// There is none.
    pub fn delete(&self, path: &str) {
        let target = Target::parse(path).expect("a path of the API");
        self.change(|store| store.delete(&target, None)).expect("accepted");
    }

    /// An object, if it is there.
    pub fn get(&self, path: &str) -> Option<Value> {
        self.shared.store.lock().get(&Target::parse(path)?).cloned()
    }

    /// All objects of a resource, in all namespaces.
    pub fn all(&self, resource: &str) -> Vec<Value> {
        self.shared.store.lock().all(resource)
    }

    /// Forgets all changes: a watch from an older version is answered 410, and must list again.
    pub fn compact(&self) {
        self.shared.store.lock().compact();
    }

    /// Answers the next `times` requests of a route (`POST kuryrports`, `WATCH pods`) with `status`, and does nothing.
    pub fn fail_next(&self, route: &str, times: u32, status: u16) {
        self.shared.failures.lock().insert(route.to_owned(), (times, status));
    }

    /// How often each route (`PATCH kuryrports`) was asked.
    pub fn counts(&self) -> &Counts {
        &self.shared.counts
    }

    fn change<T>(&self, change: impl FnOnce(&mut Store) -> T) -> T {
        let (result, revision, gone) = {
            let mut store = self.shared.store.lock();
            let result = change(&mut store);
            (result, store.revision(), store.take_gone())
        };
        self.shared.revision.send_replace(revision);
        gone.into_iter().for_each(|owner| self.collect_later(owner));
        result
    }

    /// The garbage collector is a client too: everybody else may have seen that an owner is gone when its dependents go.
    fn collect_later(&self, owner: Value) {
        let server = self.clone();
        std::thread::spawn(move || {
            std::thread::sleep(GARBAGE_AFTER);
            server.change(|store| store.collect_dependents(&owner));
        });
    }

    fn due_failure(&self, route: &str) -> Option<Refused> {
        let mut failures = self.shared.failures.lock();
        let (times, status) = failures.get_mut(route)?;
        *times = times.checked_sub(1)?;
        Some(Refused::new(*status, "Injected", "the test wants it so"))
    }
}

async fn serve(State(server): State<FakeKubernetes>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_LIMIT).await else {
        return Refused::new(413, "RequestEntityTooLarge", "too large").into_response();
    };
    let Some(target) = Target::parse(parts.uri.path()) else {
        return Refused::new(404, "NotFound", "no such path").into_response();
    };
    let query = path::query(parts.uri.query().unwrap_or_default());
    let verb = if query.contains_key("watch") { "WATCH" } else { parts.method.as_str() };
    let route = format!("{verb} {}", target.resource);
    server.shared.counts.add(&route);
    if let Some(refused) = server.due_failure(&route) {
        return refused.into_response();
    }
    server.answer(&parts.method, &target, &query, &body)
}

impl FakeKubernetes {
    fn answer(&self, method: &Method, target: &Target, query: &path::Query, body: &Bytes) -> Response {
        let body = || serde_json::from_slice::<Value>(body).unwrap_or(Value::Null);
        let answer = match *method {
            Method::GET if query.contains_key("watch") => return self.watch(target, query),
            Method::GET if target.name.is_some() => {
                let store = self.shared.store.lock();
                store.get(target).cloned().ok_or_else(|| Refused::not_found(target))
            }
            Method::GET => Ok(self.shared.store.lock().list(target, query)),
            Method::POST => self.change(|store| store.create(target, body())),
            Method::PUT => self.change(|store| store.replace(target, body())),
            Method::PATCH => self.change(|store| store.patch(target, &body())),
            Method::DELETE => {
                let uid = body()["preconditions"]["uid"].as_str().map(ToOwned::to_owned);
                self.change(|store| store.delete(target, uid.as_deref()))
            }
            _ => Err(Refused::new(405, "MethodNotAllowed", "not here")),
        };
        match answer {
            Ok(object) => json_response(StatusCode::OK, &object),
            Err(refused) => refused.into_response(),
        }
    }

    fn watch(&self, target: &Target, query: &path::Query) -> Response {
        let revision = self.shared.revision.subscribe();
        let lines = watch::lines(self.shared.clone(), revision, target.clone(), query.clone());
        Response::builder()
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from_stream(lines))
            .unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = json!({
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "metadata": {},
            "message": self.message, "reason": self.reason, "code": self.status,
        });
        json_response(status, &body)
    }
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
