//! Why a call was not carried out, and what the runtime is told.

use std::{error::Error, fmt, io, path::PathBuf, time::Duration};

use kuryr_cni::{CniError, Code};
use kuryr_net::NetError;
use kuryr_ovsdb::OvsdbError;

use crate::{
    ledger::LedgerError,
    sriov::{pci::DeviceError, pod_resources::PodResourcesError},
};

/// A call that was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The call itself is wrong.
    #[error("{}", .0.msg)]
    Call(CniError),
    /// There is no such pod (any more), so that nobody needs the answer.
    #[error("pod {pod} is gone: {reason}")]
    PodGone {
        /// The pod.
        pod: String,
        /// How that is known.
        reason: String,
    },
    /// The controller has not recorded what to plug.
    #[error("no ports for pod {pod} after {} s: {reason}", .waited.as_secs())]
    NoRecord {
        /// The pod.
        pod: String,
        /// What is missing, and where to look.
        reason: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// What the controller recorded cannot be plugged.
    #[error("the KuryrPort of pod {pod} cannot be plugged: {reason}")]
    BadRecord {
        /// The pod.
        pod: String,
        /// What is wrong.
        reason: String,
    },
    /// The pod's ports are for another kind of node.
    #[error("the ports of pod {pod} are for Open vSwitch, which this node does not have: {reason}")]
    WrongNode {
        /// The pod.
        pod: String,
        /// By what the node's kind is known, and what to do.
        reason: String,
    },
    /// Nobody knows which link of the node its pods' links are to be on.
    #[error("no link of this node is for pods: {0}")]
    NoLower(String),
    /// The node's link carries smaller packets than the pod would send.
    #[error(
        "{ifname} of the pod is to have an MTU of {mtu} on top of {lower}, which has {lower_mtu}: \
         give {lower} at least {mtu}, or set [neutron_defaults] network_device_mtu to {lower_mtu}"
    )]
    SmallMtu {
        /// The node's link.
        lower: String,
        /// Its MTU.
        lower_mtu: u32,
        /// The pod's link.
        ifname: String,
        /// The MTU of the pod's network.
        mtu: u32,
    },
    /// Somebody else has the VLAN id.
    #[error("VLAN {id} on {lower} is not free: {reason}")]
    VlanTaken {
        /// The VLAN id.
        id: u16,
        /// The node's link.
        lower: String,
        /// Who has it, and what to do.
        reason: String,
    },
    /// A pod has no virtual function that it could be given.
    #[error("no virtual function {resource} for pod {pod}: {reason}")]
    NoFunction {
        /// The resource of the device plugin.
        resource: String,
        /// The pod.
        pod: String,
        /// What is missing, and what to do.
        reason: String,
    },
    /// The kubelet does not tell which devices a pod has.
    #[error("which devices the pod has is not known")]
    PodResources(#[from] PodResourcesError),
    /// A virtual function cannot be taken, or given back.
    #[error("change a virtual function")]
    Device(#[from] DeviceError),
    /// It is not known, or cannot be noted, whose a PCI device is.
    #[error("keep account of the node's PCI devices")]
    Ledger(#[from] LedgerError),
    /// The backend has not wired a port.
    #[error("port {port} was not wired within {} s: {reason}", .waited.as_secs())]
    NotWired {
        /// The Neutron port.
        port: String,
        /// Where to look.
        reason: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// ovs-vswitchd cannot use the link.
    #[error("Open vSwitch cannot use {link}: {reason}")]
    Switch {
        /// The host end.
        link: String,
        /// What Open vSwitch says.
        reason: String,
    },
    /// The file of the sandbox's namespace leads nowhere, or somewhere it must not.
    #[error("the network namespace {path} cannot be used: {reason}")]
    Namespace {
        /// The file.
        path: String,
        /// Why.
        reason: &'static str,
    },
    /// A newer call for the same pod has made this one pointless.
    #[error("a newer call for pod {0} took its place")]
    Superseded(String),
    /// The call took longer than the runtime waits.
    #[error("not done within {} s", .0.as_secs())]
    TooLong(Duration),
    /// The kernel refused something.
    #[error("set up the network")]
    Net(#[from] NetError),
    /// A file or a socket by which a program in user space gets at its interface is not as it should be.
    #[error("{action} {}", .path.display())]
    Handout {
        /// What was to be done with it.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// OVSDB refused something, or is out of reach.
    #[error("change Open vSwitch's database")]
    Ovsdb(#[from] OvsdbError),
    /// CHECK: this is not as ADD left it.
    #[error("the pod's network is not as it was set up: {}", .0.join("; "))]
    Differs(Vec<String>),
    /// STATUS: this keeps ADD from being served.
    #[error("pods cannot be connected now: {}", .reasons.join("; "))]
    Unavailable {
        /// What is wrong.
        reasons: Vec<String>,
        /// Whether pods that run are affected.
        reach: Reach,
    },
    /// DEL or GC: some of it could not be removed.
    #[error("{} of the pod's interfaces could not be removed", .0.len())]
    Leftovers(Vec<Failure>),
}

/// Whom an outage touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Pods that are to be connected.
    NewPods,
    /// Also those that run.
    AllPods,
}

impl Failure {
    /// What several steps come to, of which these failed.
    pub fn of_all(mut failures: Vec<Self>) -> Result<(), Self> {
        match failures.len() {
            0 => Ok(()),
            1 => Err(failures.swap_remove(0)),
            _ => Err(Self::Leftovers(failures)),
        }
    }

    /// The kind of error in the specification's terms.
    pub fn code(&self) -> Code {
        match self {
            Self::Call(_) | Self::Namespace { .. } => Code::InvalidEnvironment,
            Self::PodGone { .. } => Code::UnknownContainer,
            Self::NoRecord { .. }
            | Self::NotWired { .. }
            | Self::VlanTaken { .. }
            | Self::NoFunction { .. }
            | Self::PodResources(_)
            | Self::Superseded(_)
            | Self::TooLong(_) => Code::TryAgainLater,
            Self::BadRecord { .. } | Self::WrongNode { .. } => Code::BadRecord,
            Self::Ovsdb(error) if error.is_transient() => Code::TryAgainLater,
            Self::NoLower(_)
            | Self::SmallMtu { .. }
            | Self::Switch { .. }
            | Self::Device(_)
            | Self::Ledger(_)
            | Self::Net(_)
            | Self::Handout { .. }
            | Self::Ovsdb(_) => Code::Plugging,
            Self::Leftovers(failures) => failures.first().map_or(Code::Plugging, Self::code),
            Self::Differs(_) => Code::CheckFailed,
            Self::Unavailable { reach: Reach::NewPods, .. } => Code::NotAvailable,
            Self::Unavailable { reach: Reach::AllPods, .. } => Code::LimitedConnectivity,
        }
    }

    /// The error as the runtime prints it: one line with all causes, since people see nothing but that line.
    pub fn to_cni(&self) -> CniError {
        match self {
            Self::Call(error) => error.clone(),
            other => CniError::new(other.code(), Chain(other).to_string()),
        }
    }
}

impl From<CniError> for Failure {
    fn from(error: CniError) -> Self {
        Self::Call(error)
    }
}

/// An error with all its causes on one line.
pub struct Chain<'a>(pub &'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
