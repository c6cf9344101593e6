//! The files in the tree that `kuryrctl` generates are what it generates now, and its commands keep their promises.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

fn kuryrctl(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kuryrctl"));
    command.env_clear().args(args).output().expect("kuryrctl runs")
}

fn printed(args: &[&str]) -> String {
    let output = kuryrctl(args);
    assert!(output.status.success(), "kuryrctl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn tree(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn committed(path: &str) -> String {
    fs::read_to_string(tree(path)).expect(path)
}

fn check(conf: &str) -> (Option<i32>, String) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("kuryr.conf");
    fs::write(&path, conf).expect("written");
    let output = kuryrctl(&["config", "check", "--config-file", path.to_str().expect("UTF-8")]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    (output.status.code(), text.replace(path.to_str().expect("UTF-8"), "kuryr.conf"))
}

#[test]
fn the_reference_of_options_is_fresh() {
    assert!(
        committed("docs/configuration.md") == printed(&["config", "docs"]),
        "docs/configuration.md is stale: cargo run -p kuryrctl -- config docs > docs/configuration.md"
    );
}

#[test]
fn the_custom_resource_definitions_are_fresh() {
    let dir = tempfile::tempdir().expect("a directory");
    printed(&["crds", "--out", dir.path().to_str().expect("UTF-8")]);
    let written = files(dir.path());
    assert!(
        written == files(&tree("kubernetes_crds/kuryr_crds")),
        "kubernetes_crds is stale: cargo run -p kuryrctl -- crds --out kubernetes_crds/kuryr_crds"
    );
    let names: Vec<_> = written.iter().map(|(name, _)| name.as_str()).collect();
    for name in ["kuryrloadbalancer.yaml", "kuryrnetwork.yaml", "kuryrnetworkpolicy.yaml", "kuryrport.yaml"] {
        assert!(names.contains(&name), "{name} is where Kuryr-Kubernetes had it, in {names:?}");
    }
    let all: String = written.iter().map(|(_, text)| text.as_str()).collect();
    let stream = printed(&["crds"]);
    assert_eq!(stream.matches("---\n").count(), written.len());
    assert_eq!(stream.replace("---\n", "").len(), all.len());
}

#[test]
fn a_good_file_is_good_and_its_warnings_are_named() {
    let (code, text) =
        check("[neutron_defaults]\npod_subnt = 5\n[kubernetes]\npod_subnets_driver = namespace\n");
    assert_eq!(code, Some(0));
    let warnings = "warning: kuryr.conf:4: [kubernetes] pod_subnets_driver = namespace has no effect yet (a subnet for each namespace)\n\
                    warning: kuryr.conf:2: [neutron_defaults] pod_subnt is not a known option and is ignored; \
                    did you mean pod_subnet?\n";
    assert_eq!(text, format!("read kuryr.conf\n{warnings}good, 2 warnings\n"));
}

#[test]
fn every_fault_of_a_bad_file_is_named() {
    let (code, text) = check("[health_server]\nport = 70000\n[neutron]\npassword = $nowhere\n");
    assert_eq!(code, Some(2));
    let port = "error: kuryr.conf:2: [health_server] port = \"70000\": \
                only a whole number from 0 to 65535 is allowed here\n";
    let password = "error: kuryr.conf:4: [neutron] password: ${nowhere} names no option; write $$ for a plain dollar sign\n";
    assert!(text.contains(port) && text.contains(password) && text.ends_with("bad, 2 errors\n"), "{text}");
}

#[test]
fn the_sample_is_a_good_file() {
    let (code, text) = check(&printed(&["config", "sample"]));
    assert_eq!((code, text.as_str()), (Some(0), "read kuryr.conf\ngood, no warnings\n"));
}

/// Name and text of each file of a directory, sorted.
fn files(dir: &Path) -> Vec<(String, String)> {
    let entries = fs::read_dir(dir).expect("a directory of generated files");
    let mut files: Vec<_> = entries
        .map(|entry| {
            let entry = entry.expect("an entry");
            let text = fs::read_to_string(entry.path()).expect("a text");
            (entry.file_name().into_string().expect("UTF-8"), text)
        })
        .collect();
    files.sort();
    files
}
