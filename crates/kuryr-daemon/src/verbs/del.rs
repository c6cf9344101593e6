//! DEL: removes what belongs to a sandbox. It succeeds when there is nothing left to do.

use std::time::Duration;

use kuryr_cni::Request;
use kuryr_net::NetNs;
use kuryr_ovsdb::{Link, OvsdbError};
use tokio::time::timeout;

use crate::{
    failure::{Chain, Failure},
    kind::Kind,
    mark::Mark,
    metrics::Step,
    node::Node,
    plug::Neighbours,
    sandbox::Sandbox,
    turns::Turn,
};

/// A restart of ovsdb-server takes less; if it takes longer, the runtime is to know.
const SWITCH_WITHIN: Duration = Duration::from_secs(10);

impl Node {
    /// Disconnects a sandbox: when this returns, its ports are gone from Open vSwitch, and the kernel is taking its links apart. Where pods are
    /// on the node's own link there is nothing but a link to remove. A virtual function is the host's again.
    pub async fn del(&self, request: &Request) -> Result<(), Failure> {
        let sandbox = Sandbox::of(request)?;
        let work = async {
            let turn = self.turns.take(&sandbox.pod, request.command, &sandbox.id).await;
            let namespace = self.namespace_of(&sandbox)?;
            let functions = self.free_functions(&sandbox).await?;
            let released = self.release_devices_of(&sandbox).await;
            let stacked = self.stacked_to_go(&sandbox, namespace.as_ref()).await?;
            let has_ports = match self.own.kind() {
                Some(kind) => kind == Kind::OpenVSwitch,
                None => functions == 0,
            };
            if !stacked.is_empty() || !has_ports {
                self.unstack_later(stacked, turn);
                return released;
            }
            let of_sandbox = self.of_sandbox(&sandbox, namespace).await?;
            let (links, outcome) = self.unport(&of_sandbox, Neighbours::Told).await;
            self.unlink_later(links, turn);
            Failure::of_all([released, outcome].into_iter().filter_map(Result::err).collect())
        };
        timeout(self.limits.call, work).await.unwrap_or(Err(Failure::TooLong(self.limits.call)))
    }

    /// Removes links without anybody waiting for it: the kernel needs up to a few hundred milliseconds when many namespaces go at the
    /// same time, and the next that the runtime does is to remove the namespace, with which the link goes in any case. The pod's next call
    /// waits for it.
    fn unlink_later(&self, links: Vec<String>, turn: Turn) {
        if links.is_empty() {
            return;
        }
        let (remover, metrics) = (self.remover.clone(), self.metrics.clone());
        self.afterwards.spawn(async move {
            if let Err(error) = metrics.time(Step::RemoveLink, remover.remove(links)).await {
                tracing::warn!(error = %Chain(&error), "could not remove the links of a pod");
            }
            drop(turn);
        });
    }

    /// The sandbox's namespace, unless it is gone.
    pub(super) fn namespace_of(&self, sandbox: &Sandbox) -> Result<Option<NetNs>, Failure> {
        match self.netns.open(&sandbox.netns_path, self.host.id()) {
            // The file leads to the host's own by now: the sandbox's is gone.
            Err(Failure::Namespace { .. }) => Ok(None),
            found => found,
        }
    }

    /// The ports marked with the sandbox; a link inside it that has none goes right here. A newer sandbox of the same pod has marked its
    /// ports with its own name, so that a late call for the older one finds nothing of it.
    async fn of_sandbox(&self, sandbox: &Sandbox, namespace: Option<NetNs>) -> Result<Vec<Mark>, Failure> {
        let marks = self.marks().await?;
        let mut of_sandbox: Vec<Mark> =
            marks.iter().filter(|mark| mark.sandbox.as_ref() == Some(&sandbox.id)).cloned().collect();
        if of_sandbox.is_empty() {
            of_sandbox.extend(self.unmarked_socket(sandbox, &marks)?);
        }
        if let Some(namespace) = namespace.filter(|_| of_sandbox.is_empty()) {
            of_sandbox.extend(self.unmarked(sandbox, &namespace, &marks).await?);
        }
        Ok(of_sandbox)
    }

    /// What the Python Kuryr plugged for a program in user space is known by what it told the pod.
    fn unmarked_socket(&self, sandbox: &Sandbox, marks: &[Mark]) -> Result<Option<Mark>, Failure> {
        let Some(name) = self.plug.sockets.told_to(sandbox) else { return Ok(None) };
        self.plug.sockets.forget(sandbox)?;
        Ok(marks.iter().find(|mark| mark.sandbox.is_none() && mark.ovs_port == name).cloned())
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
        if link.kind.as_deref() == Some("veth") || link.stacked.is_some() {
            inside.delete_link(&link.name).await?;
        }
        let mac = link.mac.map(|mac| mac.to_string());
        let of_python =
            marks.iter().find(|mark| mark.sandbox.is_none() && mark.mac.is_some() && mark.mac == mac);
        Ok(of_python.cloned())
    }

    /// Removes ports with their links, all that can be. Their pods may never have been connected.
    pub async fn unplug_all(&self, marks: &[Mark]) -> Result<(), Failure> {
        let (links, outcome) = self.unport(marks, Neighbours::ToBeTold).await;
        self.metrics.time(Step::RemoveLink, self.remover.remove(links)).await?;
        outcome
    }

    /// Takes ports from their pods, all that can be. Tells which links of the host are without use now.
    async fn unport(&self, marks: &[Mark], neighbours: Neighbours) -> (Vec<String>, Result<(), Failure>) {
        let (mut links, mut failures) = (Vec::new(), Vec::new());
        for mark in marks {
            match self.metrics.time(Step::RemovePort, self.release(&mark.ovs_port, neighbours)).await {
                Ok(_) => {
                    tracing::info!(pod = mark.pod, port = mark.port, link = mark.ovs_port, "unplugged");
                    links.extend(mark.links());
                    failures.extend(self.plug.sockets.clean(mark).err());
                }
                Err(error) => failures.push(error.into()),
            }
        }
        (links, Failure::of_all(failures))
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
