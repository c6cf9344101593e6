//! A vhost-user socket between Open vSwitch's datapath in user space and a program in the pod. There is no link.
//!
//! ```text
//!   pod is the server   it listens at <mount_point>/vhuX                ◄── Open vSwitch calls: dpdkvhostuserclient
//!   pod is the client   Open vSwitch listens at <ovs_vhu_path>/vhuX: dpdkvhostuser
//!                       moved to <mount_point>/vhuX                     ◄── it calls
//! ```
//!
//! A socket stays the same one when it is renamed, and cannot be renamed across mounts: both folders have to be on one.

use std::{
    fs, io,
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
    time::Duration,
};

use kuryr_api::vif::VHostUser;
use kuryr_cni::IfName;
use kuryr_net::VethEnds;
use kuryr_ovsdb::Device;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::{Driver, Job, ovs_port::OvsPort};
use crate::{
    failure::Failure,
    handout,
    mark::Mark,
    node::Node,
    sandbox::Sandbox,
    wiring::{PlugSettings, link_name},
};

/// Open vSwitch makes a socket before it says that the port is open: this is for one that is slow.
const AGAIN: Duration = Duration::from_millis(50);
const PREFIX: &str = "vhu";

/// A vhost-user socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VhostUser {
    /// The OVS bridge.
    pub bridge: String,
    /// The OVS port.
    pub name: String,
    /// What the pod is.
    pub end: End,
    /// Where the pod has the socket.
    pub socket: PathBuf,
    /// Where Open vSwitch makes it, if it does.
    pub made: PathBuf,
}

/// What a pod is to its socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// It listens.
    Server,
    /// It calls.
    Client,
}

/// Where sockets are.
#[derive(Debug, Clone)]
pub struct Sockets {
    /// The pods' folder.
    pub pods: PathBuf,
    /// Open vSwitch's own folder.
    pub switch: PathBuf,
}

/// What a pod is told of its interface, as the Python Kuryr told it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Told {
    vhostname: String,
    vhostmac: String,
    mode: End,
}

impl VhostUser {
    /// Reads a VIF.
    pub fn read(vif: &VHostUser, settings: &PlugSettings) -> Result<Self, String> {
        let name = link_name(PREFIX, &vif.vif_name)?;
        let end = match vif.mode.as_str() {
            "server" => End::Server,
            "client" => End::Client,
            other => return Err(format!("vhost-user mode {other:?} is neither server nor client")),
        };
        let socket = settings.sockets.pods.join(&name);
        if Path::new(&vif.path) != socket {
            return Err(format!(
                "its socket is to be {:?}, and the daemon's [vhostuser] mount_point would have it at {}: the option has to be the same \
                 for the controller",
                vif.path,
                socket.display()
            ));
        }
        let bridge = settings.bridge_named(vif.base.network.bridge.as_ref());
        Ok(Self { bridge, end, socket, made: settings.sockets.switch.join(&name), name })
    }

    pub(super) fn port(&self) -> OvsPort<'_> {
        OvsPort { bridge: &self.bridge, name: &self.name }
    }

    fn device<'a>(&self, mtu: u32, socket: &'a str) -> Device<'a> {
        match self.end {
            End::Server => Device::VhostClient { mtu, socket },
            End::Client => Device::VhostServer { mtu },
        }
    }

    fn told(&self, job: Job<'_>) -> String {
        let told =
            Told { vhostname: self.name.clone(), vhostmac: job.wiring.mac.to_string(), mode: self.end };
        serde_json::json!(told).to_string()
    }

    fn handout(job: Job<'_>) -> PathBuf {
        handout::path(&job.node.plug.sockets.pods, &job.place.sandbox.id, &job.wiring.ifname)
    }
}

impl Sockets {
    /// Removes what a port has left in the pods' folder that is gone from Open vSwitch.
    pub fn clean(&self, mark: &Mark) -> Result<(), Failure> {
        if !mark.is_vhost_user() {
            return Ok(());
        }
        let ifname = mark.ifname.as_ref().and_then(|name| name.parse::<IfName>().ok());
        if let (Some(sandbox), Some(ifname)) = (&mark.sandbox, ifname) {
            handout::remove(&handout::path(&self.pods, sandbox, &ifname))?;
        }
        handout::remove(&self.pods.join(&mark.ovs_port))
    }

