//! The ports of nodes that are virtual machines whose link pods share: from which addresses each may send besides its own.
//!
//! ```text
//!   node's address ──► parent port ──► allowed address pairs (those of pods, and others')
//!                                          ▲
//!   pods that come and go ──── joined ─────┘ one change of a parent at a time, if nobody else changed it meanwhile
//! ```
//!
//! Neutron alone knows which pairs a port has: what is known here is its last answer, and where Neutron contradicts it is asked again.

mod change;
mod find;
mod sweep;

pub use find::{find, relist};
pub use sweep::sweep;

use crate::line::Line;
use kuryr_api::{NetworkId, PortId};
use kuryr_core::carrier::{Parent, Place, Sharing};
use kuryr_core::pairs::{self, Pair};
use kuryr_core::port::Port;
use kuryr_openstack::neutron::{self, AddressPair};
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What Neutron does not let a port send from it will not a moment later: nobody asks again so soon.
const REFUSED_FOR: Duration = Duration::from_mins(1);

/// The ports with pairs that are known.
pub struct Pairs {
    known: RwLock<Known>,
    changes: Mutex<HashMap<PortId, Arc<Line<change::Wanted, kuryr_openstack::Error>>>>,
    /// Nodes are looked for one after the other: what is found for one pod is there for the next.
    looking: tokio::sync::Mutex<()>,
    /// How often a change is tried while others change the port.
    attempts: NonZeroU32,
}

#[derive(Default)]
struct Known {
    parents: HashMap<PortId, Arc<Seen>>,
    /// Who has pairs with an address.
    holders: HashMap<IpAddr, BTreeSet<PortId>>,
    /// The port that has this address.
    of_address: HashMap<IpAddr, PortId>,
    refused: HashMap<PortId, (Instant, kuryr_openstack::Error)>,
}

/// A port with pairs, as Neutron showed it last.
struct Seen {
    id: PortId,
    mac: String,
    network: Option<NetworkId>,
    revision: u64,
    /// As they are given back with each change.
    shown: Vec<AddressPair>,
    /// Those of them that are for one address.
    pairs: Vec<Pair>,
}

impl Seen {
    fn of(port: &neutron::Port) -> Self {
        Self {
            id: port.id.clone(),
            mac: port.mac_address.clone(),
            network: port.network_id.clone(),
            revision: port.revision_number,
            pairs: port
                .allowed_address_pairs
                .iter()
                .filter_map(|pair| exact(pair, &port.mac_address))
                .collect(),
            shown: port.allowed_address_pairs.clone(),
        }
    }

    fn as_parent(&self, sharing: Sharing) -> Parent {
        Parent { port: self.id.clone(), mac: self.mac.clone(), sharing }
    }

    fn place(&self, port: &Port) -> Option<Place> {
        [Sharing::Macvlan, Sharing::Ipvlan].into_iter().find_map(|sharing| {
            let parent = self.as_parent(sharing);
            let extent = pairs::extent(port, &parent, |pair| self.has(pair))?;
            Some(Place::Pairs(parent, extent))
        })
    }

    fn has(&self, pair: &Pair) -> bool {
        self.pairs.iter().any(|one| one.address == pair.address && pairs::is_same(&one.mac, &pair.mac))
    }
}

impl Pairs {
    /// None is known yet. A change is tried so often while others change the port.
    pub fn new(attempts: NonZeroU32) -> Self {
        Self {
            known: RwLock::default(),
            changes: Mutex::default(),
            looking: tokio::sync::Mutex::default(),
            attempts,
        }
    }

    /// Where a port is, if a virtual machine's may send from its addresses. One that is bound to a host is there.
    pub fn place(&self, port: &Port) -> Option<Place> {
        if !port.host.is_empty() {
            return None;
        }
        let known = self.known.read();
        let holders = port.addresses.iter().filter_map(|(_, address)| known.holders.get(address)).flatten();
        let holders: BTreeSet<_> = holders.collect();
        holders.into_iter().filter_map(|id| known.parents.get(id)).find_map(|seen| seen.place(port))
    }

