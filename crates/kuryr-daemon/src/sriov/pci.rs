//! PCI devices as `/sys` shows them: the card of a virtual function, its link, its driver.
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
};

use kuryr_net::PciAddress;

/// By this a device's driver is chosen freely again.
const ANY: &str = "\n";

/// The devices.
#[derive(Debug, Clone)]
pub struct Bus {
    root: PathBuf,
}

/// Where a virtual function is on its card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Physical {
    /// The link of the card.
    pub link: String,
    /// The number of the virtual function.
    pub number: u32,
}

/// What `/sys`, or the ledger, did not do.
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
        Self { root: sysfs.join("bus/pci") }
    }

    /// Whether there is such a device.
    pub fn is_there(&self, device: &PciAddress) -> bool {
        self.device(device).exists()
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
        Ok(target(&self.device(device).join("driver")))
    }

    /// Gives a device to another driver.
    pub fn bind(&self, device: &PciAddress, driver: &str) -> Result<(), DeviceError> {
        self.rebind(device, driver, driver)
    }

    /// Gives a device back to the driver that it had.
    pub fn give_back(&self, device: &PciAddress, driver: &str) -> Result<(), DeviceError> {
        self.rebind(device, driver, ANY)
    }

    fn rebind(&self, device: &PciAddress, driver: &str, choice: &str) -> Result<(), DeviceError> {
        let to = self.root.join("drivers").join(driver);
        if !to.exists() {
            return Err(DeviceError::NoDriver(driver.to_owned()));
        }
        let folder = self.device(device);
        let has = self.driver(device)?;
        if has.as_deref().is_some_and(|has| has != driver) {
            write(&folder.join("driver/unbind"), device.as_str())?;
        }
        write(&folder.join("driver_override"), choice)?;
        if has.as_deref() == Some(driver) { Ok(()) } else { write(&to.join("bind"), device.as_str()) }
    }

    fn device(&self, device: &PciAddress) -> PathBuf {
        self.root.join("devices").join(device.as_str())
    }
}

pub(super) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DeviceError {
    let path = path.to_owned();
    move |source| DeviceError::File { action, path, source }
}

fn write(path: &Path, text: &str) -> Result<(), DeviceError> {
    fs::write(path, text).map_err(failed("write to", path))
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
