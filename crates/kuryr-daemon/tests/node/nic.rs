//! A network card with virtual functions, as far as a test can have one: `/sys` is a folder of its own, the links are veth pairs, and the
//! kubelet is a small server of gRPC. The kernel moves and changes links as it would real ones; what is set on the card it refuses.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command as Program,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use kuryr_daemon::ledger::Ledger;
use kuryr_daemon::sriov::{
    SriovSettings,
    pci::Bus,
    pod_resources::{ContainerDevices, ContainerResources, ListPodResourcesResponse, PodResources},
};
use kuryr_net::{NetNs, Netlink, VethPair};
use parking_lot::Mutex;
use prost::Message;
use tempfile::TempDir;
use tokio::{net::UnixListener, task::JoinHandle};

use crate::stage::{mac, until};

pub const RESOURCE: &str = "intel.com/sriov_net";
pub const CARD: &str = "ens1f0";
/// The kernel lets nobody wait longer.
const SLOWEST: Duration = Duration::from_secs(2);
/// What virtual functions have before a pod does.
pub const MTU: u32 = 1500;

pub struct Nic {
    root: TempDir,
    /// Where the other ends of the links are.
    pub beyond: NetNs,
    given: Arc<Mutex<ListPodResourcesResponse>>,
    kubelet: JoinHandle<()>,
}

impl Drop for Nic {
    fn drop(&mut self) {
        self.kubelet.abort();
    }
}

pub fn device(number: u32) -> String {
    format!("0000:03:02.{number}")
}

pub fn link_of(number: u32) -> String {
    format!("{CARD}v{number}")
}

impl Nic {
    /// A card with so many virtual functions.
    pub async fn new(count: u32) -> Self {
        let root = tempfile::tempdir().unwrap();
        let given = Arc::new(Mutex::new(ListPodResourcesResponse::default()));
        let kubelet = kubelet(&root.path().join("kubelet.sock"), given.clone());
        let nic = Self { root, beyond: NetNs::fresh().await.unwrap(), given, kubelet };
        for driver in ["iavf", "vfio-pci"] {
            let folder = nic.pci().join("drivers").join(driver);
            fs::create_dir_all(&folder).unwrap();
            ["bind", "unbind"].iter().for_each(|name| fs::write(folder.join(name), "").unwrap());
        }
        let card = nic.pci().join("devices/0000:03:00.0");
        fs::create_dir_all(card.join("net").join(CARD)).unwrap();
        for number in 0..count {
            let folder = nic.folder(number);
            fs::create_dir_all(folder.join("net").join(link_of(number))).unwrap();
            symlink("../0000:03:00.0", folder.join("physfn")).unwrap();
            symlink("../../drivers/iavf", folder.join("driver")).unwrap();
            fs::write(folder.join("driver_override"), "").unwrap();
            symlink(Path::new("..").join(device(number)), card.join(format!("virtfn{number}"))).unwrap();
        }
        nic
    }

    pub fn settings(&self) -> SriovSettings {
        SriovSettings {
            kubelet: Some(self.root.path().join("kubelet.sock")),
            resources: BTreeMap::from([("physnet1".to_owned(), RESOURCE.to_owned())]),
            drivers: BTreeMap::new(),
            bus: Bus::new(&self.root.path().join("sys")),
            ledger: Ledger::new(self.root.path().join("ledger")),
        }
    }

    /// The card's link and those of its virtual functions.
    pub async fn plug_into(&self, host: &Netlink) {
        let count = fs::read_dir(self.pci().join("devices")).unwrap().count() - 1;
        let functions =
            (0..u32::try_from(count).unwrap()).map(|number| (link_of(number), format!("far{number}")));
        for (near, far) in functions.chain([(CARD.to_owned(), "uplink".to_owned())]) {
            let (namespace, mac) = (&self.beyond, mac(77).parse().unwrap());
            host.add_veth(&VethPair { near: &near, far: &far, namespace, mac, mtu: MTU }).await.unwrap();
            host.set_up_cable(&near).await.unwrap();
        }
    }

    /// The kubelet gives a pod these virtual functions.
    pub fn give(&self, pod: &str, numbers: &[u32]) {
        let devices = |resource: &str, ids: Vec<String>| ContainerDevices {
            resource_name: resource.into(),
            device_ids: ids,
        };
        let mine = devices(RESOURCE, numbers.iter().copied().map(device).collect());
        let containers = vec![
            ContainerResources {
                name: "other".into(),
                devices: vec![devices("intel.com/qat", vec!["7".into()])],
            },
            ContainerResources { name: "app".into(), devices: vec![mine] },
        ];
        let pod = PodResources { name: pod.into(), namespace: "default".into(), containers };
        let mut given = self.given.lock();
        given.pod_resources.retain(|other| other.name != pod.name);
        given.pod_resources.push(pod);
    }

