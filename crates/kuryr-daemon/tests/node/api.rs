//! As much of a Kubernetes API server as the daemon's watches need.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, Query, State},
    response::{IntoResponse, Response},
    routing::{get, patch},
};
use futures::StreamExt;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::mpsc;

pub const PORTS: &str = "kuryrports";
pub const PODS: &str = "pods";
pub const NODES: &str = "nodes";
pub const KURYR_NODES: &str = "kuryrnodes";

pub const NODE_ADDRESS: &str = "10.2.0.7";

#[derive(Clone, Default)]
pub struct Api {
    state: Arc<Mutex<Content>>,
}

#[derive(Default)]
struct Content {
    version: u64,
    objects: BTreeMap<(String, String), Value>,
    /// All that ever happened: a watch begins after the list that it follows, not at its own arrival.
    told: Vec<(u64, String, Value)>,
    watchers: Vec<(String, mpsc::UnboundedSender<Value>)>,
}

impl Api {
    pub fn client(&self) -> kube::Client {
        kube::Client::new(self.router(), "default")
    }

    pub fn router(&self) -> Router {
        Router::new()
            .route("/apis/openstack.org/v1/{plural}", get(answer))
            .route("/api/v1/{plural}", get(answer))
            .route("/apis/openstack.org/v1/namespaces/{namespace}/{plural}", get(answer_in))
            .route("/api/v1/namespaces/{namespace}/{plural}", get(answer_in))
            .route("/apis/openstack.org/v1/kuryrnodes/{name}/status", patch(change_status))
            .with_state(self.clone())
    }

    /// The API of a node, which has a label if a kind is named.
    pub fn of_node(pod_vif: Option<&str>) -> Self {
        let api = Self::default();
        let labels = pod_vif.map(|kind| json!({"pod_vif": kind}));
        let addresses = json!([{"type": "Hostname", "address": "node1"}, {"type": "InternalIP", "address": NODE_ADDRESS}]);
        api.put(
            NODES,
            json!({"metadata": {"name": "node1", "labels": labels}, "status": {"addresses": addresses}}),
        );
        api
    }

    /// Creates or replaces an object.
    pub fn put(&self, plural: &str, mut object: Value) {
        let mut content = self.state.lock();
        content.version += 1;
        object["metadata"]["resourceVersion"] = json!(content.version.to_string());
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let old = content.objects.insert((plural.to_owned(), name), object.clone());
        content.tell(plural, if old.is_some() { "MODIFIED" } else { "ADDED" }, &object);
    }

    pub fn get(&self, plural: &str, name: &str) -> Value {
        self.state.lock().objects[&(plural.to_owned(), name.to_owned())].clone()
    }

    pub fn delete(&self, plural: &str, name: &str) {
        let mut content = self.state.lock();
        content.version += 1;
        let mut object = content.objects.remove(&(plural.to_owned(), name.to_owned())).unwrap();
        object["metadata"]["resourceVersion"] = json!(content.version.to_string());
        content.tell(plural, "DELETED", &object);
    }
}

impl Content {
    fn watch(&mut self, plural: String, since: u64) -> mpsc::UnboundedReceiver<Value> {
        let (sender, receiver) = mpsc::unbounded_channel();
        for (_, _, event) in self.told.iter().filter(|(version, told, _)| *version > since && *told == plural)
        {
            sender.send(event.clone()).unwrap();
        }
        self.watchers.push((plural, sender));
        receiver
    }

    fn tell(&mut self, plural: &str, kind: &str, object: &Value) {
        let event = json!({"type": kind, "object": object});
        self.told.push((self.version, plural.to_owned(), event.clone()));
        self.watchers.retain(|(watched, watcher)| watched != plural || watcher.send(event.clone()).is_ok());
    }
}

/// The tests' objects are all in one namespace.
async fn answer_in(
    api: State<Api>,
    Path((_, plural)): Path<(String, String)>,
    query: Query<BTreeMap<String, String>>,
) -> Response {
    answer(api, Path(plural), query).await
}

async fn answer(
    State(api): State<Api>,
    Path(plural): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    let mut content = api.state.lock();
    if query.get("watch").is_some_and(|watch| watch == "true") {
        let receiver = content.watch(plural, query["resourceVersion"].parse().unwrap());
        let events =
            futures::stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
        return Body::from_stream(events.map(|event| Ok::<_, Infallible>(format!("{event}\n"))))
            .into_response();
    }
    let items: Vec<_> =
        content.objects.iter().filter(|((kind, _), _)| *kind == plural).map(|(_, object)| object).collect();
    let version = content.version.to_string();
    Json(
        json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": version}, "items": items}),
    )
    .into_response()
}

async fn change_status(
    State(api): State<Api>,
    Path(name): Path<String>,
    Json(change): Json<Value>,
) -> Json<Value> {
    let mut object = api.get(KURYR_NODES, &name);
    merge(&mut object, &change);
    api.put(KURYR_NODES, object);
    Json(api.get(KURYR_NODES, &name))
}

/// RFC 7386.
fn merge(target: &mut Value, change: &Value) {
    let Value::Object(changes) = change else {
        *target = change.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, change) in changes {
        if change.is_null() {
            target.as_object_mut().unwrap().remove(key);
        } else {
            merge(&mut target[key], change);
        }
    }
}
