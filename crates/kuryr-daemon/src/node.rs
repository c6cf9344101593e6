//! What every call needs to know and to have: the node that the daemon works on.

use std::{io, time::Duration};

use kuryr_k8s::{
    Client,
    events::{About, Events, Kind, News, Voice},
};
use kuryr_net::{LinkRemover, NetError, NetNs};
use kuryr_ovsdb::Ovsdb;
use prometheus_client::registry::Registry;
use tokio::task::spawn_blocking;
use tokio_util::task::TaskTracker;

use crate::{
    failure::Failure,
    kind::Own,
    metrics::Metrics,
    records::Records,
    sandbox::{NetnsPaths, Sandbox},
    settings::NodeSettings,
    turns::Turns,
    wiring::PlugSettings,
};

/// The node, as far as the daemon deals with it.
pub struct Node {
    /// The network namespace that OVS is in.
    pub host: NetNs,
    /// Deletes links there.
    pub remover: LinkRemover,
    /// What kind of node it is.
    pub own: Own,
    /// Open vSwitch's database, which is not connected to where there is none.
    pub ovsdb: Ovsdb,
    /// The link that pods' links are on top of where they are not ports of Open vSwitch, if somebody has chosen one.
    pub link_iface: Option<String>,
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
    /// Work that a call leaves behind for after its answer.
    pub afterwards: TaskTracker,
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
    /// The node that this process runs on.
    pub fn new(
        settings: &NodeSettings,
        client: Client,
        own: Own,
        records: Records,
        registry: &mut Registry,
    ) -> Result<Self, NetError> {
        let host = NetNs::own()?;
        let has_switch = {
            let own = own.clone();
            async move { own.has_switch().await }
        };
        let voice = if settings.use_events { Voice::On } else { Voice::Mute };
        Ok(Self {
            remover: LinkRemover::new(host.clone()),
            host,
            ovsdb: Ovsdb::connect_after(settings.ovsdb.clone(), has_switch),
            own,
            link_iface: settings.link_iface.clone(),
            records,
            turns: Turns::default(),
            plug: settings.plug.clone(),
            netns: settings.netns.clone(),
            limits: Limits::new(settings.patience),
            metrics: Metrics::new(registry),
            events: Events::new(client, "kuryr-daemon", Some(&settings.name), voice),
            afterwards: TaskTracker::new(),
        })
    }

    /// Tells the users of a pod what keeps it from starting.
    pub async fn warn(&self, sandbox: &Sandbox, reason: &'static str, message: String) {
        if sandbox.pod_uid.is_empty() {
            return;
        }
        let about = About { kind: "Pod", key: sandbox.pod.clone(), uid: sandbox.pod_uid.clone() };
        self.events.tell(about, News { kind: Kind::Warning, reason, message }).await;
    }

    /// Does what may take the kernel a while.
    pub async fn in_background<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        spawn_blocking(work).await.map_err(|error| NetError::Thread(io::Error::other(error)))?
    }
}
