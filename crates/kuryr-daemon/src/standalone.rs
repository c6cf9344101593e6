//! The plugin without a daemon: the program of the daemon, started by a container runtime, carries out each call in its own process.
//!
//! A container of the node installs it as `kuryr-cni`, with a configuration and a kubeconfig of its own ([`crate::handover`]). It does
//! what the daemon would, with the same code, and remembers as little: what is plugged is in OVSDB and the kernel, what should be in the API.
//! Calls of one pod wait for each other by a lock on a file.

use std::{path::Path, time::Duration};

use axum::{Router, http::StatusCode};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kuryr_cni::{CniError, Code, Command, Outcome, Request};
use kuryr_config::Sources;
use kuryr_k8s::{Client, Key};
use kuryr_telemetry::logs::{self, Format, Level, Output};
use prometheus_client::registry::Registry;
use serde::Deserialize;
use tokio::time::timeout;

use crate::{
    failure::{Chain, Failure},
    handover::Handover,
    kind::{Kind, Own},
    lock::PodLock,
    node::Node,
    records::Records,
    sandbox::{NetnsPaths, Sandbox},
    server::{self, Answered},
    settings::NodeSettings,
};

/// What STATUS waits for Open vSwitch and the API server, before it says that they do not answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// Carries out one call, as the daemon would.
pub fn run(variable: impl Fn(&str) -> Option<String>, input: &[u8]) -> Outcome {
    kuryr_cni::run_by(variable, input, |request| {
        work(request).map(|answered| match answered {
            // What this library defines can be serialized; an empty answer would be an error to the runtime.
            Answered::Added(added) => Outcome::Done(serde_json::to_vec(&added.result).unwrap_or_default()),
            Answered::Done => Outcome::Done(Vec::new()),
        })
    })
}

fn work(request: &Request) -> Result<Answered, CniError> {
    let handover = Handover::deserialize(&request.config).map_err(|error| {
        let message = format!("the network configuration is not one that kuryr-daemon installed: {error}");
        CniError::new(Code::InvalidConfig, message)
    })?;
    let level = if request.config["debug"] == true { Level::Debug } else { Level::Info };
    logs::init(Format::Text, level, Output::Stderr);
    let settings = settings(&handover)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CniError::new(Code::Io, format!("the process cannot do its work: {error}")))?;
    let answered = runtime.block_on(answer(request, &handover, &settings));
    // A thread that still waits for a lock must not keep the answer back.
    runtime.shutdown_background();
    answered
}

fn settings(handover: &Handover) -> Result<NodeSettings, CniError> {
    let wrong = |message: String| {
        CniError::new(Code::InvalidConfig, format!("{}: {message}", handover.kuryr_conf.display()))
    };
    let sources = Sources { files: vec![handover.kuryr_conf.clone()], ..Sources::default() };
    let loaded = kuryr_config::load(&sources).map_err(|error| wrong(error.to_string()))?;
    let settings = NodeSettings::new(&loaded.config, handover.node_name.clone())
        .map_err(|error| wrong(format!("[vif_plug_ovs] ovsdb_connection: {error}")))?;
    // The configuration was written for a container, and this process sees the host's own /proc.
    Ok(NodeSettings { netns: NetnsPaths::default(), ..settings })
}

async fn answer(
    request: &Request,
    handover: &Handover,
    settings: &NodeSettings,
) -> Result<Answered, CniError> {
    let client = client(request.command, &handover.kubeconfig).await?;
    let records = match pod(request) {
        Some(pod) => Records::of_pod(&client, &pod, &settings.name),
        None => Records::of_node(&client, &settings.name),
    };
    // The container that installed this has asked: what takes a pod away must not need the API server.
    let own = Own::told(handover.node.clone(), &settings.name, &settings.driver);
    let node = Node::new(settings, client, own, records, &mut Registry::default())
        .map_err(|error| Failure::from(error).to_cni())?;
    let _lock = match pod(request) {
        Some(pod) => Some(PodLock::take(&pod, node.limits.call).await?),
        None => None,
    };
    if request.command == Command::Status {
        settle(&node).await;
    }
    let answered = server::carry_out(&node, request).await;
    node.afterwards.close();
    node.afterwards.wait().await;
    answered.map_err(|failure| failure.to_cni())
}

/// The pod of a call. A runtime that does not say which it is can only mean a sandbox, which serves as well.
fn pod(request: &Request) -> Option<Key> {
    Sandbox::of(request).ok().map(|sandbox| sandbox.pod)
}

/// Only ADD and STATUS need the API server. What takes a pod away must also work when the node has no credentials any more.
async fn client(command: Command, kubeconfig: &Path) -> Result<Client, CniError> {
    if !matches!(command, Command::Add | Command::Status) {
        return Ok(Client::new(Router::new().fallback(std::future::pending::<StatusCode>), "default"));
    }
    let code = if command == Command::Status { Code::NotAvailable } else { Code::TryAgainLater };
    connect(kubeconfig).await.map_err(|error| {
        let message = format!(
            "the kubeconfig {} cannot be used: {}; is Kuryr's pod (kuryr-cni) running on this node?",
            kubeconfig.display(),
            Chain(error.as_ref())
        );
        CniError::new(code, message)
    })
}

async fn connect(kubeconfig: &Path) -> Result<Client, Box<dyn std::error::Error + Send + Sync>> {
    // Only fails if a provider was chosen already, which then serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let read = Kubeconfig::read_from(kubeconfig)?;
    let mut config = kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await?;
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

/// Gives both sides the time to answer: a daemon would have asked them long ago.
async fn settle(node: &Node) {
    let answers = async {
        if node.own.known().await == Kind::OpenVSwitch {
            node.ovsdb.wait_for(|switch| switch.is_up().then_some(())).await;
        }
        node.records.ports.complete().await;
        node.records.pods.complete().await;
    };
    // Who has not answered by then is named by STATUS itself.
    let _ = timeout(ANSWERS_WITHIN, answers).await;
}
