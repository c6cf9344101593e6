//! Interfaces of the node that programs in pods' user space have as PCI devices (DPDK): which there are, and giving them back.
//!
//! Such a device has no link on which it could stand whose it is. A file does that for each, where only root gets at it; it is written
//! before a device is taken from its driver, and goes last. The folder is the system's run directory's, which a restart of the node empties:
//! the kernel's own drivers have all devices then.

use std::{
    collections::HashSet,
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use kuryr_cni::{ContainerId, IfName};
use kuryr_net::{DriverName, PciAddress, Sysfs};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::{failure::Failure, handout, metrics::Step, node::Node, sandbox::Sandbox, wiring::Wiring};

/// Where it stands whose a device is, unless a test says otherwise.
pub const STATE: &str = "/run/kuryr/devices";

/// How devices are handed to pods.
#[derive(Debug, Clone)]
pub struct Devices {
    /// The driver that gives them to user space.
    pub driver: String,
    /// The pods' folder, with a file for each interface.
    pub pods: PathBuf,
    /// The daemon's folder.
    pub state: PathBuf,
    /// The kernel's files.
    pub sysfs: Sysfs,
    /// A call that was given up goes on until the kernel has answered: what follows waits for it.
    pub turn: Arc<Mutex<()>>,
}

/// A device that a pod has, or is about to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Whose it is.
    pub whose: Whose,
    /// The device.
    pub device: PciAddress,
    /// The driver that it had.
    pub driver: DriverName,
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

/// A file of the daemon's.
#[derive(Serialize, Deserialize)]
struct Written {
    #[serde(flatten)]
    whose: Whose,
    device: String,
    driver: String,
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

    /// All that are taken. A file that makes no sense is nobody's.
    pub fn all(&self) -> Result<Vec<Taken>, Failure> {
        let files = match fs::read_dir(&self.state) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            files => files.map_err(handout::failed("list", &self.state))?,
        };
        let texts = files.flatten().filter_map(|file| handout::read(&file.path()));
        Ok(texts.filter_map(|text| read(&text)).collect())
    }

    /// Takes a device from its driver for a pod, and tells the pod of it.
    pub fn take(&self, whose: Whose, device: PciAddress) -> Result<(), Failure> {
        let _turn = self.turn.lock();
        let wanted = self.user_driver()?;
        let missing = || io::Error::new(io::ErrorKind::NotFound, "no driver has it");
        let driver = self.sysfs.driver_of(&device)?;
        let driver = driver
            .ok_or_else(|| handout::failed("take the device", Path::new(device.as_str()))(missing()))?;
        let taken = Taken { whose, device, driver };
        self.note(&taken)?;
        self.sysfs.seize(&taken.device, &wanted)?;
        handout::write(&file(&self.pods, &taken.whose), taken.device.as_str())
    }

    /// Notes whose a device is.
    fn note(&self, taken: &Taken) -> Result<(), Failure> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.state);
        made.map_err(handout::failed("make the folder", &self.state))?;
        let Taken { whose, device, driver } = taken;
        let written =
            Written { whose: whose.clone(), device: device.to_string(), driver: driver.to_string() };
        handout::write(&file(&self.state, whose), &serde_json::json!(written).to_string())
    }

    /// Whether a pod has the device, and knows it.
    pub fn is_handed_out(&self, taken: &Taken) -> Result<bool, Failure> {
        let told = handout::read(&file(&self.pods, &taken.whose));
        let driver = self.sysfs.driver_of(&taken.device)?;
        Ok(told.is_some_and(|told| told == taken.device.as_str())
            && driver.is_some_and(|driver| driver.as_str() == self.driver))
    }

    /// Gives a device back to the driver that it had. One that Nova has taken away meanwhile needs none.
    fn release(&self, taken: &Taken) -> Result<(), Failure> {
        let _turn = self.turn.lock();
        let Taken { whose, device, driver } = taken;
        handout::remove(&file(&self.pods, whose))?;
        if self.sysfs.has_device(device) {
            self.sysfs.give_back(device, driver)?;
        }
        handout::remove(&file(&self.state, whose))?;
        tracing::info!(port = whose.port, %device, %driver, "gave a device back to its driver");
        Ok(())
    }
}

fn file(folder: &Path, whose: &Whose) -> PathBuf {
    handout::path(folder, &whose.sandbox, &whose.ifname)
}

fn read(text: &str) -> Option<Taken> {
    let Written { whose, device, driver } = serde_json::from_str(text).ok()?;
    Some(Taken { whose, device: device.parse().ok()?, driver: driver.parse().ok()? })
}

impl Node {
    /// Gives devices back, all that can be.
    pub async fn release_devices(&self, taken: Vec<Taken>) -> Result<(), Failure> {
        let mut failures = Vec::new();
        for one in taken {
            let devices = self.plug.devices.clone();
            // The kernel takes the device from its driver in the middle of it.
            let released = self.in_background(move || devices.release(&one));
            failures.extend(self.metrics.time(Step::RemoveLink, released).await.err());
        }
        Failure::of_all(failures)
    }

    /// Gives back the devices of a sandbox.
    pub async fn release_devices_of(&self, sandbox: &Sandbox) -> Result<(), Failure> {
        let mut taken = self.plug.devices.all()?;
        taken.retain(|taken| taken.whose.sandbox == sandbox.id);
        self.release_devices(taken).await
    }

    /// Gives back the devices of sandboxes that are not among these.
    pub async fn release_devices_of_unknown(&self, known: &HashSet<&str>) -> Result<(), Failure> {
        let mut taken = self.plug.devices.all()?;
        taken.retain(|taken| !known.contains(taken.whose.sandbox.as_str()));
        self.release_devices(taken).await
    }
}
