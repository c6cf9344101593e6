//! What a Pod takes in a cache: the growth of this process when a cache of 10 000 Pods fills, printed as JSON.
//!
//! The Pods come through the same client, LIST, pages and trimming as in the controller, from an API server that is a
//! process of its own, so that only the cache's memory is counted, with all that the allocator keeps for it.

use kube::Api;
use kube::runtime::watcher;
use kuryr_k8s::client::{self, Access};
use kuryr_k8s::slim::Pod;
use kuryr_k8s::{Cache, Client};
use serde_json::{Value, json};
use std::error::Error;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const PODS: usize = 10_000;
const PAGE: u32 = 500;
const PATIENCE: Duration = Duration::from_mins(2);

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

#[tokio::main]
async fn main() -> Result<()> {
    if std::env::args().nth(1).as_deref() == Some("serve") {
        return serve();
    }
    let (mut server, root) = start_server()?;
    let measured = measure(&root).await;
    server.kill()?;
    server.wait()?;
    writeln!(io::stdout(), "{}", measured?)?;
    Ok(())
}

/// Fills an empty cache first, so that what the client and the runtime take is not laid to the Pods.
async fn measure(root: &str) -> Result<Value> {
    let client = client::connect(&Access { api_root: root.to_owned(), ..Access::default() })?;
    let empty = fill(&client, "empty").await?;
    let before = resident()?;
    let full = fill(&client, "full").await?;
    let grown = resident()?.saturating_sub(before);
    let sent = serde_json::to_vec(&pod(0))?.len();
    Ok(json!({
        "pods": full.len(),
        "bytes_a_pod": grown / full.len().max(1),
        "bytes_sent_a_pod": sent,
        "empty": empty.is_empty(),
    }))
}

async fn fill(client: &Client, namespace: &str) -> Result<Cache<Pod>> {
    let all_of = |client| Api::namespaced(client, namespace);
    let selectors = watcher::Config::default().page_size(PAGE);
    let cache = Cache::start(client, all_of, selectors, Box::new(|_| ()));
    tokio::time::timeout(PATIENCE, cache.complete()).await?;
    Ok(cache)
}

/// Bytes of this process that are in memory.
fn resident() -> Result<usize> {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup")?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:")).ok_or("no Rss in smaps_rollup")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<usize>()? * 1024)
}

fn start_server() -> Result<(Child, String)> {
    let mut server = Command::new(std::env::current_exe()?).arg("serve").stdout(Stdio::piped()).spawn()?;
    let mut address = String::new();
    let output = server.stdout.take().ok_or("the server has no output")?;
    BufReader::new(output).read_line(&mut address)?;
    Ok((server, format!("http://{}", address.trim())))
}

/// An API server that knows LIST in pages, and a WATCH in which nothing happens.
fn serve() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    writeln!(io::stdout(), "{}", listener.local_addr()?)?;
    for stream in listener.incoming() {
        let stream = stream?;
        std::thread::spawn(move || answer_all(&stream));
    }
    Ok(())
}

fn answer_all(stream: &TcpStream) -> Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let target = head.split(' ').nth(1).unwrap_or_default();
        if number(target, "watch=").is_some() || target.contains("watch=true") {
            return hold(stream);
        }
        send(stream, &list(target))?;
    }
}

fn hold(mut stream: &TcpStream) -> Result<()> {
    stream.write_all(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
    )?;
    stream.read_to_end(&mut Vec::new())?;
    Ok(())
}

fn send(mut stream: &TcpStream, body: &Value) -> Result<()> {
    let body = serde_json::to_vec(body)?;
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), &body].concat())?;
    Ok(())
}

fn list(target: &str) -> Value {
    let all = if target.contains("/full/") { PODS } else { 0 };
    let start = number(target, "continue=").unwrap_or(0);
    let end = number(target, "limit=").map_or(all, |limit| (start + limit).min(all));
    let next = if end < all { end.to_string() } else { String::new() };
    json!({
        "kind": "PodList",
        "apiVersion": "v1",
        "metadata": { "resourceVersion": "1000000", "continue": next },
        "items": (start..end).map(pod).collect::<Vec<_>>(),
    })
}

fn number(target: &str, name: &str) -> Option<usize> {
    let value = &target[target.find(name)? + name.len()..];
    value.split('&').next()?.parse().ok()
}

/// A Pod such as a Deployment makes: two containers, what is injected into them, and who wrote which field.
fn pod(index: usize) -> Value {
    let uid = format!("{index:08x}-5d1c-4c0e-9d55-0123456789ab");
    let name = format!("shop-frontend-7c5ddbdf54-{index:05x}");
    let containers: Vec<Value> = ["server", "sidecar"].map(container).to_vec();
    let statuses: Vec<Value> = ["server", "sidecar"].map(|name| container_status(name, &uid)).to_vec();
    let conditions = ["PodScheduled", "Initialized", "ContainersReady", "Ready"].map(condition);
    json!({
        "metadata": {
            "name": name,
            "generateName": "shop-frontend-7c5ddbdf54-",
            "namespace": "full",
            "uid": uid,
            "resourceVersion": (100_000 + index).to_string(),
            "creationTimestamp": "2030-01-01T00:00:00Z",
            "labels": { "app.kubernetes.io/name": "shop-frontend", "app.kubernetes.io/part-of": "shop", "pod-template-hash": "7c5ddbdf54" },
            "annotations": { "prometheus.io/scrape": "true", "checksum/config": "0123456789abcdef".repeat(4) },
            "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "shop-frontend-7c5ddbdf54", "uid": uid, "controller": true }],
            "managedFields": [managed("kube-controller-manager"), managed("kubelet")],
        },
        "spec": { "nodeName": format!("worker-{:03}", index % 200), "serviceAccountName": "default", "containers": containers },
        "status": {
            "phase": "Running",
            "hostIP": "192.0.2.1",
            "podIP": "10.1.2.3",
            "podIPs": [{ "ip": "10.1.2.3" }, { "ip": "fd10:1::3" }],
            "conditions": conditions,
            "containerStatuses": statuses,
        },
    })
}

fn container(name: &str) -> Value {
    let variables =
        (0..12).map(|index| json!({ "name": format!("SETTING_{index}"), "value": "a value of some length" }));
    json!({
        "name": name,
        "image": format!("registry.example.org/shop/{name}:1.2.3"),
        "env": variables.collect::<Vec<_>>(),
        "resources": { "requests": { "cpu": "100m", "memory": "128Mi" }, "limits": { "memory": "256Mi" } },
        "volumeMounts": [{ "name": "kube-api-access", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount" }],
    })
}

fn container_status(name: &str, uid: &str) -> Value {
    json!({
        "name": name,
        "ready": true,
        "restartCount": 0,
        "containerID": format!("containerd://{}", uid.repeat(2)),
        "state": { "running": { "startedAt": "2030-01-01T00:00:05Z" } },
    })
}

fn condition(kind: &str) -> Value {
    json!({ "type": kind, "status": "True", "lastTransitionTime": "2030-01-01T00:00:01Z" })
}

fn managed(by: &str) -> Value {
    let fields = (0..30).map(|index| (format!("f:field{index}"), json!({ ".": {}, "f:value": {} })));
    json!({
        "manager": by,
        "operation": "Update",
        "apiVersion": "v1",
        "time": "2030-01-01T00:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": { "f:spec": fields.collect::<serde_json::Map<_, _>>() },
    })
}
