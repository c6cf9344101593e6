//! Who may talk to whom, as a value that follows the cluster: told of one change, it knows which pods, policies and address
//! groups that concerns, without asking all the others.
//!
//! ```text
//!   set_pod, set_namespace, set_policy, set_service ──► Index ──► Changes: which pods, policies, peers to look at
//!                                                         │
//!         groups_of(pod), rules_of(policy), addresses_of(peer): what is wanted of each
//! ```
//!
//! Labels lead from a pod to the selectors that ask for them ([`Selectors`]); each pod knows the peers that it is in, and each
//! peer the policies that use it.

mod clients;
mod look;
mod peers;
mod policies;
mod services;
mod wishes;

pub use clients::Clients;
pub use wishes::Groups;

use super::key::{PeerKey, Pods, Resolution, Scope};
use super::model::{Block, Family, Name, Pod, Policy, Port, Protocol, Service};
use super::selector::{Labels, Selector, Selectors};
use ipnet::IpNet;
use slab::Slab;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

type PodId = usize;
type PolicyId = usize;
type PeerId = usize;
type ScopeId = usize;

/// The number of the only partition of a peer without a named port.
const WHOLE: u16 = 0;

/// The cluster, as far as policies depend on it.
#[derive(Debug, Default)]
pub struct Index {
    families: BTreeSet<Family>,
    namespaces: HashMap<Arc<str>, Namespace>,
    pods: Slab<PodEntry>,
    pod_ids: HashMap<Name, PodId>,
    by_address: HashMap<IpAddr, PodId>,
    policies: Slab<PolicyEntry>,
    policy_ids: HashMap<Name, PolicyId>,
    /// Those that say something of egress, since Services concern them alone.
    with_egress: BTreeSet<PolicyId>,
    peers: Slab<PeerEntry>,
    peer_ids: HashMap<Arc<Pods>, PeerId>,
    scopes: Slab<ScopeEntry>,
    scope_ids: HashMap<Selector, ScopeId>,
    services: HashMap<Name, Service>,
    /// Services that lead to an address.
    served_by: HashMap<IpAddr, BTreeSet<Name>>,
    nodes: BTreeSet<IpAddr>,
    /// Where load balancers are that connect to pods in their own name.
    balancers: BTreeSet<IpNet>,
    changes: Changes,
}

/// What a change concerns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Pods whose groups may be others now.
    pub pods: BTreeSet<Name>,
    /// Policies whose rules may be others now, or that came or went.
    pub policies: BTreeSet<Name>,
    /// Address groups that may hold others now, or that came or went.
    pub peers: BTreeSet<PeerKey>,
}

#[derive(Debug, Default)]
struct Namespace {
    /// None: nobody told of it yet. No selector matches it then.
    labels: Option<Labels>,
    pods: HashSet<PodId>,
    /// Policies of it, by the pods that they are for.
    subjects: Selectors<PolicyId>,
    /// Peers in it alone.
    own: Selectors<PeerId>,
    /// Selectors of namespaces that match it.
    scopes: Vec<ScopeId>,
}

#[derive(Debug)]
struct PodEntry {
    name: Name,
    pod: Pod,
    /// Peers that it is in, with the number of the port that made it one. Sorted.
    memberships: Vec<(PeerId, u16)>,
    /// Policies that are for it, and how it resolves their names of ports.
    policies: BTreeMap<PolicyId, Resolution>,
}

#[derive(Debug)]
struct PolicyEntry {
    name: Name,
    policy: Arc<Policy>,
    /// What it allows, one peer and one port each.
    ingress: Vec<Grant>,
    egress: Vec<Grant>,
    peers: Vec<PeerId>,
    subjects: HashSet<PodId>,
    /// How its pods resolve its names of ports, and how many do so.
    resolutions: BTreeMap<Resolution, usize>,
    /// Services that lead, at a port, to nothing but what it allows.
    vips: BTreeMap<(Protocol, u16), BTreeMap<Name, BTreeSet<IpAddr>>>,
}

/// Connections with one kind of peers on one kind of ports.
#[derive(Clone, Debug)]
struct Grant {
    ends: Ends,
    port: Option<Port>,
}

#[derive(Clone, Debug)]
enum Ends {
    Anyone,
    Pods(PeerId),
    Block(Block),
}

