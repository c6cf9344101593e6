//! `[octavia_defaults]`: load balancers.

use super::group;

group! {
    /// Load balancers.
    "octavia_defaults" OctaviaDefaults {
        /// Where Octavia is, whatever the catalogue says.
        endpoint_override: Option<String> = added();
    }
    known {
        /// Whether members of a pool are reached on their own subnet (L2) or routed to (L3).
        member_mode: String = preset("L3") later("services");
        /// Whether security groups are kept on load balancers.
        enforce_sg_rules: bool = preset("true") later("services");
        /// How connections are spread over members.
        lb_algorithm: String = preset("ROUND_ROBIN") later("services");
        /// After how many silent milliseconds a client is cut off. 0: Octavia's own.
        timeout_client_data: u32 = preset("0") later("services");
        /// After how many silent milliseconds a member is cut off. 0: Octavia's own.
        timeout_member_data: u32 = preset("0") later("services");
    }
}
