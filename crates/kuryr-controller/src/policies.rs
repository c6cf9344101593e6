//! What enforces NetworkPolicies: the index that knows what is wanted, and the groups that exist in Neutron.
//!
//! ```text
//!   caches (Pod, Namespace, NetworkPolicy, Service, Node) ── Feed ──► Index (kuryr-core) ── changes ──┬─► Queue of pods
//!                                                                                                     ├─► Queue of policies
//!   Store (what exists in Neutron) ◄── own calls, Inventory                                           └─► Queue of peers
//!       └──► reconcile::policy, reconcile::peer: observe ─ plan (kuryr-core) ─ apply
//! ```
//!
//! Until the first look is done nobody knows what is wanted: no pod's port is made or changed before.

mod allowance;
pub(crate) mod balancers;
pub(crate) mod feed;
pub(crate) mod inventory;
mod progress;
mod store;
#[cfg(test)]
mod tests;
pub(crate) mod translate;

pub use allowance::{Allowance, Need, Shortage};
pub use feed::unreadable;
pub use inventory::{look, run, verify};
pub use store::{Listed, Store};

use self::progress::Progress;
use crate::context::Context;
use crate::metrics::{Kind, Metrics};
use crate::queue::Queue;
use crate::settings::PolicyDefaults;
use ipnet::IpNet;
use kuryr_api::{AddressGroupId, PortId, ProjectId};
use kuryr_core::network::PodNetwork;
use kuryr_core::pod::Security;
use kuryr_core::policy::key::{GroupKey, PeerKey};
use kuryr_core::policy::model::Name;
use kuryr_core::policy::plan::Carriers;
use kuryr_core::policy::{Changes, Groups, Index, by_address};
use kuryr_core::port::Port;
use kuryr_k8s::Key;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// So often in a row Neutron may fail to make what a policy needs before its pods get what is there.
pub const PATIENCE: u32 = 3;

/// What enforces policies in one term as leader.
pub struct Policies {
    /// How groups are made.
    pub defaults: PolicyDefaults,
    /// What exists in Neutron.
    pub store: Store,
    /// What the quotas leave.
    pub allowance: Allowance,
    /// Policies to look at.
    pub queue: Arc<Queue<Subject>>,
    /// Address groups to look at.
    pub peers: Arc<Queue<PeerKey>>,
    index: Mutex<Option<Index>>,
    /// Names of pods by their uids, by which ports know them.
    pods: Mutex<Uids>,
    progress: Mutex<Progress>,
    /// Ports that are to be deleted.
    condemned: Mutex<HashSet<PortId>>,
    /// An address left an address group.
    released: Notify,
    /// Nodes came or went.
    nodes: Notify,
    way: Mutex<Way>,
}

/// Whose groups are looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// Those that do not depend on any policy.
    Shared,
    /// Those of a policy.
    Policy(Name),
}

/// How peers are named in rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// By address groups.
    #[default]
    Groups,
    /// By a rule for each address, where the cloud has no address groups.
    Addresses,
}

/// Names of pods by their uids, and the other way round.
#[derive(Default)]
struct Uids {
    names: HashMap<Box<str>, Name>,
    uids: HashMap<Name, Box<str>>,
}

impl Policies {
    /// Nothing is known yet.
    pub fn new(defaults: PolicyDefaults, metrics: &Metrics) -> Self {
        let depth = |kind| metrics.queue_depth.get_or_create_owned(&Kind { kind });
        Self {
            defaults,
            store: Store::default(),
            allowance: Allowance::default(),
            queue: Arc::new(Queue::new(depth("policy"))),
            peers: Arc::new(Queue::new(depth("peer"))),
            index: Mutex::new(None),
            pods: Mutex::default(),
            progress: Mutex::default(),
            condemned: Mutex::default(),
            released: Notify::new(),
            nodes: Notify::new(),
            way: Mutex::default(),
        }
    }

    /// How peers are named in rules.
    pub fn way(&self) -> Way {
        *self.way.lock()
    }

    /// The project of groups, if it is not that of the credentials.
    pub fn project(&self) -> Option<ProjectId> {
        self.defaults.project.as_deref().map(Into::into)
    }

