//! All that the definitions depend on, worked out from options and files. Nothing after this reads a file or an option.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use kuryr_config::{Config, Layers, Loaded, cloud};

use super::{
    conf, daemon,
    options::{Cluster, Engine, Node, Options, PullPolicy},
    positional::{self, Files},
    read,
    secrets::CA_FILE,
    split::{Split, split},
};

/// How every object in PEM begins.
pub(super) const PEM: &str = "-----BEGIN ";
const HA_REPLICAS: u16 = 2;

/// What the definitions are made from.
#[derive(Debug, Clone)]
pub(crate) struct Parameters {
    /// Namespace of all that has one.
    pub(crate) namespace: String,
    /// The controller's kuryr.conf, without secrets.
    pub(crate) controller_conf: String,
    /// The daemon's, if it is another.
    pub(crate) cni_conf: Option<String>,
    /// The options that log in to OpenStack.
    pub(crate) credentials: String,
    /// CA bundle; may be empty.
    pub(crate) ca_bundle: String,
    /// The controllers.
    pub(crate) controller: Workload,
    /// How many there are.
    pub(crate) replicas: u16,
    /// Whether it is ready only when it has found the ports of its pools, whatever kuryr.conf says.
    pub(crate) awaits_pools: bool,
    /// The daemons.
    pub(crate) daemon: Workload,
    /// When images are pulled.
    pub(crate) pull_policy: PullPolicy,
    /// What nodes are like.
    pub(crate) host: Host,
    /// Where the kubelet tells which devices pods have, if the daemon asks it.
    pub(crate) pod_resources: Option<String>,
    /// Whether the API server knows a `ValidatingAdmissionPolicy`.
    pub(crate) admission_policy: bool,
    /// Whether pods are made to ask the scheduler for ports.
    pub(crate) schedule_by_ports: bool,
}

/// A program in the cluster.
#[derive(Debug, Clone)]
pub(crate) struct Workload {
    /// Its image.
    pub(crate) image: String,
    /// Port of its probes.
    pub(crate) health_port: u16,
    /// Port of its metrics.
    pub(crate) metrics_port: u16,
}

/// What nodes are like.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    /// `/run`.
    pub(crate) run: String,
    /// Folder of plugins.
    pub(crate) cni_bin: String,
    /// Folder of network configurations.
    pub(crate) cni_conf: String,
    /// The daemon needs the node's processes to find namespaces.
    pub(crate) needs_proc: bool,
    /// Folders in which pods find interfaces that have no link.
    pub(crate) folders: Vec<String>,
}

/// Parameters, and what goes with them.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) parameters: Parameters,
    /// For standard error, a line each.
    pub(crate) notices: Vec<String>,
    /// The whole kuryr.conf, if none was given.
    pub(crate) made_conf: Option<String>,
}

