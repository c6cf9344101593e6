//! Interfaces of a VM that programs in pods' user space have as PCI devices. A folder stands for sysfs, and a thread for the kernel behind
//! it: it reads what is written into pipes, moves the device, and lets its link come and go.

use std::{
    fs::{self, File, OpenOptions},
    io::Read as _,
    os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command as Program,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use kuryr_cni::Command;
use kuryr_daemon::failure::Failure;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    api::{PODS, PORTS},
    cut::cut_and_next,
    stage::{LOWER, Pod, Stage, added_without_link, in_user_space, mac, until},
};

const DEVICE: &str = "0000:00:05.0";
const DRIVERS: [&str; 2] = ["virtio-pci", "uio_pci_generic"];
const OWN: &str = DRIVERS[0];
const USER: &str = DRIVERS[1];

/// The kernel, as far as it has to do with one device.
struct Kernel {
    root: PathBuf,
    mac: String,
    written: Arc<Mutex<Vec<(String, String)>>>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Kernel {
    /// One whose device, which has this MAC address, is still to come.
    fn new(stage: &Stage, mac: String) -> Self {
        let root = stage.root.path().join("sys");
        fs::create_dir_all(root.join("class/net")).unwrap();
        let mut kernel = Self { root, mac, written: Arc::default(), ends: Arc::default(), thread: None };
        let mut pipes = vec![kernel.pipe(&format!("devices/{DEVICE}/driver_override"))];
        // What is written before is read before, even if both are there.
        for name in ["unbind", "bind"] {
            pipes.extend(DRIVERS.map(|driver| kernel.pipe(&format!("bus/pci/drivers/{driver}/{name}"))));
        }
        kernel.thread = Some(kernel.act(pipes));
        kernel
    }

    /// One whose device is there.
    fn with_device(stage: &Stage) -> Self {
        let kernel = Self::new(stage, mac(5));
        kernel.plug_in();
        kernel
    }

    fn pipe(&self, name: &str) -> (String, File) {
        let path = self.root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        assert!(Program::new("mkfifo").arg(&path).status().unwrap().success());
        let open = OpenOptions::new().read(true).write(true).custom_flags(nix::libc::O_NONBLOCK).open(path);
        (name.to_owned(), open.unwrap())
    }

    fn act(&self, mut pipes: Vec<(String, File)>) -> JoinHandle<()> {
        let (root, mac) = (self.root.clone(), self.mac.clone());
        let (written, ends) = (self.written.clone(), self.ends.clone());
        thread::spawn(move || {
            let mut only = None;
            while !ends.load(Ordering::Relaxed) {
                // What was written before a line is there when the line is: the last pipes are read first, and done last.
                let lines: Vec<_> = pipes.iter_mut().rev().filter_map(line_of).collect();
                for (name, text) in lines.into_iter().rev() {
                    written.lock().push((name.clone(), text.clone()));
                    let parts: Vec<_> = name.split('/').collect();
                    match parts[..] {
                        [_, _, "driver_override"] => {
                            only = Some(text.trim().to_owned()).filter(|name| !name.is_empty());
                        }
                        [.., driver, "unbind"] => unbound(&root, driver),
                        [.., driver, _] if only.as_deref().unwrap_or(OWN) == driver => {
                            bound(&root, driver, &mac);
                        }
                        _ => {}
                    }
                }
                thread::sleep(Duration::from_millis(1));
            }
        })
    }

    /// Nova attaches it.
    fn plug_in(&self) {
        fs::create_dir_all(self.root.join("bus/pci/devices")).unwrap();
        fs::create_dir_all(self.root.join(format!("devices/{DEVICE}/virtio2"))).unwrap();
        symlink(format!("../../../devices/{DEVICE}"), self.root.join("bus/pci/devices").join(DEVICE))
            .unwrap();
        bound(&self.root, OWN, &self.mac);
    }

    /// Nova takes it away.
    fn pull_out(&self) {
        fs::remove_file(self.root.join("bus/pci/devices").join(DEVICE)).unwrap();
        let _ = fs::remove_dir_all(self.root.join("class/net/ens4"));
    }

    fn driver(&self) -> Option<String> {
        let link = fs::read_link(self.root.join(format!("devices/{DEVICE}/driver"))).ok()?;
        Some(link.file_name().unwrap().to_string_lossy().into_owned())
    }

    fn has_link(&self) -> bool {
        self.root.join("class/net/ens4/device").exists()
    }

    fn written(&self) -> Vec<(String, String)> {
        self.written.lock().drain(..).collect()
    }

    /// What the kernel is told, it does in the writer's stead here.
    async fn is_back(&self) {
        until(|| self.driver().as_deref() == Some(OWN) && self.has_link()).await;
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}

/// What was written to a pipe since the last time.
fn line_of((name, pipe): &mut (String, File)) -> Option<(String, String)> {
    let mut text = [0; 64];
    let length = pipe.read(&mut text).ok()?;
    Some((name.clone(), String::from_utf8_lossy(&text[..length]).into_owned()))
}

fn unbound(root: &Path, driver: &str) {
    let _ = fs::remove_file(root.join(format!("devices/{DEVICE}/driver")));
    if driver == OWN {
        let _ = fs::remove_dir_all(root.join("class/net/ens4"));
    }
}

fn bound(root: &Path, driver: &str, mac: &str) {
    symlink(format!("../../bus/pci/drivers/{driver}"), root.join(format!("devices/{DEVICE}/driver")))
        .unwrap();
    if driver == OWN {
        let link = root.join("class/net/ens4");
        fs::create_dir_all(&link).unwrap();
        symlink(format!("../../../devices/{DEVICE}/virtio2"), link.join("device")).unwrap();
        fs::write(link.join("address"), format!("{mac}\n")).unwrap();
    }
}

async fn vm() -> Stage {
    Stage::vm("nested-dpdk").await
}

fn pod(stage: &Stage) -> Pod {
    numbered(stage, 5)
}

fn numbered(stage: &Stage, number: u16) -> Pod {
    let pod = stage.pod(&format!("pod-{number}"), &format!("uid-{number}"), &format!("sandbox-{number}"));
    let vif = in_user_space(number, "VIFDPDKNested", &json!({"plugin": "noop"}));
    stage.record(&pod, json!({"eth0": {"default": true, "vif": vif}}));
    pod
}

/// What is in a folder.
fn files(stage: &Stage, folder: &str) -> Vec<String> {
    let Ok(found) = fs::read_dir(stage.root.path().join(folder)) else { return Vec::new() };
    found.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
}

fn nothing_is_told(stage: &Stage) {
    assert_eq!((files(stage, "pci_address"), files(stage, "devices")), (vec![], vec![]));
}

fn told(stage: &Stage, sandbox: &str) -> String {
    fs::read_to_string(stage.root.path().join(format!("pci_address/{sandbox}-eth0"))).unwrap()
}

fn written(lines: [(&str, &str); 3]) -> Vec<(String, String)> {
    lines.map(|(name, text)| (name.to_owned(), text.to_owned())).into()
}

#[tokio::test]
async fn a_pod_gets_a_device_and_its_driver_gets_it_back_from_a_later_daemon() {
    let mut stage = vm().await;
    let kernel = Kernel::new(&stage, mac(5));
    let pod = pod(&stage);
    // The device comes when Nova has attached it.
    let (result, ()) = tokio::join!(stage.add(&pod), async {
        sleep(Duration::from_millis(300)).await;
        kernel.plug_in();
    });
    let result = result.unwrap();
    until(|| kernel.driver().as_deref() == Some(USER)).await;
    let over = format!("devices/{DEVICE}/driver_override");
    let taken = [
        ("bus/pci/drivers/virtio-pci/unbind", DEVICE),
        (over.as_str(), USER),
        ("bus/pci/drivers/uio_pci_generic/bind", DEVICE),
    ];
    let mut seen = kernel.written();
    seen.sort_by_key(|line| taken.iter().position(|(name, _)| *name == line.0));
    assert_eq!(seen, written(taken));
    assert!(!kernel.has_link());
    assert_eq!(told(&stage, "sandbox-5"), DEVICE);
    let noted = stage.root.path().join("devices");
    assert_eq!(fs::metadata(&noted).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(serde_json::to_value(&result).unwrap(), added_without_link(&pod, "pciID", &json!(DEVICE)));
    assert_eq!(pod.inside().await.links().await.unwrap().len(), 1, "lo");
    stage.restart().await;
    assert_eq!(stage.add(&pod).await.unwrap(), result);
    assert_eq!(kernel.written(), []);

    stage.restart().await;
    for _ in 0..2 {
        stage.del(&pod).await.unwrap();
        kernel.is_back().await;
        nothing_is_told(&stage);
    }
    let back = [
        ("bus/pci/drivers/uio_pci_generic/unbind", DEVICE),
        (over.as_str(), "\n"),
        ("bus/pci/drivers/virtio-pci/bind", DEVICE),
    ];
    let mut seen = kernel.written();
    seen.sort_by_key(|line| back.iter().position(|(name, _)| *name == line.0));
    assert_eq!(seen, written(back));
}

#[tokio::test]
async fn a_device_that_nova_has_taken_away_is_no_reason_to_stay() {
    let stage = vm().await;
    let kernel = Kernel::with_device(&stage);
    let pod = pod(&stage);
    stage.add(&pod).await.unwrap();
    until(|| kernel.driver().as_deref() == Some(USER)).await;
    kernel.pull_out();
    stage.del(&pod).await.unwrap();
    nothing_is_told(&stage);
}

#[tokio::test]
async fn an_interface_in_the_place_of_one_that_is_gone_is_the_newer_pods_alone() {
    let stage = vm().await;
    let mut kernel = Kernel::with_device(&stage);
    let (gone, newer) = (pod(&stage), numbered(&stage, 6));
    stage.add(&gone).await.unwrap();
    until(|| kernel.driver().as_deref() == Some(USER)).await;
    kernel.pull_out();
    unbound(&kernel.root, USER);
    kernel.mac = mac(6);
    kernel.plug_in();
    stage.add(&newer).await.unwrap();
    until(|| kernel.driver().as_deref() == Some(USER)).await;
    kernel.written();
    stage.del(&gone).await.unwrap();
    assert_eq!((files(&stage, "pci_address"), kernel.written()), (vec!["sandbox-6-eth0".to_owned()], vec![]));
    stage.del(&newer).await.unwrap();
    kernel.is_back().await;
    nothing_is_told(&stage);
}

#[tokio::test]
async fn an_interface_that_never_comes_is_said() {
    let stage = vm().await;
    let _kernel = Kernel::new(&stage, mac(5));
    let error = stage.add(&pod(&stage)).await.unwrap_err().to_cni();
    assert!(error.code == 11 && error.msg.contains(&mac(5)), "{error:?}");
    nothing_is_told(&stage);
}

#[tokio::test]
async fn a_driver_that_the_kernel_lacks_takes_nothing_away() {
    let stage = vm().await;
    let kernel = Kernel::with_device(&stage);
    fs::remove_dir_all(kernel.root.join("bus/pci/drivers").join(USER)).unwrap();
    let error = stage.add(&pod(&stage)).await.unwrap_err().to_cni();
    assert!(error.msg.contains(USER) && error.msg.contains("modprobe"), "{error:?}");
    assert_eq!((kernel.driver().as_deref(), kernel.written()), (Some(OWN), vec![]));
    nothing_is_told(&stage);
}

#[tokio::test]
async fn the_nodes_own_link_is_no_pods() {
    let stage = vm().await;
    let kernel = Kernel::with_device(&stage);
    fs::rename(kernel.root.join("class/net/ens4"), kernel.root.join("class/net").join(LOWER)).unwrap();
    let error = stage.add(&pod(&stage)).await.unwrap_err();
    assert!(matches!(&error, Failure::BadRecord { reason, .. } if reason.contains(LOWER)), "{error:?}");
    assert_eq!(kernel.written(), []);
}

#[tokio::test]
async fn a_newer_sandbox_takes_over_and_a_late_del_takes_nothing_from_it() {
    let stage = vm().await;
    let kernel = Kernel::with_device(&stage);
    let first = pod(&stage);
    stage.add(&first).await.unwrap();
    until(|| kernel.driver().as_deref() == Some(USER)).await;
    let newer = first.again("sandbox-newer");
    stage.add(&newer).await.unwrap();
    stage.del(&first).await.unwrap();
    assert_eq!((told(&stage, "sandbox-newer").as_str(), files(&stage, "devices").len()), (DEVICE, 1));
    until(|| kernel.driver().as_deref() == Some(USER)).await;
    stage.del(&newer).await.unwrap();
    kernel.is_back().await;
}

#[tokio::test]
async fn check_misses_the_file_or_the_driver_and_no_link() {
    let stage = vm().await;
    let kernel = Kernel::with_device(&stage);
    let pod = pod(&stage);
    let result = stage.add(&pod).await.unwrap();
    until(|| kernel.driver().as_deref() == Some(USER)).await;
    let mut request = pod.request(Command::Check);
    request.config["prevResult"] = serde_json::to_value(&result).unwrap();
    stage.door.call(request.clone()).await.unwrap();
    unbound(&kernel.root, USER);
    let error = stage.door.call(request).await.unwrap_err();
    assert!(
        matches!(&error, Failure::Differs(all) if all.len() == 1 && all[0].contains(DEVICE)),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_device_is_collected_or_swept_when_nobody_needs_it() {
    let stage = vm().await;
    let kernel = Kernel::with_device(&stage);
    let pod = pod(&stage);
    stage.add(&pod).await.unwrap();
    until(|| kernel.driver().as_deref() == Some(USER)).await;
    let mut request = pod.request(Command::Gc);
    let valid = "cni.dev/valid-attachments";
    request.config[valid] = json!([{"containerID": "sandbox-5", "ifname": "eth0"}]);
    stage.door.call(request.clone()).await.unwrap();
    assert_eq!(told(&stage, "sandbox-5"), DEVICE);
    request.config[valid] = Value::Array(Vec::new());
    stage.door.call(request).await.unwrap();
    kernel.is_back().await;
    nothing_is_told(&stage);

    stage.add(&pod).await.unwrap();
    until(|| kernel.driver().as_deref() == Some(USER)).await;
    stage.api.delete(PORTS, &pod.name);
    until(|| stage.node().records.ports.is_empty()).await;
    assert_eq!(stage.node().sweep().await.unwrap(), 0, "the pod is there");
    stage.api.delete(PODS, &pod.name);
    until(|| stage.node().records.pods.is_empty()).await;
    assert_eq!(stage.node().sweep().await.unwrap(), 1);
    kernel.is_back().await;
    nothing_is_told(&stage);
}

#[tokio::test]
async fn an_add_that_is_cut_short_anywhere_keeps_no_later_sandbox_from_its_device() {
    let mut stage = vm().await;
    let kernel = Kernel::with_device(&stage);
    let first = pod(&stage);
    for steps in 0.. {
        let (cut, next, ended) = cut_and_next(&mut stage, &first, steps).await;
        stage.del(&cut).await.unwrap();
        until(|| kernel.driver().as_deref() == Some(USER)).await;
        assert_eq!(told(&stage, &format!("next-{steps}")), DEVICE);
        stage.del(&next).await.unwrap();
        kernel.is_back().await;
        nothing_is_told(&stage);
        if ended {
            assert!(steps > 2, "ADD has some steps, not {steps}");
            break;
        }
    }
}