    /// The port of the node that has one of these addresses, if it is known.
    pub fn of(&self, addresses: &[IpAddr]) -> Option<PortId> {
        let known = self.known.read();
        addresses.iter().find_map(|address| known.of_address.get(address).cloned())
    }

    /// Number of pairs that are known, ours and others'.
    pub fn len(&self) -> usize {
        self.known.read().parents.values().map(|seen| seen.pairs.len()).sum()
    }

    fn seen(&self, id: &PortId) -> Option<Arc<Seen>> {
        self.known.read().parents.get(id).cloned()
    }

    fn all(&self) -> Vec<Arc<Seen>> {
        self.known.read().parents.values().cloned().collect()
    }

    fn learn(&self, port: &neutron::Port) -> Arc<Seen> {
        self.known.write().learn(Seen::of(port))
    }

    fn learn_address(&self, addresses: impl IntoIterator<Item = IpAddr>, port: &PortId) {
        let of = addresses.into_iter().map(|address| (address, port.clone()));
        self.known.write().of_address.extend(of);
    }

    /// Learns that a port is gone.
    fn forget(&self, id: &PortId) {
        self.known.write().forget(id);
        self.changes.lock().remove(id);
    }

    /// Learns all ports that there are, but for those of pods.
    fn replace(&self, ports: &[neutron::Port]) {
        let there: HashSet<_> = ports.iter().map(|port| &port.id).collect();
        let gone: Vec<_> =
            self.known.read().parents.keys().filter(|id| !there.contains(id)).cloned().collect();
        gone.iter().for_each(|id| self.forget(id));
        let is_known = |id: &PortId| self.known.read().parents.contains_key(id);
        for port in ports.iter().filter(|port| !port.allowed_address_pairs.is_empty() || is_known(&port.id)) {
            // What a change has brought meanwhile is newer.
            if self.seen(&port.id).is_none_or(|seen| seen.revision <= port.revision_number) {
                self.learn(port);
            }
        }
    }

    /// Why Neutron has refused what was wanted of a port, if that was not long ago.
    fn refusal(&self, id: &PortId) -> Option<kuryr_openstack::Error> {
        let known = self.known.read();
        let (since, why) = known.refused.get(id)?;
        (since.elapsed() < REFUSED_FOR).then(|| why.clone())
    }

    /// There may be room again.
    fn forgive(&self, id: &PortId) {
        self.known.write().refused.remove(id);
    }

    fn note_refused(&self, id: &PortId, why: &kuryr_openstack::Error) {
        self.known.write().refused.insert(id.clone(), (Instant::now(), why.clone()));
    }
}

impl Known {
    fn learn(&mut self, seen: Seen) -> Arc<Seen> {
        self.put_down(&seen.id);
        for pair in &seen.pairs {
            self.holders.entry(pair.address).or_default().insert(seen.id.clone());
        }
        let seen = Arc::new(seen);
        self.parents.insert(seen.id.clone(), seen.clone());
        seen
    }

    fn forget(&mut self, id: &PortId) {
        self.put_down(id);
        self.of_address.retain(|_, of| of != id);
        self.refused.remove(id);
    }

    fn put_down(&mut self, id: &PortId) {
        let Some(seen) = self.parents.remove(id) else { return };
        for pair in &seen.pairs {
            let holders = self.holders.entry(pair.address).or_default();
            holders.remove(id);
            if holders.is_empty() {
                self.holders.remove(&pair.address);
            }
        }
    }
}

/// A pair that is for one address, and no prefix.
fn exact(pair: &AddressPair, of_port: &str) -> Option<Pair> {
    let whole =
        |prefix: ipnet::IpNet| (prefix.prefix_len() == prefix.max_prefix_len()).then_some(prefix.addr());
    let address = pair.ip_address.parse().ok().or_else(|| whole(pair.ip_address.parse().ok()?))?;
    Some(Pair { address, mac: pair.mac_address.clone().unwrap_or_else(|| of_port.to_owned()) })
}

#[cfg(test)]
mod tests;
