//! Pools of ports, subnets of namespaces, pods on VMs: groups of features to come.

use std::{collections::BTreeMap, time::Duration};

use super::group;

const POOLS: &str = "pools of ports";
const NESTED: &str = "pods on VMs";
const DOCKER: &str = "it belongs to Kuryr for Docker";

group! {
    /// Ports kept ready for pods to come.
    "vif_pool" const VIF_POOL known {
        /// Most ports of a pool. 0: any number.
        ports_pool_max: u32 = preset("0") later(POOLS);
        /// How few ports of a pool may be free before more are made.
        ports_pool_min: u32 = preset("5") later(POOLS);
        /// How many ports are made at once.
        ports_pool_batch: u32 = preset("10") later(POOLS);
        /// Every how many seconds ports are given back.
        ports_pool_update_frequency: Duration = preset("20") later(POOLS);
        /// Pool of each driver of pods' interfaces.
        vif_pool_mapping: BTreeMap<String, String> = preset("") later(POOLS);
        /// Driver of pods' interfaces of each pool.
        pools_vif_drivers: BTreeMap<String, String> = preset("") obsolete("vif_pool_mapping took its place");
    }
}

group! {
    /// A subnet for each namespace.
    "namespace_subnet" const NAMESPACE_SUBNET known {
        /// Id of the router that subnets of namespaces are plugged into.
        pod_router: String = later("a subnet for each namespace");
        /// Id of the subnet pool that subnets of namespaces are taken from.
        pod_subnet_pool: String = later("a subnet for each namespace");
    }
}

group! {
    /// Pods on nodes that are VMs of the same OpenStack.
    "pod_vif_nested" const POD_VIF_NESTED known {
        /// Ids of the subnets of the nodes.
        worker_nodes_subnets: Vec<String> = preset("") later(NESTED);
        /// How often an update of a node's port is tried when others change it at the same time.
        rev_update_attempts: u32 = preset("3") later(NESTED);
    }
}

group! {
    /// The interface of a node that is a VM.
    "binding" const BINDING known {
        /// What plugs pods on VMs.
        default_driver: String =
            preset("kuryr.lib.binding.drivers.veth") later(NESTED) deprecated(&[("", "driver")]);
        /// The node's interface.
        link_iface: String = preset("") later(NESTED);
        /// How interfaces begin in kuryr-lib.
        veth_dst_prefix: String = preset("eth") obsolete(DOCKER);
        /// Drivers that kuryr-lib may use.
        enabled_drivers: Vec<String> = preset("kuryr.lib.binding.drivers.veth") obsolete(DOCKER);
    }
}

group! {
    /// The socket by which pools of ports are looked after.
    "pool_manager" const POOL_MANAGER known {
        /// Path of the socket.
        sock_file: String = preset("/run/kuryr/kuryr_manage.sock") later(POOLS);
    }
}

group! {
    /// Interfaces of pods that talk to Open vSwitch in user space.
    "vhostuser" const VHOSTUSER known {
        /// Where sockets of pods are.
        mount_point: String = preset("/var/cni/vhostuser") later("interfaces in user space (vhost-user)");
        /// Where Open vSwitch's sockets are.
        ovs_vhu_path: String = preset("/var/run/openvswitch/") later("interfaces in user space (vhost-user)");
    }
}

group! {
    /// Interfaces of pods on VMs that are driven in user space.
    "nested_dpdk" const NESTED_DPDK known {
        /// Kernel driver that the interface is bound to.
        dpdk_driver: String = preset("uio_pci_generic") later("pods on VMs by DPDK");
        /// Where the PCI addresses of pods are written.
        pci_mount_point: String = preset("/var/pci_address") later("pods on VMs by DPDK");
    }
}
