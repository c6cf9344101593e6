//! A node for a test: the host's namespace, Open vSwitch's database, an API server, and pods.

use std::{fs::File, os::fd::AsRawFd, path::Path, sync::Arc, time::Duration};

use kube::{Api as KubeApi, runtime::watcher};
use kuryr_cni::{AddResult, Command, Request};
use kuryr_daemon::{
    devices::Devices,
    failure::Failure,
    kind::{Kind, Own},
    ledger::Ledger,
    metrics::Metrics,
    node::{Limits, Node},
    plug::vhostuser::Sockets,
    records::{Records, Scope},
    sandbox::NetnsPaths,
    server::{Answered, Door},
    sriov::SriovSettings,
    turns::Turns,
    wiring::PlugSettings,
};
use kuryr_k8s::{
    Cache,
    events::{Events, Voice},
};
use kuryr_net::{LinkRemover, NetNs, Netlink, Stack, Sysfs};
use kuryr_ovsdb::Ovsdb;
use nix::sched::{CloneFlags, unshare};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::task::TaskTracker;

use crate::{
    api::{Api, NODE_ADDRESS, PODS, PORTS},
    ovs::{self, Server},
};

/// The longest that anything of the node's own takes.
pub const SOON: Duration = Duration::from_secs(20);
pub const PATIENCE: Duration = Duration::from_secs(2);
pub const BRIDGE: &str = "br-int";
/// The link of a VM.
pub const LOWER: &str = "vec0";

pub struct Stage {
    pub server: Server,
    pub api: Api,
    pub host: NetNs,
    host_file: File,
    pub door: Door,
    pub sriov: SriovSettings,
    vswitchd: JoinHandle<()>,
    /// Stands for the folders of the host.
    pub root: tempfile::TempDir,
}

/// A pod with its sandbox, the namespace of which lives as long as this value.
pub struct Pod {
    pub name: String,
    pub uid: String,
    pub sandbox: String,
    pub namespace: NetNs,
    file: File,
}

/// A namespace, and a file that keeps it and by which it can be found.
pub fn namespace() -> (NetNs, File) {
    let make = || {
        unshare(CloneFlags::CLONE_NEWNET).expect("these tests make network namespaces: run them as root");
        (NetNs::own().unwrap(), File::open("/proc/thread-self/ns/net").unwrap())
    };
    std::thread::spawn(make).join().unwrap()
}

