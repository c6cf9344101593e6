//! A folder stands for sysfs. Pipes stand for the files that the kernel acts on: whoever opens one waits until somebody reads it, so that
//! the test reads what is written in the order in which it is.

use std::{os::unix::fs::symlink, process::Command, sync::mpsc, thread, time::Duration};

use super::*;

const MAC: &str = "fa:16:3e:80:d4:21";

struct Root {
    folder: tempfile::TempDir,
    sysfs: Sysfs,
}

impl Root {
    /// A VM with two interfaces of virtio, one card of another kind, and a VLAN.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = Self { sysfs: Sysfs::new(folder.path().to_owned()), folder };
        for driver in ["virtio-pci", "uio_pci_generic"] {
            root.pipe(&format!("bus/pci/drivers/{driver}"), "bind");
            root.pipe(&format!("bus/pci/drivers/{driver}"), "unbind");
        }
        root.link("ens3", "fa:16:3e:00:00:01", "0000:00:03.0", Some("virtio0"));
        root.link("ens4", MAC, "0000:00:05.0", Some("virtio2"));
        root.link("ens5", "fa:16:3e:00:00:05", "10000:e1:00.7", None);
        root.file("class/net/ens4.7/address", MAC);
        root.file("class/net/lo/address", "00:00:00:00:00:00");
        root
    }

    fn path(&self, path: &str) -> PathBuf {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    fn file(&self, path: &str, content: &str) {
        fs::write(self.path(path), format!("{content}\n")).unwrap();
    }

    fn pipe(&self, folder: &str, name: &str) {
        let path = self.path(&format!("{folder}/{name}"));
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    }

    fn link(&self, name: &str, mac: &str, device: &str, virtio: Option<&str>) {
        self.file(&format!("class/net/{name}/address"), mac);
        let place = format!("devices/pci0000:00/{device}");
        let below = virtio.map_or_else(|| place.clone(), |virtio| format!("{place}/{virtio}"));
        fs::create_dir_all(self.path(&format!("{below}/x"))).unwrap();
        symlink(format!("../../../{below}"), self.path(&format!("class/net/{name}/device"))).unwrap();
        symlink(format!("../../../{place}"), self.path(&format!("bus/pci/devices/{device}"))).unwrap();
        self.pipe(&place, "driver_override");
        self.bound(device, Some("virtio-pci"));
    }

    fn bound(&self, device: &str, driver: Option<&str>) {
        let link = self.path(&format!("devices/pci0000:00/{device}/driver"));
        let _ = fs::remove_file(&link);
        if let Some(driver) = driver {
            symlink(format!("../../../bus/pci/drivers/{driver}"), link).unwrap();
        }
    }

    /// Whatever is done, as far as it writes to these files in this order, and what it writes there.
    fn written(
        &self,
        files: &[&str],
        act: impl FnOnce(&Sysfs) -> Result<(), NetError> + Send + 'static,
    ) -> Vec<String> {
        let (sysfs, (told, done)) = (self.sysfs.clone(), mpsc::channel());
        let acting = thread::spawn(move || act(&sysfs));
        let paths: Vec<_> = files.iter().map(|file| self.path(file)).collect();
        thread::spawn(move || {
            let texts: Vec<_> = paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
            told.send(texts).unwrap();
        });
        let texts = done.recv_timeout(Duration::from_secs(10)).expect("it is not written in this order");
        acting.join().unwrap().unwrap();
        texts
    }
}

fn device() -> PciAddress {
    "0000:00:05.0".parse().unwrap()
}

fn driver(name: &str) -> DriverName {
    name.parse().unwrap()
}

