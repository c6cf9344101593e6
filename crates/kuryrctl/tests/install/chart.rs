//! The Helm chart and `kuryrctl generate` install the same: what both render for equal values is compared, object by object.
//!
//! Needs helm: `make tools` builds it.

use std::{collections::BTreeMap, env, fs, path::Path, process::Command};

use crate::support::{Run, input};
use kuryr_config::ini::Document;
use serde_json::{Value, json};

#[test]
fn few_values_render_what_few_options_generate() {
    let options = [
        "--api-root=in-cluster",
        "--pod-subnet-id=subnet",
        "--pod-sg=group",
        "--binding-driver=none",
        "--container-engine=containerd",
    ];
    assert_same(&input("chart-minimal.yaml"), &options);
}

#[test]
fn many_values_render_what_many_options_generate() {
    let ca = input("ca.pem");
    let options = [
        "--api-root=192.168.0.1:6443",
        "--auth-url=https://cloud.example:5000/v3",
        "--username=kuryr",
        "--password= \"pa$word",
        "--user-domain-name=Users",
        "--kuryr-project-id=project-of-login",
        "--project-domain-name=Projects",
        "--project-id=project-of-pods",
        "--pod-subnet-id=subnet-4,subnet-6",
        "--pod-sg=group-1,group-2",
        "--service-subnet-id=subnet-of-services",
        "--worker-nodes-subnets=subnet-of-nodes",
        "--binding-iface=ens3",
        "--pod-subnet-pool-id=pool",
        "--namespace=network",
        "--controller-image=registry.example/controller:1",
        "--cni-image=registry.example/cni:1",
        "--image-pull-policy=IfNotPresent",
        "--ha",
        "--use-ports-pools",
        "--health-port=18082",
        "--cni-health-port=18090",
        "--no-admission-policy",
        "--schedule-by-ports",
        "--container-engine=docker",
        "--var-run-path=/run",
        "--cni-bin-dir=/usr/libexec/cni",
        "--cni-conf-dir=/etc/cni/multus.d",
        &format!("--ca-certificate={ca}"),
    ];
    let rendered = helm(&[
        "-n",
        "network",
        "-f",
        &input("chart-variables.yaml"),
        "--set-file",
        &format!("caBundle={ca}"),
    ]);
    compare(&rendered.good().printed, &Run::flags(&options, &[]).good().printed);
}

#[test]
fn a_secret_of_the_users_own_takes_the_place_of_ours() {
    let values = input("chart-minimal.yaml");
    let run = helm(&["-n", "kube-system", "-f", &values, "--set", "credentials.existingSecret=mine"]).good();
    let objects = objects(&run.printed);
    assert!(!objects.contains_key("Secret kuryr-credentials"));
    let projected =
        &objects["Deployment kuryr-controller"]["spec"]["template"]["spec"]["volumes"][0]["projected"];
    assert_eq!(projected["sources"][1]["secret"]["name"], "mine");
}

#[test]
fn bad_values_are_refused() {
    let values = input("chart-minimal.yaml");
    for (bad, why) in [
        ("replicas=0", "replicas"),
        ("config.neutron.password=x", "neutron"),
        ("config.neutron_defaults.pod_subnet=", "pod_subnet is not set"),
        ("caBundle=text", "caBundle"),
        ("replica=2", "replica"),
    ] {
        let said = helm(&["-f", &values, "--set", bad]).bad();
        assert!(said.contains(why), "{bad}: {said}");
    }
}

#[test]
fn the_charts_definitions_are_fresh() {
    let files = |folder: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder);
        let read = |entry: fs::DirEntry| (entry.file_name(), fs::read_to_string(entry.path()).unwrap());
        fs::read_dir(folder).unwrap().map(|entry| read(entry.unwrap())).collect::<BTreeMap<_, _>>()
    };
    let (chart, tree) = (files("deploy/helm/kuryr/crds"), files("kubernetes_crds/kuryr_crds"));
    assert!(chart == tree, "make generate");
}

fn assert_same(values: &str, options: &[&str]) {
    let rendered = helm(&["-n", "kube-system", "-f", values]).good().printed;
    compare(&rendered, &Run::flags(options, &[]).good().printed);
}

fn compare(rendered: &str, generated: &str) {
    let (rendered, generated) = (objects(rendered), objects(generated));
    let names = |objects: &BTreeMap<String, Value>| objects.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&rendered), names(&generated));
    for (name, object) in &rendered {
        let show = |value: &Value| serde_saphyr::to_string(value).unwrap();
        assert_eq!(
            show(object),
            show(&generated[name]),
            "{name}: the chart's (left), the generator's (right)"
        );
    }
}

/// Every object by kind and name. Of a kuryr.conf counts what it says, and that a checksum changes with it is another test's.
fn objects(stream: &str) -> BTreeMap<String, Value> {
    let all = serde_saphyr::from_multiple::<Value>(stream).unwrap();
    let named = |mut object: Value| {
        for data in ["data", "stringData"] {
            let conf =
                |(name, _): &(&String, &mut Value)| Path::new(name).extension() == Some("conf".as_ref());
            let entries = object.get_mut(data).and_then(Value::as_object_mut).into_iter().flatten();
            entries.filter(conf).for_each(|(_, text)| *text = meaning(text));
        }
        if let Some(annotations) = object.pointer_mut("/spec/template/metadata/annotations") {
            assert_eq!(annotations["checksum/config"].as_str().map(str::len), Some(64));
            *annotations = Value::Null;
        }
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        (format!("{} {name}", object["kind"].as_str().unwrap_or_default()), object)
    };
    all.into_iter().filter(|object| !object.is_null()).map(named).collect()
}

fn meaning(conf: &Value) -> Value {
    let document = Document::parse(conf.as_str().unwrap()).unwrap();
    let mut said: Vec<_> = document.assignments.into_iter().map(|a| [a.section, a.key, a.value]).collect();
    said.sort();
    json!(said)
}

fn helm(words: &[&str]) -> Run {
    let home = env::var("HOME").unwrap_or_default();
    let tool = env::var("HELM").unwrap_or_else(|_| format!("{home}/.cache/kuryr/tools/bin/helm"));
    assert!(Path::new(&tool).exists(), "there is no {tool}: make tools");
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/helm/kuryr");
    let mut command = Command::new(tool);
    command
        .args(["template", "kuryr"])
        .arg(chart)
        .args(["--kube-version", "1.33.0", "--include-crds"])
        .args(words);
    Run::of(command, &[], tempfile::tempdir().unwrap())
}
