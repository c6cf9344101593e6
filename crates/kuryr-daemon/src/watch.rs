//! Health: whether the daemon can do its work now.

use std::future::pending;

use kuryr_k8s::Sync;
use kuryr_telemetry::{Component, Health, Probe};
use tokio::sync::watch;

use crate::node::Node;

/// Keeps two components of the health in step with what they are about, for ever.
pub async fn run(node: &Node, health: &Health) {
    let switch = health.component("open-vswitch", Probe::Ready);
    let api = health.component("kubernetes-api", Probe::Ready);
    let mut news = node.ovsdb.switch();
    let (mut ports, mut pods) = (node.records.ports.sync(), node.records.pods.sync());
    loop {
        tell(&switch, node.switch_trouble());
        tell(&api, node.api_trouble());
        tokio::select! {
            changed = news.changed() => or_never(changed).await,
            () = next(&mut ports) => {}
            () = next(&mut pods) => {}
        }
    }
}

async fn next(sync: &mut watch::Receiver<Sync>) {
    or_never(sync.changed().await).await;
}

/// A sender that is gone will not bring news: waiting for it must not become a busy loop.
async fn or_never(changed: Result<(), watch::error::RecvError>) {
    if changed.is_err() {
        pending::<()>().await;
    }
}

fn tell(component: &Component, trouble: Option<String>) {
    match trouble {
        None => component.good(),
        Some(reason) => component.bad(reason),
    }
}
