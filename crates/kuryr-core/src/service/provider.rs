//! What Octavia's providers can do, as far as Services ask for it.

/// What makes a load balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Provider {
    /// OVN: flows in the switches. A balancer forwards whatever Octavia thinks of it, and members see their clients' addresses.
    Ovn,
    /// Amphora, or what this was not written for: a machine that terminates connections.
    Other,
}

/// The one algorithm that OVN always had.
const OVN_ALGORITHM: &str = "SOURCE_IP_PORT";
/// A client stays with a member while the members are the same. OVN has it since 2024.1.
const OVN_AFFINITY: &str = "SOURCE_IP";

impl Provider {
    /// By its name in Octavia.
    pub fn named(name: &str) -> Self {
        if name == "ovn" { Self::Ovn } else { Self::Other }
    }

    /// The algorithm that comes closest to the wanted one. OVN's makes nothing of the affinity of a TCP pool, which Octavia gives no
    /// timeout: there the algorithm alone keeps a client at a member.
    pub fn algorithm(self, wanted: &str, has_affinity: bool) -> &str {
        match self {
            Self::Ovn if has_affinity => OVN_AFFINITY,
            Self::Ovn if wanted != OVN_AFFINITY => OVN_ALGORITHM,
            _ => wanted,
        }
    }

    /// Whether a change of a pool has an effect. OVN's takes a change of the algorithm, and the end of an affinity, and goes on as before.
    pub fn can_change_pools(self) -> bool {
        self == Self::Other
    }

    /// Whether listeners tell clients apart by address.
    pub fn has_source_ranges(self) -> bool {
        self == Self::Other
    }

    /// Whether listeners end silent connections after a time of their own.
    pub fn has_timeouts(self) -> bool {
        self == Self::Other
    }

    /// Whether a broken load balancer can be made anew behind its address.
    pub fn can_fail_over(self) -> bool {
        self == Self::Other
    }
}
