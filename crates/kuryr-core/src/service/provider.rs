//! What Octavia's providers can do, as far as Services ask for it.

use super::{Affinity, Protocol};
use std::time::Duration;

/// What makes a load balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Provider {
    /// OVN: flows in the switches. A balancer forwards whatever Octavia thinks of it, and members see their clients' addresses.
    Ovn,
    /// Amphora, or what this was not written for: a machine that terminates connections.
    Other,
}

/// OVN's usual algorithm: the member follows from addresses and ports of both ends.
const OVN_SPREAD: &str = "SOURCE_IP_PORT";
/// The member follows from addresses alone, so that a client stays with it. OVN has it since 2024.1.
const OVN_STICK: &str = "SOURCE_IP";

/// The one name of a provider that has two.
pub(super) fn one_name(name: &str) -> &str {
    if name == "octavia" { "amphora" } else { name }
}

impl Provider {
    /// By its name in Octavia.
    pub fn named(name: &str) -> Self {
        if name == "ovn" { Self::Ovn } else { Self::Other }
    }

    /// The algorithm that comes closest to the wanted one.
    pub fn algorithm(self, wanted: &str, affinity: Option<Duration>) -> &str {
        match self {
            Self::Ovn if affinity.is_some() || wanted == OVN_STICK => OVN_STICK,
            Self::Ovn => OVN_SPREAD,
            Self::Other => wanted,
        }
    }

    /// How clients are kept with their members.
    ///
    /// Never by OVN's session persistence: Octavia can't take it off a pool again, and without a time, which it allows for UDP
    /// only, it breaks the pool. The algorithm does it there.
    pub fn affinity(self, protocol: Protocol, time: Duration) -> Option<Affinity> {
        let timeout = (protocol == Protocol::Udp).then_some(time);
        (self == Self::Other).then_some(Affinity { timeout })
    }

    /// Whether a change of a pool has an effect. OVN's takes a change of the algorithm, and the end of an affinity, and goes on as before.
    pub fn can_change_pools(self) -> bool {
        self == Self::Other
    }

    /// Whether new members, those that stay and those that go are dealt with one after the other.
    pub fn takes_changes_apart(self) -> bool {
        self == Self::Ovn
    }

    /// Whether listeners tell clients apart by address.
    pub fn has_source_ranges(self) -> bool {
        self == Self::Other
    }

    /// Whether listeners end silent connections after a time of their own.
    pub fn has_timeouts(self) -> bool {
        self == Self::Other
    }

    /// Whether it is made of machines, of a flavor and in a zone.
    pub fn has_machines(self) -> bool {
        self == Self::Other
    }

    /// Whether members can be told who their clients are by PROXY protocol.
    pub fn has_proxy_protocol(self) -> bool {
        self == Self::Other
    }

    /// How a health monitor asks members of this protocol, as Octavia spells it.
    pub fn monitor(self, protocol: Protocol) -> &'static str {
        match (self, protocol) {
            (_, Protocol::Tcp) => "TCP",
            (_, Protocol::Udp) | (Self::Ovn, Protocol::Sctp) => "UDP-CONNECT",
            (Self::Other, Protocol::Sctp) => "SCTP",
        }
    }

    /// Whether a broken load balancer can be made anew behind its address.
    pub fn can_fail_over(self) -> bool {
        self == Self::Other
    }
}