/// Waits until it is so, and fails when that takes too long.
pub async fn until(mut so: impl FnMut() -> bool) {
    let waiting = async {
        while !so() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(SOON, waiting).await.expect("it does not happen");
}

impl Stage {
    /// A node that runs OVN.
    pub async fn new() -> Self {
        Self::with(&["set", "open", ".", "external_ids:ovn-remote=tcp:127.0.0.1:6642"]).await
    }

    /// A node whose database was changed beforehand.
    pub async fn with(vsctl: &[&str]) -> Self {
        let server = Server::new();
        server.vsctl(vsctl);
        let (host, host_file) = namespace();
        host.netlink().await.unwrap().add_bridge(BRIDGE, 1500).await.unwrap();
        Self::on(server, Api::of_node(None), host, host_file, no_functions()).await
    }

    /// A node that is a VM. There is an Open vSwitch all the same, for the daemon to leave alone.
    pub async fn vm(pod_vif: &str) -> Self {
        let (host, host_file) = namespace();
        add_lower(&host.netlink().await.unwrap()).await;
        Self::on(Server::new(), Api::of_node(Some(pod_vif)), host, host_file, no_functions()).await
    }

    /// A node whose pods have virtual functions.
    pub async fn with_functions(sriov: SriovSettings) -> Self {
        let (host, host_file) = namespace();
        Self::on(Server::new(), Api::of_node(Some("sriov")), host, host_file, sriov).await
    }

    async fn on(server: Server, api: Api, host: NetNs, host_file: File, sriov: SriovSettings) -> Self {
        let root = tempfile::tempdir().unwrap();
        let door = door(&server, &api, &host, root.path(), &sriov).await;
        let vswitchd = ovs::vswitchd(door.node.ovsdb.clone());
        Self { server, api, host, host_file, door, sriov, vswitchd, root }
    }

    pub fn node(&self) -> &Node {
        &self.door.node
    }

    /// Nobody opens new ports any more.
    pub fn stop_vswitchd(&self) {
        self.vswitchd.abort();
    }

    /// The daemon ends, and another one begins.
    pub async fn restart(&mut self) {
        self.door = door(&self.server, &self.api, &self.host, self.root.path(), &self.sriov).await;
    }

    /// By which the host's namespace can be found.
    pub fn host_path(&self) -> String {
        format!("/proc/self/fd/{}", self.host_file.as_raw_fd())
    }

    /// A pod without a record.
    pub fn pod(&self, name: &str, uid: &str, sandbox: &str) -> Pod {
        let metadata = json!({"name": name, "namespace": "default", "uid": uid});
        self.api.put(PODS, json!({"metadata": metadata, "spec": {"nodeName": "node1"}}));
        let (namespace, file) = namespace();
        Pod { name: name.into(), uid: uid.into(), sandbox: sandbox.into(), namespace, file }
    }

    /// A pod whose controller was quick.
    pub fn pod_with_port(&self, number: u16) -> Pod {
        let pod = self.pod(&format!("pod-{number}"), &format!("uid-{number}"), &format!("sandbox-{number}"));
        self.record(&pod, json!({"eth0": {"default": true, "vif": vif(number)}}));
        pod
    }

    pub fn record(&self, pod: &Pod, vifs: Value) {
        self.api.put(
            PORTS,
            json!({
                "metadata": {"name": pod.name, "namespace": "default", "uid": format!("record-{}", pod.uid)},
                "spec": {"podUid": pod.uid, "podNodeName": "node1"},
                "status": {"vifs": vifs},
            }),
        );
    }

    pub async fn add(&self, pod: &Pod) -> Result<AddResult, Failure> {
        match self.door.call(pod.request(Command::Add)).await? {
            Answered::Added(added) => Ok(added.result),
            Answered::Done => panic!("ADD without a result"),
        }
    }

    pub async fn del(&self, pod: &Pod) -> Result<(), Failure> {
        self.door.call(pod.request(Command::Del)).await.map(drop)
    }

    pub async fn host(&self) -> Netlink {
        self.host.netlink().await.unwrap()
    }

    /// The host's links, but for those that the stage made itself.
    pub async fn host_links(&self) -> Vec<String> {
        let links = self.host().await.links().await.unwrap();
        let own = ["lo", BRIDGE, LOWER, "uplink"];
        links.into_iter().map(|link| link.name).filter(|name| !own.contains(&name.as_str())).collect()
    }

    /// DEL does not wait until the kernel has taken a link apart.
    pub async fn links_go(&self) {
        let gone = async {
            while !self.host_links().await.is_empty() {
                sleep(Duration::from_millis(2)).await;
            }
        };
        let went = timeout(Duration::from_secs(5), gone).await.is_ok();
        assert!(went, "links stay: {:?}", self.host_links().await);
    }

    /// The ports of the bridge, but for its own.
    pub fn ports(&self) -> Vec<String> {
        let ovsdb = &self.node().ovsdb;
        let mut names: Vec<_> =
            ovsdb.look(|switch| switch.interfaces().map(|found| found.name.clone()).collect());
        names.retain(|name| name != BRIDGE);
        names.sort();
        names
    }

    pub fn external_id(&self, port: &str, key: &str) -> Option<String> {
        self.node().ovsdb.look(|switch| switch.interface(port)?.id(key).map(str::to_owned))
    }
}

impl Pod {
    pub fn netns(&self) -> String {
        format!("/proc/self/fd/{}", self.file.as_raw_fd())
    }

    pub fn request(&self, command: Command) -> Request {
        let args = format!(
            "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME={};K8S_POD_UID={}",
            self.name, self.uid
        );
        Request {
            command,
            container_id: Some(self.sandbox.parse().unwrap()),
            netns: Some(self.netns()),
            ifname: Some("eth0".parse().unwrap()),
            args,
            config: json!({"cniVersion": "1.1.0", "name": "kuryr", "type": "kuryr-cni"}),
        }
    }

    pub async fn inside(&self) -> Netlink {
        self.namespace.netlink().await.unwrap()
    }

    /// The same pod in a newer sandbox.
    pub fn again(&self, sandbox: &str) -> Self {
        let (namespace, file) = namespace();
        Self { name: self.name.clone(), uid: self.uid.clone(), sandbox: sandbox.into(), namespace, file }
    }
}

/// The link of a VM, with the Node's address.
pub async fn add_lower(host: &Netlink) {
    host.add_patch(LOWER, "uplink", 1500).await.unwrap();
    let lower = host.link(LOWER).await.unwrap().unwrap().index;
    host.add_address(lower, format!("{NODE_ADDRESS}/24").parse().unwrap()).await.unwrap();
}

/// What no configuration speaks of.
fn no_functions() -> SriovSettings {
    SriovSettings::new(&kuryr_config::Config::default())
}

async fn door(server: &Server, api: &Api, host: &NetNs, root: &Path, sriov: &SriovSettings) -> Door {
    let client = api.client();
    let records = Records {
        ports: Cache::start(&client, KubeApi::all, watcher::Config::default(), Box::new(|_| {})),
        pods: Cache::start(&client, KubeApi::all, watcher::Config::default(), Box::new(|_| {})),
        scope: Scope::Node,
    };
    let own = Own::watch(&client, "node1", "neutron-vif");
    let has_switch = {
        let own = own.clone();
        async move { own.has_switch().await }
    };
    let node = Node {
        host: host.clone(),
        remover: LinkRemover::new(host.clone()),
        own,
        ovsdb: Ovsdb::connect_after(server.endpoint(), has_switch),
        link_iface: None,
        records,
        turns: Turns::default(),
        plug: PlugSettings {
            bridge: BRIDGE.into(),
            mtu_limit: None,
            sockets: Sockets { pods: root.join("vhostuser"), switch: root.join("switch") },
            devices: Devices {
                driver: "uio_pci_generic".into(),
                pods: root.join("pci_address"),
                ledger: Ledger::new(root.join("devices")),
                sysfs: Sysfs::new(root.join("sys")),
                turn: Arc::default(),
            },
            sriov: sriov.clone(),
        },
        // That is where the stage's are.
        netns: NetnsPaths { folders: vec!["/proc/self/fd".into()], ..NetnsPaths::default() },
        limits: Limits::new(PATIENCE),
        metrics: Metrics::new(&mut Registry::default()),
        events: Events::new(client, "kuryr-daemon", Some("node1"), Voice::Mute),
        afterwards: TaskTracker::new(),
    };
    let ready = async {
        node.records.ports.complete().await;
        node.records.pods.complete().await;
        if node.own.known().await == Kind::OpenVSwitch {
            node.ovsdb.wait_for(|switch| switch.is_up().then_some(())).await;
        }
    };
    timeout(Duration::from_secs(10), ready).await.expect("the stage is not ready");
    Door { node: Arc::new(node), calls: TaskTracker::new() }
}

/// A VIF with an IPv4 and an IPv6 address, as the controller records it.
pub fn vif(number: u16) -> Value {
    let v4 = subnet("10.1.0.0/16", &format!("10.1.0.{number}"), Some("10.1.255.254"));
    let v6 = subnet("fd10:1::/64", &format!("fd10:1::{number:x}"), Some("fd10:1::ffff"));
    vif_in(number, &json!([v4, v6]))
}

/// A VIF for a VM's pod, as the controller records it.
pub fn nested(number: u16, stack: Stack) -> Value {
    let mut vif = vif(number);
    let (class, id) = match stack {
        Stack::Vlan(id) => ("VIFVlanNested", Some(id)),
        Stack::Macvlan => ("VIFMacvlanNested", None),
        Stack::Ipvlan => ("VIFIpvlanNested", None),
    };
    vif["versioned_object.name"] = json!(class);
    vif["versioned_object.data"]["plugin"] = json!("noop");
    if let Some(id) = id {
        vif["versioned_object.data"]["vlan_id"] = json!(id);
    }
    vif
}

/// A VIF for a program in user space, as the controller records it.
pub fn in_user_space(number: u16, class: &str, more: &Value) -> Value {
    let mut vif = vif(number);
    vif["versioned_object.name"] = json!(class);
    for (name, value) in more.as_object().unwrap() {
        vif["versioned_object.data"][name] = value.clone();
    }
    vif
}

pub fn vif_in(number: u16, subnets: &Value) -> Value {
    let id = port_id(number);
    let network = json!({
        "id": "network", "bridge": BRIDGE, "label": "pods", "mtu": 1442, "multi_host": false,
        "should_provide_bridge": false, "should_provide_vlan": false,
        "subnets": object("SubnetList", json!({"objects": subnets})),
    });
    object(
        "VIFOpenVSwitch",
        json!({
            "id": id, "address": mac(number), "network": object("Network", network), "plugin": "ovs", "active": true,
            "preserve_on_delete": false, "has_traffic_filtering": true, "vif_name": tap(number), "bridge_name": BRIDGE,
            "port_profile": object("VIFPortProfileOpenVSwitch", json!({"interface_id": id})),
        }),
    )
}

pub fn subnet(cidr: &str, address: &str, gateway: Option<&str>) -> Value {
    let ips = object("FixedIPList", json!({"objects": [object("FixedIP", json!({"address": address}))]}));
    let mut subnet = json!({"cidr": cidr, "dns": ["8.8.8.8"], "ips": ips, "routes": object("RouteList", json!({"objects": []}))});
    if let Some(gateway) = gateway {
        subnet["gateway"] = json!(gateway);
    }
    object("Subnet", subnet)
}

pub fn object(name: &str, data: Value) -> Value {
    let version = match name {
        "Network" => "1.1",
        "VIFPortProfileOpenVSwitch" => "1.4",
        _ => "1.0",
    };
    json!({
        "versioned_object.name": name, "versioned_object.namespace": "os_vif",
        "versioned_object.version": version, "versioned_object.data": data,
    })
}

/// What ADD answers where port 5 is no link of the pod's, but what stands under this key.
pub fn added_without_link(pod: &Pod, key: &str, what: &Value) -> Value {
    json!({
        "cniVersion": "1.1.0",
        "interfaces": [{"name": "eth0", "mac": mac(5), "mtu": 1442, "sandbox": pod.netns(), key: what}],
        "ips": [
            {"interface": 0, "address": "10.1.0.5/16", "gateway": "10.1.255.254"},
            {"interface": 0, "address": "fd10:1::5/64", "gateway": "fd10:1::ffff"},
        ],
        "dns": {"nameservers": ["8.8.8.8"]},
    })
}

pub fn port_id(number: u16) -> String {
    format!("{number:08x}-11cc-43d9-9200-ff4dc02d3620")
}

pub fn tap(number: u16) -> String {
    format!("tap{number:08x}-11")
}

pub fn mac(number: u16) -> String {
    format!("fa:16:3e:00:{:02x}:{:02x}", number >> 8, number & 0xff)
}
