//! Nobody has a right to the port: everything goes, the record last, since it is what remembers the port.

use super::{Action, Content, Link, Observed, Place, Plugging, Record};
use crate::port::{Ownership, Port};

/// Deletes the record and its ports, and those that were made for the pod. What is a pool's goes back to it when it is unplugged; the
/// record stays until then.
pub(super) fn everything(seen: &Observed<'_>, actions: &mut Vec<Action>) {
    if let Some(record) = &seen.record {
        mark(record, actions);
    }
    let mut plugged = Vec::new();
    for port in seen.ports.iter().filter(|port| may_delete(seen, port)) {
        match seen.pooled.get(&port.id) {
            None => self::port(seen, port, actions),
            Some(Plugging::Unplugged) => actions.push(Action::ReturnPort(port.id.clone())),
            Some(Plugging::Plugged) => plugged.push(port.id.clone()),
        }
    }
    plugged.sort();
    if !plugged.is_empty() {
        actions.push(Action::AwaitUnplugging(plugged));
    } else if seen.record.is_some() {
        actions.push(Action::ReleaseRecord);
    }
}

/// Deletes a port. Neutron deletes none that a trunk carries, and would leave its addresses among another's pairs.
pub(super) fn port(seen: &Observed<'_>, port: &Port, actions: &mut Vec<Action>) {
    if let Some(carried) = seen.carried.get(&port.id) {
        actions.push(Action::Detach(port.id.clone(), carried.bearer()));
    }
    actions.push(Action::DeletePort(port.id.clone()));
}

/// Deletes the record alone; its port stays for the record that follows.
pub(super) fn record(record: &Record<'_>, actions: &mut Vec<Action>) {
    mark(record, actions);
    actions.push(Action::ReleaseRecord);
}

fn mark(record: &Record<'_>, actions: &mut Vec<Action>) {
    if !record.deleting {
        actions.push(Action::DeleteRecord);
    }
}

/// We delete what carries our tag, and what a Kuryr made and one of our records names. A user can write a record by
/// hand and name any port in it: that is no reason to delete a virtual machine's.
pub(super) fn may_delete(seen: &Observed<'_>, port: &Port) -> bool {
    match port.ownership {
        Ownership::Ours => true,
        Ownership::Kuryr => {
            seen.record.as_ref().is_some_and(|record| names(record, port)) && is_recorded_so(seen, port)
        }
        Ownership::Foreign => false,
    }
}

/// Every port on any trunk looks like a Kuryr's: the record has to have it where it is.
pub(super) fn is_recorded_so(seen: &Observed<'_>, port: &Port) -> bool {
    let Some(Place::Trunk(place)) = seen.carried.get(&port.id) else { return true };
    let Some(Content::Interfaces(interfaces)) = seen.record.as_ref().map(|record| &record.content) else {
        return false;
    };
    let is_it = |one: &super::Interface| one.port == port.id && one.link == Link::Vlan(place.vlan);
    port.network == seen.network.id && interfaces.iter().any(is_it)
}

/// The record names the port.
pub(super) fn names(record: &Record<'_>, port: &Port) -> bool {
    match &record.content {
        Content::Interfaces(interfaces) => interfaces.iter().any(|interface| interface.port == port.id),
        Content::Nonsense(_) => false,
    }
}
