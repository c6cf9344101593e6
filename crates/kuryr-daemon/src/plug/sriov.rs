//! A virtual function of one of the node's network cards, which goes into the pod: as a link, or, driven in user space, as the device that
//! the device plugin has given to the container.

use std::time::Duration;

use kuryr_api::vif;
use kuryr_net::{Function, Link, LinkChange, ParsePciError, PciAddress, VethEnds};
use tokio::time::sleep;

use super::{Driver, Job};
use crate::{
    failure::Failure,
    ledger::Held,
    metrics::Step,
    node::Node,
    sriov::{
        Returned, on_host,
        pci::{DeviceError, Physical},
        pod_resources,
        taken::{Form, Taken, Was, WasLink},
    },
    wiring::PlugSettings,
};

/// Drivers that leave a device to a program in user space.
const IN_USER_SPACE: [&str; 4] = ["vfio-pci", "uio_pci_generic", "igb_uio", "uio"];
/// Mellanox's drivers serve programs in user space beside the kernel: their devices keep them.
const BOTH: &str = "mlx";
/// A driver needs a moment to make its link.
const LINK_WITHIN: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(20);

/// A virtual function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sriov {
    /// The resource of the device plugin that it is one of.
    pub resource: String,
    /// The driver that it is to have, if it is to have a certain one.
    pub driver: Option<String>,
    /// The VLAN that the card puts its frames into.
    pub vlan: Option<u16>,
}

/// What a device that is to be taken is, and is to become.
struct Found {
    /// The card's link.
    card: Link,
    /// The number of the virtual function there.
    number: u32,
    /// How it is set there.
    before: Option<Function>,
    /// The driver that it has to be given.
    driver: Option<String>,
    /// What goes into the ledger.
    taken: Taken,
}

impl Sriov {
    /// Reads a VIF.
    pub fn read(vif: &vif::Sriov, settings: &PlugSettings) -> Result<Self, String> {
        let settings = &settings.sriov;
        let resource = settings.resources.get(&vif.physnet).cloned().ok_or_else(|| {
            format!(
                "[sriov] physnet_resource_mappings has no resource for the physical network {:?}",
                vif.physnet
            )
        })?;
        let network = &vif.base.network;
        let vlan = network.vlan.filter(|_| network.should_provide_vlan);
        Ok(Self { driver: settings.drivers.get(&resource).cloned(), resource, vlan })
    }

    /// Whether the pod has a link.
    fn has_link(&self) -> bool {
        !self.driver.as_ref().is_some_and(|driver| IN_USER_SPACE.contains(&driver.as_str()))
    }

    /// The device that the pod has, if it has no link.
    pub(super) fn device(&self, job: Job<'_>) -> Result<Option<PciAddress>, Failure> {
        if self.has_link() {
            return Ok(None);
        }
        let held = job.node.functions_of(job.place.sandbox)?;
        let own = held.into_iter().find(|held| held.taken.port == job.wiring.port.as_str());
        Ok(own.map(|held| held.device))
    }

    /// The driver that a device has to be given, which has this one.
    fn other_driver(&self, has: Option<&str>) -> Option<&str> {
        let wanted = self.driver.as_deref()?;
        let stays = |driver: &str| driver.starts_with(BOTH);
        (has != Some(wanted) && !stays(wanted) && !has.is_some_and(stays)).then_some(wanted)
    }

    /// One of those that the kubelet has given to the pod, and that none of its other interfaces has.
    async fn choose(&self, job: Job<'_>) -> Result<PciAddress, Failure> {
        let (sandbox, settings) = (job.place.sandbox, &job.node.plug.sriov);
        let Some(socket) = &settings.kubelet else {
            return Err(self.none(
                job,
                "the kubelet may not be asked which it has: set [sriov] enable_pod_resource_service",
            ));
        };
        let given = pod_resources::devices(socket, &sandbox.pod, &self.resource).await?;
        for device in &given {
            let address: PciAddress =
                device.parse().map_err(|error: ParsePciError| self.none(job, &error.to_string()))?;
            match settings.ledger.get(&address)? {
                None => return Ok(address),
                Some(taken) if taken.sandbox == sandbox.id.as_str() => {}
                Some(taken) => {
                    self.left(job, Held { device: address.clone(), taken }).await?;
                    return Ok(address);
                }
            }
        }
        let count = given.len();
        Err(self.none(job, &format!("the kubelet has given it {count} of them, and its other interfaces have {count}: its containers have to request one more")))
    }

