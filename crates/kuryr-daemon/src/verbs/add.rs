//! ADD: waits for the record, plugs, waits for the backend, gives addresses. Whatever fails, everything is undone.

use std::{sync::Arc, time::Duration};

use kuryr_cni::{AddResult, Request};
use kuryr_k8s::slim::PortRecord;
use kuryr_net::NetNs;
use kuryr_ovsdb::Switch;
use tokio::time::timeout;

use crate::{
    answer,
    failure::{Chain, Failure},
    mark::Mark,
    metrics::Step,
    node::Node,
    plug::{self, Place, Plugged},
    sandbox::Sandbox,
    wiring::Wiring,
};

/// Undoing must not take the time that the next try needs.
const UNDO_WITHIN: Duration = Duration::from_secs(10);

/// What ADD did, for the runtime and for the Python Kuryr's plugin.
#[derive(Debug)]
pub struct Added {
    /// The result, not yet in any version.
    pub result: AddResult,
    /// The record that it was made from.
    pub record: Arc<PortRecord>,
}

impl Node {
    /// Connects a sandbox.
    pub async fn add(&self, request: &Request) -> Result<Added, Failure> {
        let sandbox = Sandbox::of(request)?;
        let work = async {
            let turn = self.turns.take(&sandbox.pod, request.command, &sandbox.id).await;
            tokio::select! {
                added = self.connect(sandbox.clone()) => added,
                () = turn.superseded.cancelled() => {
                    self.undo(&sandbox).await;
                    Err(Failure::Superseded(sandbox.pod.to_string()))
                }
            }
        };
        let outcome = timeout(self.limits.call, work).await;
        if outcome.is_err() {
            let _turn = self.turns.take(&sandbox.pod, request.command, &sandbox.id).await;
            self.undo(&sandbox).await;
        }
        outcome.unwrap_or(Err(Failure::TooLong(self.limits.call)))
    }

    async fn connect(&self, mut sandbox: Sandbox) -> Result<Added, Failure> {
        let namespace = self.namespace(&sandbox)?;
        let found = self
            .metrics
            .time(Step::Record, self.records.find(&sandbox.pod, sandbox.kubelet_uid(), self.limits.patience))
            .await;
        let record = match found {
            Ok(record) => record,
            Err(failure) => return Err(self.told(&sandbox, self.with_api_trouble(failure)).await),
        };
        record.pod_uid.as_ref().clone_into(&mut sandbox.pod_uid);
        let wirings = Wiring::read_all(record.content.vifs(), &sandbox.ifname, &self.plug)
            .map_err(|reason| Failure::BadRecord { pod: sandbox.pod.to_string(), reason })?;
        self.switch_up().await?;
        match self.wire(&wirings, &sandbox, &namespace).await {
            Ok(result) => Ok(Added { result, record }),
            Err(failure) => {
                self.undo(&sandbox).await;
                Err(self.told(&sandbox, failure).await)
            }
        }
    }

    fn namespace(&self, sandbox: &Sandbox) -> Result<NetNs, Failure> {
        let found = self.netns.open(&sandbox.netns_path, self.host.id())?;
        found.ok_or_else(|| Failure::Namespace {
            path: sandbox.netns_path.clone(),
            reason: "there is no such namespace",
        })
    }

    async fn wire(
        &self,
        wirings: &[Wiring],
        sandbox: &Sandbox,
        namespace: &NetNs,
    ) -> Result<AddResult, Failure> {
        let (inside, host) = (namespace.netlink().await?, self.host.netlink().await?);
        let place = Place { sandbox, namespace, inside, host };
        for wiring in wirings {
            if self.plug(wiring, &place).await? == Plugged::Now {
                tracing::info!(pod = %sandbox.pod, port = %wiring.port, link = wiring.plug.tap(), "plugged");
            }
        }
        plug::prepare(wirings, namespace).await?;
        self.metrics.time(Step::Wired, self.all_wired(wirings, sandbox)).await?;
        let addressing = async {
            for wiring in wirings {
                plug::address(wiring, &place).await?;
            }
            Ok::<_, Failure>(())
        };
        self.metrics.time(Step::Address, addressing).await?;
        answer::describe(wirings, sandbox, &place.host).await
    }

    async fn all_wired(&self, wirings: &[Wiring], sandbox: &Sandbox) -> Result<(), Failure> {
        for wiring in wirings {
            self.wired(wiring, sandbox).await?;
        }
        Ok(())
    }

