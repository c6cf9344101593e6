//! What `kuryrctl generate` can be told, by flags and by the environment variables of the Python Kuryr's script.
#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "these are the texts of --help, where brackets hold groups of kuryr.conf"
)]
#![expect(clippy::doc_markdown, reason = "these are texts for a terminal")]

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, ValueEnum};

/// Everything that can be chosen. An empty text is as good as none.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) sources: Sources,
    #[command(flatten)]
    pub(crate) settings: Settings,
    #[command(flatten)]
    pub(crate) cluster: Cluster,
    #[command(flatten)]
    pub(crate) node: Node,
}

/// Where the definitions go, and which files they are made from.
#[derive(Debug, Clone, Args)]
pub(crate) struct Sources {
    /// Directory to write config_map.yml, certificates_secret.yml, controller_service_account.yml, cni_service_account.yml,
    /// controller_deployment.yml, cni_ds.yml and kustomization.yaml into; without it, all go to standard output
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Your kuryr.conf. The options that log in to OpenStack go into a Secret, the others into a ConfigMap. Without a file,
    /// one is made from the options below
    #[arg(long, value_name = "FILE")]
    pub(crate) controller_conf: Option<PathBuf>,
    /// Another kuryr.conf for the daemons [default: the controller's]
    #[arg(long, value_name = "FILE")]
    pub(crate) cni_conf: Option<PathBuf>,
    /// CA bundle in PEM for OpenStack's APIs
    #[arg(long, env = "CA_CERTIFICATE_PATH", value_name = "FILE")]
    pub(crate) ca_certificate: Option<OsString>,
    /// The same files by their order, as generate_k8s_resource_definitions.sh takes them: CONTROLLER_CONF [CNI_CONF] [CA],
    /// told apart by their content
    #[arg(value_name = "FILE", num_args = 0..=3, conflicts_with_all = ["controller_conf", "cni_conf"])]
    pub(crate) files: Vec<OsString>,
}

/// What goes into the kuryr.conf that is made when none is given.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of kuryr.conf (without effect if a file is given)")]
pub(crate) struct Settings {
    /// [kubernetes] api_root. An address without a scheme means https; "in-cluster" means the cluster's own Service
    #[arg(long, env = "KURYR_K8S_API_ROOT", value_name = "URL", default_value = super::conf::API_ROOT)]
    pub(crate) api_root: String,
    /// [neutron] auth_url
    #[arg(long, env = "KURYR_K8S_AUTH_URL", value_name = "URL", default_value = "http://127.0.0.1/identity")]
    pub(crate) auth_url: String,
    /// [neutron] username
    #[arg(long, env = "KURYR_K8S_USERNAME", value_name = "NAME", default_value = "admin")]
    pub(crate) username: String,
    /// [neutron] password; better by the environment, since others can read a command line
    #[arg(
        long,
        env = "KURYR_K8S_PASSWORD",
        hide_env_values = true,
        value_name = "TEXT",
        default_value = "password"
    )]
    pub(crate) password: String,
    /// [neutron] user_domain_name
    #[arg(long, env = "KURYR_K8S_USER_DOMAIN_NAME", value_name = "NAME", default_value = "Default")]
    pub(crate) user_domain_name: String,
    /// [neutron] project_id: the project that Kuryr logs in to
    #[arg(long, env = "KURYR_K8S_KURYR_PROJECT_ID", value_name = "ID", default_value = "")]
    pub(crate) kuryr_project_id: String,
    /// [neutron] project_domain_name
    #[arg(long, env = "KURYR_K8S_PROJECT_DOMAIN_NAME", value_name = "NAME", default_value = "Default")]
    pub(crate) project_domain_name: String,
    /// [neutron_defaults] project: the project that pods' ports are made in
    #[arg(long, env = "KURYR_K8S_PROJECT_ID", value_name = "ID", default_value = "")]
    pub(crate) project_id: String,
    /// [neutron_defaults] pod_subnet; two, separated by a comma, for dual-stack
    #[arg(long, env = "KURYR_K8S_POD_SUBNET_ID", value_name = "ID", default_value = "")]
    pub(crate) pod_subnet_id: String,
    /// [neutron_defaults] pod_security_groups, separated by commas
    #[arg(long, env = "KURYR_K8S_POD_SG", value_name = "ID", default_value = "")]
    pub(crate) pod_sg: String,
    /// [neutron_defaults] service_subnet
    #[arg(long, env = "KURYR_K8S_SERVICE_SUBNET_ID", value_name = "ID", default_value = "")]
    pub(crate) service_subnet_id: String,
    /// [neutron_defaults] external_svc_net: where Services of type LoadBalancer get their floating IPs
    #[arg(long, env = "KURYR_K8S_EXTERNAL_SVC_NET_ID", value_name = "ID", default_value = "")]
    pub(crate) external_svc_net_id: String,
    /// [pod_vif_nested] worker_nodes_subnets, separated by commas
    #[arg(long, env = "KURYR_K8S_WORKER_NODES_SUBNETS", value_name = "ID", default_value = "")]
    pub(crate) worker_nodes_subnets: String,
    /// The same by its later name
    #[arg(long, env = "KURYR_K8S_WORKER_NODES_SUBNET", value_name = "ID", default_value = "")]
    pub(crate) worker_nodes_subnet: String,
    /// [binding] driver; "none" leaves out what belongs to pods on VMs
    #[arg(
        long,
        env = "KURYR_K8S_BINDING_DRIVER",
        value_name = "NAME",
        default_value = "kuryr.lib.binding.drivers.vlan"
    )]
    pub(crate) binding_driver: String,
    /// [binding] link_iface
    #[arg(long, env = "KURYR_K8S_BINDING_IFACE", value_name = "NAME", default_value = "eth0")]
    pub(crate) binding_iface: String,
    /// [namespace_subnet] pod_subnet_pool
    #[arg(long, env = "KURYR_NEUTRON_DEFAULT_SUBNETPOOL_ID", value_name = "ID", default_value = "")]
    pub(crate) pod_subnet_pool_id: String,
}

