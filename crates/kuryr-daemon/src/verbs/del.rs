//! DEL: removes what belongs to a sandbox. It succeeds when there is nothing left to do.

use std::time::Duration;

use kuryr_cni::Request;
use kuryr_net::NetNs;
use kuryr_ovsdb::{Link, OvsdbError};
use tokio::time::timeout;

use crate::{failure::Failure, mark::Mark, node::Node, sandbox::Sandbox};

/// A restart of ovsdb-server takes less; if it takes longer, the runtime is to know.
const SWITCH_WITHIN: Duration = Duration::from_secs(10);

impl Node {
    /// Disconnects a sandbox.
    pub async fn del(&self, request: &Request) -> Result<(), Failure> {
        let sandbox = Sandbox::of(request)?;
        let work = async {
            let _turn = self.turns.take(&sandbox.pod, request.command, &sandbox.id).await;
            self.disconnect(&sandbox).await
        };
        timeout(self.limits.call, work).await.unwrap_or(Err(Failure::TooLong(self.limits.call)))
    }

    /// Removes the ports marked with the sandbox, and the link inside it. A newer sandbox of the same pod has marked its ports with its
    /// own name, so that a late call for the older one finds nothing of it.
    pub async fn disconnect(&self, sandbox: &Sandbox) -> Result<(), Failure> {
        let namespace = match self.netns.open(&sandbox.netns_path, self.host.id()) {
            // The file leads to the host's own by now: the sandbox's is gone.
            Err(Failure::Namespace { .. }) => None,
            found => found?,
        };
        let marks = self.marks().await?;
        let mut of_sandbox: Vec<Mark> =
            marks.iter().filter(|mark| mark.sandbox.as_ref() == Some(&sandbox.id)).cloned().collect();
        if let Some(namespace) = namespace.filter(|_| of_sandbox.is_empty()) {
            of_sandbox.extend(self.unmarked(sandbox, &namespace, &marks).await?);
        }
        self.unplug_all(&of_sandbox).await
    }

    /// A link inside without a port that is marked is left from a call that was cut short, or from the Python Kuryr, whose port is
    /// known by its MAC address.
    async fn unmarked(
        &self,
        sandbox: &Sandbox,
        namespace: &NetNs,
        marks: &[Mark],
    ) -> Result<Option<Mark>, Failure> {
        let inside = namespace.netlink().await?;
        let Some(link) = inside.link(sandbox.ifname.as_str()).await? else { return Ok(None) };
        if link.kind.as_deref() == Some("veth") {
            inside.delete_link(&link.name).await?;
        }
        let mac = link.mac.map(|mac| mac.to_string());
        let of_python =
            marks.iter().find(|mark| mark.sandbox.is_none() && mark.mac.is_some() && mark.mac == mac);
        Ok(of_python.cloned())
    }

    /// Removes ports, all that can be.
    pub async fn unplug_all(&self, marks: &[Mark]) -> Result<(), Failure> {
        let mut failures = Vec::new();
        for mark in marks {
            match self.unplug(mark).await {
                Ok(()) => tracing::info!(pod = mark.pod, port = mark.port, link = mark.ovs_port, "unplugged"),
                Err(failure) => failures.push(failure),
            }
        }
        match failures.len() {
            0 => Ok(()),
            1 => Err(failures.swap_remove(0)),
            _ => Err(Failure::Leftovers(failures)),
        }
    }

    /// All ports of pods. What a lost connection remembers is not good enough to say that there is nothing to remove.
    pub async fn marks(&self) -> Result<Vec<Mark>, Failure> {
        self.switch_up().await?;
        Ok(self.ovsdb.look(|switch| switch.interfaces().filter_map(Mark::read).collect()))
    }

    /// Waits for OVSDB, which may just be starting, but not for long.
    pub async fn switch_up(&self) -> Result<(), Failure> {
        let up = self.ovsdb.wait_for(|switch| switch.is_up().then_some(()));
        timeout(SWITCH_WITHIN.min(self.limits.patience), up).await.map_err(|_| {
            let reason = self.ovsdb.look(|switch| match switch.link() {
                Link::Down(reason) => reason.clone(),
                Link::Connecting | Link::Up => "not connected yet".to_owned(),
            });
            OvsdbError::Unreachable(reason).into()
        })
    }
}
