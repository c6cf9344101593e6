//! Waits until Neutron calls ports ACTIVE, where the node itself can't tell: one request for all that wait.

use crate::context::Context;
use kuryr_api::PortId;
use kuryr_k8s::Key;
use kuryr_openstack::neutron::{PortFilter, PortStatus};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::Notify;

/// How often Neutron is asked while any port waits. An agent wires a port in one to a few seconds.
const PERIOD: Duration = Duration::from_secs(1);

/// The ports that wait, and for whom.
#[derive(Default)]
pub struct Wiring {
    waiting: Mutex<HashMap<PortId, Key>>,
    wake: Notify,
}

impl Wiring {
    /// Looks at `key` again once Neutron calls one of `ports` ACTIVE.
    pub fn wait_for(&self, key: &Key, ports: &[PortId]) {
        self.waiting.lock().extend(ports.iter().map(|id| (id.clone(), key.clone())));
        self.wake.notify_one();
    }

    fn ids(&self) -> Vec<PortId> {
        self.waiting.lock().keys().cloned().collect()
    }
}

/// Runs until it is dropped.
pub async fn run(context: &Context) {
    loop {
        let ids = context.wiring.ids();
        if ids.is_empty() {
            context.wiring.wake.notified().await;
            continue;
        }
        tokio::time::sleep(PERIOD).await;
        ask(context, ids).await;
    }
}

async fn ask(context: &Context, ids: Vec<PortId>) {
    let fields = &["id", "status"];
    let filter = PortFilter { ids: Some(ids.clone()), fields, ..PortFilter::default() };
    let found = match context.neutron.ports(&filter).await {
        Ok(found) => found,
        Err(error) => return tracing::warn!(error = error.chain(), "failed to ask which ports are wired"),
    };
    for id in ids {
        match found.iter().find(|port| port.id == id).map(|port| &port.status) {
            Some(PortStatus::Active) => context.ports.set_wired(&id),
            Some(_) => continue,
            None => context.ports.remove(&id),
        }
        if let Some(key) = context.wiring.waiting.lock().remove(&id) {
            context.queue.add(key);
        }
    }
}
