//! PCI devices in sysfs: which one a link is, and which kernel driver has it.
//!
//! ```text
//!   class/net/ens4/address             the link's MAC address
//!   class/net/ens4/device ──►          …/0000:00:05.0/virtio2, or the PCI device itself
//!   bus/pci/devices/0000:00:05.0/driver ──► bus/pci/drivers/virtio-pci
//!                               /driver_override    the one driver that may have it
//!   bus/pci/drivers/virtio-pci/bind, unbind
//! ```
//!
//! A driver in user space (DPDK) needs a device to be bound to a driver such as `uio_pci_generic`. The link is gone as long as it is.

use std::{
    fmt, fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    str::FromStr,
};

use crate::{error::NetError, mac::MacAddr};

/// Takes a device's `driver_override` away.
const NO_OVERRIDE: &str = "\n";
/// Digits of bus, device and function; a domain may have more than its four.
const DIGITS: (usize, usize, usize, usize) = (4, 2, 2, 1);

/// A device's address: `0000:00:05.0`. It cannot lead out of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PciAddress(String);

/// A kernel driver's name. It cannot lead out of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriverName(String);

/// The text is no address of a device, or no name of a driver.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{text:?} is not {kind}")]
pub struct ParsePciError {
    text: String,
    kind: &'static str,
}

/// A link that is a PCI device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PciLink {
    /// The link's name.
    pub name: String,
    /// The device.
    pub address: PciAddress,
}

/// sysfs, or what a test has in its place.
#[derive(Debug, Clone)]
pub struct Sysfs {
    root: PathBuf,
}

impl Sysfs {
    /// The one that is mounted there.
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The link of a PCI device that has this MAC address. Others may have it, too: VLANs on top of it, say.
    pub fn link_with_mac(&self, mac: MacAddr) -> Result<Option<PciLink>, NetError> {
        let folder = self.root.join("class/net");
        for entry in fs::read_dir(&folder).map_err(failed("list", &folder))?.flatten() {
            // A link may go while this looks at it.
            let told = fs::read_to_string(entry.path().join("address")).unwrap_or_default();
            if told.trim().parse() != Ok(mac) {
                continue;
            }
            if let Some(address) = device_of(&entry.path()) {
                return Ok(Some(PciLink { name: entry.file_name().to_string_lossy().into_owned(), address }));
            }
        }
        Ok(None)
    }

    /// Whether there is such a device.
    pub fn has_device(&self, device: &PciAddress) -> bool {
        self.device(device).exists()
    }

    /// Whether the kernel has such a driver.
    pub fn has_driver(&self, driver: &DriverName) -> bool {
        self.driver(driver).exists()
    }

    /// The driver that a device is bound to.
    pub fn driver_of(&self, device: &PciAddress) -> Result<Option<DriverName>, NetError> {
        let link = self.device(device).join("driver");
        match fs::read_link(&link) {
            Ok(target) => Ok(target.file_name().and_then(|name| name.to_str()?.parse().ok())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &link)(error)),
        }
    }

    /// Binds a device to a driver that does not ask for it by itself, and keeps all others from taking it.
    pub fn seize(&self, device: &PciAddress, driver: &DriverName) -> Result<(), NetError> {
        if self.driver_of(device)?.as_ref() == Some(driver) {
            return Ok(());
        }
        self.unbind(device)?;
        self.rule(device, driver.as_str())?;
        self.bind(device, driver)
    }

    /// Gives a device back to the driver that it had.
    pub fn give_back(&self, device: &PciAddress, driver: &DriverName) -> Result<(), NetError> {
        let is_back = self.driver_of(device)?.as_ref() == Some(driver);
        if !is_back {
            self.unbind(device)?;
        }
        self.rule(device, NO_OVERRIDE)?;
        if is_back { Ok(()) } else { self.bind(device, driver) }
    }

    fn unbind(&self, device: &PciAddress) -> Result<(), NetError> {
        match self.driver_of(device)? {
            Some(driver) => put(&self.driver(&driver).join("unbind"), device.as_str()),
            None => Ok(()),
        }
    }

    fn rule(&self, device: &PciAddress, driver: &str) -> Result<(), NetError> {
        put(&self.device(device).join("driver_override"), driver)
    }

    fn bind(&self, device: &PciAddress, driver: &DriverName) -> Result<(), NetError> {
        put(&self.driver(driver).join("bind"), device.as_str())
    }

    fn device(&self, device: &PciAddress) -> PathBuf {
        self.root.join("bus/pci/devices").join(device.as_str())
    }

    fn driver(&self, driver: &DriverName) -> PathBuf {
        self.root.join("bus/pci/drivers").join(driver.as_str())
    }
}

/// A virtio device is below the PCI device that it came by.
fn device_of(link: &Path) -> Option<PciAddress> {
    let device = fs::canonicalize(link.join("device")).ok()?;
    device.ancestors().find_map(|folder| folder.file_name()?.to_str()?.parse().ok())
}

/// The kernel acts in the middle of it, and its answer is that of the write. Nothing is made that is not there.
fn put(path: &Path, text: &str) -> Result<(), NetError> {
    let file = fs::OpenOptions::new().write(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(failed("write to", path))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> NetError {
    move |source| NetError::Sysfs { action, path: path.to_owned(), source }
}

impl PciAddress {
    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PciAddress {
    type Err = ParsePciError;

    fn from_str(text: &str) -> Result<Self, ParsePciError> {
        let is_hex = |part: &str| part.chars().all(|digit| digit.is_ascii_hexdigit());
        let parts = || {
            let (domain, rest) = text.split_once(':')?;
            let (bus, rest) = rest.split_once(':')?;
            let (device, function) = rest.split_once('.')?;
            Some([domain, bus, device, function])
        };
        let is_address = parts().is_some_and(|parts| {
            let [domain, bus, device, function] = parts.map(str::len);
            parts.into_iter().all(is_hex)
                && domain >= DIGITS.0
                && (bus, device, function) == (DIGITS.1, DIGITS.2, DIGITS.3)
        });
        if is_address {
            return Ok(Self(text.to_owned()));
        }
        Err(ParsePciError { text: text.to_owned(), kind: "the address of a PCI device" })
    }
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl DriverName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DriverName {
    type Err = ParsePciError;

    fn from_str(text: &str) -> Result<Self, ParsePciError> {
        let is_name = |text: &str| text.chars().all(|one| one.is_ascii_alphanumeric() || "_-".contains(one));
        if !text.is_empty() && is_name(text) {
            return Ok(Self(text.to_owned()));
        }
        Err(ParsePciError { text: text.to_owned(), kind: "the name of a kernel driver" })
    }
}

impl fmt::Display for DriverName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
