//! `controller_deployment.yml`: one controller that works, and perhaps others that stand by.

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment},
        core::v1::{
            Affinity, Capabilities, ConfigMapProjection, Container, EmptyDirVolumeSource, EnvVar, KeyToPath,
            PodAffinityTerm, PodAntiAffinity, PodSecurityContext, PodSpec, PodTemplateSpec,
            ProjectedVolumeSource, SeccompProfile, SecretProjection, SecretVolumeSource, SecurityContext,
            Toleration, Volume, VolumeMount, VolumeProjection,
        },
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};

use super::{config_map, controller_account, parameters::Parameters, pod, secrets};

/// Also of its Lease.
pub(super) const NAME: &str = "kuryr-controller";
/// The image's user.
const USER: i64 = 1000;
/// Read by its owner and its group alone.
const PRIVATE: i32 = 0o440;
const CONFIG: &str = "config-volume";
const CERTIFICATES: &str = "certificates-volume";
const RUN: &str = "run-volume";
/// Where the pools' socket is, if it is asked for.
const RUN_DIR: &str = "/run/kuryr";

pub(super) fn deployment(parameters: &Parameters) -> Deployment {
    let labels = pod::labels(&[("name", NAME)]);
    let selector = LabelSelector { match_labels: Some(labels.clone()), ..LabelSelector::default() };
    let mut metadata = pod::named(NAME, Some(&parameters.namespace));
    metadata.labels.get_or_insert_default().extend(labels.clone());
    Deployment {
        metadata,
        spec: Some(DeploymentSpec {
            replicas: Some(parameters.replicas.into()),
            selector: selector.clone(),
            strategy: Some(strategy()),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    name: Some(NAME.to_owned()),
                    labels: Some(labels),
                    ..pod::checksum([
                        parameters.controller_conf.as_str(),
                        parameters.credentials.as_str(),
                        parameters.ca_bundle.as_str(),
                    ])
                }),
                spec: Some(pod_spec(parameters, selector)),
            },
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    }
}

/// The ports are the host's: the old pod has to go before the new one can start on its node.
fn strategy() -> DeploymentStrategy {
    DeploymentStrategy {
        type_: Some("RollingUpdate".to_owned()),
        rolling_update: Some(RollingUpdateDeployment {
            max_surge: Some(IntOrString::Int(0)),
            max_unavailable: Some(IntOrString::Int(1)),
        }),
    }
}

fn pod_spec(parameters: &Parameters, selector: LabelSelector) -> PodSpec {
    PodSpec {
        service_account_name: Some(controller_account::NAME.to_owned()),
        automount_service_account_token: Some(true),
        // It runs before there is a network of pods, and asks no name server that is a pod.
        host_network: Some(true),
        dns_policy: Some("Default".to_owned()),
        enable_service_links: Some(false),
        priority_class_name: Some("system-cluster-critical".to_owned()),
        security_context: Some(pod_security()),
        affinity: Some(one_a_node(selector)),
        tolerations: Some(tolerations()),
        containers: vec![container(parameters)],
        volumes: Some(vec![configuration(), certificates(), run()]),
        restart_policy: Some("Always".to_owned()),
        ..PodSpec::default()
    }
}

fn container(parameters: &Parameters) -> Container {
    Container {
        name: "controller".to_owned(),
        image: Some(parameters.controller.image.clone()),
        image_pull_policy: Some(parameters.pull_policy.as_str().to_owned()),
        args: Some(vec!["--config-dir".to_owned(), pod::CONF_DIR.to_owned()]),
        env: Some(environment(parameters)),
        ports: Some(pod::ports(&parameters.controller)),
        readiness_probe: Some(pod::ready(&parameters.controller, 0, 5)),
        liveness_probe: Some(pod::alive(&parameters.controller)),
        resources: Some(pod::requests("50m", "64Mi")),
        security_context: Some(container_security()),
        termination_message_policy: Some(pod::TERMINATION_MESSAGE.to_owned()),
        volume_mounts: Some(vec![
            VolumeMount { read_only: Some(true), ..pod::mount(CONFIG, pod::CONF_DIR) },
            // One file: the system's certificates beside it stay visible.
            VolumeMount {
                sub_path: Some(secrets::CA_KEY.to_owned()),
                read_only: Some(true),
                ..pod::mount(CERTIFICATES, secrets::CA_FILE)
            },
            pod::mount(RUN, RUN_DIR),
        ]),
        ..Container::default()
    }
}

