//! Which virtual functions pods have, and what those were before: a file for each, written before it is touched.
//!
//! A virtual function has no place of its own for that: its link goes away when it is driven in user space, and a pod can change its link.

use std::{
    fs::{self, DirBuilder},
    io::{self, ErrorKind},
    os::unix::fs::DirBuilderExt,
    path::PathBuf,
};

use kuryr_net::{Function, MacAddr, PciAddress};
use serde::{Deserialize, Serialize};

use super::pci::{DeviceError, failed};

const ENDING: &str = ".json";

/// The files.
#[derive(Debug, Clone)]
pub struct Ledger {
    folder: PathBuf,
}

/// A virtual function that a pod has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Which.
    pub address: PciAddress,
    /// By whom.
    pub taken: Taken,
}

/// Who has a virtual function, and what it was before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// The pod, as `namespace/name`.
    pub pod: String,
    /// Its uid.
    pub pod_uid: String,
    /// The sandbox.
    pub sandbox: String,
    /// The namespace's file.
    pub netns: String,
    /// The interface's name in the pod.
    pub ifname: String,
    /// The Neutron port.
    pub port: String,
    /// The port's MAC address.
    pub mac: String,
    /// As what the pod has it.
    pub form: Form,
    /// What it was before.
    pub was: Was,
}

/// As what a pod has a virtual function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// A link in its network namespace.
    Link,
    /// A device that has this driver.
    Device(String),
}

/// What a virtual function was before a pod had it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Was {
    /// Its driver, if the pod's is another one.
    pub driver: Option<String>,
    /// Its link.
    pub link: Option<WasLink>,
    /// How it was set on its card.
    pub function: Option<WasFunction>,
}

/// What a link was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WasLink {
    /// Its name.
    pub name: String,
    /// Its MAC address.
    pub mac: String,
    /// Its MTU.
    pub mtu: u32,
}

/// How a virtual function was set on its card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WasFunction {
    /// Its MAC address.
    pub mac: String,
    /// Its VLAN.
    pub vlan: u16,
}

impl Ledger {
    /// The files of a folder, which need not be there.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// All virtual functions that pods have. What cannot be read is told and passed over: it keeps no other from being given back.
    pub fn all(&self) -> Result<Vec<Held>, DeviceError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed("list", &self.folder)(error)),
        };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let addresses = names.filter_map(|name| name.strip_suffix(ENDING)?.parse::<PciAddress>().ok());
        let held = addresses.filter_map(|address| match self.get(&address) {
            Ok(taken) => Some(Held { taken: taken?, address }),
            Err(error) => {
                tracing::warn!(device = %address, error = %crate::failure::Chain(&error), "nobody knows whose the virtual function is");
                None
            }
        });
        Ok(held.collect())
    }

    /// Who has this one.
    pub fn get(&self, device: &PciAddress) -> Result<Option<Taken>, DeviceError> {
        let path = self.path(device);
        let read = match fs::read(&path) {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("read", &path)(error)),
        };
        let taken = serde_json::from_slice(&read).map_err(io::Error::from);
        taken.map(Some).map_err(failed("read", &path))
    }

    /// Remembers who has it.
    pub fn put(&self, device: &PciAddress, taken: &Taken) -> Result<(), DeviceError> {
        let (path, new) = (self.path(device), self.folder.join(format!("{device}.new")));
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        made.map_err(failed("make", &self.folder))?;
        let text = serde_json::to_vec(taken).map_err(io::Error::from);
        let written = text.and_then(|text| fs::write(&new, text)).and_then(|()| fs::rename(&new, &path));
        written.map_err(failed("write", &path))
    }

    /// Forgets who had it.
    pub fn remove(&self, device: &PciAddress) -> Result<(), DeviceError> {
        let path = self.path(device);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("remove", &path)(error)),
            _ => Ok(()),
        }
    }

    fn path(&self, device: &PciAddress) -> PathBuf {
        self.folder.join(format!("{device}{ENDING}"))
    }
}

impl WasLink {
    pub(super) fn mac(&self) -> Result<MacAddr, DeviceError> {
        mac(&self.mac)
    }
}

impl WasFunction {
    pub(super) fn function(&self) -> Result<Function, DeviceError> {
        Ok(Function { mac: mac(&self.mac)?, vlan: self.vlan })
    }
}

impl From<Function> for WasFunction {
    fn from(function: Function) -> Self {
        Self { mac: function.mac.to_string(), vlan: function.vlan }
    }
}

fn mac(text: &str) -> Result<MacAddr, DeviceError> {
    text.parse().map_err(|_| DeviceError::NoMac(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(form: Form) -> Taken {
        Taken {
            pod: "default/web".to_owned(),
            pod_uid: "uid".to_owned(),
            sandbox: "b0a1".to_owned(),
            netns: "/run/netns/x".to_owned(),
            ifname: "eth0".to_owned(),
            port: "07cfe856".to_owned(),
            mac: "fa:16:3e:00:00:07".to_owned(),
            form,
            was: Was::default(),
        }
    }

    #[test]
    fn what_is_put_is_there_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::new(folder.path().join("sriov"));
        assert_eq!(ledger.all().unwrap(), []);
        let device: PciAddress = "0000:03:02.1".parse().unwrap();
        for form in [Form::Link, Form::Device("vfio-pci".to_owned())] {
            ledger.put(&device, &taken(form.clone())).unwrap();
            let held = Held { address: device.clone(), taken: taken(form) };
            assert_eq!(ledger.all().unwrap(), [held]);
        }
        for _ in 0..2 {
            ledger.remove(&device).unwrap();
            assert_eq!((ledger.all().unwrap(), ledger.get(&device).unwrap()), (vec![], None));
        }
    }

    #[test]
    fn a_broken_entry_hides_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::new(folder.path().to_owned());
        let device: PciAddress = "0000:03:02.1".parse().unwrap();
        ledger.put(&device, &taken(Form::Link)).unwrap();
        for (name, text) in [("0000:03:02.2.json", "{"), ("0000:03:02.3.new", "{}"), ("notes.txt", "")] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        assert_eq!(ledger.all().unwrap().len(), 1);
    }
}
