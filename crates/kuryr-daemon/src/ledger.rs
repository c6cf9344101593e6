//! Whose the node's PCI devices are, and what they were before: a file for each, written before the device is touched.
//!
//! A device has no place of its own for that: its link goes away when it is driven in user space, and a pod can change its link. The files
//! are in the system's run directory, where only root gets at them and which a restart of the node empties: the kernel's own drivers have
//! all devices then.

use std::{
    fs::{self, DirBuilder},
    io::{self, ErrorKind},
    marker::PhantomData,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use kuryr_net::PciAddress;
use serde::{Serialize, de::DeserializeOwned};

use crate::failure::Chain;

const ENDING: &str = ".json";

/// The files of devices that are taken in one way.
#[derive(Debug, Clone)]
pub struct Ledger<T> {
    folder: PathBuf,
    entries: PhantomData<fn() -> T>,
}

/// A device that a pod has, or is about to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held<T> {
    /// Which.
    pub device: PciAddress,
    /// By whom.
    pub taken: T,
}

/// What a file did not do.
#[derive(Debug, thiserror::Error)]
#[error("{action} {}", .path.display())]
pub struct LedgerError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl<T: Serialize + DeserializeOwned> Ledger<T> {
    /// The files of a folder, which need not be there.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, entries: PhantomData }
    }

    /// All devices that pods have. What cannot be read is told and passed over: it keeps no other from being given back.
    pub fn all(&self) -> Result<Vec<Held<T>>, LedgerError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed("list", &self.folder)(error)),
        };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let devices = names.filter_map(|name| name.strip_suffix(ENDING)?.parse::<PciAddress>().ok());
        let held = devices.filter_map(|device| match self.get(&device) {
            Ok(taken) => Some(Held { taken: taken?, device }),
            Err(error) => {
                tracing::warn!(%device, error = %Chain(&error), "nobody knows whose the device is");
                None
            }
        });
        Ok(held.collect())
    }

    /// Who has this one.
    pub fn get(&self, device: &PciAddress) -> Result<Option<T>, LedgerError> {
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
    pub fn put(&self, device: &PciAddress, taken: &T) -> Result<(), LedgerError> {
        let (path, new) = (self.path(device), self.folder.join(format!("{device}.new")));
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        made.map_err(failed("make", &self.folder))?;
        let text = serde_json::to_vec(taken).map_err(io::Error::from);
        let written = text.and_then(|text| fs::write(&new, text)).and_then(|()| fs::rename(&new, &path));
        written.map_err(failed("write", &path))
    }

    /// Forgets who had it.
    pub fn remove(&self, device: &PciAddress) -> Result<(), LedgerError> {
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

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LedgerError {
    move |source| LedgerError { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(device: &str, taken: &str) -> Held<String> {
        Held { device: device.parse().unwrap(), taken: taken.to_owned() }
    }

    #[test]
    fn what_is_put_is_there_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::new(folder.path().join("devices"));
        assert_eq!(ledger.all().unwrap(), []);
        for taken in ["one", "another"] {
            let held = held("0000:03:02.1", taken);
            ledger.put(&held.device, &held.taken).unwrap();
            assert_eq!(ledger.all().unwrap(), [held]);
        }
        let device = "0000:03:02.1".parse().unwrap();
        for _ in 0..2 {
            ledger.remove(&device).unwrap();
            assert_eq!((ledger.all().unwrap(), ledger.get(&device).unwrap()), (vec![], None));
        }
    }

    #[test]
    fn a_broken_entry_hides_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::new(folder.path().to_owned());
        let held = held("0000:03:02.1", "one");
        ledger.put(&held.device, &held.taken).unwrap();
        for (name, text) in [("0000:03:02.2.json", "{"), ("0000:03:02.3.new", "{}"), ("notes.txt", "")] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        assert_eq!(ledger.all().unwrap(), [held]);
    }
}
