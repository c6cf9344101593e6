//! From kuryr.conf to what the parts of the controller need.

use crate::driver::Driver;
use crate::pools::PoolDefaults;
use crate::pools::socket::Place;
use crate::sriov::Functions;
use crate::upkeep::Recovery;
use anyhow::{Context as _, bail};
use kuryr_api::SubnetId;
use kuryr_config::Config;
use kuryr_core::network::Naming;
use kuryr_core::pool::Sizing;
use kuryr_core::service::{External, MemberMode, Timeouts, WithoutClass};
use kuryr_k8s::Access;
use kuryr_k8s::events::Voice;
use kuryr_k8s::fence::Clock;
use kuryr_k8s::lease;
use kuryr_telemetry::logs::{Format, Level, Output};
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;
use std::{env, fs};

/// The value of `[kubernetes] pod_security_groups_driver` that has network policies enforced.
const POLICY_DRIVER: &str = "policy";

/// The name of Octavia's own default provider.
const ANY_PROVIDER: &str = "default";

/// Name of the Lease of all controllers of a cluster.
pub const LEASE: &str = "kuryr-controller";
/// What the Python Kuryr's containers had in their environment where readiness was to wait for pools.
const USE_PORTS_POOLS: &str = "KURYR_USE_PORTS_POOLS";
/// The mode of a socket that nobody else may use.
const OWNER_ONLY: u32 = 0o600;
/// Where a pod finds the namespace that it lives in.
const OWN_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

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
    /// Directory of vhost-user sockets.
    pub vhostuser_dir: String,
    /// Tags of everything that we make.
    pub tags: Vec<String>,
    /// Whether ports carry names.
    pub naming: Naming,
    /// How they get to nodes that do not say it themselves.
    pub driver: Driver,
    /// Ids of the subnets of nodes that are virtual machines; empty: any.
    pub workers: Vec<SubnetId>,
    /// How often a change of such a node's port is tried while others change it.
    pub update_attempts: NonZeroU32,
    /// How they ask for virtual functions.
    pub functions: Functions,
}

/// How Services get their load balancers, from `[neutron_defaults]`, `[octavia_defaults]` and `[kubernetes]`.
#[derive(Clone, Debug)]
pub struct ServiceDefaults {
    /// Subnets of cluster IPs.
    pub subnets: Vec<SubnetId>,
    /// Subnets that pods' addresses are from.
    pub member_subnets: Vec<SubnetId>,
    /// Id of the project, if not that of the credentials.
    pub project: Option<String>,
    /// Whose load balancers are where.
    pub projects: Projects,
    /// Octavia's provider; none: Octavia's own default.
    pub provider: Option<String>,
    /// How connections are spread.
    pub algorithm: String,
    /// How members are reached.
    pub member_mode: MemberMode,
    /// How long connections may be silent.
    pub timeouts: Timeouts,
    /// How long Octavia may be at work with a load balancer.
    pub patience: Duration,
    /// Where addresses outside are from; none: there are none.
    pub external: Option<External>,
    /// Who makes load balancers that name no class.
    pub without_class: WithoutClass,
    /// Whether load balancers that hide their clients tell them apart as network policies want it.
    pub guards: bool,
}

/// How network policies are enforced, from `[kubernetes]` and `[neutron_defaults]`.
#[derive(Clone, Debug)]
pub struct PolicyDefaults {
    /// Id of the project of security groups, if not that of the credentials.
    pub project: Option<String>,
}

/// What finds the project of a load balancer (`[kubernetes] service_project_driver`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Projects {
    /// All are in one.
    #[default]
    One,
    /// The annotation of the Service's namespace names it, if there is one.
    ByNamespace,
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
    let subnets = one_or_all(options.pod_subnet.as_ref(), &options.pod_subnets);
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
        vhostuser_dir: config.vhostuser.mount_point.display().to_string(),
        tags: options.resource_tags.clone(),
        naming: if config.kubernetes.port_debug { Naming::Pod } else { Naming::None },
        driver: config.kubernetes.pod_vif_driver.parse().unwrap_or_default(),
        workers: config.pod_vif_nested.worker_nodes_subnets.iter().map(|id| id.as_str().into()).collect(),
        update_attempts: NonZeroU32::new(config.pod_vif_nested.rev_update_attempts)
            .unwrap_or(NonZeroU32::MIN),
        functions: Functions::new(config),
    })
}

/// The handlers of the Python Kuryr that together serve Services.
const SERVICE_HANDLERS: [&str; 3] = ["service", "endpoints", "kuryrloadbalancer"];

