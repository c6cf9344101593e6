//! Pools of ports, pods on VMs and pods with virtual functions; subnets of namespaces, a group of a feature to come.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use super::group;
use crate::{kind::Kind, option::Choice};

/// A whole number of hundredths.
const PERCENT: Kind = Kind::Int { min: 0, max: 100 };
const SOCKET_MODES: &[Choice] = &[Choice::Works("0600"), Choice::Works("0660"), Choice::Works("0666")];
const DOCKER: &str = "it belongs to Kuryr for Docker";

group! {
    /// Ports kept ready for pods to come (`[kubernetes] vif_pool_driver`).
    "vif_pool" VifPool {
        /// Most ports of a node that are free. 0: any number.
        ports_pool_max: u32 = preset("0");
        /// Fewest ports of a node that are free.
        ports_pool_min: u32 = preset("5");
        /// By how many ports a pool grows: `batch * (free + pods / batch)`, rounded up to whole batches, are there for the
        /// pods of a node and those to come.
        ports_pool_batch: u32 = preset("10");
        /// How much of a batch is free at least, in percent.
        ports_pool_free_percent: u32 = preset("50") kind(PERCENT) added();
        /// Every how many seconds a pool is looked at for ports to give back.
        ports_pool_update_frequency: Duration = preset("20");
        /// After how many seconds in which no pod took it a port that is too many is given back.
        ports_pool_idle: Duration = preset("600") added();
        /// After how many seconds in which it was not ready a node counts as gone: its free ports are given back, and made anew when it
        /// is ready again. 0: never.
        ports_pool_lost: Duration = preset("3600") added();
        /// Pool of each driver of pods' interfaces (`neutron-vif:neutron,nested-vlan:nested`), for clusters whose nodes are of several
        /// kinds. Empty: `[kubernetes] vif_pool_driver` says which kind of node has one.
        vif_pool_mapping: BTreeMap<String, String> = preset("");
        /// The same as older files have it, the other way round (`neutron:neutron-vif,nested:nested-vlan`). It counts where
        /// `vif_pool_mapping` is empty.
        pools_vif_drivers: BTreeMap<String, String> = preset("");
    }
    known {}
}

impl VifPool {
    /// Pool of each driver of pods' interfaces, by whichever option says so.
    pub fn mapping(&self) -> BTreeMap<&str, &str> {
        let new = self.vif_pool_mapping.iter().map(|(driver, pool)| (driver.as_str(), pool.as_str()));
        let old = self.pools_vif_drivers.iter().map(|(pool, driver)| (driver.as_str(), pool.as_str()));
        if self.vif_pool_mapping.is_empty() { old.collect() } else { new.collect() }
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
    "pod_vif_nested" PodVifNested {
        /// Ids of the subnets of the nodes. Empty: a node's port is looked for on all that Kuryr's OpenStack user sees.
        worker_nodes_subnets: Vec<String> = preset("");
        /// How often an update of a node's port is tried when others change it at the same time (nested-macvlan, nested-ipvlan).
        rev_update_attempts: u32 = preset("3");
    }
    known {}
}

group! {
    /// The interface of a node that is a VM.
    "binding" Binding {
        /// The interface of a node that is a VM, by which its port's trunk is reached. Empty: the one that has the node's address in
        /// Kubernetes.
        link_iface: String = preset("");
    }
    known {
        /// What plugs pods on VMs.
        default_driver: String = preset("kuryr.lib.binding.drivers.veth") deprecated(&[("", "driver")])
            obsolete("the KuryrPort of a pod says how it is plugged");
        /// How interfaces begin in kuryr-lib.
        veth_dst_prefix: String = preset("eth") obsolete(DOCKER);
        /// Drivers that kuryr-lib may use.
        enabled_drivers: Vec<String> = preset("kuryr.lib.binding.drivers.veth") obsolete(DOCKER);
    }
}

group! {
    /// Pods whose interface is a virtual function of one of the node's network cards (`[kubernetes] pod_vif_driver = sriov`).
    "sriov" Sriov {
        /// The kubelet's root directory. It tells which devices pods have at `pod-resources/kubelet.sock` there.
        kubelet_root_dir: PathBuf = preset("/var/lib/kubelet");
        /// Whether the daemon asks the kubelet which device it gave to a pod. Without it no pod gets a virtual function.
        enable_pod_resource_service: bool = preset("false");
        /// Subnet of each physical network (`physnet1:SUBNET-ID`). Where a network's physical network is not found here, it is Neutron's
        /// `provider:physical_network`, which Kuryr's OpenStack user has to be allowed to see.
        default_physnet_subnets: BTreeMap<String, String> = preset("");
        /// Resource of the SR-IOV device plugin for each physical network (`physnet1:RESOURCE`), without its prefix.
        physnet_resource_mappings: BTreeMap<String, String> = preset("");
        /// Prefix of the device plugin's resources. A pod asks for `PREFIX/RESOURCE`.
        device_plugin_resource_prefix: String = preset("intel.com");
        /// Driver that the devices of a resource are to have while a pod has them (`RESOURCE:vfio-pci`). With `vfio-pci`,
        /// `uio_pci_generic`, `igb_uio` or `uio` the pod gets a device and no link. Mellanox's drivers (`mlx…`) are left as they are.
        resource_driver_mappings: BTreeMap<String, String> = preset("");
    }
    known {
        /// Whether Neutron is told the PCI address of a pod's virtual function.
        enable_node_annotations: bool = preset("false")
            obsolete("nothing reads these annotations since the ports of pods are in KuryrPorts, and for them each daemon would need the right to change every Node");
    }
}

group! {
    /// The socket by which pools of ports are looked after (`[kubernetes] enable_manager`).
    "pool_manager" PoolManager {
        /// Path of the socket.
        sock_file: PathBuf = preset("/run/kuryr/kuryr_manage.sock");
        /// Who may use it: its mode. 0600: the controller's user; 0660: its group too; 0666: everybody on the machine.
        sock_mode: String = preset("0600") choices(SOCKET_MODES) added();
    }
    known {}
}

group! {
    /// Interfaces of pods that talk to Open vSwitch in user space.
    "vhostuser" VhostUser {
        /// Folder of the pods' sockets, and of the files that tell pods which is theirs. Where Open vSwitch makes the sockets (vhost-user
        /// mode client), it has to be on the mount of `ovs_vhu_path`, since a socket that is copied is none.
        mount_point: PathBuf = preset("/var/cni/vhostuser");
        /// Folder in which Open vSwitch makes sockets (its `vhost-sock-dir`, or else its run directory).
        ovs_vhu_path: PathBuf = preset("/var/run/openvswitch/");
    }
    known {}
}

group! {
    /// Interfaces of pods on VMs that are driven in user space.
    "nested_dpdk" NestedDpdk {
        /// Kernel driver that a pod's interface is bound to: `uio_pci_generic`, `vfio-pci`, `igb_uio`.
        dpdk_driver: String = preset("uio_pci_generic");
        /// Folder of the files that tell pods the PCI addresses of their interfaces.
        pci_mount_point: PathBuf = preset("/var/pci_address");
    }
    known {}
}