    /// Asks the index, once it is filled.
    pub fn ask<R>(&self, question: impl FnOnce(&Index) -> R) -> Option<R> {
        self.index.lock().as_ref().map(question)
    }

    /// The groups that `subject` should have, as the cloud can have them.
    pub fn wanted(&self, subject: &Subject) -> Option<Groups> {
        let way = self.way();
        self.ask(|index| {
            let groups = match subject {
                Subject::Shared => index.shared_groups(),
                Subject::Policy(name) => index.groups_of_policy(name),
            };
            match way {
                Way::Groups => groups,
                Way::Addresses => by_address(&groups, index),
            }
        })
    }

    /// The addresses that an address group should have; none: nobody needs it.
    pub fn addresses_of(&self, peer: &PeerKey) -> Option<BTreeSet<IpNet>> {
        (self.way() == Way::Groups).then(|| self.ask(|index| index.addresses_of(peer)))??
    }

    /// The groups of a pod's port. A policy whose groups can't be brought into being is not waited for: what it grants is
    /// missing then, and what it forbids is forbidden.
    pub fn security_of(&self, pod: &Key, network: &PodNetwork) -> Security {
        let Some(wanted) = self.ask(|index| index.groups_of(&name(pod))) else { return Security::Unknown };
        let defaults = || network.security_groups.iter().cloned();
        let Some(keys) = wanted else { return Security::Always(defaults().collect()) };
        let groups: Vec<_> =
            keys.into_iter().map(|key| (Subject::of(&key), self.store.id_of(&key))).collect();
        let (ready, awaited): (Vec<_>, Vec<_>) = {
            let progress = self.progress.lock();
            groups.into_iter().partition(|(subject, id)| progress.is_ready(subject, id.as_ref()))
        };
        let more: BTreeSet<_> = ready.into_iter().filter_map(|(_, id)| id).collect();
        if awaited.is_empty() {
            return Security::Always(more);
        }
        let awaited = awaited.into_iter().filter_map(|(_, id)| id);
        let shared = GroupKey::SHARED.iter().filter_map(|key| self.store.id_of(key));
        let kept = more.iter().cloned().chain(awaited).chain(shared).chain(defaults());
        Security::Growing { kept: kept.collect(), more }
    }

    /// Who carries a group.
    pub fn carriers(&self, key: &GroupKey, ports: &[Arc<Port>]) -> Carriers {
        let of_port = |port: &Arc<Port>| {
            // A pod that is gone does nothing with what its port still carries.
            let Some(pod) = self.pods.lock().names.get(&*port.pod_uid).cloned() else {
                return Carriers::Settled;
            };
            let wanted = self.ask(|index| index.groups_of(&pod)).flatten().unwrap_or_default();
            if !wanted.contains(key) {
                return Carriers::Strangers;
            }
            let shared = GroupKey::SHARED.iter().filter(|shared| wanted.contains(shared));
            let mut shared = shared.filter_map(|shared| self.store.id_of(shared));
            if shared.all(|id| port.security_groups.contains(&id)) {
                Carriers::Settled
            } else {
                Carriers::Lacking
            }
        };
        ports.iter().map(of_port).max().unwrap_or(Carriers::None)
    }

    /// Whether an address group that `groups` name can't be brought into being now.
    pub fn lack_peers(&self, groups: &Groups) -> bool {
        let mut missing = named(groups).filter(|peer| self.store.peer_id(peer).is_none());
        missing.any(|peer| self.peers.failures(peer) >= PATIENCE)
    }

    /// Looks at address groups that nobody needs any more.
    pub fn look_at_useless_peers(&self) {
        let there = self.store.peer_keys().into_iter();
        there.filter(|peer| self.addresses_of(peer).is_none()).for_each(|peer| self.peers.add(peer));
    }

    /// Whether an address group in Neutron has one of these addresses.
    pub fn hold(&self, addresses: &[IpAddr]) -> bool {
        self.store.hold(addresses)
    }

