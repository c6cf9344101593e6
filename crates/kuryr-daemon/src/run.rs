//! The daemon's life: start, serve, end in order.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use axum::Router;
use kuryr_k8s::Client;
use kuryr_telemetry::{Component, Health, Probe, http, process};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use tokio::{
    net::TcpListener,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    failure::Chain,
    install::Installation,
    installer,
    kind::{Kind, Own},
    legacy,
    node::Node,
    records::Records,
    report::Report,
    server::{self, Door},
    settings::{NodeSettings, Settings},
    sweep, watch,
};

/// What is in flight gets this long to end; the kubelet kills after 30 s.
const END_WITHIN: Duration = Duration::from_secs(20);
const INSTALL_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Runs until the process is asked to stop.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    if let Some(handover) = settings.installation.handover.clone() {
        return installer::run(settings, &handover).await;
    }
    let (health, mut registry) = (Health::default(), Registry::default());
    let client = kuryr_k8s::client::connect(&settings.access)?;
    let node = Arc::new(node(&settings, client.clone(), &mut registry)?);
    let mut background = JoinSet::new();
    serve_observability(&settings, &health, registry, &mut background).await?;
    background.spawn({
        let (node, health) = (Arc::clone(&node), health.clone());
        async move { watch::run(&node, &health).await }
    });
    background.spawn({
        let node = Arc::clone(&node);
        async move { sweep::run(&node).await }
    });
    let report = Report::of_node(&client, &settings.node.name);
    background.spawn({
        let (node, keeper) = (Arc::clone(&node), report.keeper());
        async move { keeper.run(&node).await }
    });
    background.spawn({
        let node = Arc::clone(&node);
        async move { report.run(&node).await }
    });
    let door = Door { node: Arc::clone(&node), calls: TaskTracker::new() };
    let stop = CancellationToken::new();
    let serving = serve(&settings, &door, &stop).await?;
    background.spawn(install(
        Arc::clone(&node),
        settings.installation.clone(),
        health.component("installation", Probe::Ready),
    ));
    let signal = process::asked_to_stop().await.context("listen for signals")?;
    tracing::info!(signal, in_flight = door.calls.len(), "stopping");
    background.shutdown().await;
    stop.cancel();
    end(&door, serving).await;
    settings.installation.remove_conflist()?;
    let _ = std::fs::remove_file(&settings.socket);
    Ok(())
}

fn node(settings: &Settings, client: Client, registry: &mut Registry) -> anyhow::Result<Node> {
    let NodeSettings { name, driver, .. } = &settings.node;
    let (own, records) = (Own::watch(&client, name, driver), Records::of_node(&client, name));
    Ok(Node::new(&settings.node, client, own, records, registry)?)
}

/// Serves health and metrics, in tasks of their own.
pub async fn serve_observability(
    settings: &Settings,
    health: &Health,
    registry: Registry,
    background: &mut JoinSet<()>,
) -> anyhow::Result<()> {
    let registry = Arc::new(Mutex::new(registry));
    let routers = [
        (settings.health_port, http::health_router(health.clone())),
        (settings.metrics_port, http::metrics_router(registry, Arc::new(|| {}))),
    ];
    for (port, router) in routers {
        let listener = http::listen(port).await?;
        background.spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, port, "an HTTP endpoint ended");
            }
        });
    }
    Ok(())
}

async fn serve(settings: &Settings, door: &Door, stop: &CancellationToken) -> anyhow::Result<JoinSet<()>> {
    let mut serving = JoinSet::new();
    let socket = server::listen(&settings.socket)
        .with_context(|| format!("listen on {}", settings.socket.display()))?;
    tracing::info!(socket = %settings.socket.display(), node = settings.node.name, "serving kuryr-cni");
    serving.spawn(until_stopped(axum::serve(socket, server::router(door.clone())), stop.clone()));
    if let Some(address) = &settings.bind_address {
        let listener = TcpListener::bind(address).await.with_context(|| format!("listen on {address}"))?;
        tracing::warn!(address, "serving the Python Kuryr's API, which whoever can connect may use");
        serving.spawn(until_stopped(axum::serve(listener, legacy::router(door.clone())), stop.clone()));
    }
    Ok(serving)
}

async fn until_stopped<L: axum::serve::Listener<Addr: std::fmt::Debug>>(
    serve: axum::serve::Serve<L, Router, Router>,
    stop: CancellationToken,
) {
    if let Err(error) = serve.with_graceful_shutdown(stop.cancelled_owned()).await {
        tracing::error!(%error, "no longer serving");
    }
}

/// Installs the plugin, then its configuration as soon as pods can be connected.
async fn install(node: Arc<Node>, installation: Installation, component: Component) {
    while let Err(error) = installation.install_plugin() {
        component.bad(Chain(&error).to_string());
        sleep(INSTALL_AGAIN_AFTER).await;
    }
    node.records.ports.complete().await;
    node.records.pods.complete().await;
    connectable(&node, &component).await;
    while let Err(error) = installation.install_conflist() {
        component.bad(Chain(&error).to_string());
        sleep(INSTALL_AGAIN_AFTER).await;
    }
    component.good();
}

/// Waits until pods can be connected.
async fn connectable(node: &Node, component: &Component) {
    if node.own.known().await == Kind::OpenVSwitch {
        return node.ovsdb.wait_for(|switch| switch.bridge(&node.plug.bridge).map(|_| ())).await;
    }
    let trouble = async || match node.own.known().await {
        Kind::Sriov => node.functions_trouble().await,
        _ => node.lower_trouble().await,
    };
    while let Some(trouble) = trouble().await {
        component.bad(trouble);
        sleep(INSTALL_AGAIN_AFTER).await;
    }
}

async fn end(door: &Door, mut serving: JoinSet<()>) {
    door.calls.close();
    let ending = async {
        door.calls.wait().await;
        door.node.afterwards.close();
        door.node.afterwards.wait().await;
        while serving.join_next().await.is_some() {}
    };
    if timeout(END_WITHIN, ending).await.is_err() {
        tracing::warn!(
            in_flight = door.calls.len(),
            "stopping with calls in flight, which their runtime will repeat"
        );
    }
}
