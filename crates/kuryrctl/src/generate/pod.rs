//! What both programs' pods have in common.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{
        ConfigMapVolumeSource, ContainerPort, EnvVar, EnvVarSource, HTTPGetAction, HostPathVolumeSource,
        KeyToPath, ObjectFieldSelector, Probe, ResourceRequirements, Toleration, Volume, VolumeMount,
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};
use sha2::{Digest, Sha256};

use super::parameters::Workload;

/// Where our programs look for their configuration.
pub(super) const CONF_DIR: &str = "/etc/kuryr";
/// The programs' way of saying what is wrong is their log.
pub(super) const TERMINATION_MESSAGE: &str = "FallbackToLogsOnError";
/// A pod starts again when what it has read at its start changes.
const CHECKSUM: &str = "checksum/config";

pub(super) fn named(name: &str, namespace: Option<&str>) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: namespace.map(str::to_owned),
        labels: Some(labels(&[("app.kubernetes.io/name", "kuryr")])),
        ..ObjectMeta::default()
    }
}

pub(super) fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

pub(super) fn checksum<'a>(contents: impl IntoIterator<Item = &'a str>) -> ObjectMeta {
    let mut hash = Sha256::new();
    contents.into_iter().for_each(|content| hash.update(content));
    let text = hash.finalize().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    ObjectMeta { annotations: Some(labels(&[(CHECKSUM, &text)])), ..ObjectMeta::default() }
}

pub(super) fn field(name: &str, path: &str) -> EnvVar {
    let field = ObjectFieldSelector { field_path: path.to_owned(), ..ObjectFieldSelector::default() };
    let from = EnvVarSource { field_ref: Some(field), ..EnvVarSource::default() };
    EnvVar { name: name.to_owned(), value_from: Some(from), ..EnvVar::default() }
}

pub(super) fn ports(workload: &Workload) -> Vec<ContainerPort> {
    // Of a pod in the host's network these are also the host's: the scheduler sees when one is taken.
    let port = |name: &str, number: u16| ContainerPort {
        name: Some(name.to_owned()),
        container_port: number.into(),
        host_port: Some(number.into()),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    };
    vec![port("health", workload.health_port), port("metrics", workload.metrics_port)]
}

/// Three failures in a row take a pod out of use.
pub(super) fn ready(workload: &Workload, initial_delay: i32, period: i32) -> Probe {
    Probe {
        initial_delay_seconds: Some(initial_delay),
        period_seconds: Some(period),
        failure_threshold: Some(3),
        ..probe(workload, "/ready")
    }
}

/// A minute without an answer ends the process: it is not for slow APIs, which do not make it fail.
pub(super) fn alive(workload: &Workload) -> Probe {
    Probe {
        initial_delay_seconds: Some(15),
        period_seconds: Some(10),
        failure_threshold: Some(6),
        ..probe(workload, "/alive")
    }
}

fn probe(workload: &Workload, path: &str) -> Probe {
    let get = HTTPGetAction {
        path: Some(path.to_owned()),
        port: IntOrString::Int(workload.health_port.into()),
        ..HTTPGetAction::default()
    };
    Probe { http_get: Some(get), timeout_seconds: Some(5), ..Probe::default() }
}

pub(super) fn requests(cpu: &str, memory: &str) -> ResourceRequirements {
    let requests = [("cpu", cpu), ("memory", memory)];
    let requests = requests.map(|(name, amount)| (name.to_owned(), Quantity(amount.to_owned())));
    ResourceRequirements { requests: Some(requests.into()), ..ResourceRequirements::default() }
}

/// Any taint of that name; of any name, if there is none.
pub(super) fn tolerates(key: Option<&str>, effect: Option<&str>) -> Toleration {
    Toleration {
        key: key.map(str::to_owned),
        operator: Some("Exists".to_owned()),
        effect: effect.map(str::to_owned),
        ..Toleration::default()
    }
}

pub(super) fn mount(volume: &str, path: &str) -> VolumeMount {
    VolumeMount { name: volume.to_owned(), mount_path: path.to_owned(), ..VolumeMount::default() }
}

pub(super) fn from_host(name: &str, path: &str, kind: &str) -> Volume {
    let host = HostPathVolumeSource { path: path.to_owned(), type_: Some(kind.to_owned()) };
    Volume { name: name.to_owned(), host_path: Some(host), ..Volume::default() }
}

pub(super) fn from_config_map(name: &str, config_map: &str, items: Vec<KeyToPath>) -> Volume {
    let source = ConfigMapVolumeSource {
        name: config_map.to_owned(),
        items: Some(items),
        ..ConfigMapVolumeSource::default()
    };
    Volume { name: name.to_owned(), config_map: Some(source), ..Volume::default() }
}

pub(super) fn item(key: &str, path: &str) -> KeyToPath {
    KeyToPath { key: key.to_owned(), path: path.to_owned(), mode: None }
}
