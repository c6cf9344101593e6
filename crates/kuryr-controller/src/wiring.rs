//! Waits until Neutron calls ports ACTIVE, where the node itself can't tell: one request for all that wait.
//!
//! OVN can miss that a trunk carries a port (the Python Kuryr met it, too): one that is not wired long after is put there once more.

use crate::context::Context;
use crate::relist;
use kuryr_api::PortId;
use kuryr_k8s::Key;
use kuryr_openstack::neutron::{PortFilter, PortStatus};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How often Neutron is asked while any port waits: the sooner the shorter the youngest waits. OVN wires a subport in a tenth of a
/// second, an agent takes one to a few.
const PERIOD: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// A port on a trunk that is not wired by then never will be.
const STUCK: Duration = Duration::from_secs(90);

/// The ports that wait, and for whom.
#[derive(Default)]
pub struct Wiring {
    waiting: Mutex<HashMap<PortId, Waiting>>,
    wake: Notify,
}

struct Waiting {
    /// None: no pod has the port yet.
    pod: Option<Key>,
    since: Instant,
    was_stuck: bool,
}

impl Wiring {
    /// Looks at `key` again once Neutron calls one of `ports` ACTIVE.
    pub fn wait_for(&self, key: &Key, ports: &[PortId]) {
        self.watch(ports);
        let mut waiting = self.waiting.lock();
        for id in ports {
            if let Some(waiting) = waiting.get_mut(id) {
                waiting.pod = Some(key.clone());
            }
        }
    }

    /// Finds out when Neutron calls these ports ACTIVE, before any pod has them.
    pub fn watch(&self, ports: &[PortId]) {
        let mut waiting = self.waiting.lock();
        for id in ports {
            let new = || Waiting { pod: None, since: Instant::now(), was_stuck: false };
            waiting.entry(id.clone()).or_insert_with(new);
        }
        self.wake.notify_one();
    }

    /// A port is waited for no more. Returns whose it is.
    fn end(&self, id: &PortId) -> Option<Key> {
        self.waiting.lock().remove(id)?.pod
    }

    fn ids(&self) -> Vec<PortId> {
        self.waiting.lock().keys().cloned().collect()
    }

    fn pause(&self) -> Duration {
        let youngest = self.waiting.lock().values().map(|waiting| waiting.since.elapsed()).min();
        youngest.unwrap_or_default().clamp(PERIOD.0, PERIOD.1)
    }

    /// Tells once of each port that waits for too long.
    fn is_stuck(&self, id: &PortId) -> bool {
        let mut waiting = self.waiting.lock();
        let Some(waiting) = waiting.get_mut(id).filter(|waiting| waiting.since.elapsed() > STUCK) else {
            return false;
        };
        !std::mem::replace(&mut waiting.was_stuck, true)
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
        tokio::time::sleep(context.wiring.pause()).await;
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
    let status = |id: &PortId| found.iter().find(|port| port.id == *id).map(|port| &port.status);
    let unseen = ids.iter().filter(|id| status(id).is_none()).cloned().collect();
    if let Err(error) = relist::look_up(context, unseen).await {
        return tracing::warn!(error = error.chain(), "failed to ask which ports are there");
    }
    let mut pending = Vec::new();
    for id in ids {
        match status(&id) {
            Some(PortStatus::Active) => context.ports.set_wired(&id),
            None if context.ports.is_missing(&id) => {}
            _ => {
                pending.push(id);
                continue;
            }
        }
        if let Some(pod) = context.wiring.end(&id) {
            context.queue.add(pod);
        }
    }
    // One at a look: the others are not to wait for it.
    let is_stuck = |id: &&PortId| context.trunks.place(id).is_some() && context.wiring.is_stuck(id);
    if let Some(id) = pending.iter().find(is_stuck) {
        free(context, id).await;
    }
}

/// Puts a port that is stuck on its trunk once more.
async fn free(context: &Context, id: &PortId) {
    let Some(place) = context.trunks.place(id) else { return };
    context.metrics.subports_stuck.inc();
    tracing::warn!(port = %id, trunk = %place.trunk, vlan = place.vlan, "a port on a trunk is not wired: puts it there again");
    if let Err(error) = context.trunks.attach_again(&context.neutron, id, &place).await {
        tracing::warn!(port = %id, error = %error, "failed to put a port on its trunk again");
        // It may be off the trunk now, which its pod's next look sees.
        if let Some(pod) = context.wiring.end(id) {
            context.queue.add(pod);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn a_port_is_stuck_once_and_not_before_its_time() {
        let (wiring, id) = (Wiring::default(), PortId::from("port"));
        assert!(!wiring.is_stuck(&id), "nobody waits for it");
        wiring.watch(std::slice::from_ref(&id));
        advance(STUCK).await;
        assert!(!wiring.is_stuck(&id));
        advance(Duration::from_secs(1)).await;
        assert!(wiring.is_stuck(&id) && !wiring.is_stuck(&id));
    }
}
