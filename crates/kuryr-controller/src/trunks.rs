//! The trunks of nodes that are virtual machines: which there are, what they carry, and what is being changed.
//!
//! ```text
//!   node's address ──► parent port ──► trunk ──► VLAN ids that are taken
//!                                        ▲
//!   pods that come and go ── joined ── one change of a trunk at a time
//! ```
//!
//! Neutron alone knows what a trunk carries: what is known here is its last answer, and where Neutron contradicts it is asked again.

mod change;
mod find;

pub use change::Error as ChangeError;
pub use find::{find, relist};

use crate::line::Line;
use kuryr_api::{PortId, TrunkId};
use kuryr_core::pod::Attachment;
use kuryr_openstack::neutron::Trunk;
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

/// The trunks that are known.
#[derive(Default)]
pub struct Trunks {
    known: RwLock<Known>,
    changes: Mutex<HashMap<TrunkId, Arc<Line<change::Wanted, ChangeError>>>>,
    /// Nodes are looked for one after the other: what is found for one pod is there for the next.
    looking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    /// What each trunk carries.
    carried: HashMap<TrunkId, BTreeMap<u16, PortId>>,
    /// Where each port is.
    places: HashMap<PortId, Attachment>,
    /// The trunk of the parent that has this address.
    of_address: HashMap<IpAddr, TrunkId>,
}

impl Trunks {
    /// Where a port is, if a trunk carries it.
    pub fn place(&self, port: &PortId) -> Option<Attachment> {
        self.known.read().places.get(port).cloned()
    }

    /// The trunk of the node that has one of these addresses, if it is known.
    pub fn of(&self, addresses: &[IpAddr]) -> Option<TrunkId> {
        let known = self.known.read();
        addresses.iter().find_map(|address| known.of_address.get(address).cloned())
    }

    /// Number of ports that trunks carry.
    pub fn len(&self) -> usize {
        self.known.read().places.len()
    }

    /// Learns what trunks carry now.
    fn learn(&self, trunks: &[Trunk]) {
        let mut known = self.known.write();
        trunks.iter().for_each(|trunk| known.learn(trunk));
    }

    /// Learns that ports are on no trunk any more.
    fn unlearn(&self, ports: &[PortId]) {
        let mut known = self.known.write();
        ports.iter().for_each(|port| known.lift(port));
    }

    /// Learns that a trunk is gone.
    fn forget(&self, trunk: &TrunkId) {
        self.known.write().forget(trunk);
        self.changes.lock().remove(trunk);
    }

    /// Learns all trunks that there are.
    fn replace(&self, trunks: &[Trunk]) {
        let there: BTreeSet<_> = trunks.iter().map(|trunk| &trunk.id).collect();
        let gone: Vec<_> =
            self.known.read().carried.keys().filter(|id| !there.contains(id)).cloned().collect();
        gone.iter().for_each(|trunk| self.forget(trunk));
        self.learn(trunks);
    }

    fn learn_address(&self, addresses: impl IntoIterator<Item = IpAddr>, trunk: &TrunkId) {
        let of = addresses.into_iter().map(|address| (address, trunk.clone()));
        self.known.write().of_address.extend(of);
    }

    /// Number of ports that a trunk carries.
    pub fn carried_len(&self, trunk: &TrunkId) -> usize {
        self.known.read().carried.get(trunk).map_or(0, BTreeMap::len)
    }

    /// The VLAN ids of a trunk that are taken.
    fn taken(&self, trunk: &TrunkId) -> BTreeSet<u16> {
        let known = self.known.read();
        known.carried.get(trunk).into_iter().flat_map(BTreeMap::keys).copied().collect()
    }
}

impl Known {
    fn learn(&mut self, trunk: &Trunk) {
        let now: BTreeMap<u16, PortId> =
            trunk.sub_ports.iter().map(|sub| (sub.segmentation_id, sub.port_id.clone())).collect();
        let before = self.carried.insert(trunk.id.clone(), now.clone()).unwrap_or_default();
        for port in before.into_values() {
            if self.places.get(&port).is_some_and(|place| place.trunk == trunk.id) {
                self.places.remove(&port);
            }
        }
        let places = now.into_iter().map(|(vlan, port)| (port, Attachment { trunk: trunk.id.clone(), vlan }));
        self.places.extend(places);
    }

    fn lift(&mut self, port: &PortId) {
        let Some(place) = self.places.remove(port) else { return };
        if let Some(carried) = self.carried.get_mut(&place.trunk) {
            carried.remove(&place.vlan);
        }
    }

    fn forget(&mut self, trunk: &TrunkId) {
        for port in self.carried.remove(trunk).unwrap_or_default().into_values() {
            self.places.remove(&port);
        }
        self.of_address.retain(|_, of| of != trunk);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kuryr_openstack::neutron::Subport;

    fn trunk(id: &str, carried: &[(&str, u16)]) -> Trunk {
        let sub_ports = carried.iter().map(|(port, vlan)| Subport::vlan((*port).into(), *vlan)).collect();
        Trunk { id: id.into(), port_id: "parent".into(), sub_ports }
    }

    #[test]
    fn what_neutron_says_last_counts() {
        let trunks = Trunks::default();
        trunks.learn(&[trunk("t", &[("a", 1), ("b", 2)])]);
        trunks.learn(&[trunk("t", &[("b", 2), ("c", 1)])]);
        assert_eq!(trunks.place(&"a".into()), None);
        assert_eq!(trunks.place(&"c".into()), Some(Attachment { trunk: "t".into(), vlan: 1 }));
        trunks.unlearn(&["b".into()]);
        assert_eq!((trunks.taken(&"t".into()), trunks.len()), (BTreeSet::from([1]), 1));
    }

    #[test]
    fn a_trunk_that_is_gone_is_nobodys() {
        let trunks = Trunks::default();
        trunks.replace(&[trunk("t", &[("a", 1)]), trunk("u", &[("b", 1)])]);
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        trunks.learn_address([address], &"t".into());
        trunks.replace(&[trunk("u", &[("b", 1)])]);
        assert_eq!((trunks.of(&[address]), trunks.place(&"a".into()), trunks.len()), (None, None, 1));
    }
}
