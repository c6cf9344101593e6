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
/// What OVN has since 2024.1.
const OVN_ALGORITHMS: [&str; 2] = [OVN_ALGORITHM, "SOURCE_IP"];

impl Provider {
    /// By its name in Octavia.
    pub fn named(name: &str) -> Self {
        if name == "ovn" { Self::Ovn } else { Self::Other }
    }

    /// The algorithm that comes closest to the wanted one.
    pub fn algorithm(self, wanted: &str) -> &str {
        match self {
            Self::Ovn if !OVN_ALGORITHMS.contains(&wanted) => OVN_ALGORITHM,
            _ => wanted,
        }
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
