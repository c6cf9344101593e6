//! Which Neutron port a pod has, which it should have, and what to do about the difference.
//!
//! ```text
//!                          on a virtual machine: Attach
//!   no port ── CreatePort ──► port, no record ── Record ──► recorded ── Activate ──► active (nothing to plan)
//!                                    ▲                          │
//!                 record lost ───────┘        pod gone or done: DeleteRecord, then Detach and DeletePort, or ReturnPort,
//!                                                               then ReleaseRecord
//! ```
//!
//! The record (a KuryrPort) is what the node plugs from and what survives the controller. It is written once, complete.
//! A port is known by the pod's uid (`device_id`, or the description of one that a virtual machine is to carry: Neutron wants one on a
//! trunk to have no device), so that one whose record was never written is found again.

mod keep;
mod release;
#[cfg(test)]
pub(crate) mod tests;

pub use crate::carrier::{Attachment, Bearer, Carrier, Extent, Lack, Needs, Parent, Place, Sharing};

use crate::network::PodNetwork;
use crate::news::News;
use crate::port::{Port, Vnic};
use kuryr_api::port::VifEntry;
use kuryr_api::{NetworkId, PortId, ProjectId, SecurityGroupId, SubnetId};
use std::collections::{BTreeMap, BTreeSet};

/// What Kubernetes, our record and Neutron say of one pod name.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    /// `namespace/name`.
    pub name: String,
    /// The pod, if there is one.
    pub pod: Option<Pod<'a>>,
    /// The record, if there is one.
    pub record: Option<Record<'a>>,
    /// Every port that was made for this pod or stands in the record, and exists in Neutron now.
    pub ports: Vec<Port>,
    /// Those of them that are a pool's, and go back to it when their pod needs them no more.
    pub pooled: BTreeMap<PortId, Plugging>,
    /// What carries the ports of pods to the pod's node.
    pub carrier: Carrier,
    /// Those of the ports that a virtual machine carries.
    pub carried: BTreeMap<PortId, Place>,
    /// Where pods get their ports.
    pub network: &'a PodNetwork,
    /// Which security groups its ports carry.
    pub security: Security,
    /// What the namespace allows.
    pub namespace: Namespace,
    /// How many looks before this one came to nothing, in a row.
    pub failures: u32,
}

/// Whether a port of a pool is plugged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plugging {
    /// It may be: the next pod must not have it yet.
    Plugged,
    /// The node's daemon says that it is no more, or it never was.
    Unplugged,
}

/// Which security groups a pod's ports carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Security {
    /// These when they are made. What others make of them later is theirs.
    Initial(BTreeSet<SecurityGroupId>),
    /// These, always.
    Always(BTreeSet<SecurityGroupId>),
    /// Some are still being brought into being: the pod is looked at again when they are there. Until then it does not start, and
    /// a port that it has takes `more`, and keeps of its own what is in `kept`.
    Growing {
        /// What is there of the groups that it is to have.
        more: BTreeSet<SecurityGroupId>,
        /// What it may keep: the groups that it is to have, and those that allow what nobody forbids yet.
        kept: BTreeSet<SecurityGroupId>,
    },
    /// Nobody knows yet.
    Unknown,
}

impl Security {
    /// The groups that a port has to carry now. None: those that it does.
    pub fn of(&self, port: &Port) -> Option<BTreeSet<SecurityGroupId>> {
        let wanted = match self {
            Self::Initial(_) | Self::Unknown => return None,
            Self::Always(groups) => groups.clone(),
            Self::Growing { more, kept } => {
                port.security_groups.intersection(kept).chain(more).cloned().collect()
            }
        };
        (wanted != port.security_groups).then_some(wanted)
    }
}

/// A pod.
#[derive(Clone, Debug)]
pub struct Pod<'a> {
    /// Uid.
    pub uid: &'a str,
    /// Node that it is bound to.
    pub node: Option<&'a str>,
    /// Whether Kuryr has anything to do with it.
    pub wants: Wants,
    /// Where it is in its life.
    pub stage: Stage,
    /// It comes from a file on the node.
    pub is_static: bool,
    /// The Python Kuryr's finalizer is on it.
    pub has_old_finalizer: bool,
}

/// Whether Kuryr has anything to do with a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// It lives in its own network, on a node with a daemon.
    Port,
    /// It lives in its node's network, or on a node that is no machine.
    Nothing,
}

/// Where a pod is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Its sandbox may still need its network.
    Starting,
    /// Its containers ran, or it is being deleted: what network it has, it has.
    Running,
    /// Its containers ended for good.
    Finished,
}

/// What a namespace allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespace {
    /// Everything.
    Open,
    /// No creation: it is being deleted.
    Terminating,
}

/// A record.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// Pod that it was written for.
    pub pod_uid: &'a str,
    /// Node that it was written for.
    pub node: &'a str,
    /// It is being deleted, and waits for us.
    pub deleting: bool,
    /// What it says of the interfaces.
    pub content: Content,
}

