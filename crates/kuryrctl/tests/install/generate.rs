//! What `kuryrctl generate` and the script over it write: whole files against those in `definitions`, and bad input.
//!
//! After a change that is meant, `KURYR_UPDATE=1 cargo test -p kuryrctl --test install` writes the files anew.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::support::{self, Run, documents, expect_files, input, script};

/// What containerized.rst shows.
const DOCUMENTED: (&str, &str) = ("KURYR_K8S_API_ROOT", "192.168.0.1:6443");

#[test]
fn the_documents_example_writes_its_six_files() {
    let run = Run::script(&[], &[DOCUMENTED]).good();
    run.expect_definitions("document");
    assert_eq!(run.conf().kubernetes.api_root, "https://192.168.0.1:6443");
}

#[test]
fn every_variable_of_the_document_and_of_the_later_script_arrives() {
    let set = [
        ("KURYR_K8S_API_ROOT", "in-cluster"),
        ("KURYR_K8S_AUTH_URL", "https://cloud.example:5000/v3"),
        ("KURYR_K8S_USERNAME", "kuryr"),
        ("KURYR_K8S_PASSWORD", " \"pa$$word"),
        ("KURYR_K8S_USER_DOMAIN_NAME", "Users"),
        ("KURYR_K8S_KURYR_PROJECT_ID", "project-of-login"),
        ("KURYR_K8S_PROJECT_DOMAIN_NAME", "Projects"),
        ("KURYR_K8S_PROJECT_ID", "project-of-pods"),
        ("KURYR_K8S_POD_SUBNET_ID", "subnet-4,subnet-6"),
        ("KURYR_K8S_POD_SG", "group-1,group-2"),
        ("KURYR_K8S_SERVICE_SUBNET_ID", "subnet-of-services"),
        ("KURYR_K8S_WORKER_NODES_SUBNETS", "subnet-of-nodes"),
        ("KURYR_K8S_BINDING_IFACE", "ens3"),
        ("KURYR_NEUTRON_DEFAULT_SUBNETPOOL_ID", "pool"),
        ("KURYR_USE_PORTS_POOLS", "True"),
        ("KURYR_HEALTH_SERVER_PORT", "18082"),
        ("KURYR_CNI_HEALTH_SERVER_PORT", "18090"),
        ("KURYR_CONTROLLER_HA", "True"),
        ("KURYR_CONTROLLER_HA_PORT", "16401"),
        ("CA_CERTIFICATE_PATH", &input("ca.pem")),
        ("VAR_RUN_PATH", "/run"),
        ("CONTAINER_ENGINE", "crio"),
        ("CNI_PLUGIN_DIR", "/usr/libexec/cni"),
        ("CNI_CONF_DIR", "/etc/cni/multus.d"),
    ];
    let run = Run::script(&[], &set).good();
    run.expect_definitions("variables");
    let conf = run.conf();
    assert_eq!(
        conf.neutron.password.map(|password| password.expose().to_owned()).as_deref(),
        Some(" \"pa$$word")
    );
    assert_eq!(conf.neutron_defaults.pod_subnets, ["subnet-4", "subnet-6"]);
    assert!(run.said.contains("KURYR_CONTROLLER_HA_PORT"), "{}", run.said);
}

#[test]
fn files_of_the_users_own_are_split_and_kept() {
    let files = [input("kuryr.conf"), input("kuryr-cni.conf"), input("ca.pem")];
    let run = Run::script(&files, &[("KURYR_CONTROLLER_REPLICAS", "3")]).good();
    run.expect_definitions("files");
    assert!(!run.folder().join("kuryr.conf").exists(), "a file that was given is not written again");
    for secret in ["pass $$word", "an older one", "hidden", "for nobody here", "username: kuryr"] {
        for file in ["config_map.yml", "controller_deployment.yml", "cni_ds.yml"] {
            assert!(!run.file(file).contains(secret), "{secret} is in {file}");
        }
    }
    assert!(run.said.contains("[neutron] password"), "what was moved is told: {}", run.said);
}

