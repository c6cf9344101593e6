//! Interfaces of the node that programs in pods' user space have as PCI devices (DPDK): which there are, and giving them back.
//!
//! Such a device has no link on which it could stand whose it is: the ledger tells, from before it is taken from its driver until it is back.

use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use kuryr_cni::{ContainerId, IfName};
use kuryr_net::{DriverName, PciAddress, Sysfs};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::{
    failure::Failure,
    handout,
    ledger::{Held, Ledger},
    metrics::Step,
    node::Node,
    sandbox::Sandbox,
    sriov::pci::DeviceError,
    wiring::Wiring,
};

/// Where it stands whose a device is, unless a test says otherwise.
pub const STATE: &str = "/run/kuryr/devices";

/// How devices are handed to pods.
#[derive(Debug, Clone)]
pub struct Devices {
    /// The driver that gives them to user space.
    pub driver: String,
    /// The pods' folder, with a file for each interface.
    pub pods: PathBuf,
    /// What pods have.
    pub ledger: Ledger<Taken>,
    /// The kernel's files.
    pub sysfs: Sysfs,
    /// A call that was given up goes on until the kernel has answered: what follows waits for it.
    pub turn: Arc<Mutex<()>>,
}

/// Who has a device, and what it was before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// Whose it is.
    #[serde(flatten)]
    pub whose: Whose,
    /// The driver that it had.
    pub driver: String,
}

/// Whose a device is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whose {
    /// The sandbox.
    pub sandbox: ContainerId,
    /// The interface's name in the pod.
    pub ifname: IfName,
    /// The Neutron port.
    pub port: String,
    /// The pod's uid.
    pub pod_uid: String,
}

impl Whose {
    /// Those of an interface.
    pub fn of(wiring: &Wiring, sandbox: &Sandbox) -> Self {
        Self {
            sandbox: sandbox.id.clone(),
            ifname: wiring.ifname.clone(),
            port: wiring.port.to_string(),
            pod_uid: sandbox.pod_uid.clone(),
        }
    }
}

impl Devices {
    /// The driver that gives devices to user space.
    pub fn user_driver(&self) -> Result<DriverName, Failure> {
        let wrong = |source| Failure::Handout {
            action: "bind a device to the driver of [nested_dpdk] dpdk_driver",
            path: self.driver.clone().into(),
            source,
        };
        let driver: DriverName =
            self.driver.parse().map_err(|error| wrong(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
        if self.sysfs.has_driver(&driver) {
            return Ok(driver);
        }
        Err(wrong(io::Error::new(io::ErrorKind::NotFound, "the kernel has not loaded it (modprobe)")))
    }

    /// Those that a sandbox has.
    pub fn of(&self, sandbox: &Sandbox) -> Result<Vec<Held<Taken>>, Failure> {
        let mut held = self.ledger.all()?;
        held.retain(|held| held.taken.whose.sandbox == sandbox.id);
        Ok(held)
    }

    /// Takes a device from its driver for a pod, and tells the pod of it.
    pub fn take(&self, whose: Whose, device: &PciAddress) -> Result<(), Failure> {
        let _turn = self.turn.lock();
        let wanted = self.user_driver()?;
        let missing = || io::Error::new(io::ErrorKind::NotFound, "no driver has it");
        let driver = self.sysfs.driver_of(device)?;
        let driver = driver
            .ok_or_else(|| handout::failed("take the device", Path::new(device.as_str()))(missing()))?;
        if let Some(before) = self.ledger.get(device)? {
            // Nova has taken that interface away, and this one came to its place.
            handout::remove(&self.file(&before.whose))?;
        }
        let taken = Taken { whose, driver: driver.to_string() };
        self.ledger.put(device, &taken)?;
        self.sysfs.seize(device, &wanted)?;
        handout::write(&self.file(&taken.whose), device.as_str())
    }

    /// Whether a pod has the device, and knows it.
    pub fn is_handed_out(&self, held: &Held<Taken>) -> Result<bool, Failure> {
        let told = handout::read(&self.file(&held.taken.whose));
        let driver = self.sysfs.driver_of(&held.device)?;
        Ok(told.is_some_and(|told| told == held.device.as_str())
            && driver.is_some_and(|driver| driver.as_str() == self.driver))
    }

    /// Gives a device back to the driver that it had. One that Nova has taken away meanwhile needs none.
    fn release(&self, held: &Held<Taken>) -> Result<(), Failure> {
        let _turn = self.turn.lock();
        let Held { device, taken: Taken { whose, driver } } = held;
        // Another one may have come to its place while this waited.
        if self.ledger.get(device)?.as_ref() != Some(&held.taken) {
            return Ok(());
        }
        handout::remove(&self.file(whose))?;
        if self.sysfs.has_device(device) {
            let known = driver.parse().map_err(|_| DeviceError::NoDriver(driver.clone()))?;
            self.sysfs.give_back(device, &known)?;
        }
        self.ledger.remove(device)?;
        tracing::info!(port = whose.port, %device, driver, "gave a device back to its driver");
        Ok(())
    }

    fn file(&self, whose: &Whose) -> PathBuf {
        handout::path(&self.pods, &whose.sandbox, &whose.ifname)
    }
}

impl Node {
    /// Gives devices back, all that can be.
    pub async fn release_devices(&self, all: Vec<Held<Taken>>) -> Result<(), Failure> {
        let mut failures = Vec::new();
        for one in all {
            let devices = self.plug.devices.clone();
            // The kernel takes the device from its driver in the middle of it.
            let released = self.in_background(move || devices.release(&one));
            failures.extend(self.metrics.time(Step::RemoveLink, released).await.err());
        }
        Failure::of_all(failures)
    }

    /// Gives back the devices of a sandbox.
    pub async fn release_devices_of(&self, sandbox: &Sandbox) -> Result<(), Failure> {
        self.release_devices(self.plug.devices.of(sandbox)?).await
    }

    /// Gives back the devices of sandboxes that are not among these.
    pub async fn release_devices_of_unknown(&self, known: &HashSet<&str>) -> Result<(), Failure> {
        let mut left = self.plug.devices.ledger.all()?;
        left.retain(|held| !known.contains(held.taken.whose.sandbox.as_str()));
        self.release_devices(left).await
    }
}