fn environment(parameters: &Parameters) -> Vec<EnvVar> {
    let mut all = vec![
        pod::field("KUBERNETES_NODE_NAME", "spec.nodeName"),
        pod::field("POD_NAME", "metadata.name"),
        pod::field("POD_NAMESPACE", "metadata.namespace"),
    ];
    if parameters.awaits_pools {
        let (name, value) = ("KURYR_USE_PORTS_POOLS".to_owned(), Some("true".to_owned()));
        all.push(EnvVar { name, value, ..EnvVar::default() });
    }
    all
}

fn pod_security() -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(USER),
        run_as_group: Some(USER),
        fs_group: Some(USER),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            ..SeccompProfile::default()
        }),
        ..PodSecurityContext::default()
    }
}

fn container_security() -> SecurityContext {
    let nothing = Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None };
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(nothing),
        ..SecurityContext::default()
    }
}

/// A node that fails takes one controller with it, and two would want the same ports.
fn one_a_node(selector: LabelSelector) -> Affinity {
    let apart = PodAffinityTerm {
        label_selector: Some(selector),
        topology_key: "kubernetes.io/hostname".to_owned(),
        ..PodAffinityTerm::default()
    };
    let anti = PodAntiAffinity {
        required_during_scheduling_ignored_during_execution: Some(vec![apart]),
        ..PodAntiAffinity::default()
    };
    Affinity { pod_anti_affinity: Some(anti), ..Affinity::default() }
}

/// What a node has before there is a network of pods, and what keeps others off the control plane.
fn tolerations() -> Vec<Toleration> {
    let keys = [
        "node-role.kubernetes.io/control-plane",
        "node-role.kubernetes.io/master",
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/network-unavailable",
        "node.cloudprovider.kubernetes.io/uninitialized",
    ];
    keys.into_iter().map(|key| pod::tolerates(Some(key), Some("NoSchedule"))).collect()
}

/// One directory of two files, the login and the rest.
fn configuration() -> Volume {
    let conf = ConfigMapProjection {
        name: config_map::NAME.to_owned(),
        items: Some(vec![pod::item(config_map::KEY, "kuryr.conf")]),
        optional: None,
    };
    let login = SecretProjection {
        name: secrets::CREDENTIALS.to_owned(),
        items: Some(vec![pod::item(secrets::CREDENTIALS_KEY, secrets::CREDENTIALS_KEY)]),
        optional: None,
    };
    let sources = vec![
        VolumeProjection { config_map: Some(conf), ..VolumeProjection::default() },
        VolumeProjection { secret: Some(login), ..VolumeProjection::default() },
    ];
    let projected = ProjectedVolumeSource { sources: Some(sources), default_mode: Some(PRIVATE) };
    Volume { name: CONFIG.to_owned(), projected: Some(projected), ..Volume::default() }
}

/// All else in the container is read-only.
fn run() -> Volume {
    let empty = EmptyDirVolumeSource {
        medium: Some("Memory".to_owned()),
        size_limit: Some(Quantity("1Mi".to_owned())),
    };
    Volume { name: RUN.to_owned(), empty_dir: Some(empty), ..Volume::default() }
}

fn certificates() -> Volume {
    let items: Vec<KeyToPath> = vec![pod::item(secrets::CA_KEY, secrets::CA_KEY)];
    let secret = SecretVolumeSource {
        secret_name: Some(secrets::CERTIFICATES.to_owned()),
        items: Some(items),
        ..SecretVolumeSource::default()
    };
    Volume { name: CERTIFICATES.to_owned(), secret: Some(secret), ..Volume::default() }
}
