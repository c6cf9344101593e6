//! DEL: removes what belongs to a sandbox. It succeeds when there is nothing left to do.

use kuryr_cni::Request;
use kuryr_net::NetNs;
use kuryr_ovsdb::{Ovsdb, OvsdbError, Switch};
use tokio::time::timeout;

use crate::{failure::Failure, mark::Mark, node::Node, sandbox::Sandbox};

impl Node {
    /// Disconnects a sandbox.
    pub async fn del(&self, request: &Request) -> Result<(), Failure> {
        let (sandbox, _) = Sandbox::of(request)?;
        let work = async {
            let _turn = self.turns.take(&sandbox.pod, request.command, &sandbox.id).await;
            self.disconnect(&sandbox).await
        };
        timeout(self.limits.call, work).await.unwrap_or(Err(Failure::TooLong(self.limits.call)))
    }

    /// Removes the ports marked with the sandbox, and the link inside it. A newer sandbox of the same pod has marked its ports with its
    /// own name, so that a late call for the older one finds nothing of it.
    pub async fn disconnect(&self, sandbox: &Sandbox) -> Result<(), Failure> {
        let namespace = self.netns.open(&sandbox.netns_path, self.host.id())?;
        let marks = marks(&self.ovsdb)?;
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
        if marks.is_empty() {
            return Ok(());
        }
        let host = self.host.netlink().await?;
        let mut failures = Vec::new();
        for mark in marks {
            match self.unplug(mark, &host).await {
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
}

/// All ports of pods. What a lost connection remembers is not good enough to say that there is nothing to remove.
pub fn marks(ovsdb: &Ovsdb) -> Result<Vec<Mark>, Failure> {
    ovsdb.look(|switch: &Switch| match switch.link() {
        kuryr_ovsdb::Link::Up => Ok(switch.interfaces().filter_map(Mark::read).collect()),
        kuryr_ovsdb::Link::Connecting => Err(OvsdbError::Unreachable("not connected yet".to_owned()).into()),
        kuryr_ovsdb::Link::Down(reason) => Err(OvsdbError::Unreachable(reason.clone()).into()),
    })
}