#[test]
fn a_link_is_found_by_its_mac_address_and_is_a_device() {
    let root = Root::new();
    let find = |mac: &str| root.sysfs.link_with_mac(mac.parse().unwrap()).unwrap();
    let found = find(MAC).unwrap();
    assert_eq!((found.name.as_str(), found.address), ("ens4", device()));
    assert_eq!(find("fa:16:3e:00:00:05").unwrap().address.as_str(), "10000:e1:00.7");
    assert_eq!(find("fa:16:3e:00:00:77"), None);
    assert_eq!(root.sysfs.driver_of(&device()).unwrap(), Some(driver("virtio-pci")));
    assert!(root.sysfs.has_device(&device()) && !root.sysfs.has_device(&"0000:00:09.0".parse().unwrap()));
    assert!(root.sysfs.has_driver(&driver("uio_pci_generic")) && !root.sysfs.has_driver(&driver("vfio-pci")));
}

#[test]
fn a_device_is_taken_from_its_driver_before_another_one_may_have_it() {
    let root = Root::new();
    let files = [
        "bus/pci/drivers/virtio-pci/unbind",
        "devices/pci0000:00/0000:00:05.0/driver_override",
        "bus/pci/drivers/uio_pci_generic/bind",
    ];
    let texts = root.written(&files, |sysfs| sysfs.seize(&device(), &driver("uio_pci_generic")));
    assert_eq!(texts, ["0000:00:05.0", "uio_pci_generic", "0000:00:05.0"]);
}

#[test]
fn a_device_goes_back_to_the_driver_that_it_had_and_may_have_any_then() {
    let root = Root::new();
    root.bound("0000:00:05.0", Some("uio_pci_generic"));
    let files = [
        "bus/pci/drivers/uio_pci_generic/unbind",
        "devices/pci0000:00/0000:00:05.0/driver_override",
        "bus/pci/drivers/virtio-pci/bind",
    ];
    let texts = root.written(&files, |sysfs| sysfs.give_back(&device(), &driver("virtio-pci")));
    assert_eq!(texts, ["0000:00:05.0", "\n", "0000:00:05.0"]);
}

#[test]
fn what_was_cut_short_is_taken_up_where_it_was() {
    let root = Root::new();
    root.bound("0000:00:05.0", None);
    let files = ["devices/pci0000:00/0000:00:05.0/driver_override", "bus/pci/drivers/virtio-pci/bind"];
    let texts = root.written(&files, |sysfs| sysfs.give_back(&device(), &driver("virtio-pci")));
    assert_eq!(texts, ["\n", "0000:00:05.0"]);
    root.bound("0000:00:05.0", Some("virtio-pci"));
    assert_eq!(root.written(&files[..1], |sysfs| sysfs.give_back(&device(), &driver("virtio-pci"))), ["\n"]);
    root.bound("0000:00:05.0", Some("uio_pci_generic"));
    root.sysfs.seize(&device(), &driver("uio_pci_generic")).unwrap();
}

#[test]
fn a_driver_that_the_kernel_lacks_is_named_and_no_file_is_made() {
    let root = Root::new();
    root.bound("0000:00:05.0", None);
    let error = thread::scope(|scope| {
        let reading =
            scope.spawn(|| fs::read_to_string(root.path("devices/pci0000:00/0000:00:05.0/driver_override")));
        let seized = root.sysfs.seize(&device(), &driver("vfio-pci"));
        reading.join().unwrap().unwrap();
        seized.unwrap_err()
    });
    assert!(error.to_string().contains("bus/pci/drivers/vfio-pci/bind"), "{error}");
    assert!(!root.sysfs.has_driver(&driver("vfio-pci")));
}

#[test]
fn a_name_leads_out_of_no_folder() {
    for text in [
        "",
        "..",
        "0000:00:05",
        "0000:00:05.00",
        "000:00:05.0",
        "0000:00:0g.0",
        "0000:00:05.0/..",
        "../0000:00:05.0",
    ] {
        assert!(text.parse::<PciAddress>().is_err(), "{text}");
    }
    for text in ["", "..", ".", "a/b", "uio pci", "x\n"] {
        assert!(text.parse::<DriverName>().is_err(), "{text}");
    }
    assert_eq!("vfio-pci".parse::<DriverName>().unwrap().to_string(), "vfio-pci");
}
