//! Takes up what an earlier life of the daemon, or of the node, left behind.
//!
//! A port whose link is gone is of no use to anybody: the link lives exactly as long as the sandbox's namespace. Such ports stay in
//! OVSDB after a restart of the node, and when a sandbox ended while the daemon was not there.

use std::time::Duration;

use kuryr_cni::{Command, ContainerId};
use kuryr_k8s::Key;
use kuryr_net::Netlink;
use tokio::time::sleep;

use crate::{
    failure::{Chain, Failure},
    mark::Mark,
    node::Node,
};

/// Looking costs a list of links. DEL does the work in time; this is for what went past it.
const PAUSE: Duration = Duration::from_mins(5);

/// Sweeps now and then, for ever.
pub async fn run(node: &Node) {
    loop {
        node.ovsdb.wait_for(|switch| switch.is_up().then_some(())).await;
        node.records.pods.complete().await;
        match node.sweep().await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "removed ports without a link"),
            Err(failure) => {
                tracing::warn!(error = %Chain(&failure), "could not look for ports without a link");
            }
        }
        sleep(PAUSE).await;
    }
}

impl Node {
    /// Removes ports whose link is gone. Tells how many there were.
    pub async fn sweep(&self) -> Result<usize, Failure> {
        let host = self.host.netlink().await?;
        // Without the bridge's own link this is not the namespace that Open vSwitch is in, and all links would seem to be gone.
        if host.link(&self.plug.bridge).await?.is_none() {
            return Ok(0);
        }
        let mut removed = 0;
        for mark in self.marks().await? {
            if host.link(&mark.tap()).await?.is_none() && self.remove_dead(&mark, &host).await? {
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// In the pod's turn, and only if nothing has changed meanwhile.
    async fn remove_dead(&self, mark: &Mark, host: &Netlink) -> Result<bool, Failure> {
        let pod = mark.pod.as_deref().and_then(|pod| pod.split_once('/')).unwrap_or_default();
        let key = Key::new(pod.0, pod.1);
        let _turn = match mark.sandbox.clone().or_else(nobody) {
            Some(sandbox) => Some(self.turns.take(&key, Command::Gc, &sandbox).await),
            None => None,
        };
        if !self.marks().await?.contains(mark) || host.link(&mark.tap()).await?.is_some() {
            return Ok(false);
        }
        if self.records.pods.get(&key).is_some_and(|pod| mark.pod_uid.as_deref() == Some(&*pod.uid)) {
            tracing::warn!(pod = %key, port = mark.port, "the link of a pod of this node is gone");
        }
        self.unplug_all(std::slice::from_ref(mark)).await?;
        Ok(true)
    }
}

/// A port of the Python Kuryr has no sandbox's name; it still has to wait for its turn.
fn nobody() -> Option<ContainerId> {
    "0".parse().ok()
}
