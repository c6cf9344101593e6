//! The container of a node without daemon: it installs the plugin and what the plugin needs, and keeps both as they should be.

use std::time::Duration;

use anyhow::Context;
use kuryr_telemetry::{Component, Health, Probe, process};
use prometheus_client::registry::Registry;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    failure::Chain,
    handover::Handover,
    install::{InstallError, Installation},
    kind::{Kind, Own},
    run::serve_observability,
    settings::Settings,
};

/// A token is replaced many minutes before it ends; a file that somebody removed is missed sooner.
const LOOK: Duration = Duration::from_secs(10);

/// Runs until the process is asked to stop; then no pod is started here any more until the next one installs again.
pub async fn run(settings: Settings, handover: &Handover) -> anyhow::Result<()> {
    let health = Health::default();
    let component = health.component("installation", Probe::Ready);
    let mut background = JoinSet::new();
    serve_observability(&settings, &health, Registry::default(), &mut background).await?;
    let client = kuryr_k8s::client::connect(&settings.access)?;
    let own = Own::watch(&client, &handover.node_name, &settings.node.driver);
    tracing::info!(node = handover.node_name, "installing the plugin, which works without a daemon here");
    let signal = tokio::select! {
        signal = process::asked_to_stop() => signal.context("listen for signals")?,
        never = keep(&settings, handover, &own, &component) => match never {},
    };
    tracing::info!(signal, "stopping");
    settings.installation.remove_conflist()?;
    handover.remove_credentials()?;
    Ok(())
}

async fn keep(
    settings: &Settings,
    handover: &Handover,
    own: &Own,
    component: &Component,
) -> std::convert::Infallible {
    loop {
        // A node with an Open vSwitch works without a word of its Node.
        let node = match own.known().await {
            Kind::OpenVSwitch => Some(own.facts().unwrap_or_default()),
            Kind::Nested | Kind::Sriov => timeout(LOOK, own.facts_known()).await.ok(),
        };
        let Some(node) = node else {
            component.bad(own.trouble().unwrap_or_default());
            continue;
        };
        match install(settings, Handover { node, ..handover.clone() }) {
            Ok(()) => component.good(),
            Err(error) => component.bad(Chain(&error).to_string()),
        }
        sleep(LOOK).await;
    }
}

/// The network configuration comes last: it is what makes a runtime start the plugin.
fn install(settings: &Settings, handover: Handover) -> Result<(), InstallError> {
    settings.installation.install_plugin()?;
    handover.write(&settings.configuration, &settings.access)?;
    Installation { handover: Some(handover), ..settings.installation.clone() }.install_conflist()
}
