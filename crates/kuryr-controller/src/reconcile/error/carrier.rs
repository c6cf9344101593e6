//! What keeps a pod's port from its node, for the pod's owner.

use super::{AttachError, said};
use kuryr_core::news::News;
use kuryr_openstack::{self as openstack, Kind, neutron::Standstill};

/// A trunk does not take it.
pub(super) fn attach_failed(error: &AttachError) -> News {
    let error = match error {
        AttachError::Call(error) => error,
        AttachError::Full(_) => {
            return News::warning(
                "NodeFull",
                format!(
                    "{error}: the node takes no more pods. The pod starts by itself when one of them goes."
                ),
            );
        }
    };
    let (reason, advice) = Standstill::of(error).map_or_else(|| not_taken(error.kind()), stands_still);
    said(reason, advice, "Neutron", error)
}

fn not_taken(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::OverQuota => (
            "TrunkQuotaExceeded",
            "The project's quota of subports is used up. Raise it; the pod starts by itself then.",
        ),
        Kind::Conflict => (
            "SubportInUse",
            "Neutron does not put the pod's port on the trunk of its node: the port, or every VLAN id that Kuryr tried, is in use. \
             Only Kuryr should change the trunks of nodes.",
        ),
        Kind::Forbidden => (
            "TrunkForbidden",
            "Kuryr's OpenStack user may not change the trunk of the pod's node. It has to be of the same project.",
        ),
        Kind::NotFound => ("TrunkGone", "The trunk of the pod's node is gone. Kuryr looks for another one."),
        _ => ("NeutronUnavailable", "Neutron does not change trunks now. Kuryr tries again."),
    }
}

fn stands_still(why: Standstill) -> (&'static str, &'static str) {
    match why {
        Standstill::Disabled => (
            "TrunkDisabled",
            "The trunk of the pod's node is disabled, and neither takes ports nor gives them back meanwhile: openstack network trunk set \
             --enable. The pod starts by itself then.",
        ),
        Standstill::Broken => (
            "TrunkInError",
            "Neutron could not carry out an earlier change of the trunk of the pod's node, and takes no other before that is mended: see \
             its log. The pod starts by itself then.",
        ),
        Standstill::Mtu => (
            "SubportMtuTooLarge",
            "The pods' network has a greater MTU than that of the node's own port, so that what pods send would not fit: openstack \
             network set --mtu for one of them. The pod starts by itself then.",
        ),
    }
}

/// The node's port may not send from its addresses.
pub(super) fn pairs_failed(error: &openstack::Error) -> News {
    let (reason, advice) = match error.kind() {
        Kind::OverQuota => (
            "AddressPairsExhausted",
            "The port of the pod's node has as many allowed address pairs as Neutron lets a port have, and each address of a pod takes \
             one. Raise max_allowed_address_pair in neutron.conf (10 by default), or use nested-vlan; the pod starts by itself when \
             there is room.",
        ),
        Kind::Invalid | Kind::Conflict | Kind::Unsupported => (
            "AddressPairRefused",
            "Neutron does not let the port of the pod's node send from the pod's addresses. With ML2/OVN a port may send from no MAC \
             address but its own, so that nested-macvlan does not work there: use nested-ipvlan or nested-vlan ([kubernetes] \
             pod_vif_driver, or the node's label pod_vif). The node's port needs port security.",
        ),
        Kind::Forbidden => (
            "AddressPairForbidden",
            "Kuryr's OpenStack user may not set allowed address pairs of the port of the pod's node. The network of the nodes has to be \
             of the same project.",
        ),
        Kind::NotFound => {
            ("NodePortGone", "The port of the pod's node is gone. Kuryr looks for another one.")
        }
        Kind::Stale => (
            "NodePortBusy",
            "Others change the port of the pod's node all the time. Kuryr tries again ([pod_vif_nested] rev_update_attempts).",
        ),
        _ => ("NeutronUnavailable", "Neutron does not change ports now. Kuryr tries again."),
    };
    said(reason, advice, "Neutron", error)
}

/// Nova does not attach it.
pub(super) fn interface_failed(error: &openstack::Error) -> News {
    let (reason, advice) = match error.kind() {
        Kind::Unauthorized => (
            "OpenStackCredentialsRefused",
            "Keystone does not accept Kuryr's credentials. Check [neutron] in kuryr.conf.",
        ),
        Kind::Forbidden => (
            "NovaForbids",
            "Kuryr's OpenStack user may not attach interfaces to the server that the pod's node is. The server has to be of the same \
             project.",
        ),
        Kind::NotFound => {
            ("ServerGone", "The server that the pod's node was is gone. Kuryr looks for another one.")
        }
        Kind::Conflict | Kind::Invalid | Kind::Fault | Kind::Unsupported => (
            "InterfaceRefused",
            "Nova does not attach the pod's port to its node. The server has to be active and unlocked, and to have room for another \
             interface (openstack server show); Nova's log says more.",
        ),
        Kind::NoEndpoint => (
            "NovaNotInCatalogue",
            "Keystone's catalogue has no such compute endpoint. nested-dpdk needs Nova; check [neutron] region_name and endpoint_type.",
        ),
        _ => ("NovaUnavailable", "Nova does not attach interfaces now. Kuryr tries again."),
    };
    said(reason, advice, "Nova", error)
}