/// Works everything out.
pub(crate) fn prepare(options: &Options) -> Result<Prepared> {
    let mut notices = Vec::new();
    let files = files(options)?;
    let ca_bundle = ca_bundle(files.ca_certificate.as_deref(), &mut notices);
    let host = host(&options.node);
    let made = files.controller_conf.is_none().then(|| made_conf(options, &host, !ca_bundle.is_empty()));
    let controller = match (&files.controller_conf, &made) {
        (Some(path), _) => Conf::read(path)?,
        (None, made) => Conf::parse(Path::new("kuryr.conf"), made.as_deref().unwrap_or_default())?,
    };
    let daemon = files.cni_conf.as_deref().map(Conf::read).transpose()?;
    if made.is_none() {
        controller.tell_moved("goes into the Secret", &mut notices);
    } else if options.settings.api_root == conf::API_ROOT {
        notices.push(format!(
            "note: [kubernetes] api_root is {}, which is right on a cluster of one node only; see --api-root",
            conf::API_ROOT
        ));
    }
    if let Some(daemon) = &daemon {
        daemon.tell_moved("is left out, since daemons need no credentials", &mut notices);
    }
    let mut credentials = controller.split.secret.clone();
    credentials += &ca_option(&controller.config, &ca_bundle, &mut notices);
    controller.tell_missing(&mut notices);
    tell_unused(&options.cluster, &mut notices);
    let folders = daemon.as_ref().unwrap_or(&controller).folders();
    let parameters = Parameters {
        namespace: options.cluster.namespace.clone(),
        credentials,
        ca_bundle,
        controller: controller_workload(&options.cluster, &controller.config),
        replicas: replicas(&options.cluster),
        awaits_pools: options.cluster.use_ports_pools,
        pod_resources: pod_resources(&daemon.as_ref().unwrap_or(&controller).config),
        daemon: daemon_workload(&options.cluster, &daemon.as_ref().unwrap_or(&controller).config),
        controller_conf: controller.split.public,
        cni_conf: daemon.map(|daemon| daemon.split.public),
        pull_policy: options.cluster.image_pull_policy,
        host: Host { folders, ..host },
        admission_policy: !options.cluster.admission.no_admission_policy,
        schedule_by_ports: options.cluster.admission.schedule_by_ports,
    };
    Ok(Prepared { parameters, notices, made_conf: made })
}

/// A kuryr.conf, understood and taken apart.
struct Conf {
    name: String,
    config: Config,
    split: Split,
}

impl Conf {
    fn read(path: &Path) -> Result<Self> {
        Self::parse(path, &read(path)?)
    }

    /// What the programs would refuse is refused here: better now than by a pod that never starts.
    fn parse(path: &Path, text: &str) -> Result<Self> {
        let name = path.display().to_string();
        let loaded = Layers::from_text(path.to_owned(), text).map(|layers| Loaded::from_layers(&layers));
        let config = match loaded {
            Ok(Ok(loaded)) => loaded.config,
            Ok(Err(error)) => bail!("{error}"),
            Err(problem) => bail!("{problem}"),
        };
        let split = split(text).with_context(|| name.clone())?;
        Ok(Self { name, config, split })
    }

    /// Those of the groups that it has, as far as the daemon does not see them anyway.
    fn folders(&self) -> Vec<String> {
        let named = [
            ("[vhostuser]", &self.config.vhostuser.mount_point),
            ("[nested_dpdk]", &self.config.nested_dpdk.pci_mount_point),
        ];
        let has_group = |group: &str| self.split.public.lines().any(|line| line.trim() == group);
        let wanted = named.into_iter().filter(|(group, path)| has_group(group) && !daemon::sees(path));
        wanted.map(|(_, path)| path.display().to_string()).collect()
    }

    fn tell_moved(&self, what: &str, notices: &mut Vec<String>) {
        if !self.split.moved.is_empty() {
            notices.push(format!("note: {}: {} {what}", self.name, self.split.moved.join(", ")));
        }
    }

    /// What the controller will not start without is no error here: files may be filled in before they are applied.
    fn tell_missing(&self, notices: &mut Vec<String>) {
        let mut tell = |what: String| notices.push(format!("warning: {}: {what}", self.name));
        let defaults = &self.config.neutron_defaults;
        if defaults.pod_subnet.is_none() && defaults.pod_subnets.is_empty() {
            tell(
                "[neutron_defaults] pod_subnet is not set, and the controller needs it: see --pod-subnet-id"
                    .to_owned(),
            );
        }
        if defaults.pod_security_groups.is_empty() {
            tell("[neutron_defaults] pod_security_groups is not set, and the controller needs it: see --pod-sg".to_owned());
        }
        match &self.config.neutron.cloud {
            Some(cloud) => tell(format!(
                "[neutron] cloud = {cloud} needs a clouds.yaml, which is not in the definitions: write the login into [neutron], or add the file to the Deployment"
            )),
            None => {
                if let Err(error) = cloud::access(&self.config, &BTreeMap::new()) {
                    tell(error.to_string());
                }
            }
        }
    }
}

