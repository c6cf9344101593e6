//! The plugin's door: a unix socket that only root may open.

use std::{
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
    sync::Arc,
};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use kuryr_cni::{CniError, Code, Command, Request};
use serde_json::Value;
use tokio::{net::UnixListener, time::Instant};
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::{
    failure::{Chain, Failure},
    node::Node,
    verbs::Added,
};

/// A call that was carried out.
#[derive(Debug)]
pub enum Answered {
    /// ADD, with its result.
    Added(Box<Added>),
    /// Any other, which has none.
    Done,
}

/// What serving needs.
#[derive(Clone)]
pub struct Door {
    /// The node to work on.
    pub node: Arc<Node>,
    /// The calls under way, for an orderly end.
    pub calls: TaskTracker,
}

/// Opens the socket: its folder is root's alone, so that there is no moment in which others could connect.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        std::fs::set_permissions(folder, PermissionsExt::from_mode(0o700))?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600))?;
    Ok(listener)
}

/// What is served there.
pub fn router(door: Door) -> Router {
    Router::new().route(kuryr_cni::ADDRESS, post(answer)).with_state(door)
}

async fn answer(State(door): State<Door>, body: axum::body::Bytes) -> Response {
    let request = match serde_json::from_slice::<Request>(&body) {
        Ok(request) => request,
        Err(error) => {
            let error =
                CniError::new(Code::Decoding, format!("kuryr-cni and kuryr-daemon do not match: {error}"));
            return (StatusCode::BAD_REQUEST, Json(error)).into_response();
        }
    };
    let version = request.config["cniVersion"].as_str().unwrap_or_default().to_owned();
    match door.call(request).await {
        Ok(Answered::Added(added)) => Json(added.result).into_response(),
        Ok(Answered::Done) => StatusCode::OK.into_response(),
        Err(failure) => {
            let error = failure.to_cni().in_version(version);
            (StatusCode::INTERNAL_SERVER_ERROR, Json(error)).into_response()
        }
    }
}

impl Door {
    /// Carries out a call in a task of its own: it goes on to its end, or undoes itself, also when nobody waits for it any more.
    pub async fn call(&self, request: Request) -> Result<Answered, Failure> {
        let node = Arc::clone(&self.node);
        let call = self.calls.spawn(async move { carry_out(&node, &request).await });
        call.await.unwrap_or_else(|error| {
            Err(CniError::new(Code::Plugging, format!("the call ended early: {error}")).into())
        })
    }
}

/// Carries out a call, measures it, and logs how it ended.
pub async fn carry_out(node: &Node, request: &Request) -> Result<Answered, Failure> {
    let started = Instant::now();
    let command = request.command;
    let sandbox = request.container_id.as_ref().map(ToString::to_string).unwrap_or_default();
    let outcome = dispatch(node, request).instrument(tracing::debug_span!("call", %command, sandbox)).await;
    let took = started.elapsed();
    node.metrics.called(command, outcome.is_err(), took);
    let ms = took.as_millis();
    match &outcome {
        Ok(_) => tracing::info!(%command, args = request.args, sandbox, ms, "done"),
        Err(failure) => {
            tracing::warn!(%command, args = request.args, sandbox, ms, error = %Chain(failure), "failed");
        }
    }
    outcome
}

async fn dispatch(node: &Node, request: &Request) -> Result<Answered, Failure> {
    request.complete()?;
    match request.command {
        Command::Add => {
            let added = node.add(request).await?;
            let result = added.result.in_version(request.version()?);
            return Ok(Answered::Added(Box::new(Added { result, ..added })));
        }
        Command::Del => node.del(request).await?,
        Command::Check => node.check(request).await?,
        Command::Status => node.status().await?,
        Command::Gc => node.gc(request).await?,
        Command::Version => {}
    }
    Ok(Answered::Done)
}

/// The configuration of a request that did not come by the plugin: it has no version to answer in.
pub fn any_version(config: Value) -> Value {
    match config {
        Value::Object(mut config) => {
            config.insert("cniVersion".to_owned(), kuryr_cni::Version::V1_0_0.as_str().into());
            Value::Object(config)
        }
        _ => serde_json::json!({"cniVersion": kuryr_cni::Version::V1_0_0.as_str()}),
    }
}
