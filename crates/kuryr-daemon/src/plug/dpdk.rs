//! An interface of the VM that Nova has attached for the pod alone, handed to a program in its user space as a PCI device.
//!
//! ```text
//!   Nova attaches the pod's port ──► ens4 appears, with the port's MAC address
//!   ADD: virtio-pci ─ unbind ─► uio_pci_generic; ens4 is gone     <pci_mount_point>/<sandbox>-eth0: 0000:00:05.0
//!   DEL: back to virtio-pci                                       Nova takes the interface away
//! ```

use std::time::Duration;

use kuryr_net::{PciLink, VethEnds};
use tokio::time::{sleep, timeout};

use super::{Driver, Job, active};
use crate::{
    devices::{Taken, Whose},
    failure::Failure,
    ledger::Held,
    metrics::Step,
    node::Node,
};

/// A device comes within a second after Nova has attached it.
const AGAIN: Duration = Duration::from_millis(100);

/// An interface of the VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dpdk;

impl Dpdk {
    /// What the pod has, once it is plugged.
    pub(super) fn taken(job: Job<'_>) -> Result<Option<Held<Taken>>, Failure> {
        let whose = Whose::of(job.wiring, job.place.sandbox);
        Ok(job.node.plug.devices.ledger.all()?.into_iter().find(|held| held.taken.whose == whose))
    }

    /// The link of the VM that is the port.
    async fn link(job: Job<'_>) -> Result<PciLink, Failure> {
        let (devices, mac) = (&job.node.plug.devices, job.wiring.mac);
        let coming = async {
            loop {
                if let Some(link) = devices.sysfs.link_with_mac(mac)? {
                    return Ok(link);
                }
                sleep(AGAIN).await;
            }
        };
        let waited = job.node.limits.patience;
        timeout(waited, coming).await.unwrap_or_else(|_| {
            let reason = format!(
                "no interface of this node has its MAC address {mac}: Nova says that it has attached it \
                 (openstack server show, and the node's kernel log)"
            );
            Err(Failure::NotWired { port: job.wiring.port.to_string(), reason, waited })
        })
    }

    /// The node's own traffic must not end because a record has a wrong address.
    async fn is_not_the_nodes(job: Job<'_>, link: &PciLink) -> Result<(), Failure> {
        let own = job.node.lower(&job.place.host).await;
        if own.is_ok_and(|own| own.name == link.name) {
            let reason = format!("its MAC address is that of {}, the node's own link", link.name);
            return Err(Failure::BadRecord { pod: job.place.sandbox.pod.to_string(), reason });
        }
        Ok(())
    }

    async fn take(job: Job<'_>, link: PciLink) -> Result<(), Failure> {
        let devices = job.node.plug.devices.clone();
        let whose = Whose::of(job.wiring, job.place.sandbox);
        let taking = job.node.in_background(move || devices.take(whose, &link.address));
        job.node.metrics.time(Step::Link, taking).await
    }
}

impl Driver for Dpdk {
    async fn is_plugged(&self, job: Job<'_>) -> Result<bool, Failure> {
        Self::taken(job)?.map_or(Ok(false), |held| job.node.plug.devices.is_handed_out(&held))
    }

    async fn clear(&self, job: Job<'_>) -> Result<(), Failure> {
        let whose = Whose::of(job.wiring, job.place.sandbox);
        let mut left = job.node.plug.devices.ledger.all()?;
        left.retain(|Held { taken: Taken { whose: one, .. }, .. }| {
            (&one.sandbox, &one.ifname) == (&whose.sandbox, &whose.ifname) || one.port == whose.port
        });
        job.node.release_devices(left).await
    }

    async fn connect(&self, job: Job<'_>) -> Result<Option<VethEnds>, Failure> {
        job.node.plug.devices.user_driver()?;
        let link = Self::link(job).await?;
        Self::is_not_the_nodes(job, &link).await?;
        Self::take(job, link).await?;
        Ok(None)
    }

    async fn wired(&self, job: Job<'_>) -> Result<(), Failure> {
        active(job).await;
        Ok(())
    }

    fn unwired(&self, _node: &Node) -> &'static str {
        "the KuryrPort did not turn active: see the port's status in Neutron, and the controller's log"
    }
}