    /// The OVS port of a sandbox's interface, by what the Python Kuryr has told the pod. Pods can write that.
    pub fn told_to(&self, sandbox: &Sandbox) -> Option<String> {
        let told = handout::read(&handout::path(&self.pods, &sandbox.id, &sandbox.ifname))?;
        let told: Told = serde_json::from_str(&told).ok()?;
        link_name(PREFIX, &told.vhostname).ok()
    }

    /// Removes what a sandbox was told of its interface.
    pub fn forget(&self, sandbox: &Sandbox) -> Result<(), Failure> {
        handout::remove(&handout::path(&self.pods, &sandbox.id, &sandbox.ifname))
    }

    /// What is not as ADD left it.
    pub fn differences(&self, mark: &Mark, sandbox: &Sandbox) -> Option<String> {
        let ifname = mark.ifname.as_ref()?.parse().ok()?;
        let path = handout::path(&self.pods, &sandbox.id, &ifname);
        let Some(told) = handout::read(&path) else { return Some(format!("{} is gone", path.display())) };
        let is_client = serde_json::from_str::<Told>(&told).is_ok_and(|told| told.mode == End::Client);
        let socket = self.pods.join(&mark.ovs_port);
        (is_client && !is_socket(&socket)).then(|| format!("the socket {} is gone", socket.display()))
    }

    /// Open vSwitch makes its sockets anew when it is started again: lets the pod have a new one.
    pub fn renew(&self, mark: &Mark) {
        let made = self.switch.join(&mark.ovs_port);
        if !mark.is_vhost_user() || !is_socket(&made) {
            return;
        }
        match fs::rename(&made, self.pods.join(&mark.ovs_port)) {
            Ok(()) => {
                tracing::info!(port = mark.port, socket = mark.ovs_port, "moved a socket that was made anew");
            }
            Err(error) => {
                tracing::warn!(port = mark.port, socket = mark.ovs_port, %error, "could not move a socket that was made anew");
            }
        }
    }
}

impl Driver for VhostUser {
    async fn is_plugged(&self, job: Job<'_>) -> Result<bool, Failure> {
        Ok(self.port().is_marked(job)
            && handout::read(&Self::handout(job)).is_some_and(|told| told == self.told(job)))
    }

    async fn clear(&self, job: Job<'_>) -> Result<(), Failure> {
        let before = job.node.ovsdb.look(|switch| switch.interface(&self.name).and_then(Mark::read));
        self.port().remove(job).await?;
        before.map_or(Ok(()), |mark| job.node.plug.sockets.clean(&mark))?;
        handout::remove(&self.socket)
    }

    async fn connect(&self, job: Job<'_>) -> Result<Option<VethEnds>, Failure> {
        job.node.ovsdb.add_userspace_bridge(&self.bridge).await?;
        let socket = self.socket.to_string_lossy();
        self.port().add(job, self.device(job.wiring.mtu, &socket)).await?;
        handout::write(&Self::handout(job), &self.told(job))?;
        Ok(None)
    }

    async fn wired(&self, job: Job<'_>) -> Result<(), Failure> {
        self.port().wired(job).await?;
        if self.end == End::Server {
            return Ok(());
        }
        while !is_socket(&self.made) {
            if is_socket(&self.socket) {
                return Ok(());
            }
            sleep(AGAIN).await;
        }
        fs::rename(&self.made, &self.socket).map_err(|error| not_moved(error, &self.made))
    }

    fn unwired(&self, node: &Node) -> &'static str {
        let is_open = node.ovsdb.look(|switch| self.port().is_open(switch));
        if is_open && self.end == End::Client && !is_socket(&self.made) {
            "Open vSwitch has made no socket for it in [vhostuser] ovs_vhu_path, which has to be its vhost-sock-dir"
        } else {
            self.port().unwired(node)
        }
    }
}

fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

fn not_moved(error: io::Error, made: &Path) -> Failure {
    let action = if error.kind() == io::ErrorKind::CrossesDevices {
        "move, to [vhostuser] mount_point, which is not on the same mount, the socket"
    } else {
        "move, to [vhostuser] mount_point, the socket"
    };
    handout::failed(action, made)(error)
}