#[derive(Debug)]
struct PeerEntry {
    key: Arc<Pods>,
    users: BTreeSet<PolicyId>,
    /// By the number that they give to the named port.
    members: BTreeMap<u16, HashSet<PodId>>,
}

#[derive(Debug)]
struct ScopeEntry {
    selector: Selector,
    /// Peers in the namespaces that it matches.
    peers: Selectors<PeerId>,
    namespaces: HashSet<Arc<str>>,
}

impl Index {
    /// Nothing is known yet of a cluster whose pods have addresses of these families.
    pub fn new(families: impl IntoIterator<Item = Family>) -> Self {
        Self { families: families.into_iter().collect(), ..Self::default() }
    }

    /// What the changes since the last call concern.
    pub fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    /// A namespace and its labels.
    pub fn set_namespace(&mut self, name: &str, labels: Labels) {
        let namespace = self.namespace(name);
        if namespace.labels.as_ref() != Some(&labels) {
            namespace.labels = Some(labels);
            self.rescope(name);
        }
    }

    /// A namespace is gone. Its pods and policies are told of one by one.
    pub fn remove_namespace(&mut self, name: &str) {
        if let Some(namespace) = self.namespaces.get_mut(name) {
            namespace.labels = None;
            self.rescope(name);
            self.forget_empty(name);
        }
    }

    /// A pod with addresses of its own.
    pub fn set_pod(&mut self, name: &Name, pod: Pod) {
        let id = match self.pod_ids.get(name) {
            Some(id) if self.pods[*id].pod == pod => return,
            Some(id) => {
                let (id, old) = (*id, std::mem::replace(&mut self.pods[*id].pod, pod));
                self.readdress(id, &old.addresses);
                let moved = old.addresses != self.pods[id].pod.addresses;
                self.rejoin(id, moved.then_some(old.addresses.as_slice()));
                self.reselect(id);
                return;
            }
            None => self.pods.insert(PodEntry {
                name: name.clone(),
                pod,
                memberships: Vec::new(),
                policies: BTreeMap::new(),
            }),
        };
        self.pod_ids.insert(name.clone(), id);
        self.namespace(&name.namespace).pods.insert(id);
        self.readdress(id, &[]);
        self.rejoin(id, Some(&[]));
        self.reselect(id);
        self.changes.pods.insert(name.clone());
    }

    /// A pod is gone, or has no address any more.
    pub fn remove_pod(&mut self, name: &Name) {
        let Some(id) = self.pod_ids.get(name).copied() else { return };
        self.leave(id);
        let policies: Vec<PolicyId> = self.pods[id].policies.keys().copied().collect();
        for policy in policies {
            self.deselect(policy, id);
        }
        let addresses = std::mem::take(&mut self.pods[id].pod.addresses);
        self.readdress(id, &addresses);
        self.pod_ids.remove(name);
        self.pods.remove(id);
        self.namespace(&name.namespace).pods.remove(&id);
        self.forget_empty(&name.namespace);
        self.changes.pods.insert(name.clone());
    }

    /// The addresses of the cluster's nodes, as pods see them.
    pub fn set_nodes(&mut self, addresses: BTreeSet<IpAddr>) {
        if self.nodes != addresses {
            self.nodes = addresses;
            self.changes.peers.insert(PeerKey::Nodes);
        }
    }

    fn namespace(&mut self, name: &str) -> &mut Namespace {
        if !self.namespaces.contains_key(name) {
            self.namespaces.insert(name.into(), Namespace::default());
        }
        self.namespaces.entry(name.into()).or_default()
    }

    fn forget_empty(&mut self, name: &str) {
        let is_empty = |namespace: &Namespace| {
            namespace.labels.is_none()
                && namespace.pods.is_empty()
                && namespace.subjects.is_empty()
                && namespace.own.is_empty()
        };
        if self.namespaces.get(name).is_some_and(is_empty) {
            self.namespaces.remove(name);
        }
    }

    /// Which pod has which address.
    fn readdress(&mut self, id: PodId, old: &[IpAddr]) {
        for address in old {
            if self.by_address.get(address) == Some(&id) {
                self.by_address.remove(address);
            }
        }
        for address in &self.pods[id].pod.addresses {
            self.by_address.insert(*address, id);
        }
    }
}

/// An address as Neutron has it in address groups.
fn host(address: IpAddr) -> IpNet {
    IpNet::from(address)
}
