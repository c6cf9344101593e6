//! Virtual functions as `/sys` shows them: the card, the link, the driver.
//!
//! ```text
//!   bus/pci/devices/0000:03:02.1/physfn ──► ../0000:03:00.0    net/ens1f0, virtfn0 ──► ../0000:03:02.0, virtfn1 ──► ../0000:03:02.1
//!                               /net/ens1f0v1                  there while the link is in the host's namespace
//!                               /driver ──► ../../drivers/iavf
//! ```

use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::Arc,
};

use kuryr_net::{DriverName, NetError, PciAddress, Sysfs};
use parking_lot::Mutex;

/// The devices.
#[derive(Debug, Clone)]
pub struct Bus {
    devices: PathBuf,
    sysfs: Sysfs,
    /// A call that was given up goes on until the kernel has answered: what follows waits for it.
    turn: Arc<Mutex<()>>,
}

/// Where a virtual function is on its card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Physical {
    /// The link of the card.
    pub link: String,
    /// The number of the virtual function.
    pub number: u32,
}

/// What `/sys` did not do, or the ledger does not tell.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// A file was not read or written.
    #[error("{action} {}", .path.display())]
    File {
        /// What was to be done.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// Its driver is not told, or not changed.
    #[error(transparent)]
    Driver(#[from] NetError),
    /// It is no virtual function.
    #[error("device {0} is no virtual function of a network card whose link is on the host")]
    NoFunction(PciAddress),
    /// The kernel has no such driver.
    #[error("the kernel has no driver {0} for PCI devices: load its module on the node")]
    NoDriver(String),
    /// What stands in the ledger is not what was written there.
    #[error("the ledger has {0:?} for a MAC address")]
    NoMac(String),
}

impl Bus {
    /// The devices below `sysfs`, which is `/sys`.
    pub fn new(sysfs: &Path) -> Self {
        Self {
            devices: sysfs.join("bus/pci/devices"),
            sysfs: Sysfs::new(sysfs.to_owned()),
            turn: Arc::default(),
        }
    }

    /// Whether there is such a device.
    pub fn is_there(&self, device: &PciAddress) -> bool {
        self.sysfs.has_device(device)
    }

    /// The card of a virtual function.
    pub fn physical(&self, device: &PciAddress) -> Result<Physical, DeviceError> {
        let card = self.device(device).join("physfn");
        let link = first(&card.join("net"))?;
        let number = entries(&card)?.into_iter().find_map(|name| {
            let number = name.strip_prefix("virtfn")?.parse().ok()?;
            (target(&card.join(&name)).as_deref() == Some(device.as_str())).then_some(number)
        });
        match (link, number) {
            (Some(link), Some(number)) => Ok(Physical { link, number }),
            _ => Err(DeviceError::NoFunction(device.clone())),
        }
    }

    /// The name of a device's link, if it has one in the host's namespace.
    pub fn link(&self, device: &PciAddress) -> Result<Option<String>, DeviceError> {
        first(&self.device(device).join("net"))
    }

    /// The driver of a device.
    pub fn driver(&self, device: &PciAddress) -> Result<Option<String>, DeviceError> {
        Ok(self.sysfs.driver_of(device)?.map(|driver| driver.to_string()))
    }

    /// Gives a device to another driver. Waits for the kernel, which may take a while.
    pub fn bind(&self, device: &PciAddress, driver: &str) -> Result<(), DeviceError> {
        let _turn = self.turn.lock();
        Ok(self.sysfs.seize(device, &self.known(driver)?)?)
    }

    /// Gives a device back to the driver that it had. Waits for the kernel, which may take a while.
    pub fn give_back(&self, device: &PciAddress, driver: &str) -> Result<(), DeviceError> {
        let _turn = self.turn.lock();
        Ok(self.sysfs.give_back(device, &self.known(driver)?)?)
    }

    /// A device is not taken from one driver where there is no other to give it to.
    fn known(&self, driver: &str) -> Result<DriverName, DeviceError> {
        let name = driver.parse().ok().filter(|name| self.sysfs.has_driver(name));
        name.ok_or_else(|| DeviceError::NoDriver(driver.to_owned()))
    }

    fn device(&self, device: &PciAddress) -> PathBuf {
        self.devices.join(device.as_str())
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DeviceError {
    let path = path.to_owned();
    move |source| DeviceError::File { action, path, source }
}

/// What a link leads to, by its name.
fn target(path: &Path) -> Option<String> {
    Some(fs::read_link(path).ok()?.file_name()?.to_str()?.to_owned())
}

/// The names in a folder, none if it is not there.
fn entries(folder: &Path) -> Result<Vec<String>, DeviceError> {
    let found = match fs::read_dir(folder) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed("list", folder)(error)),
    };
    Ok(found.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
}

fn first(folder: &Path) -> Result<Option<String>, DeviceError> {
    Ok(entries(folder)?.into_iter().min())
}
