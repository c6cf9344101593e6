//! The halves of a service subnet.

use super::Conflict;
use ipnet::IpNet;
use std::net::IpAddr;

/// Addresses from the first to the last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// The first.
    pub first: IpAddr,
    /// The last.
    pub last: IpAddr,
}

/// The subnet of a service range, and Neutron's part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceRange {
    /// Twice the service range.
    pub subnet: IpNet,
    /// The half that Kubernetes does not give from, without its ends.
    pub pool: Pool,
    /// The router's address, the last of that half.
    pub gateway: IpAddr,
}

/// The smallest half that holds a network address, a port, a gateway and a broadcast address.
const SMALLEST: u8 = 2;

impl Pool {
    /// Whether an address of `range` is in it.
    pub fn touches(&self, range: &IpNet) -> bool {
        number(self.first) <= number(range.broadcast()) && number(range.network()) <= number(self.last)
    }
}

impl ServiceRange {
    /// The subnet that holds `range` as one of its halves.
    pub fn of(range: IpNet) -> Result<Self, Conflict> {
        let range = range.trunc();
        let bits = range.max_prefix_len() - range.prefix_len();
        let subnet = range.supernet().filter(|_| bits >= SMALLEST);
        let subnet = subnet.ok_or(Conflict::ServiceRange { range })?;
        let base = number(range.network());
        let size = 1_u128 << bits;
        let other = base ^ size;
        let at = |offset: u128| address(other + offset, range.addr().is_ipv6());
        let pool = Pool { first: at(1), last: at(size - 3) };
        Ok(Self { subnet, pool, gateway: at(size - 2) })
    }
}

/// The address after the network's own. Neutron itself would choose the network's own for IPv6: the one that every router of
/// the network answers to (RFC 4291, 2.6.1), a pod too if it forwards packets, which then has no way out.
pub(super) fn first(range: IpNet) -> IpAddr {
    address(number(range.network()) | 1, range.addr().is_ipv6())
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn address(number: u128, v6: bool) -> IpAddr {
    match u32::try_from(number) {
        Ok(number) if !v6 => IpAddr::V4(number.into()),
        _ => IpAddr::V6(number.into()),
    }
}
