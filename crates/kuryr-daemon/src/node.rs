//! What every call needs to know and to have: the node that the daemon works on.

use std::time::Duration;

use kuryr_k8s::events::{About, Events, Kind, News};
use kuryr_net::{LinkRemover, NetNs};
use kuryr_ovsdb::Ovsdb;

use crate::{
    metrics::Metrics,
    records::Records,
    sandbox::{NetnsPaths, Sandbox},
    turns::Turns,
    wiring::PlugSettings,
};

/// The node, as far as the daemon deals with it.
pub struct Node {
    /// The network namespace that OVS is in.
    pub host: NetNs,
    /// Deletes links there.
    pub remover: LinkRemover,
    /// Open vSwitch's database.
    pub ovsdb: Ovsdb,
    /// What the controller recorded.
    pub records: Records,
    /// Who may work on which pod.
    pub turns: Turns,
    /// How to plug.
    pub plug: PlugSettings,
    /// Where namespaces are.
    pub netns: NetnsPaths,
    /// How long to wait.
    pub limits: Limits,
    /// What is measured.
    pub metrics: Metrics,
    /// What users are told.
    pub events: Events,
}

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The controller's record, and then the backend's wiring.
    pub patience: Duration,
    /// A whole call: less than a runtime waits, so that it hears why.
    pub call: Duration,
}

impl Limits {
    /// The kubelet gives two minutes for a sandbox, the plugin a little less for its call.
    const CALL: Duration = Duration::from_secs(110);

    /// Limits from `[cni_daemon] vif_annotation_timeout`.
    pub fn new(patience: Duration) -> Self {
        Self { patience, call: Self::CALL.min(patience * 2) }
    }
}

impl Node {
    /// Tells the users of a pod what keeps it from starting.
    pub async fn warn(&self, sandbox: &Sandbox, reason: &'static str, message: String) {
        if sandbox.pod_uid.is_empty() {
            return;
        }
        let about = About { key: sandbox.pod.clone(), uid: sandbox.pod_uid.clone() };
        self.events.tell_pod(about, News { kind: Kind::Warning, reason, message }).await;
    }
}
