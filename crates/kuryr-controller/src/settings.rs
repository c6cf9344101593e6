//! From kuryr.conf to what the parts of the controller need.

use anyhow::bail;
use kuryr_config::Config;
use kuryr_core::network::Naming;
use kuryr_k8s::Access;
use kuryr_k8s::events::Voice;
use kuryr_telemetry::logs::{Format, Level, Output};
use std::time::Duration;

/// Directory of vhost-user sockets, as the Python Kuryr had it by default.
pub const VHOSTUSER_DIR: &str = "/var/cni/vhostuser";

/// How pods get their ports, from `[neutron_defaults]`.
#[derive(Clone, Debug)]
pub struct PodDefaults {
    /// Ids of subnets, all of one network.
    pub subnets: Vec<String>,
    /// Ids of security groups.
    pub security_groups: Vec<String>,
    /// Id of the project.
    pub project: Option<String>,
    /// Bridge where a port's binding names none.
    pub bridge: Option<String>,
    /// Tags of everything that we make.
    pub tags: Vec<String>,
    /// Whether ports carry names.
    pub naming: Naming,
}

/// How to reach the API server, from `[kubernetes]`.
pub fn kubernetes_access(config: &Config) -> Access {
    let options = &config.kubernetes;
    Access {
        api_root: options.api_root.clone(),
        token_file: options.token_file.clone(),
        client_certificate: options.ssl_client_crt_file.clone(),
        client_key: options.ssl_client_key_file.clone(),
        ca_file: options.ssl_ca_crt_file.clone(),
        insecure: !options.ssl_verify_server_crt,
        connect_timeout: Some(options.watch_connection_timeout).filter(|limit| *limit > Duration::ZERO),
    }
}

/// How pods get their ports.
///
/// # Errors
/// An option is missing that no pod can do without.
pub fn pod_defaults(config: &Config) -> anyhow::Result<PodDefaults> {
    let options = &config.neutron_defaults;
    let subnets = match &options.pod_subnet {
        Some(subnet) if options.pod_subnets.is_empty() => vec![subnet.clone()],
        _ => options.pod_subnets.clone(),
    };
    if subnets.is_empty() {
        bail!(
            "[neutron_defaults] pod_subnets (or pod_subnet) is not set: name the subnets of the pods' network"
        );
    }
    if options.pod_security_groups.is_empty() {
        bail!(
            "[neutron_defaults] pod_security_groups is not set: name the security groups of the pods' ports"
        );
    }
    Ok(PodDefaults {
        subnets,
        security_groups: options.pod_security_groups.clone(),
        project: options.project.clone(),
        bridge: options.ovs_bridge.clone(),
        tags: options.resource_tags.clone(),
        naming: if config.kubernetes.port_debug { Naming::Pod } else { Naming::None },
    })
}

/// Whether Kubernetes Events are written.
pub fn voice(config: &Config) -> Voice {
    if config.kubernetes.use_events { Voice::On } else { Voice::Mute }
}

/// How the process logs, from `[DEFAULT]`.
///
/// # Errors
/// The log file can't be opened.
pub fn logs(config: &Config, debug: bool) -> anyhow::Result<(Format, Level, Output)> {
    let options = &config.default;
    let format = if options.use_json { Format::Json } else { Format::Text };
    let level = if debug || options.debug { Level::Debug } else { Level::Info };
    let Some(path) = options.log_path("kuryr-k8s-controller") else {
        return Ok((format, level, Output::Stderr));
    };
    let file = std::fs::OpenOptions::new().create(true).append(true).open(&path);
    let file = file.map_err(|error| anyhow::anyhow!("[DEFAULT] log_file {}: {error}", path.display()))?;
    let output = if options.use_stderr { Output::Both(file) } else { Output::File(file) };
    Ok((format, level, output))
}