    /// Told when an address leaves an address group, from now on.
    pub fn released(&self) -> Notified<'_> {
        self.released.notified()
    }

    /// A port is to be deleted: its addresses are not its pod's any more.
    pub fn condemn(&self, context: &Context, pod: &Key, port: &PortId) {
        self.condemned.lock().insert(port.clone());
        self.refresh_pod(context, pod);
    }

    /// A port is gone.
    pub fn buried(&self, port: &PortId) {
        self.condemned.lock().remove(port);
        self.port_changed();
    }

    /// An address left an address group.
    pub fn release(&self) {
        self.released.notify_waiters();
    }

    /// Tells the queues what changed.
    fn spread(&self, context: &Context, changes: Changes) {
        if let Some(services) = &context.services {
            let guarded = self.ask(|index| index.guarded_by(&changes)).unwrap_or_default();
            guarded.iter().for_each(|service| services.queue.add(key(service)));
        }
        let policies: Vec<Subject> = changes.policies.into_iter().map(Subject::Policy).collect();
        {
            let mut progress = self.progress.lock();
            policies.iter().for_each(|subject| progress.outdate(subject));
        }
        policies.into_iter().for_each(|subject| self.queue.add(subject));
        changes.pods.iter().for_each(|pod| context.queue.add(key(pod)));
        match self.way() {
            Way::Groups => changes.peers.into_iter().for_each(|peer| self.peers.add(peer)),
            // Where each address has a rule of its own, the rules change with the addresses.
            Way::Addresses => changes.peers.iter().for_each(|peer| self.wake_users(peer)),
        }
    }

    /// Looks at those whose rules name a peer.
    pub fn wake_users(&self, peer: &PeerKey) {
        if matches!(peer, PeerKey::Nodes | PeerKey::Services) {
            self.queue.add(Subject::Shared);
        }
        let users = self.ask(|index| index.users_of(peer)).unwrap_or_default();
        users.into_iter().for_each(|user| self.queue.add(Subject::Policy(user)));
    }

    /// Looks at all that is wanted or there.
    pub fn look_at_all(&self) {
        let wanted = self.ask(|index| {
            let policies: Vec<Name> = index.policies().map(|(name, _)| name.clone()).collect();
            (policies, index.peer_keys())
        });
        let (policies, peers) = wanted.unwrap_or_default();
        let there = self.store.subjects();
        let policies = policies.into_iter().map(Subject::Policy).chain(there);
        policies.chain([Subject::Shared]).for_each(|subject| self.queue.add(subject));
        if self.way() == Way::Groups {
            peers.into_iter().chain(self.store.peer_keys()).for_each(|peer| self.peers.add(peer));
        }
    }

    /// Which address groups are there, of those that `groups` name.
    pub fn peers_of(&self, groups: &Groups) -> BTreeMap<PeerKey, AddressGroupId> {
        named(groups).filter_map(|peer| Some((peer.clone(), self.store.peer_id(peer)?))).collect()
    }
}

impl Uids {
    fn insert(&mut self, name: Name, uid: &str) {
        if self.uids.get(&name).is_some_and(|known| **known == *uid) {
            return;
        }
        self.remove(&name);
        self.names.insert(uid.into(), name.clone());
        self.uids.insert(name, uid.into());
    }

    fn remove(&mut self, name: &Name) {
        if let Some(uid) = self.uids.remove(name) {
            self.names.remove(&uid);
        }
    }
}

impl Subject {
    /// Whose group it is.
    pub fn of(key: &GroupKey) -> Self {
        key.policy().map_or(Self::Shared, |name| Self::Policy(name.clone()))
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Shared => f.write_str("(all policies)"),
            Self::Policy(name) => name.fmt(f),
        }
    }
}

/// The peers that rules of these groups name.
fn named(groups: &Groups) -> impl Iterator<Item = &PeerKey> {
    groups.values().flatten().filter_map(|rule| rule.group())
}

/// The index's name for a key.
pub fn name(key: &Key) -> Name {
    Name::new(key.namespace(), key.name())
}

/// The caches' key for a name.
pub fn key(name: &Name) -> Key {
    Key::new(&name.namespace, &name.name)
}