    /// Waits until the backend has wired a port. Where the node runs OVN its own word counts; elsewhere the controller asks Neutron.
    async fn wired(&self, wiring: &Wiring, sandbox: &Sandbox) -> Result<(), Failure> {
        let waiting = async {
            if self.ovsdb.look(Switch::runs_ovn) {
                self.ovsdb.wait_for(|switch| opened(switch, wiring, Opened::Installed)).await
            } else {
                self.ovsdb.wait_for(|switch| opened(switch, wiring, Opened::HasPort)).await?;
                let active = self.records.ports.wait_for(|ports| {
                    let record = ports.get(&sandbox.pod)?;
                    let mut vifs = record.content.vifs();
                    vifs.any(|(_, entry)| {
                        entry.vif.base().id == wiring.port.as_str() && entry.vif.base().active
                    })
                    .then_some(())
                });
                active.await;
                Ok(())
            }
        };
        timeout(self.limits.patience, waiting).await.unwrap_or_else(|_| Err(self.not_wired(wiring)))
    }

    fn not_wired(&self, wiring: &Wiring) -> Failure {
        let reason = if self.ovsdb.look(Switch::runs_ovn) {
            "no ovn-installed on the interface: is ovn-controller running on this node, and does the port's binding:host_id name it?"
        } else {
            "the KuryrPort did not turn active: see the port's status in Neutron and its agent on this node"
        };
        Failure::NotWired {
            port: wiring.port.to_string(),
            reason: reason.to_owned(),
            waited: self.limits.patience,
        }
    }

    /// Removes what a call that failed has plugged. What cannot be removed now, DEL or the next start will.
    async fn undo(&self, sandbox: &Sandbox) {
        let undoing = timeout(UNDO_WITHIN, self.unwire(sandbox));
        if let Ok(Err(failure)) = undoing.await {
            tracing::warn!(pod = %sandbox.pod, error = %Chain(&failure), "could not undo");
        }
    }

    /// Removes the sandbox's ports, and the links that did not come to have one. A link that has the wanted name and is not ours stays.
    async fn unwire(&self, sandbox: &Sandbox) -> Result<(), Failure> {
        let marks = self.marks().await?;
        let of_sandbox = |mark: &&Mark| mark.sandbox.as_ref() == Some(&sandbox.id);
        self.unplug_all(&marks.iter().filter(of_sandbox).cloned().collect::<Vec<_>>()).await?;
        let Some(record) = self.records.ports.get(&sandbox.pod) else { return Ok(()) };
        let wirings =
            Wiring::read_all(record.content.vifs(), &sandbox.ifname, &self.plug).unwrap_or_default();
        let without_port =
            wirings.iter().filter(|wiring| marks.iter().all(|mark| mark.ovs_port != wiring.plug.ovs_port()));
        let links = without_port.flat_map(|wiring| wiring.plug.links()).map(str::to_owned);
        Ok(self.remover.remove(links.collect()).await?)
    }

    /// A record cannot arrive from an API server that is not there: then that is what is wrong.
    fn with_api_trouble(&self, failure: Failure) -> Failure {
        match (failure, self.api_trouble()) {
            (Failure::NoRecord { pod, waited, .. }, Some(reason)) => {
                Failure::NoRecord { pod, reason, waited }
            }
            (failure, _) => failure,
        }
    }

    /// Says in the pod's events what keeps it from starting.
    async fn told(&self, sandbox: &Sandbox, failure: Failure) -> Failure {
        let reason = match &failure {
            Failure::NoRecord { .. } | Failure::BadRecord { .. } => "CNITimeoutKuryrPortRegistry",
            Failure::NotWired { .. } => "CNITimedOutWaitingForActiveVIFs",
            _ => return failure,
        };
        self.warn(sandbox, reason, failure.to_string()).await;
        failure
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opened {
    /// ovs-vswitchd has opened the link.
    HasPort,
    /// ovn-controller has put the port's flows in place.
    Installed,
}

/// Whether ovs-vswitchd, and OVN if it is to be waited for, are done with a port, or never will be.
fn opened(switch: &Switch, wiring: &Wiring, wanted: Opened) -> Option<Result<(), Failure>> {
    let failed = |reason: String| Failure::Switch { link: wiring.plug.ovs_port().to_owned(), reason };
    let Some(interface) = switch.interface(wiring.plug.ovs_port()) else {
        return switch.is_up().then(|| Err(failed("somebody removed its port".to_owned())));
    };
    if let Some(error) = &interface.error {
        return Some(Err(failed(error.clone())));
    }
    let done = match wanted {
        Opened::HasPort => interface.ofport.is_some_and(|port| port > 0),
        Opened::Installed => interface.is_installed(),
    };
    done.then_some(Ok(()))
}