/// How Kuryr runs in the cluster.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Kuryr in the cluster")]
pub(crate) struct Cluster {
    /// Namespace of all that has one
    #[arg(long, value_name = "NAME", default_value = "kube-system")]
    pub(crate) namespace: String,
    /// Image of the controller
    #[arg(long, value_name = "IMAGE", default_value = "kuryr/controller:latest")]
    pub(crate) controller_image: String,
    /// Image of the daemon
    #[arg(long, value_name = "IMAGE", default_value = "kuryr/cni:latest")]
    pub(crate) cni_image: String,
    /// When images are pulled. Never: they were built on, or brought to, every node
    #[arg(long, value_enum, value_name = "WHEN", default_value = "Never", ignore_case = true)]
    pub(crate) image_pull_policy: PullPolicy,
    /// How many controllers run: one works, the others stand by [default: 1, with high availability 2]
    #[arg(long, env = "KURYR_CONTROLLER_REPLICAS", value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) replicas: Option<u16>,
    /// High availability: two controllers
    #[arg(long, env = "KURYR_CONTROLLER_HA", value_name = "TRUTH", num_args = 0..=1, value_parser = truth, default_value = "false", default_missing_value = "true")]
    pub(crate) ha: bool,
    /// Accepted and without effect: the leader elector beside the controller, which had this port, is gone
    #[arg(long, env = "KURYR_CONTROLLER_HA_PORT", value_name = "PORT", hide = true)]
    pub(crate) ha_port: Option<String>,
    /// The controller is ready only when it has found the ports of its pools; where kuryr.conf has it keep pools, that is always so
    #[arg(long, env = "KURYR_USE_PORTS_POOLS", value_name = "TRUTH", num_args = 0..=1, value_parser = truth, default_value = "false", default_missing_value = "true")]
    pub(crate) use_ports_pools: bool,
    /// Port of the controller's probes [default: kuryr.conf's, 8082]
    #[arg(long, env = "KURYR_HEALTH_SERVER_PORT", value_name = "PORT")]
    pub(crate) health_port: Option<u16>,
    /// Port of the daemon's probes [default: kuryr.conf's, 8090]
    #[arg(long, env = "KURYR_CNI_HEALTH_SERVER_PORT", value_name = "PORT")]
    pub(crate) cni_health_port: Option<u16>,
    #[command(flatten)]
    pub(crate) admission: Admission,
}

/// What the API server is told to check or to change.
#[derive(Debug, Clone, Args)]
pub(crate) struct Admission {
    /// Leave out the ValidatingAdmissionPolicy, for Kubernetes before 1.30
    #[arg(long)]
    pub(crate) no_admission_policy: bool,
    /// Let pods with the label kuryr.openstack.org/schedule-by-ports=true, or in a Namespace with it, ask the scheduler for a port of their
    /// node (docs/nested.md): a MutatingAdmissionPolicy, for Kubernetes 1.36 and later
    #[arg(long)]
    pub(crate) schedule_by_ports: bool,
}

/// What the nodes are like.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Nodes")]
pub(crate) struct Node {
    /// Container runtime of the nodes. docker (cri-dockerd) needs the node's /proc in the daemon's container; without a
    /// choice every runtime works
    #[arg(long, env = "CONTAINER_ENGINE", value_enum, value_name = "NAME", ignore_case = true)]
    pub(crate) container_engine: Option<Engine>,
    /// The node's /run. Not /var/run where that is a link and the root is not mounted shared: containerd does not follow it
    #[arg(long, env = "VAR_RUN_PATH", value_name = "DIR", default_value = "/run")]
    pub(crate) var_run_path: String,
    /// The container runtime's folder of plugins on the node
    #[arg(long, env = "CNI_PLUGIN_DIR", value_name = "DIR", default_value = "/opt/cni/bin")]
    pub(crate) cni_bin_dir: String,
    /// The container runtime's folder of network configurations on the node
    #[arg(long, env = "CNI_CONF_DIR", value_name = "DIR", default_value = "/etc/cni/net.d")]
    pub(crate) cni_conf_dir: String,
}

/// When images are pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub(crate) enum PullPolicy {
    Always,
    IfNotPresent,
    Never,
}

/// A container runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    Containerd,
    #[value(aliases = ["cri-o"])]
    Crio,
    #[value(aliases = ["cri-dockerd"])]
    Docker,
}

impl PullPolicy {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

/// As oslo.config and the old script's users write it.
fn truth(text: &str) -> Result<bool, String> {
    match text.to_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" | "" => Ok(false),
        _ => Err("True or False is needed".to_owned()),
    }
}