#[test]
fn the_later_form_with_three_arguments_is_told_apart() {
    let four = Run::script(&[input("kuryr.conf"), String::new(), input("ca.pem")], &[]).good();
    let three = Run::script(&[input("kuryr.conf"), input("ca.pem")], &[]).good();
    for file in expect_files() {
        assert_eq!(four.file(file), three.file(file), "{file}");
    }
    let mixed_up = Run::script(&[input("kuryr.conf"), input("ca.pem"), input("kuryr-cni.conf")], &[]).bad();
    assert!(mixed_up.contains("nothing may follow it"), "{mixed_up}");
}

#[test]
fn both_names_of_the_workers_subnets_mean_the_same() {
    let written = |name| Run::flags(&[], &[(name, "nodes"), DOCUMENTED]).good().printed;
    let plural = written("KURYR_K8S_WORKER_NODES_SUBNETS");
    assert!(plural.contains("worker_nodes_subnets = nodes"));
    assert_eq!(plural, written("KURYR_K8S_WORKER_NODES_SUBNET"));
}

#[test]
fn without_a_folder_one_stream_holds_the_same_documents() {
    let stream = Run::flags(&[], &[DOCUMENTED]).good().printed;
    let run = Run::script(&[], &[DOCUMENTED]).good();
    let files: String = expect_files().into_iter().map(|file| run.file(file)).collect();
    assert_eq!(stream, files);
}

#[test]
fn the_definitions_of_custom_resources_travel_with_them() {
    let crds = Run::kuryrctl(&["crds"], &[]).good().printed;
    let stream = Run::flags(&[], &[]).good().printed;
    for crd in documents(&crds) {
        assert!(stream.contains(&crd), "{crd}");
    }
}

#[test]
fn a_certificate_that_cannot_be_read_leaves_an_empty_secret_and_a_warning() {
    for ca in [input("no-such-file.pem"), input("kuryr.conf")] {
        let run = Run::flags(&["--ca-certificate", &ca], &[]).good();
        assert!(run.said.contains("warning: ") && run.said.contains(&ca), "{}", run.said);
        assert!(
            run.printed.contains("kuryr-ca-bundle.crt: ''")
                || run.printed.contains("kuryr-ca-bundle.crt: \"\"")
        );
    }
}

#[test]
fn what_is_wrong_with_a_configuration_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let conf = folder.path().join("kuryr.conf");
    let path = conf.display().to_string();
    let missing = Run::flags(&["--controller-conf", &path], &[]).bad();
    assert!(missing.contains(&format!("cannot read {path}")), "{missing}");
    for (text, why) in [
        ("[neutron\n", "line 1: a section must end with ']'"),
        ("[health_server]\nport = many\n", "[health_server] port = \"many\""),
    ] {
        fs::write(&conf, text).unwrap();
        let said = Run::flags(&["--controller-conf", &path], &[]).bad();
        assert!(said.contains(why) && said.contains(&path), "{said}");
    }
}

#[test]
fn folders_of_pods_without_links_are_mounted_where_the_configuration_names_them() {
    let folder = tempfile::tempdir().unwrap();
    let conf = folder.path().join("kuryr.conf").display().to_string();
    let generated = |text: &str| {
        fs::write(&conf, text).unwrap();
        Run::flags(&["--controller-conf", &conf], &[]).good().printed
    };
    for (text, path) in
        [("[nested_dpdk]\n", "/var/pci_address"), ("[vhostuser]\nmount_point = /srv/vhost\n", "/srv/vhost")]
    {
        let printed = generated(text);
        assert!(printed.contains(&format!("mountPath: {path}")), "{printed}");
        assert!(printed.contains(&format!("path: {path}")), "{printed}");
    }
    // What is below a folder that is mounted has to stay on that mount.
    for text in ["[vhostuser]\nmount_point = /var/run/openvswitch/pods\n", "[kubernetes]\n"] {
        assert!(!generated(text).contains("pods-0"), "{text}");
    }
}

#[test]
fn what_the_controller_will_miss_is_told() {
    let said = Run::flags(&[], &[DOCUMENTED]).good().said;
    for option in ["pod_subnet", "pod_security_groups"] {
        assert!(said.contains(&format!("[neutron_defaults] {option} is not set")), "{said}");
    }
    let complete = [("KURYR_K8S_POD_SUBNET_ID", "subnet"), ("KURYR_K8S_POD_SG", "group"), DOCUMENTED];
    assert_eq!(Run::flags(&[], &complete).good().said, "");
    let folder = tempfile::tempdir().unwrap();
    let conf = folder.path().join("kuryr.conf").display().to_string();
    fs::write(&conf, "[neutron]\nauth_url = http://keystone\n").unwrap();
    let said = Run::flags(&["--controller-conf", &conf], &[]).good().said;
    assert!(said.contains("[neutron]") && said.contains("username is not set"), "{said}");
}