fn files(options: &Options) -> Result<Files> {
    let sources = &options.sources;
    let mut files = positional::tell_apart(&sources.files.iter().map(PathBuf::from).collect::<Vec<_>>())?;
    files.controller_conf = files.controller_conf.or_else(|| sources.controller_conf.clone());
    files.cni_conf = files.cni_conf.or_else(|| sources.cni_conf.clone());
    let by_flag = sources.ca_certificate.as_ref().filter(|path| !path.is_empty()).map(PathBuf::from);
    files.ca_certificate = files.ca_certificate.or(by_flag);
    Ok(files)
}

/// Never an error: the Secret is made all the same, as the Python Kuryr's documentation promises.
fn ca_bundle(path: Option<&Path>, notices: &mut Vec<String>) -> String {
    let Some(path) = path else { return String::new() };
    let why = match read(path) {
        Ok(text) if text.contains(PEM) => return text,
        Ok(_) => format!("{} holds no certificate in PEM", path.display()),
        Err(error) => format!("{error:#}"),
    };
    notices.push(format!("warning: {why}: the Secret has an empty CA bundle, and OpenStack is verified by the well-known authorities"));
    String::new()
}

fn made_conf(options: &Options, host: &Host, has_ca: bool) -> String {
    let facts = conf::Facts {
        has_ca,
        has_proc: host.needs_proc,
        health_port: options.cluster.health_port,
        cni_health_port: options.cluster.cni_health_port,
    };
    conf::text(&options.settings, facts)
}

/// A CA that is given is used, also by a kuryr.conf that does not speak of it.
fn ca_option(config: &Config, ca_bundle: &str, notices: &mut Vec<String>) -> String {
    let named = config.neutron.cafile.as_deref();
    match named {
        None if !ca_bundle.is_empty() => return format!("\n[neutron]\ncafile = {CA_FILE}\n"),
        Some(path) if path == Path::new(CA_FILE) && ca_bundle.is_empty() => notices.push(format!(
            "warning: [neutron] cafile = {CA_FILE}, and no CA certificate is given: that file will be empty"
        )),
        Some(path) if path != Path::new(CA_FILE) => notices.push(format!(
            "warning: [neutron] cafile = {}: the controller's container has its CA certificate in {CA_FILE}",
            path.display()
        )),
        _ => {}
    }
    String::new()
}

fn tell_unused(cluster: &Cluster, notices: &mut Vec<String>) {
    if cluster.ha_port.as_ref().is_some_and(|port| !port.is_empty()) {
        notices.push(
            "note: KURYR_CONTROLLER_HA_PORT has no effect: controllers elect a leader by a Lease".to_owned(),
        );
    }
}

fn replicas(cluster: &Cluster) -> u16 {
    cluster.replicas.unwrap_or(if cluster.ha { HA_REPLICAS } else { 1 })
}

fn controller_workload(cluster: &Cluster, config: &Config) -> Workload {
    Workload {
        image: cluster.controller_image.clone(),
        health_port: cluster.health_port.unwrap_or(config.health_server.port),
        metrics_port: config.prometheus_exporter.controller_exporter_port,
    }
}

fn daemon_workload(cluster: &Cluster, config: &Config) -> Workload {
    Workload {
        image: cluster.cni_image.clone(),
        health_port: cluster.cni_health_port.unwrap_or(config.cni_health_server.port),
        metrics_port: config.prometheus_exporter.cni_exporter_port,
    }
}

fn pod_resources(config: &Config) -> Option<String> {
    let folder = config.sriov.kubelet_root_dir.join("pod-resources");
    config.sriov.enable_pod_resource_service.then(|| folder.display().to_string())
}

fn host(node: &Node) -> Host {
    Host {
        run: node.var_run_path.trim_end_matches('/').to_owned(),
        cni_bin: node.cni_bin_dir.clone(),
        cni_conf: node.cni_conf_dir.clone(),
        needs_proc: matches!(node.container_engine, None | Some(Engine::Docker)),
        folders: Vec::new(),
    }
}