/// What a record says of the interfaces.
#[derive(Clone, Debug)]
pub enum Content {
    /// Interfaces in the order of their names.
    Interfaces(Vec<Interface>),
    /// Not readable, with the reason.
    Nonsense(String),
}

/// An interface in a record.
#[derive(Clone, Debug)]
pub struct Interface {
    /// Key in the record.
    pub name: String,
    /// Port.
    pub port: PortId,
    /// The record says that it is wired.
    pub active: bool,
    /// How it is plugged.
    pub link: Link,
}

/// How an interface in a record is plugged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// By a link of its own.
    Own,
    /// By this VLAN id of its machine's trunk.
    Vlan(u16),
    /// By a share of its machine's link.
    Shared(Sharing),
    /// By a device of its machine.
    Device,
}

/// One effect, idempotent.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Make a port in Neutron. What it becomes is seen by the next look.
    CreatePort(PortRequest),
    /// Let a port carry these security groups, and no others.
    Secure(PortId, BTreeSet<SecurityGroupId>),
    /// Put this cluster's tag on a port that the Python Kuryr made.
    TagPort(PortId),
    /// Let a virtual machine carry a port: its trunk by a VLAN id that is free, its own port by allowed address pairs, or itself.
    Attach(PortId, Bearer),
    /// Take a port off what carries it.
    Detach(PortId, Bearer),
    /// Delete a port that nothing carries; one that is gone is fine.
    DeletePort(PortId),
    /// Give a port back to its pool.
    ReturnPort(PortId),
    /// Create the record, complete.
    Record(NewRecord),
    /// Say in the record that these interfaces are wired.
    Activate(Vec<String>),
    /// Mark the record as deleted. It stays until it is released.
    DeleteRecord,
    /// Take our finalizer off the record, so that it goes.
    ReleaseRecord,
    /// Take the Python Kuryr's finalizer off the pod.
    TakeOldFinalizerOff,
    /// Look again when Neutron says that one of these ports is wired.
    AwaitWiring(Vec<PortId>),
    /// Look again when the node's daemon has unplugged these ports.
    AwaitUnplugging(Vec<PortId>),
    /// Tell the pod's owner.
    Tell(News),
    /// Nothing more can be done now: look again later.
    Retry(Why),
}

/// Why to look again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Neutron could not bind the port to the node.
    BindingFailed,
    /// The port is bound in a way that nobody can plug.
    NotPluggable,
    /// The node is a virtual machine that can't carry ports.
    NoCarrier,
}

/// The port that a pod needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortRequest {
    /// Network.
    pub network: NetworkId,
    /// One address in each of these.
    pub subnets: Vec<SubnetId>,
    /// Node of the pod.
    pub node: String,
    /// Host to bind it to; none: a virtual machine carries it.
    pub host: Option<String>,
    /// What it is for.
    pub vnic: Vnic,
    /// The pod's uid.
    pub pod_uid: String,
    /// Security groups.
    pub security_groups: BTreeSet<SecurityGroupId>,
    /// Owner, if not the project of the credentials.
    pub project: Option<ProjectId>,
    /// Tags.
    pub tags: Vec<String>,
    /// Name, if ports carry names.
    pub name: Option<String>,
}

/// The record that a pod needs.
#[derive(Clone, Debug, PartialEq)]
pub struct NewRecord {
    /// The pod's uid.
    pub pod_uid: String,
    /// Its node.
    pub node: String,
    /// It is static.
    pub is_static: bool,
    /// Its interfaces.
    pub vifs: BTreeMap<String, VifEntry>,
}

/// What to do, in this order. Empty when all is as it should be.
pub fn plan(seen: &Observed<'_>) -> Vec<Action> {
    let mut actions = Vec::new();
    if seen.pod.as_ref().is_some_and(|pod| pod.has_old_finalizer) {
        actions.push(Action::TakeOldFinalizerOff);
    }
    match claimant(seen) {
        Some((pod, node)) => keep::plan(seen, pod, node, &mut actions),
        None => release::everything(seen, &mut actions),
    }
    actions
}

/// The pod that has a right to a port, and its node.
fn claimant<'s, 'a>(seen: &'s Observed<'a>) -> Option<(&'s Pod<'a>, &'a str)> {
    let pod = seen.pod.as_ref()?;
    let wired =
        || seen.record.as_ref().is_some_and(|record| record.pod_uid == pod.uid) || has_port(seen, pod);
    let claims = match (pod.wants, pod.stage) {
        (Wants::Nothing, _) | (_, Stage::Finished) => false,
        (Wants::Port, Stage::Starting) => true,
        (Wants::Port, Stage::Running) => wired(),
    };
    claims.then_some(())?;
    Some((pod, pod.node?))
}

fn has_port(seen: &Observed<'_>, pod: &Pod<'_>) -> bool {
    seen.ports.iter().any(|port| port.pod_uid == pod.uid)
}
