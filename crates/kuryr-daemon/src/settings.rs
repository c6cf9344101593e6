//! What the daemon takes from the configuration, the command line and the environment.

use std::{path::PathBuf, sync::Arc, time::Duration};

use kuryr_config::Config;
use kuryr_k8s::Access;
use kuryr_net::Sysfs;
use kuryr_ovsdb::{Endpoint, EndpointError};

use crate::{
    devices::{Devices, STATE},
    install::Installation,
    ledger::Ledger,
    plug::vhostuser::Sockets,
    sandbox::NetnsPaths,
    sriov::SriovSettings,
    wiring::{INTEGRATION_BRIDGE, PlugSettings},
};

const SYSFS: &str = "/sys";

/// What carrying out a call depends on.
#[derive(Debug, Clone)]
pub struct NodeSettings {
    /// The node's name in Kubernetes.
    pub name: String,
    /// Open vSwitch's database.
    pub ovsdb: Endpoint,
    /// How to plug.
    pub plug: PlugSettings,
    /// `[binding] link_iface`, if it is set.
    pub link_iface: Option<String>,
    /// `[kubernetes] pod_vif_driver`, for nodes without a label.
    pub driver: String,
    /// Where namespaces are.
    pub netns: NetnsPaths,
    /// How long to wait for the controller, and for the backend.
    pub patience: Duration,
    /// Whether users are told by events.
    pub use_events: bool,
}

/// Everything that can be chosen.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What calls depend on.
    pub node: NodeSettings,
    /// The plugin's socket.
    pub socket: PathBuf,
    /// The address of the Python Kuryr's API, if it is wanted.
    pub bind_address: Option<String>,
    /// How to reach the API server.
    pub access: Access,
    /// What the container runtime is to find.
    pub installation: Installation,
    /// The files that the configuration was read from.
    pub configuration: Vec<PathBuf>,
    /// The port of `/alive` and `/ready`.
    pub health_port: u16,
    /// The port of `/metrics`.
    pub metrics_port: u16,
}

impl NodeSettings {
    /// Takes the settings from a configuration.
    pub fn new(config: &Config, name: String) -> Result<Self, EndpointError> {
        let cni = &config.cni_daemon;
        let neutron = &config.neutron_defaults;
        let bridge = neutron.ovs_bridge.clone().unwrap_or_else(|| INTEGRATION_BRIDGE.to_owned());
        Ok(Self {
            name,
            ovsdb: config.vif_plug_ovs.ovsdb_connection.parse()?,
            plug: PlugSettings {
                bridge,
                mtu_limit: Some(neutron.network_device_mtu).filter(|limit| *limit > 0),
                sockets: Sockets {
                    pods: config.vhostuser.mount_point.clone(),
                    switch: config.vhostuser.ovs_vhu_path.clone(),
                },
                devices: Devices {
                    driver: config.nested_dpdk.dpdk_driver.clone(),
                    pods: config.nested_dpdk.pci_mount_point.clone(),
                    ledger: Ledger::new(STATE.into()),
                    sysfs: Sysfs::new(SYSFS.into()),
                    turn: Arc::default(),
                },
                sriov: SriovSettings::new(config),
            },
            link_iface: Some(config.binding.link_iface.clone()).filter(|name| !name.is_empty()),
            driver: config.kubernetes.pod_vif_driver.clone(),
            netns: NetnsPaths {
                proc_dir: cni.netns_proc_dir.clone().filter(|_| cni.docker_mode),
                ..NetnsPaths::default()
            },
            patience: cni.vif_annotation_timeout,
            use_events: config.kubernetes.use_events,
        })
    }
}

impl Settings {
    /// Takes the settings from a configuration.
    pub fn new(config: &Config, node: String, installation: Installation) -> Result<Self, EndpointError> {
        let cni = &config.cni_daemon;
        Ok(Self {
            node: NodeSettings::new(config, node)?,
            socket: cni.socket_path.clone(),
            bind_address: cni.bind_address.clone().filter(|address| !address.is_empty()),
            access: access(config),
            installation,
            configuration: Vec::new(),
            health_port: config.cni_health_server.port,
            metrics_port: config.prometheus_exporter.cni_exporter_port,
        })
    }
}

fn access(config: &Config) -> Access {
    let kubernetes = &config.kubernetes;
    Access {
        api_root: kubernetes.api_root.clone(),
        token_file: kubernetes.token_file.clone(),
        client_certificate: kubernetes.ssl_client_crt_file.clone(),
        client_key: kubernetes.ssl_client_key_file.clone(),
        ca_file: kubernetes.ssl_ca_crt_file.clone(),
        insecure: !kubernetes.ssl_verify_server_crt,
        connect_timeout: Some(kubernetes.watch_connection_timeout),
    }
}