    /// The kubelet gives a device to one pod at a time, so that who has it by the ledger has ended.
    async fn left(&self, job: Job<'_>, held: Held<Taken>) -> Result<(), Failure> {
        tracing::info!(device = %held.device, pod = held.taken.pod, "an earlier sandbox has not given it back");
        match job.node.give_back(&held).await? {
            Returned::Home => Ok(()),
            Returned::Away => {
                let reason = format!(
                    "the kernel has not given {} back yet, which a sandbox of {} had",
                    held.device, held.taken.pod
                );
                Err(self.none(job, &reason))
            }
        }
    }

    /// Takes a device for the pod. Before anything is changed, what it was stands in the ledger.
    async fn take(&self, job: Job<'_>, address: &PciAddress) -> Result<(), Failure> {
        let (bus, ledger) = (&job.node.plug.sriov.bus, &job.node.plug.sriov.ledger);
        let found = self.look_at(job, address).await?;
        ledger.put(address, &found.taken)?;
        self.set(job, &found).await?;
        if let Some(driver) = found.driver {
            let (bus, address) = (bus.clone(), address.clone());
            job.node.in_background(move || Ok(bus.bind(&address, &driver)?)).await?;
        }
        if self.has_link() { self.move_in(job, address, found.taken).await } else { Ok(()) }
    }

    async fn look_at(&self, job: Job<'_>, address: &PciAddress) -> Result<Found, Failure> {
        let (bus, host) = (&job.node.plug.sriov.bus, &job.place.host);
        let Physical { link: card, number } = bus.physical(address)?;
        let Some(card) = host.link(&card).await? else {
            return Err(
                self.none(job, &format!("its card's link {card} is not in the host's network namespace"))
            );
        };
        let has = bus.driver(address)?;
        let driver = self.other_driver(has.as_deref()).map(str::to_owned);
        let before = host.function(&card, number).await?;
        let link = if driver.is_none() { on_host(bus, address, host).await? } else { None };
        let form = match (self.has_link(), &driver, &has) {
            (true, ..) => Form::Link,
            (false, Some(driver), _) | (false, None, Some(driver)) => Form::Device(driver.clone()),
            (false, None, None) => return Err(DeviceError::NoFunction(address.clone()).into()),
        };
        let was = Was {
            driver: has.filter(|_| driver.is_some()),
            link: link.as_ref().and_then(was_link),
            function: before.map(Into::into),
        };
        Ok(Found { card, number, before, driver, taken: taken(job, form, was) })
    }

    /// Some cards can't be told a virtual function's MAC address. A link has it from the daemon, and a program in user space may set it.
    async fn set(&self, job: Job<'_>, found: &Found) -> Result<(), Failure> {
        let Found { card, number, before, .. } = found;
        let vlan = self.vlan.or_else(|| before.map(|before| before.vlan)).unwrap_or_default();
        let wanted = Function { mac: job.wiring.mac, vlan };
        if *before == Some(wanted) {
            return Ok(());
        }
        match job.place.host.set_function(card, *number, wanted).await {
            Err(error) if error.is_unsupported() && self.vlan.is_none() => {
                tracing::warn!(card = card.name, number, mac = %wanted.mac, "the card does not take the MAC address of a virtual function");
                Ok(())
            }
            set => Ok(set?),
        }
    }

    async fn move_in(&self, job: Job<'_>, address: &PciAddress, mut taken: Taken) -> Result<(), Failure> {
        let link = self.link(job, address).await?;
        // One that came with another driver goes with it.
        if taken.was.driver.is_none() && taken.was.link.is_none() {
            taken.was.link = was_link(&link);
            job.node.plug.sriov.ledger.put(address, &taken)?;
        }
        let change = LinkChange {
            namespace: Some(job.place.namespace),
            name: job.wiring.ifname.as_str(),
            mac: job.wiring.mac,
            mtu: job.wiring.mtu,
        };
        Ok(job.place.host.change(link.index, &change).await?)
    }