#[test]
fn the_daemon_sees_the_kubelets_socket_where_it_is_to_ask_there() {
    let folder = tempfile::tempdir().unwrap();
    let conf = folder.path().join("kuryr.conf");
    for (asks, mounts) in [("true", 2), ("false", 0)] {
        let text =
            format!("[sriov]\nkubelet_root_dir = /data/kubelet\nenable_pod_resource_service = {asks}\n");
        fs::write(&conf, text).unwrap();
        let run = Run::flags(&["--controller-conf", conf.to_str().unwrap()], &[]).good();
        let found = run.printed.matches("/data/kubelet/pod-resources").count();
        assert_eq!(found, mounts, "{asks}: {}", run.printed);
    }
}

#[test]
fn the_login_is_for_its_owners_eyes_only() {
    let run = Run::script(&[], &[DOCUMENTED]).good();
    for (file, mode) in [("certificates_secret.yml", 0o600), ("kuryr.conf", 0o600), ("config_map.yml", 0o644)]
    {
        let found = fs::metadata(run.folder().join(file)).unwrap().permissions().mode();
        assert_eq!(found & 0o777, mode, "{file}");
    }
}

#[test]
fn bad_options_are_refused() {
    for (name, value, why) in [
        ("KURYR_CONTROLLER_HA", "maybe", "True or False"),
        ("KURYR_CONTROLLER_REPLICAS", "0", "0 is not in"),
        ("CONTAINER_ENGINE", "rkt", "possible values"),
    ] {
        let said = Run::flags(&[], &[(name, value)]).bad();
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn an_empty_binding_driver_leaves_out_what_belongs_to_pods_on_vms() {
    let run = Run::script(&[], &[("KURYR_K8S_BINDING_DRIVER", ""), ("KURYR_K8S_AUTH_URL", "")]).good();
    let conf = fs::read_to_string(run.folder().join("kuryr.conf")).unwrap();
    assert!(!conf.contains("[binding]") && !conf.contains("[pod_vif_nested]"), "{conf}");
    assert!(
        conf.contains("auth_url = http://127.0.0.1/identity"),
        "an empty variable is one that is not set: {conf}"
    );
}

#[test]
fn a_ca_is_used_by_a_configuration_that_does_not_name_it() {
    let run = Run::script(&[input("kuryr.conf"), input("ca.pem")], &[]).good();
    assert!(run.file("certificates_secret.yml").contains("cafile = /etc/ssl/certs/kuryr-ca-bundle.crt"));
}

#[test]
fn a_pod_starts_again_when_what_it_reads_changes() {
    let sums = |password| {
        let run = Run::script(&[], &[("KURYR_K8S_PASSWORD", password), DOCUMENTED]).good();
        ["controller_deployment.yml", "cni_ds.yml"].map(|file| {
            let text = run.file(file);
            text.lines().find(|line| line.contains("checksum/config")).map(str::to_owned)
        })
    };
    let ([controller, daemon], [other_controller, other_daemon]) = (sums("one"), sums("two"));
    assert!(controller.is_some() && controller != other_controller);
    assert!(daemon.is_some() && daemon == other_daemon, "daemons do not read it");
}

#[test]
fn the_lab_gives_the_same_rights() {
    let lab = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/lab/rbac.yaml")).unwrap();
    let ours = Run::flags(&[], &[]).good().printed;
    for (lab_name, our_name) in
        [("lab-kuryr-controller", "kuryr-controller"), ("lab-kuryr-daemon", "kuryr-cni")]
    {
        for kind in ["ClusterRole", "Role"] {
            assert_eq!(
                support::rules(&lab, kind, lab_name),
                support::rules(&ours, kind, our_name),
                "{kind} {our_name}"
            );
        }
    }
}

#[test]
fn the_script_explains_itself() {
    let said = script(&[], &[]).bad();
    assert!(said.contains("<output_dir> [<controller_conf_path>]"), "{said}");
}
