//! ADD: waits for the record, plugs, waits for the backend, gives addresses. Whatever fails, everything is undone.

use std::{sync::Arc, time::Duration};

use futures::future::try_join;
use kuryr_cni::{AddResult, Request};
use kuryr_k8s::slim::PortRecord;
use kuryr_net::{Link, NetNs, VethEnds};
use tokio::time::timeout;

use crate::{
    answer,
    failure::{Chain, Failure},
    kind::Kind,
    mark::Mark,
    metrics::Step,
    node::Node,
    plug::{self, Inside, Job, Neighbours, Place},
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
        let finding = self.records.find(&sandbox.pod, sandbox.kubelet_uid(), self.limits.patience);
        // The record may take longer: what does not need it is done meanwhile.
        let (found, sockets) = tokio::join!(
            self.metrics.time(Step::Record, finding),
            try_join(namespace.netlink(), self.host.netlink()),
        );
        let record = match found {
            Ok(record) => record,
            Err(failure) => return Err(self.told(&sandbox, self.with_api_trouble(failure)).await),
        };
        record.pod_uid.as_ref().clone_into(&mut sandbox.pod_uid);
        let wirings = Wiring::read_all(record.content.vifs(), &sandbox.ifname, &self.plug)
            .map_err(|reason| Failure::BadRecord { pod: sandbox.pod.to_string(), reason })?;
        if wirings.iter().any(|wiring| wiring.plug.ovs_port().is_some()) {
            self.has_to_have_switch(&sandbox)?;
            self.switch_up().await?;
        }
        let (inside, host) = sockets?;
        let place = Place { sandbox: &sandbox, namespace: &namespace, inside, host };
        match self.wire(&wirings, &place).await {
            Ok(result) => Ok(Added { result, record }),
            Err(failure) => {
                self.undo(&sandbox).await;
                Err(self.told(&sandbox, failure).await)
            }
        }
    }

    /// A pod that got its port before its node was said to be of another kind cannot be helped.
    fn has_to_have_switch(&self, sandbox: &Sandbox) -> Result<(), Failure> {
        if matches!(self.own.kind(), None | Some(Kind::OpenVSwitch)) {
            return Ok(());
        }
        let reason = format!(
            "{}; if that is right, delete the pod, so that its successor gets another port",
            self.own.reason()
        );
        Err(Failure::WrongNode { pod: sandbox.pod.to_string(), reason })
    }

    fn namespace(&self, sandbox: &Sandbox) -> Result<NetNs, Failure> {
        let found = self.netns.open(&sandbox.netns_path, self.host.id())?;
        found.ok_or_else(|| Failure::Namespace {
            path: sandbox.netns_path.clone(),
            reason: "there is no such namespace",
        })
    }

    async fn wire(&self, wirings: &[Wiring], place: &Place<'_>) -> Result<AddResult, Failure> {
        let mut pairs = Vec::with_capacity(wirings.len());
        for wiring in wirings {
            pairs.push(wiring.plug.plug(Job { node: self, wiring, place }).await?);
        }
        // Looked at once: the keeper may tell them at any moment, and a link must be set up before or after, and not by neither.
        let news: Vec<_> = wirings.iter().map(|wiring| (wiring, self.neighbours(wiring))).collect();
        // The host's end, where it has to be looked at, before the address step may set it up: see `plug::set_up`.
        let ends = async {
            let outside = answer::outside(wirings, &pairs, place).await?;
            Ok((outside, self.metrics.time(Step::Address, self.address(&news, &pairs, place)).await?))
        };
        let wired = self.metrics.time(Step::Wired, self.all_wired(wirings, place));
        let ((), (outside, inside)) = tokio::try_join!(wired, ends)?;
        self.metrics.time(Step::Up, self.tell(&news, &inside, place)).await?;
        Ok(answer::describe(wirings, &inside, &outside, place.sandbox))
    }

    async fn all_wired(&self, wirings: &[Wiring], place: &Place<'_>) -> Result<(), Failure> {
        for wiring in wirings {
            let waiting = wiring.plug.wired(Job { node: self, wiring, place });
            let wired = timeout(self.limits.patience, waiting).await;
            wired.unwrap_or_else(|_| {
                Err(Failure::NotWired {
                    port: wiring.port.to_string(),
                    reason: wiring.plug.unwired(self).to_owned(),
                    waited: self.limits.patience,
                })
            })?;
        }
        Ok(())
    }

    /// Gives all interfaces their addresses. Tells what they are like inside.
    async fn address(
        &self,
        news: &[(&Wiring, Neighbours)],
        pairs: &[Option<VethEnds>],
        place: &Place<'_>,
    ) -> Result<Vec<Inside>, Failure> {
        plug::prepare(news, place.namespace).await?;
        let mut inside = Vec::with_capacity(news.len());
        for (&(wiring, neighbours), pair) in news.iter().zip(pairs) {
            if let Some(other) = wiring.plug.without_link(Job { node: self, wiring, place })? {
                inside.push(other);
                continue;
            }
            let known = pair.as_ref().map(|pair| &pair.far);
            let address = || plug::address(wiring, known, place);
            let link = self.instead_of_earlier(wiring, place.sandbox, address).await?;
            if neighbours == Neighbours::Told {
                self.set_up(wiring, &link, place).await?;
            }
            inside.push(Inside::Link(link));
        }
        Ok(inside)
    }

    /// Sets up what is not up yet: links whose first word has to get through.
    async fn tell(
        &self,
        news: &[(&Wiring, Neighbours)],
        inside: &[Inside],
        place: &Place<'_>,
    ) -> Result<(), Failure> {
        for (&(wiring, neighbours), inside) in news.iter().zip(inside) {
            if let (Inside::Link(link), Neighbours::ToBeTold) = (inside, neighbours) {
                self.set_up(wiring, link, place).await?;
            }
        }
        Ok(())
    }

    /// Sets a link up, with its routes.
    async fn set_up(&self, wiring: &Wiring, link: &Link, place: &Place<'_>) -> Result<(), Failure> {
        self.instead_of_earlier(wiring, place.sandbox, || plug::set_up(wiring, link, place)).await
    }

    /// Does what a link of an earlier sandbox may be in the way of: on a link that pods share, that has the MAC address, or the addresses.
    async fn instead_of_earlier<T, F: Future<Output = Result<T, Failure>>>(
        &self,
        wiring: &Wiring,
        sandbox: &Sandbox,
        work: impl Fn() -> F,
    ) -> Result<T, Failure> {
        match work().await {
            Err(Failure::Net(error)) if error.is_in_use() => {
                self.unstack_elsewhere(wiring, sandbox).await?;
                work().await
            }
            done => done,
        }
    }

    /// Removes what a call that failed has plugged. What cannot be removed now, DEL or the next start will.
    async fn undo(&self, sandbox: &Sandbox) {
        let undoing = timeout(UNDO_WITHIN, self.unwire(sandbox));
        if let Ok(Err(failure)) = undoing.await {
            tracing::warn!(pod = %sandbox.pod, error = %Chain(&failure), "could not undo");
        }
    }

    /// Removes the sandbox's links and ports. A link that has the wanted name and is not ours stays.
    async fn unwire(&self, sandbox: &Sandbox) -> Result<(), Failure> {
        let record = self.records.ports.get(&sandbox.pod);
        let vifs = record.iter().flat_map(|record| record.content.vifs());
        let wirings = Wiring::read_all(vifs, &sandbox.ifname, &self.plug).unwrap_or_default();
        self.free_functions(sandbox).await?;
        self.unwire_stacked(sandbox, &wirings).await?;
        self.release_devices_of(sandbox).await?;
        if matches!(self.own.kind(), None | Some(Kind::OpenVSwitch)) {
            self.unwire_ports(sandbox, &wirings).await
        } else {
            Ok(())
        }
    }

    async fn unwire_stacked(&self, sandbox: &Sandbox, wirings: &[Wiring]) -> Result<(), Failure> {
        let mut names = stacked_names(wirings);
        if self.own.kind() == Some(Kind::OpenVSwitch) && names.is_empty() {
            return Ok(());
        }
        names.push(sandbox.ifname.as_str());
        let Some(namespace) = self.namespace_of(sandbox)? else { return Ok(()) };
        self.unstack(&self.stacked_of(sandbox, &namespace, &names).await?).await
    }

    /// Removes the ports, and the links that did not come to have one.
    async fn unwire_ports(&self, sandbox: &Sandbox, wirings: &[Wiring]) -> Result<(), Failure> {
        let marks = self.marks().await?;
        let of_sandbox = |mark: &&Mark| mark.sandbox.as_ref() == Some(&sandbox.id);
        self.unplug_all(&marks.iter().filter(of_sandbox).cloned().collect::<Vec<_>>()).await?;
        Ok(self.remover.remove(links_without_port(wirings, &marks)).await?)
    }

    /// A record cannot arrive from an API server that is not there: then that is what is wrong.
    fn with_api_trouble(&self, failure: Failure) -> Failure {
        match (failure, self.records_trouble()) {
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
            Failure::NoFunction { .. } | Failure::PodResources(_) | Failure::Device(_) => {
                "VirtualFunctionNotPlugged"
            }
            _ => return failure,
        };
        let message = Chain(&failure).to_string();
        self.warn(sandbox, reason, message).await;
        failure
    }
}

/// The names in the sandbox, for a moment or for good, of links that are on top of the node's own.
fn stacked_names(wirings: &[Wiring]) -> Vec<&str> {
    let stacked = wirings.iter().filter(|wiring| wiring.plug.interim().is_some());
    stacked.flat_map(|wiring| [Some(wiring.ifname.as_str()), wiring.plug.interim()]).flatten().collect()
}

fn links_without_port(wirings: &[Wiring], marks: &[Mark]) -> Vec<String> {
    let has_port = |name: &str| marks.iter().any(|mark| mark.ovs_port == name);
    let without_port =
        wirings.iter().filter(|wiring| wiring.plug.ovs_port().is_some_and(|port| !has_port(port.name)));
    without_port.flat_map(|wiring| wiring.plug.host_links()).map(str::to_owned).collect()
}
