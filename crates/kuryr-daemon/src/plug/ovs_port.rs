//! What the drivers for Open vSwitch share: the port in OVSDB, and the pod's veth pair where there is one.

use kuryr_net::{NetError, VethEnds, VethPair};
use kuryr_ovsdb::{Device, NewPort, Removed, Switch};

use super::{Job, Neighbours, active};
use crate::{failure::Failure, mark::Mark, metrics::Step, node::Node};

/// A port of an OVS bridge for a pod.
#[derive(Debug, Clone, Copy)]
pub struct OvsPort<'a> {
    /// The bridge.
    pub bridge: &'a str,
    /// The port's name, which is also that of what is behind it.
    pub name: &'a str,
}

/// One with a veth pair, whose host end is behind it, or not far.
#[derive(Debug, Clone, Copy)]
pub struct PairPort<'a> {
    /// The port.
    pub port: OvsPort<'a>,
    /// The host's end of the pod's veth pair.
    pub tap: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opened {
    /// ovs-vswitchd has opened the link.
    HasPort,
    /// ovn-controller has put the port's flows in place.
    Installed,
}

impl PairPort<'_> {
    pub(super) async fn is_plugged(&self, job: Job<'_>) -> Result<bool, Failure> {
        let (place, wiring) = (job.place, job.wiring);
        if !self.port.is_marked(job) || place.host.link(self.tap).await?.is_none() {
            return Ok(false);
        }
        let inside = place.inside.link(wiring.ifname.as_str()).await?;
        Ok(inside.is_some_and(|link| link.mac == Some(wiring.mac)))
    }

    /// Links that are left are only looked for when they turn out to be in the way.
    pub(super) async fn clear(&self, job: Job<'_>) -> Result<(), Failure> {
        self.port.remove(job).await
    }

    /// The pod's pair. The host's end is not in Open vSwitch yet.
    pub(super) async fn add_pair(&self, job: Job<'_>) -> Result<Option<VethEnds>, Failure> {
        match self.make_pair(job).await {
            Err(error) if error.is_there_already() => {
                self.remove_links(job).await?;
                Ok(self.make_pair(job).await?)
            }
            made => Ok(made?),
        }
    }

    async fn make_pair(&self, job: Job<'_>) -> Result<Option<VethEnds>, NetError> {
        let pair = VethPair {
            near: self.tap,
            far: job.wiring.ifname.as_str(),
            namespace: job.place.namespace,
            mac: job.wiring.mac,
            mtu: job.wiring.mtu,
        };
        job.place.host.add_veth(&pair).await
    }

    /// A link inside that is somebody else's stays.
    async fn remove_links(&self, job: Job<'_>) -> Result<(), NetError> {
        let (place, wiring) = (job.place, job.wiring);
        place.host.delete_link(self.tap).await?;
        let inside = place.inside.link(wiring.ifname.as_str()).await?;
        if let Some(link) = inside.filter(|link| link.mac == Some(wiring.mac)) {
            place.inside.delete_link(&link.name).await?;
        }
        Ok(())
    }

    pub(super) async fn add(&self, job: Job<'_>) -> Result<(), Failure> {
        self.port.add(job, Device::Link).await
    }

    pub(super) async fn wired(&self, job: Job<'_>) -> Result<(), Failure> {
        self.port.wired(job).await
    }
}

impl OvsPort<'_> {
    /// Whether it is there, for this sandbox.
    pub(super) fn is_marked(&self, job: Job<'_>) -> bool {
        let mark = job.node.ovsdb.look(|switch| switch.interface(self.name).and_then(Mark::read));
        mark.is_some_and(|mark| mark.sandbox.as_ref() == Some(&job.place.sandbox.id))
    }

    pub(super) async fn remove(&self, job: Job<'_>) -> Result<(), Failure> {
        if job.node.release(self.name, Neighbours::ToBeTold).await? == Removed::Port {
            tracing::info!(port = %job.wiring.port, link = self.name, "removed what was left of the port");
        }
        job.node.ovsdb.settle(self.name).await;
        Ok(())
    }

    pub(super) async fn add(&self, job: Job<'_>, device: Device<'_>) -> Result<(), Failure> {
        let external_ids = Mark::of(job.wiring, job.place.sandbox);
        let port = NewPort { bridge: self.bridge, name: self.name, device, external_ids };
        Ok(job.node.metrics.time(Step::Ovsdb, job.node.take_port(&port)).await?)
    }

    /// Where the node runs OVN its own word counts; elsewhere the controller asks Neutron.
    pub(super) async fn wired(&self, job: Job<'_>) -> Result<(), Failure> {
        let ovsdb = &job.node.ovsdb;
        // Until then a port that waited for its link looks as it did before.
        ovsdb.carried_out(self.name).await;
        if ovsdb.look(Switch::runs_ovn) {
            return ovsdb.wait_for(|switch| self.opened(switch, Opened::Installed)).await;
        }
        ovsdb.wait_for(|switch| self.opened(switch, Opened::HasPort)).await?;
        active(job).await;
        Ok(())
    }

    pub(super) fn unwired(&self, node: &Node) -> &'static str {
        if !node.ovsdb.look(|switch| self.is_open(switch)) || !node.ovsdb.has_carried_out(self.name) {
            "ovs-vswitchd has not opened the link: is it running on this node?"
        } else if node.ovsdb.look(Switch::runs_ovn) {
            "no ovn-installed on the interface: is ovn-controller running on this node, and does the port's binding:host_id name it?"
        } else {
            "the KuryrPort did not turn active: see the port's status in Neutron and its agent on this node"
        }
    }

    pub(super) fn is_open(&self, switch: &Switch) -> bool {
        switch.interface(self.name).and_then(|found| found.ofport).is_some_and(|port| port > 0)
    }

    /// Whether ovs-vswitchd, and OVN if it is to be waited for, are done with the port, or never will be.
    fn opened(&self, switch: &Switch, wanted: Opened) -> Option<Result<(), Failure>> {
        let failed = |reason: String| Failure::Switch { link: self.name.to_owned(), reason };
        let Some(interface) = switch.interface(self.name) else {
            return switch.is_up().then(|| Err(failed("somebody removed its port".to_owned())));
        };
        let is_open = self.is_open(switch);
        // What is wrong with a port without a link goes on being said for a moment when the link is there.
        if let Some(error) = interface.error.as_ref().filter(|_| !is_open) {
            return Some(Err(failed(error.clone())));
        }
        let done = match wanted {
            Opened::HasPort => is_open,
            Opened::Installed => is_open && interface.is_installed(),
        };
        done.then_some(Ok(()))
    }
}
