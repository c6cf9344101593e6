//! Allowed address pairs of a virtual machine's port: which a pod's port needs there, and which nobody needs any more.
//!
//! Others may have pairs there as well. One is ours only if one of our ports has the address, and the MAC address is that port's own or,
//! where pods share the machine's, the machine's.

use crate::carrier::{Extent, Parent, Sharing};
use crate::port::Port;
use kuryr_api::PortId;
use std::net::IpAddr;

/// An address that a port may send from, with the MAC address that goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Address.
    pub address: IpAddr,
    /// MAC address.
    pub mac: String,
}

/// Where a port of ours belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Home {
    /// Among the pairs of this port.
    Pairs(PortId),
    /// On a trunk, or bound to a host.
    Elsewhere,
    /// Nobody knows now.
    Unknown,
}

/// The pairs that `port` needs on its machine's.
pub fn of<'p>(port: &'p Port, parent: &'p Parent) -> impl Iterator<Item = Pair> + 'p {
    let mac = match parent.sharing {
        Sharing::Macvlan => &port.mac,
        Sharing::Ipvlan => &parent.mac,
    };
    port.addresses.iter().map(|(_, address)| Pair { address: *address, mac: mac.clone() })
}

/// How much of `port` is among these pairs of its machine's. None: nothing.
pub fn extent(port: &Port, parent: &Parent, has: impl Fn(&Pair) -> bool) -> Option<Extent> {
    let there = of(port, parent).filter(|pair| has(pair)).count();
    match there {
        0 => None,
        _ if there == port.addresses.len() => Some(Extent::Whole),
        _ => Some(Extent::Part),
    }
}

/// The pairs of the port `parent`, whose MAC address is `mac`, that are ours and that nobody needs. `owner` tells which port of ours has
/// an address, and where it belongs.
pub fn stray<'p>(
    parent: &PortId,
    mac: &str,
    pairs: impl IntoIterator<Item = &'p Pair>,
    owner: impl Fn(IpAddr) -> Option<(String, Home)>,
) -> Vec<Pair> {
    let is_stray = |pair: &&Pair| {
        owner(pair.address).is_some_and(|(own, home)| {
            let is_ours = is_same(&pair.mac, &own) || is_same(&pair.mac, mac);
            is_ours && home != Home::Unknown && home != Home::Pairs(parent.clone())
        })
    };
    pairs.into_iter().filter(is_stray).cloned().collect()
}

/// Neutron keeps MAC addresses of pairs as they were written.
pub fn is_same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::tests::port;
    use proptest::prelude::*;

    const MAC: &str = "fa:16:3e:00:00:99";

    fn parent(sharing: Sharing) -> Parent {
        Parent { port: "parent".into(), mac: MAC.into(), sharing }
    }

    fn pair(address: &str, mac: &str) -> Pair {
        Pair { address: address.parse().unwrap(), mac: mac.into() }
    }

    #[test]
    fn a_pod_has_its_own_mac_address_or_its_machines() {
        let port = port("1", "a");
        for (sharing, mac) in [(Sharing::Macvlan, port.mac.as_str()), (Sharing::Ipvlan, MAC)] {
            let pairs: Vec<_> = of(&port, &parent(sharing)).collect();
            assert_eq!(pairs, [pair("10.1.0.5", mac), pair("fd10:1::5", mac)]);
        }
    }

    #[test]
    fn all_addresses_of_a_port_have_to_be_there() {
        let (port, parent) = (port("1", "a"), parent(Sharing::Ipvlan));
        let of = |there: &[&str]| extent(&port, &parent, |pair| there.contains(&&*pair.address.to_string()));
        assert_eq!(of(&["10.1.0.5", "fd10:1::5"]), Some(Extent::Whole));
        assert_eq!(of(&["fd10:1::5"]), Some(Extent::Part));
        assert_eq!(of(&["10.1.0.6"]), None);
    }

    #[test]
    fn only_what_is_ours_and_belongs_elsewhere_is_stray() {
        let own = "fa:16:3e:00:00:01";
        let pairs = [pair("10.1.0.5", MAC), pair("10.1.0.5", own), pair("10.1.0.5", "02:00:00:00:00:01")];
        let with = |home: Option<Home>| {
            let owner = |_| home.clone().map(|home| (own.to_uppercase(), home));
            stray(&"parent".into(), MAC, &pairs, owner)
        };
        assert_eq!(with(Some(Home::Elsewhere)), pairs[..2]);
        assert_eq!(with(Some(Home::Pairs("other".into()))), pairs[..2]);
        for stays in [None, Some(Home::Unknown), Some(Home::Pairs("parent".into()))] {
            assert_eq!(with(stays), []);
        }
    }

    fn homes() -> impl Strategy<Value = Option<Home>> {
        prop_oneof![
            Just(None),
            Just(Some(Home::Unknown)),
            Just(Some(Home::Elsewhere)),
            Just(Some(Home::Pairs("parent".into()))),
            Just(Some(Home::Pairs("other".into()))),
        ]
    }

    proptest! {
        #[test]
        fn a_pair_of_somebody_else_never_goes_and_what_is_left_is_not_stray(
            pairs in proptest::collection::vec((0..4u8, prop_oneof![Just("a"), Just("b"), Just(MAC)]), 0..12),
            homes in proptest::collection::vec(homes(), 4),
        ) {
            let pairs: Vec<_> = pairs.iter().map(|(at, mac)| pair(&format!("10.0.0.{at}"), mac)).collect();
            let owner = |address: IpAddr| {
                let IpAddr::V4(address) = address else { return None };
                homes[usize::from(address.octets()[3])].clone().map(|home| ("a".to_owned(), home))
            };
            let parent = PortId::from("parent");
            let gone = stray(&parent, MAC, &pairs, owner);
            for pair in &gone {
                prop_assert!(pair.mac != "b" && owner(pair.address).is_some());
            }
            let left: Vec<_> = pairs.iter().filter(|pair| !gone.contains(pair)).collect();
            prop_assert_eq!(stray(&parent, MAC, left, owner), []);
        }
    }
}
