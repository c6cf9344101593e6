//! `cni_ds.yml`: the daemon on every node, and what it needs of the node.

use std::path::Path;

use k8s_openapi::{
    api::{
        apps::v1::{DaemonSet, DaemonSetSpec, DaemonSetUpdateStrategy, RollingUpdateDaemonSet},
        core::v1::{Container, PodSpec, PodTemplateSpec, SecurityContext, Volume, VolumeMount},
    },
    apimachinery::pkg::{
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};

use super::{cni_account, config_map, parameters::Parameters, pod};

const NAME: &str = "kuryr-cni-ds";
const CONFIG: &str = "config-volume";
/// The node's `/proc` in the container.
pub(super) const PROC: &str = "/host_proc";
/// What the daemon needs below the node's `/run`: Open vSwitch's socket, namespaces, and the plugin's socket.
const RUN: [&str; 3] = ["openvswitch", NETNS, "kuryr"];
/// Where the daemon puts the network configuration unless it is told otherwise.
const CNI_CONF_DIR: &str = "/etc/cni/net.d";
const NETNS: &str = "netns";
const POD_RESOURCES: &str = "pod-resources";
/// Programs and users write one or the other, and mean the same.
const RUN_NAMES: [&str; 2] = ["/run", "/var/run"];

pub(super) fn daemon_set(parameters: &Parameters) -> DaemonSet {
    let labels = pod::labels(&[("tier", "node"), ("app", "kuryr-cni")]);
    let mut metadata = pod::named(NAME, Some(&parameters.namespace));
    metadata.labels.get_or_insert_default().extend(labels.clone());
    let conf = parameters.cni_conf.as_ref().unwrap_or(&parameters.controller_conf);
    DaemonSet {
        metadata,
        spec: Some(DaemonSetSpec {
            selector: LabelSelector { match_labels: Some(labels.clone()), ..LabelSelector::default() },
            update_strategy: Some(update_strategy()),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta { labels: Some(labels), ..pod::checksum([conf.as_str()]) }),
                spec: Some(pod_spec(parameters)),
            },
            ..DaemonSetSpec::default()
        }),
        ..DaemonSet::default()
    }
}

/// At least one node at a time, and more in a large cluster.
fn update_strategy() -> DaemonSetUpdateStrategy {
    DaemonSetUpdateStrategy {
        type_: Some("RollingUpdate".to_owned()),
        rolling_update: Some(RollingUpdateDaemonSet {
            max_unavailable: Some(IntOrString::String("10%".to_owned())),
            max_surge: Some(IntOrString::Int(0)),
        }),
    }
}

fn pod_spec(parameters: &Parameters) -> PodSpec {
    PodSpec {
        service_account_name: Some(cni_account::NAME.to_owned()),
        automount_service_account_token: Some(true),
        // The links that it makes are the node's.
        host_network: Some(true),
        dns_policy: Some("Default".to_owned()),
        enable_service_links: Some(false),
        priority_class_name: Some("system-node-critical".to_owned()),
        // Whatever a node is tainted with, its pods need a network.
        tolerations: Some(vec![pod::tolerates(None, None)]),
        containers: vec![container(parameters)],
        volumes: Some(volumes(parameters)),
        restart_policy: Some("Always".to_owned()),
        ..PodSpec::default()
    }
}

fn container(parameters: &Parameters) -> Container {
    Container {
        name: "kuryr-cni".to_owned(),
        image: Some(parameters.daemon.image.clone()),
        image_pull_policy: Some(parameters.pull_policy.as_str().to_owned()),
        args: Some(args(&parameters.host.cni_conf)),
        env: Some(vec![pod::field("KUBERNETES_NODE_NAME", "spec.nodeName")]),
        ports: Some(pod::ports(&parameters.daemon)),
        readiness_probe: Some(pod::ready(&parameters.daemon, 2, 5)),
        liveness_probe: Some(pod::alive(&parameters.daemon)),
        resources: Some(pod::requests("50m", "32Mi")),
        // Its work is in other processes' namespaces and their sysctls, which a container with less can't write.
        security_context: Some(SecurityContext {
            privileged: Some(true),
            run_as_user: Some(0),
            read_only_root_filesystem: Some(true),
            ..SecurityContext::default()
        }),
        termination_message_policy: Some(pod::TERMINATION_MESSAGE.to_owned()),
        volume_mounts: Some(mounts(parameters)),
        ..Container::default()
    }
}

fn args(cni_conf: &str) -> Vec<String> {
    let mut args = vec!["--config-file".to_owned(), format!("{}/kuryr.conf", pod::CONF_DIR)];
    if cni_conf != CNI_CONF_DIR {
        args.extend(["--cni-conf-dir".to_owned(), cni_conf.to_owned()]);
    }
    args
}

fn mounts(parameters: &Parameters) -> Vec<VolumeMount> {
    let mut mounts = vec![
        pod::mount("bin", "/opt/cni/bin"),
        // Where the node has it: a plugin without a daemon is told of files there.
        pod::mount("net-conf", &parameters.host.cni_conf),
        VolumeMount { read_only: Some(true), ..pod::mount(CONFIG, pod::CONF_DIR) },
    ];
    if parameters.host.needs_proc {
        mounts.push(pod::mount("proc", PROC));
    }
    mounts.extend(folders(parameters).map(|(name, path)| pod::mount(&name, path)));
    let kubelet = parameters.pod_resources.iter();
    mounts.extend(
        kubelet.map(|folder| VolumeMount { read_only: Some(true), ..pod::mount(POD_RESOURCES, folder) }),
    );
    mounts.extend(RUN.iter().flat_map(|name| RUN_NAMES.map(|run| below_run(name, run))));
    mounts
}

/// Whether the daemon sees a folder of the node by what it needs below `/run`.
pub(super) fn sees(folder: &Path) -> bool {
    RUN.iter().any(|name| RUN_NAMES.iter().any(|run| folder.starts_with(format!("{run}/{name}"))))
}

fn folders(parameters: &Parameters) -> impl Iterator<Item = (String, &str)> {
    let folders = parameters.host.folders.iter().enumerate();
    folders.map(|(number, path)| (format!("pods-{number}"), path.as_str()))
}

fn below_run(name: &str, run: &str) -> VolumeMount {
    // Namespaces are mounts that the runtime makes while the daemon runs.
    let propagation = (name == NETNS).then(|| "HostToContainer".to_owned());
    VolumeMount { mount_propagation: propagation, ..pod::mount(name, &format!("{run}/{name}")) }
}

fn volumes(parameters: &Parameters) -> Vec<Volume> {
    let host = &parameters.host;
    let key = parameters.cni_conf.as_ref().map_or(config_map::KEY, |_| config_map::CNI_KEY);
    let mut volumes = vec![
        pod::from_host("bin", &host.cni_bin, "DirectoryOrCreate"),
        pod::from_host("net-conf", &host.cni_conf, "DirectoryOrCreate"),
        pod::from_config_map(CONFIG, config_map::NAME, vec![pod::item(key, "kuryr.conf")]),
    ];
    if host.needs_proc {
        volumes.push(pod::from_host("proc", "/proc", "Directory"));
    }
    volumes.extend(folders(parameters).map(|(name, path)| pod::from_host(&name, path, "DirectoryOrCreate")));
    let kubelet = parameters.pod_resources.iter();
    volumes.extend(kubelet.map(|folder| pod::from_host(POD_RESOURCES, folder, "Directory")));
    volumes
        .extend(RUN.map(|name| pod::from_host(name, &format!("{}/{name}", host.run), "DirectoryOrCreate")));
    volumes
}
