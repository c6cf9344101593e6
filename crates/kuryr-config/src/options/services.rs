//! `[octavia_defaults]`: load balancers.

use super::group;
use crate::option::Choice::{self, Works};

const MODES: &[Choice] = &[Works("L3"), Works("L2")];

group! {
    /// Load balancers.
    "octavia_defaults" OctaviaDefaults {
        /// Where Octavia is, whatever the catalogue says.
        endpoint_override: Option<String> = added();
        /// Whether members of a pool are reached on their own subnet (L2) or routed to (L3).
        member_mode: String = preset("L3") choices(MODES);
        /// How connections are spread over members. Octavia's provider OVN has `SOURCE_IP_PORT`, which is used there whatever
        /// stands here.
        lb_algorithm: String = preset("ROUND_ROBIN");
        /// After how many silent milliseconds a client is cut off. 0: Octavia's own.
        timeout_client_data: u32 = preset("0");
        /// After how many silent milliseconds a member is cut off. 0: Octavia's own.
        timeout_member_data: u32 = preset("0");
        /// Whether Services of type LoadBalancer that name no `loadBalancerClass` get their load balancers from Kuryr. Those that
        /// name `openstack.org/kuryr` always do. Cluster IPs are served in any case.
        serve_without_class: bool = preset("true") added();
        /// Whether load balancers that hide their clients from pods (amphorae) let in only whom network policies let reach every
        /// endpoint, and isolated pods let them in. Without it isolated pods are not reached through them.
        enforce_sg_rules: bool = preset("true");
    }
    known {}
}