    /// In the host's namespace a virtual function's link is called so, or there is none.
    pub fn shows(&self, number: u32, link: Option<&str>) {
        let net = self.folder(number).join("net");
        fs::remove_dir_all(&net).unwrap();
        fs::create_dir(&net).unwrap();
        if let Some(link) = link {
            fs::create_dir(net.join(link)).unwrap();
        }
    }

    /// Does what the kernel would have done by now with what was written to drivers. Returns who has the device.
    pub fn driver(&self, number: u32) -> String {
        let (device, link) = (device(number), self.folder(number).join("driver"));
        for entry in fs::read_dir(self.pci().join("drivers")).unwrap() {
            let driver = entry.unwrap();
            let bind = driver.path().join("bind");
            if fs::read_to_string(&bind).is_ok_and(|text| text == device) {
                fs::remove_file(&link).unwrap();
                symlink(Path::new("../../drivers").join(driver.file_name()), &link).unwrap();
                fs::write(bind, "").unwrap();
            }
        }
        fs::read_link(link).unwrap().file_name().unwrap().to_str().unwrap().to_owned()
    }

    /// The kernel is slow to bind a device to this driver. Tells what became of the call, what was to be bound, and whether the daemon's
    /// thread did something else meanwhile.
    pub async fn while_the_kernel_binds<T>(
        &self,
        driver: &str,
        call: impl Future<Output = T>,
    ) -> (T, String, bool) {
        let bind = self.pci().join("drivers").join(driver).join("bind");
        fs::remove_file(&bind).unwrap();
        assert!(Program::new("mkfifo").arg(&bind).status().unwrap().success());
        let (told, heard) = mpsc::channel();
        let kernel = thread::spawn(move || {
            let went_on = heard.recv_timeout(SLOWEST).is_ok();
            let bound = fs::read_to_string(&bind).unwrap();
            fs::remove_file(&bind).unwrap();
            fs::write(bind, &bound).unwrap();
            (bound, went_on)
        });
        let (done, ()) = tokio::join!(call, async {
            // That is written just before.
            until(|| !self.driver_override(0).is_empty()).await;
            let _ = told.send(());
        });
        let (bound, went_on) = kernel.join().unwrap();
        (done, bound, went_on)
    }

    /// What was written since the last look.
    pub fn driver_override(&self, number: u32) -> String {
        taken(&self.folder(number).join("driver_override"))
    }

    /// What was written since the last look.
    pub fn unbound(&self, driver: &str) -> String {
        taken(&self.pci().join("drivers").join(driver).join("unbind"))
    }

    /// The devices in the ledger.
    pub fn held(&self) -> Vec<String> {
        let mut held: Vec<_> =
            self.settings().ledger.all().unwrap().iter().map(|held| held.device.to_string()).collect();
        held.sort();
        held
    }

    fn pci(&self) -> PathBuf {
        self.root.path().join("sys/bus/pci")
    }

    fn folder(&self, number: u32) -> PathBuf {
        self.pci().join("devices").join(device(number))
    }
}

fn taken(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    fs::write(file, "").unwrap();
    text
}

fn kubelet(socket: &Path, given: Arc<Mutex<ListPodResourcesResponse>>) -> JoinHandle<()> {
    let listener = UnixListener::bind(socket).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let given = given.clone();
            let answer = service_fn(move |request| answer(request, given.clone()));
            let connection = http2::Builder::new(TokioExecutor::new());
            tokio::spawn(connection.serve_connection(TokioIo::new(stream), answer));
        }
    })
}

async fn answer(
    request: Request<Incoming>,
    given: Arc<Mutex<ListPodResourcesResponse>>,
) -> Result<Response<http_body_util::combinators::BoxBody<Bytes, Infallible>>, Infallible> {
    let known = request.uri().path() == "/v1.PodResourcesLister/List"
        && request.headers()["content-type"] == "application/grpc"
        && request.headers()["te"] == "trailers";
    let question = request.into_body().collect().await.unwrap().to_bytes();
    let (status, frame) = if known && *question == [0; 5] {
        let message = given.lock().encode_to_vec();
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        ("0", [&[0][..], &length, &message].concat())
    } else {
        ("12", Vec::new())
    };
    let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static(status))]);
    let body = Full::from(frame).with_trailers(std::future::ready(Some(Ok(trailers)))).boxed();
    Ok(Response::builder().header("content-type", "application/grpc").body(body).unwrap())
}
