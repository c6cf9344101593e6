//! Whom a listener lets in.

use super::{Member, Observed, Protocol, Socket};
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Those in the Service's source ranges whom policies let reach every member, since nobody knows which one a connection is sent to.
/// Empty: everybody. None: it is not known.
///
/// Octavia has no word for nobody: its own address, which nobody connects from, stands for that.
pub(super) fn allowed(
    seen: &Observed<'_>,
    ranges: &[IpNet],
    vip: IpAddr,
    protocol: Protocol,
    members: &BTreeMap<Socket, Member>,
) -> Option<Vec<IpNet>> {
    let guards = seen.guards?;
    let asked = (!ranges.is_empty()).then(|| ranges.iter().copied().collect());
    let guards: BTreeSet<_> = members.keys().filter_map(|socket| guards.get(&(protocol, *socket))).collect();
    let is_guarded = !guards.is_empty();
    let all = asked.into_iter().chain(guards.into_iter().cloned());
    let Some(common) = all.reduce(|one, other| common(&one, &other)) else { return Some(Vec::new()) };
    let mut left: Vec<_> = common.into_iter().filter(|one| one.addr().is_ipv4() == vip.is_ipv4()).collect();
    if is_guarded {
        left = IpNet::aggregate(&left);
        left.sort();
    }
    Some(if left.is_empty() { vec![IpNet::from(vip)] } else { left })
}

/// What is in both: of two prefixes that have anything in common, one is in the other.
fn common(one: &BTreeSet<IpNet>, other: &BTreeSet<IpNet>) -> BTreeSet<IpNet> {
    if one == other {
        return one.clone();
    }
    let pairs = one.iter().flat_map(|a| other.iter().map(move |b| (a, b)));
    pairs.filter_map(|(a, b)| if a.contains(b) { Some(*b) } else { b.contains(a).then_some(*a) }).collect()
}
