//! What the drivers for Open vSwitch share: the pod's veth pair, and the port in OVSDB.

use kuryr_net::VethPair;
use kuryr_ovsdb::{NewPort, Removed, Switch};

use super::{Job, active};
use crate::{failure::Failure, mark::Mark, metrics::Step, node::Node};

/// A port of an OVS bridge for a pod.
#[derive(Debug, Clone, Copy)]
pub struct OvsPort<'a> {
    /// The bridge.
    pub bridge: &'a str,
    /// The port's name, which is also that of a link of the host.
    pub name: &'a str,
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

impl OvsPort<'_> {
    pub(super) async fn is_plugged(&self, job: Job<'_>) -> Result<bool, Failure> {
        let (place, wiring) = (job.place, job.wiring);
        let marked = job.node.ovsdb.look(|switch| {
            let interface = switch.interface(self.name)?;
            Mark::read(interface).filter(|mark| mark.sandbox.as_ref() == Some(&place.sandbox.id))
        });
        if marked.is_none() || place.host.link(self.tap).await?.is_none() {
            return Ok(false);
        }
        let inside = place.inside.link(wiring.ifname.as_str()).await?;
        Ok(inside.is_some_and(|link| link.mac == Some(wiring.mac)))
    }

    pub(super) async fn clear(&self, job: Job<'_>) -> Result<(), Failure> {
        let (ovsdb, place, wiring) = (&job.node.ovsdb, job.place, job.wiring);
        if job.node.release(self.name).await? == Removed::Port {
            tracing::info!(port = %wiring.port, link = self.name, "removed what was left of the port");
        }
        ovsdb.settle().await;
        place.host.delete_link(self.tap).await?;
        let ours =
            place.inside.link(wiring.ifname.as_str()).await?.filter(|link| link.mac == Some(wiring.mac));
        if let Some(link) = ours {
            place.inside.delete_link(&link.name).await?;
        }
        Ok(())
    }

    /// The pod's pair. The host's end is not in Open vSwitch yet.
    pub(super) async fn add_pair(&self, job: Job<'_>) -> Result<(), Failure> {
        let pair = VethPair {
            near: self.tap,
            far: job.wiring.ifname.as_str(),
            namespace: job.place.namespace,
            mac: job.wiring.mac,
            mtu: job.wiring.mtu,
        };
        Ok(job.place.host.add_veth(&pair).await?)
    }

    pub(super) async fn add(&self, job: Job<'_>) -> Result<(), Failure> {
        let external_ids = Mark::of(job.wiring, job.place.sandbox);
        let port = NewPort { bridge: self.bridge, name: self.name, external_ids };
        Ok(job.node.metrics.time(Step::Ovsdb, job.node.take_port(&port)).await?)
    }

    /// Where the node runs OVN its own word counts; elsewhere the controller asks Neutron.
    pub(super) async fn wired(&self, job: Job<'_>) -> Result<(), Failure> {
        let ovsdb = &job.node.ovsdb;
        if ovsdb.look(Switch::runs_ovn) {
            return ovsdb.wait_for(|switch| self.opened(switch, Opened::Installed)).await;
        }
        ovsdb.wait_for(|switch| self.opened(switch, Opened::HasPort)).await?;
        active(job).await;
        Ok(())
    }

    pub(super) fn unwired(node: &Node) -> &'static str {
        if node.ovsdb.look(Switch::runs_ovn) {
            "no ovn-installed on the interface: is ovn-controller running on this node, and does the port's binding:host_id name it?"
        } else {
            "the KuryrPort did not turn active: see the port's status in Neutron and its agent on this node"
        }
    }

    /// Whether ovs-vswitchd, and OVN if it is to be waited for, are done with the port, or never will be.
    fn opened(&self, switch: &Switch, wanted: Opened) -> Option<Result<(), Failure>> {
        let failed = |reason: String| Failure::Switch { link: self.name.to_owned(), reason };
        let Some(interface) = switch.interface(self.name) else {
            return switch.is_up().then(|| Err(failed("somebody removed its port".to_owned())));
        };
        let is_open = interface.ofport.is_some_and(|port| port > 0);
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