    /// The link of a device, which its driver may still have to make.
    async fn link(&self, job: Job<'_>, address: &PciAddress) -> Result<Link, Failure> {
        let bus = &job.node.plug.sriov.bus;
        for _ in 0..LINK_WITHIN.as_millis() / LOOK.as_millis() {
            if let Some(link) = on_host(bus, address, &job.place.host).await? {
                return Ok(link);
            }
            sleep(LOOK).await;
        }
        let driver = bus.driver(address)?.unwrap_or_else(|| "none".to_owned());
        Err(self.none(
            job,
            &format!("{address} has no link in the host's network namespace (its driver: {driver})"),
        ))
    }

    fn none(&self, job: Job<'_>, reason: &str) -> Failure {
        Failure::NoFunction {
            resource: self.resource.clone(),
            pod: job.place.sandbox.pod.to_string(),
            reason: reason.to_owned(),
        }
    }
}

impl Driver for Sriov {
    async fn is_plugged(&self, job: Job<'_>) -> Result<bool, Failure> {
        let (wiring, bus) = (job.wiring, &job.node.plug.sriov.bus);
        let held = job.node.functions_of(job.place.sandbox)?;
        let Some(held) = held.iter().find(|held| held.taken.port == wiring.port.as_str()) else {
            return Ok(false);
        };
        match &held.taken.form {
            Form::Device(driver) => {
                Ok(!self.has_link() && bus.driver(&held.device)?.as_ref() == Some(driver))
            }
            Form::Link if !self.has_link() => Ok(false),
            Form::Link => {
                let inside = job.place.inside.link(wiring.ifname.as_str()).await?;
                Ok(inside.is_some_and(|link| link.mac == Some(wiring.mac)))
            }
        }
    }

    async fn clear(&self, job: Job<'_>) -> Result<(), Failure> {
        let mut left = job.node.plug.sriov.ledger.all()?;
        left.retain(|held| held.taken.port == job.wiring.port.as_str());
        for held in left {
            self.left(job, held).await?;
        }
        Ok(())
    }

    async fn connect(&self, job: Job<'_>) -> Result<Option<VethEnds>, Failure> {
        let address = self.choose(job).await?;
        job.node.metrics.time(Step::Link, self.take(job, &address)).await?;
        Ok(None)
    }

    /// The card forwards as soon as it is set.
    async fn wired(&self, _job: Job<'_>) -> Result<(), Failure> {
        Ok(())
    }

    fn unwired(&self, _node: &Node) -> &'static str {
        "nothing is waited for"
    }
}

fn taken(job: Job<'_>, form: Form, was: Was) -> Taken {
    let sandbox = job.place.sandbox;
    Taken {
        pod: sandbox.pod.to_string(),
        pod_uid: sandbox.pod_uid.clone(),
        sandbox: sandbox.id.to_string(),
        netns: sandbox.netns_path.clone(),
        ifname: job.wiring.ifname.to_string(),
        port: job.wiring.port.to_string(),
        mac: job.wiring.mac.to_string(),
        form,
        was,
    }
}

fn was_link(link: &Link) -> Option<WasLink> {
    Some(WasLink { name: link.name.clone(), mac: link.mac?.to_string(), mtu: link.mtu })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(driver: Option<&str>) -> Sriov {
        Sriov { resource: "intel.com/x".to_owned(), driver: driver.map(str::to_owned), vlan: None }
    }

    #[test]
    fn drivers_change_only_where_they_have_to() {
        for (wanted, has, expected) in [
            (None, Some("iavf"), None),
            (Some("vfio-pci"), Some("iavf"), Some("vfio-pci")),
            (Some("vfio-pci"), Some("vfio-pci"), None),
            (Some("vfio-pci"), None, Some("vfio-pci")),
            (Some("iavf"), Some("vfio-pci"), Some("iavf")),
            (Some("vfio-pci"), Some("mlx5_core"), None),
            (Some("mlx5_core"), Some("iavf"), None),
        ] {
            assert_eq!(with(wanted).other_driver(has), expected, "{wanted:?} {has:?}");
        }
    }

    #[test]
    fn what_is_driven_in_user_space_is_no_link() {
        for (driver, has_link) in
            [(None, true), (Some("iavf"), true), (Some("vfio-pci"), false), (Some("mlx5_core"), true)]
        {
            assert_eq!(with(driver).has_link(), has_link, "{driver:?}");
        }
    }
}
