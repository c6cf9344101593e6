//! `[cni_daemon]` and `[vif_plug_ovs]`: the daemon on each node.

use std::{path::PathBuf, time::Duration};

use super::group;

const ONE_CONNECTION: &str = "Open vSwitch is spoken to over one connection to its database";

group! {
    /// The daemon that plugs pods on a node.
    "cni_daemon" CniDaemon {
        /// Unix socket that kuryr-cni finds the daemon at.
        socket_path: PathBuf = preset("/var/run/kuryr/kuryr-cni.sock") added();
        /// Address and port where the daemon serves Kuryr-Kubernetes' own HTTP requests too, without any
        /// authentication. Not served unless set. (127.0.0.1:5036 by default in Kuryr-Kubernetes.)
        bind_address: Option<String>;
        /// How long a pod's ADD waits for its port, and for the port to be wired, in seconds.
        vif_annotation_timeout: Duration = preset("60");
        /// Whether the daemon runs in a container, so that paths of network namespaces must be rewritten to
        /// `netns_proc_dir`.
        docker_mode: bool = preset("false");
        /// Where the host's /proc is mounted, with `docker_mode`.
        netns_proc_dir: Option<PathBuf>;
    }
    known {
        /// How many requests are served at once.
        worker_num: u32 = preset("30") obsolete("any number of requests is served at once, without a process each");
        /// For how many seconds the kernel may take to make an interface.
        pyroute2_timeout: u32 = preset("10") obsolete("it waits for no longer than the request's own limit");
        /// After how many failed requests the daemon calls itself unhealthy.
        cni_failures_count: u32 = preset("3")
            obsolete("health says whether the daemon can do its work now, not how often it could not");
    }
}

group! {
    /// How the daemon gets at Open vSwitch.
    "vif_plug_ovs" VifPlugOvs {
        /// Where Open vSwitch's database is: unix:PATH or tcp:HOST:PORT. (tcp:127.0.0.1:6640 by default in
        /// Kuryr-Kubernetes.)
        ovsdb_connection: String = preset("unix:/var/run/openvswitch/db.sock");
    }
    known {
        /// What Open vSwitch is spoken to with.
        ovsdb_interface: String = preset("native") obsolete(ONE_CONNECTION);
        /// For how many seconds ovs-vsctl may take.
        ovs_vsctl_timeout: u32 = preset("120") obsolete(ONE_CONNECTION);
        /// MTU of interfaces whose network has none.
        network_device_mtu: u32 = preset("1500") obsolete("every network of Neutron has an MTU");
        /// Whether an interface gets no traffic until Neutron's agent has wired it.
        isolate_vif: bool = preset("false") obsolete("a pod is not started before its interface is wired");
        /// Whether each port gets a bridge of its own.
        per_port_bridge: bool = preset("false") obsolete("it belongs to live migration of VMs");
        /// Queueing discipline of interfaces.
        default_qos_type: String = preset("linux-noop") obsolete("Neutron's agents own the QoS of a port");
    }
}