/// How Services get their load balancers. Nothing where they get none: no subnet is named, or their handlers are not enabled.
pub fn service_defaults(config: &Config) -> Option<ServiceDefaults> {
    let (neutron, octavia, kubernetes) =
        (&config.neutron_defaults, &config.octavia_defaults, &config.kubernetes);
    let is_enabled = |name: &&str| kubernetes.enabled_handlers.iter().any(|enabled| enabled == name);
    let subnets = one_or_all(neutron.service_subnet.as_ref(), &neutron.service_subnets);
    if subnets.is_empty() || !SERVICE_HANDLERS.iter().all(is_enabled) {
        return None;
    }
    let time = |milliseconds: u32| (milliseconds > 0).then_some(milliseconds);
    let ids = |texts: Vec<String>| texts.iter().map(|id| id.as_str().into()).collect();
    Some(ServiceDefaults {
        subnets: ids(subnets),
        member_subnets: ids(one_or_all(neutron.pod_subnet.as_ref(), &neutron.pod_subnets)),
        project: neutron.project.clone(),
        projects: match kubernetes.service_project_driver.as_str() {
            "annotation" => Projects::ByNamespace,
            _ => Projects::One,
        },
        provider: Some(kubernetes.endpoints_driver_octavia_provider.clone())
            .filter(|name| name != ANY_PROVIDER && !name.is_empty()),
        algorithm: octavia.lb_algorithm.clone(),
        member_mode: if octavia.member_mode == "L2" { MemberMode::L2 } else { MemberMode::L3 },
        timeouts: Timeouts {
            client: time(octavia.timeout_client_data),
            member: time(octavia.timeout_member_data),
        },
        patience: neutron.lbaas_activation_timeout,
        external: filled(neutron.external_svc_net.as_deref()).map(|network| External {
            network: network.into(),
            subnet: filled(neutron.external_svc_subnet.as_deref()).map(Into::into),
        }),
        without_class: if octavia.serve_without_class { WithoutClass::Ours } else { WithoutClass::Others },
        guards: octavia.enforce_sg_rules && kubernetes.pod_security_groups_driver == POLICY_DRIVER,
    })
}

/// How network policies are enforced. Nothing where they are not: `pod_security_groups_driver` is another.
pub fn policy_defaults(config: &Config) -> Option<PolicyDefaults> {
    let is_enforced = config.kubernetes.pod_security_groups_driver == POLICY_DRIVER;
    is_enforced.then(|| PolicyDefaults { project: config.neutron_defaults.project.clone() })
}

/// How ports are kept ready for pods to come. Nothing where none are: `vif_pool_driver` and `vif_pool_mapping` name no pool.
pub fn pool_defaults(config: &Config) -> Option<PoolDefaults> {
    let (drivers, options) = (pooled_drivers(config), &config.vif_pool);
    let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    (!drivers.is_empty()).then(|| PoolDefaults {
        drivers,
        sizing: Sizing {
            min: count(options.ports_pool_min),
            max: NonZeroUsize::new(count(options.ports_pool_max)),
            batch: NonZeroUsize::new(count(options.ports_pool_batch)).unwrap_or(NonZeroUsize::MIN),
            free_percent: count(options.ports_pool_free_percent),
            idle: options.ports_pool_idle,
        },
        period: options.ports_pool_update_frequency,
        lost_after: Some(options.ports_pool_lost).filter(|time| !time.is_zero()),
    })
}

/// The drivers whose nodes have pools: those that `vif_pool_mapping` gives one, and where it is empty the one that `vif_pool_driver` is
/// the pool of.
fn pooled_drivers(config: &Config) -> Vec<Driver> {
    let mapping = config.vif_pool.mapping();
    let has_pool = |driver: &Driver| match (driver.pool(), mapping.get(driver.as_str())) {
        (Some(own), Some(pool)) => *pool == own,
        (Some(own), None) => mapping.is_empty() && config.kubernetes.vif_pool_driver == own,
        (None, _) => false,
    };
    Driver::ALL.into_iter().filter(has_pool).collect()
}

/// Where pools can be looked after. Nowhere if that is not asked for, or where none are kept.
pub fn pool_socket(config: &Config) -> Option<Place> {
    if !config.kubernetes.enable_manager {
        return None;
    }
    if pooled_drivers(config).is_empty() {
        tracing::warn!(
            "[kubernetes] enable_manager has no effect: no pools are kept, neither by vif_pool_driver nor by [vif_pool] vif_pool_mapping"
        );
        return None;
    }
    let options = &config.pool_manager;
    let mode = u32::from_str_radix(&options.sock_mode, 8).unwrap_or(OWNER_ONLY);
    Some(Place { path: options.sock_file.clone(), mode })
}

/// Whether `/ready` waits for the ports of pools: where some are kept, and where `KURYR_USE_PORTS_POOLS` asks for it.
pub fn recovery(config: &Config) -> Recovery {
    let asks = |text: String| ["true", "1", "on", "yes"].contains(&text.trim().to_lowercase().as_str());
    let is_awaited = !pooled_drivers(config).is_empty() || env::var(USE_PORTS_POOLS).is_ok_and(asks);
    if is_awaited { Recovery::Awaited } else { Recovery::Unasked }
}

/// An option that is set to something.
fn filled(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

/// What an option that holds one and an option that holds several say together.
fn one_or_all(one: Option<&String>, all: &[String]) -> Vec<String> {
    if all.is_empty() { one.into_iter().cloned().collect() } else { all.to_vec() }
}

/// The Lease, in the pod's own namespace (`POD_NAMESPACE`, or else where its service account lives), and in
/// `kube-system` outside of pods. We are called by the pod's name (`POD_NAME`) or the host's, and by a text that no other
/// process has.
///
/// # Errors
/// The system gives no such text.
pub fn lease() -> anyhow::Result<lease::Settings> {
    let from_file = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let filled = |text: &String| !text.is_empty();
    let namespace = env::var("POD_NAMESPACE").ok().or_else(|| from_file(OWN_NAMESPACE)).filter(filled);
    let place = env::var("POD_NAME").ok().or_else(|| from_file("/proc/sys/kernel/hostname")).filter(filled);
    let unique =
        from_file("/proc/sys/kernel/random/uuid").filter(filled).context("the system has no /proc")?;
    Ok(lease::Settings {
        namespace: namespace.unwrap_or_else(|| "kube-system".to_owned()),
        name: LEASE.to_owned(),
        identity: format!("{}_{unique}", place.as_deref().unwrap_or(LEASE)),
        times: lease::Times::default(),
        clock: Clock::default(),
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
