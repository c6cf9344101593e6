//! Strings that other programs and older versions know: finalizers, labels, annotations, tags.

/// Finalizer of every KuryrPort; holds the record until its Neutron port is gone.
pub const KURYRPORT_FINALIZER: &str = "kuryr.openstack.org/kuryrport-finalizer";
/// Finalizer that the Python Kuryr put on Pods. Never set by us, taken off when met.
pub const POD_FINALIZER: &str = "kuryr.openstack.org/pod-finalizer";
/// Finalizer of every KuryrLoadBalancer; holds the record until its load balancers are gone.
pub const KURYRLOADBALANCER_FINALIZER: &str = "kuryr.openstack.org/kuryrloadbalancer-finalizers";
/// Finalizer of Services that have load balancers: Kubernetes gives a cluster IP to nobody else while a load balancer has it.
pub const SERVICE_FINALIZER: &str = "kuryr.openstack.org/service-finalizer";
/// On NetworkPolicies and KuryrNetworkPolicies that the Python Kuryr looked after; it has to be taken off.
pub const NETWORK_POLICY_FINALIZER: &str = "kuryr.openstack.org/networkpolicy-finalizer";
/// Label of a KuryrPort: the node whose daemon plugs it.
pub const NODE_NAME_LABEL: &str = "kuryr.openstack.org/nodeName";
/// Label of a Node: how its pods are plugged, where that is not `[kubernetes] pod_vif_driver`.
pub const POD_VIF_LABEL: &str = "pod_vif";
/// Extended resource of a Node that is a virtual machine: how many pods fit there that ask for one of it.
pub const PORTS_RESOURCE: &str = "openstack.org/pod-ports";
/// Label of a Namespace or a Pod, with the value `true`: its pods are to ask for one of [`PORTS_RESOURCE`].
pub const SCHEDULE_BY_PORTS_LABEL: &str = "kuryr.openstack.org/schedule-by-ports";
/// Namespace annotation: the OpenStack project of what is made for the namespace.
pub const PROJECT_ANNOTATION: &str = "openstack.org/kuryr-project";
/// Pod annotation by which the kubelet tells where a pod comes from; other than `api` means a static pod.
pub const CONFIG_SOURCE_ANNOTATION: &str = "kubernetes.io/config.source";

/// `device_owner` of every Neutron port that Kuryr makes for a pod.
pub const DEVICE_OWNER: &str = "compute:kuryr";
/// `device_owner` of one whose pod gets a virtual function.
pub const SRIOV_OWNER: &str = "compute:kuryr:sriov";
/// `device_owner` that Neutron gives a port on a trunk.
pub const SUBPORT_OWNER: &str = "trunk:subport";
/// What `device_id` of a port, or the description of one on a trunk, begins with that was made for no pod: it is free, or a KuryrPort names it.
pub const WARM_DEVICE: &str = "kuryr-pool:";
/// Key of the pod's first interface in `KuryrPort.status.vifs`, whatever `CNI_IFNAME` says.
pub const DEFAULT_IFNAME: &str = "eth0";

/// Linux allows 15 characters for a link's name; os-vif cuts at 14 and so do we.
const LINK_NAME_MAX: usize = 14;

/// The host end of a pod's veth pair: `tap` and as much of the port's id as fits.
pub fn tap_name(port: &str) -> String {
    cut("tap", port)
}

/// The Linux bridge of a hybrid plug (ML2/OVS with the iptables firewall).
pub fn hybrid_bridge_name(port: &str) -> String {
    cut("qbr", port)
}

/// The socket file and link of a vhost-user port.
pub fn vhostuser_name(port: &str) -> String {
    cut("vhu", port)
}

/// The resource by which pods ask the device plugin for a virtual function: `[sriov] device_plugin_resource_prefix`, and what
/// `physnet_resource_mappings` has for the physical network.
pub fn device_resource(prefix: &str, resource: &str) -> String {
    format!("{prefix}/{resource}")
}

/// What the tag begins with that each cluster's OpenStack resources have.
pub const OWNERSHIP_TAG: &str = "kuryr-cluster=";

/// The tag by which a cluster finds its own OpenStack resources again.
///
/// `cluster` is the uid of the `kube-system` namespace, which lives exactly as long as the cluster.
pub fn ownership_tag(cluster: &str) -> String {
    format!("{OWNERSHIP_TAG}{cluster}")
}

fn cut(prefix: &str, port: &str) -> String {
    prefix.chars().chain(port.chars()).take(LINK_NAME_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_names_are_cut_as_os_vif_cuts_them() {
        let port = "07cfe856-11cc-43d9-9200-ff4dc02d3620";
        assert_eq!(tap_name(port), "tap07cfe856-11");
        assert_eq!(hybrid_bridge_name(port), "qbr07cfe856-11");
        assert_eq!(vhostuser_name(port), "vhu07cfe856-11");
    }

    #[test]
    fn a_short_or_foreign_id_is_no_reason_to_panic() {
        assert_eq!(tap_name(""), "tap");
        assert_eq!(tap_name("äöüäöüäöüäöüäöü"), "tapäöüäöüäöüäö");
    }
}
