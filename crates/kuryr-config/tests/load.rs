//! What a program gets from a configuration: values, and everything that is wrong or without an effect, once each.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use kuryr_config::{Config, ConfigError, Loaded, Sources, load, options};

/// Loads files called 0.conf, 1.conf, ... with these environment variables.
fn read(texts: &[&str], env: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let dir = tempfile::tempdir().expect("a directory");
    let write = |(number, text): (usize, &&str)| {
        let path = dir.path().join(format!("{number}.conf"));
        fs::write(&path, text).expect("written");
        path
    };
    let files = texts.iter().enumerate().map(write).collect();
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    load(&Sources { files, env, ..Sources::default() })
}

fn config(text: &str) -> Config {
    read(&[text], &[]).expect("a good configuration").config
}

/// The faults, one a line, without the directory.
fn faults(texts: &[&str]) -> Vec<String> {
    let error = read(texts, &[]).expect_err("a bad configuration");
    error.problems.iter().map(|problem| short(&problem.to_string())).collect()
}

fn warnings(text: &str) -> Vec<String> {
    let loaded = read(&[text], &[]).expect("a good configuration");
    loaded.warnings.iter().map(|warning| short(&warning.to_string())).collect()
}

fn short(message: &str) -> String {
    message.split_once("0.conf").map_or_else(|| message.to_owned(), |(_, rest)| format!("0.conf{rest}"))
}

#[test]
fn defaults_are_those_of_the_table() {
    let config = Config::default();
    assert_eq!(config.kubernetes.api_root, "https://localhost:6443");
    assert!(config.kubernetes.ssl_verify_server_crt);
    assert_eq!(
        config.kubernetes.token_file.as_deref(),
        Some(Path::new("/var/run/secrets/kubernetes.io/serviceaccount/token"))
    );
    assert_eq!(config.cni_daemon.bind_address, None);
    assert_eq!(config.cni_daemon.socket_path, Path::new("/var/run/kuryr/kuryr-cni.sock"));
    assert_eq!(config.cni_daemon.vif_annotation_timeout, Duration::from_mins(1));
    assert_eq!(config.health_server.port, 8082);
    assert_eq!(config.prometheus_exporter.cni_exporter_port, 9655);
    assert_eq!(config.neutron_defaults.pod_subnets, Vec::<String>::new());
    assert_eq!(config.vif_plug_ovs.ovsdb_connection, "unix:/var/run/openvswitch/db.sock");
}

#[test]
fn every_default_is_of_its_options_type() {
    for (group, opt) in options::schema().options() {
        let text = match opt.default {
            kuryr_config::option::Preset::Unset => continue,
            kuryr_config::option::Preset::Text(text) | kuryr_config::option::Preset::Env(_, text) => text,
        };
        assert!(opt.kind.parse(text).is_ok(), "[{group}] {} = {text}", opt.name);
    }
}

#[test]
fn an_empty_value_is_none_for_text_and_the_default_for_a_number() {
    let config =
        config("[kubernetes]\ntoken_file =\napi_root =\n[health_server]\nport =\n[neutron]\ntimeout =\n");
    assert_eq!(config.kubernetes.token_file, None);
    assert_eq!(config.kubernetes.api_root, "");
    assert_eq!(config.health_server.port, 8082);
    assert_eq!(config.neutron.timeout, None);
}

#[test]
fn the_log_is_where_oslo_log_would_put_it() {
    let paths = [("", None), ("log_file = f", Some("f")), ("log_dir = /d", Some("/d/kuryr.log"))];
    let both = [("log_file = f\nlog_dir = /d", Some("/d/f")), ("log_file = /f\nlog_dir = /d", Some("/f"))];
    for (text, path) in paths.into_iter().chain(both) {
        let config = config(&format!("[DEFAULT]\n{text}\n"));
        assert_eq!(config.default.log_path("kuryr").as_deref(), path.map(Path::new), "{text}");
    }
}

#[test]
fn later_files_and_the_environment_win() {
    let texts = [
        "[neutron]\npassword = a\nusername = u\n",
        "[NEUTRON]\npassword = b\n[neutron_defaults]\nproject = p\n",
    ];
    let env = [("OS_NEUTRON_DEFAULTS__PROJECT", "q"), ("K8S_API", "https://api"), ("OS_CLOUD", "x")];
    let loaded = read(&texts, &env).expect("good");
    let password = loaded.config.neutron.password.expect("a password");
    assert_eq!(password.expose(), "b");
    assert_eq!(loaded.config.neutron.username.as_deref(), Some("u"));
    assert_eq!(loaded.config.neutron_defaults.project.as_deref(), Some("q"));
    assert_eq!(loaded.config.kubernetes.api_root, "https://api");
    assert_eq!((loaded.warnings.len(), loaded.files_read.len()), (0, 2));
}

#[test]
fn the_command_line_wins_over_everything() {
    let env = BTreeMap::from([("OS_DEFAULT__DEBUG".to_owned(), "no".to_owned())]);
    let sources = Sources { env, ..Sources::default() }.with_override("DEFAULT", "debug", "true");
    assert!(load(&sources).expect("good").config.default.debug);
}

#[test]
fn all_faults_are_told_at_once_and_no_secret_is() {
    let text = "[kubernetes]\nuse_events = perhaps\npod_vif_driver = pigeon\n[neutron]\npassword = $x\ntimeout = -1\n\
                [octavia_defaults]\nenforce_sg_rules = 7\n[neutron_defaults]\nnetwork_device_mtu = 1\n 2\n";
    let found = faults(&[text]);
    let expected = [
        "0.conf:2: [kubernetes] use_events = \"perhaps\": only true, yes, on, 1, false, no, off or 0 is allowed here",
        "0.conf:3: [kubernetes] pod_vif_driver = \"pigeon\": only neutron-vif or nested-vlan or nested-macvlan or nested-ipvlan or nested-dpdk or sriov is allowed here",
        "0.conf:5: [neutron] password: ${x} names no option; write $$ for a plain dollar sign",
        "0.conf:6: [neutron] timeout = \"-1\": only a number, 0 or more is allowed here",
        "0.conf:10: [neutron_defaults] network_device_mtu = \"1\\n2\": only a whole number from 0 to 4294967295 is allowed here",
        "0.conf:8: [octavia_defaults] enforce_sg_rules = \"7\": only true, yes, on, 1, false, no, off or 0 is allowed here",
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_file_that_cannot_be_read_hides_no_other_fault() {
    let found = faults(&["[neutron\n", "[health_server]\nport = x\n"]);
    assert_eq!(found[0], "0.conf: line 1: a section must end with ']'");
    assert!(
        found[1]
            .ends_with("[health_server] port = \"x\": only a whole number from 0 to 65535 is allowed here")
    );
    assert_eq!(found.len(), 2);
    let missing = load(&Sources { files: vec!["/nonexistent/kuryr.conf".into()], ..Sources::default() });
    let message = missing.expect_err("no file").to_string();
    assert!(message.starts_with("cannot read /nonexistent/kuryr.conf: "), "{message}");
}

#[test]
fn a_number_that_fits_its_type_but_not_a_duration_is_a_fault() {
    let found = faults(&["[neutron]\ntimeout = inf\n"]);
    assert_eq!(found, ["0.conf:2: [neutron] timeout = \"inf\": only a number, 0 or more is allowed here"]);
}

#[test]
fn unknown_names_are_told_once_each_with_the_nearest() {
    let text = "[kubernets]\na = 1\nb = 2\n[kubernetes]\napi_rot = x\napi_rot = y\n[kubernets]\n[other]\n";
    let expected = [
        "0.conf:1: [kubernets] is not a known group and is ignored; did you mean [kubernetes]?",
        "0.conf:8: [other] is not a known group and is ignored",
        "0.conf:5: [kubernetes] api_rot is not a known option and is ignored; did you mean api_root?",
    ];
    assert_eq!(warnings(text), expected);
}

#[test]
fn a_variable_of_a_known_group_with_an_unknown_option_is_told() {
    let env = [
        ("OS_NEUTRON__PASWORD", "x"),
        ("OS_AUTH_URL", "y"),
        ("OS_OTHER__THING", "z"),
        ("OS_NEUTRON__REGION_NAME", "r"),
    ];
    let loaded = read(&[""], &env).expect("good");
    let told: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
    let expected = "environment variable OS_NEUTRON__PASWORD: [neutron] pasword is not a known option and is ignored; \
                    did you mean password?";
    assert_eq!(told, [expected]);
}

#[test]
fn what_has_no_effect_is_told_only_when_it_is_set() {
    let text = "[cni_daemon]\nworker_num = not even a number\n[kubernetes]\npod_subnets_driver = namespace\n\
                vif_pool_driver = noop\n[binding]\ndriver = kuryr.lib.binding.drivers.vlan\n";
    let expected = [
        "0.conf:4: [kubernetes] pod_subnets_driver = namespace has no effect yet (a subnet for each namespace)",
        "0.conf:2: [cni_daemon] worker_num has no effect any more: any number of requests is served at once, without a process each",
        "0.conf:7: [binding] driver is now called [binding] default_driver",
        "0.conf:7: [binding] default_driver has no effect any more: the KuryrPort of a pod says how it is plugged",
    ];
    assert_eq!(warnings(text), expected);
}

#[test]
fn a_value_that_nobody_knows_is_a_fault() {
    let found = faults(&["[kubernetes]\nmulti_vif_drivers = noop,sriov\n"]);
    let expected = "0.conf:2: [kubernetes] multi_vif_drivers = \"noop,sriov\": only noop or npwg_multiple_interfaces is allowed here";
    assert_eq!(found, [expected]);
}

#[test]
fn auth_section_moves_authentication_and_nothing_else() {
    let text = "[neutron]\nauth_section = keystone\nusername = not this\nregion_name = r\n\
                [Keystone]\nauth_url = http://k\nuser-name = u\nregion_name = not this\n";
    let loaded = read(&[text], &[]).expect("good");
    let neutron = &loaded.config.neutron;
    let found = [&neutron.auth_url, &neutron.username, &neutron.region_name].map(Option::as_deref);
    assert_eq!(found, [Some("http://k"), Some("u"), Some("r")]);
    let told: Vec<_> = loaded.warnings.iter().map(|warning| short(&warning.to_string())).collect();
    assert_eq!(told, ["0.conf:7: [keystone] user-name is now called [keystone] username"]);
}

#[test]
fn the_file_of_kuryr_kubernetes_own_generator_is_good() {
    let text = "[DEFAULT]\ndebug = true\n[kubernetes]\napi_root = https://127.0.0.1:6443\n\
                token_file = /var/run/secrets/kubernetes.io/serviceaccount/token\n\
                ssl_ca_crt_file = /var/run/secrets/kubernetes.io/serviceaccount/ca.crt\n\
                [neutron]\nsigning_dir = /var/cache/kuryr\nproject_domain_name = Default\nproject_id = p\nuser_domain_name = Default\n\
                username = admin\npassword = password\nauth_url = http://127.0.0.1/identity\nauth_type = password\n\
                [neutron_defaults]\novs_bridge = br-int\nservice_subnet = s\npod_security_groups = a,b\npod_subnet = n\nproject = q\n\
                [cni_daemon]\ndocker_mode = true\nnetns_proc_dir = /host_proc\n\
                [vif_plug_ovs_privileged]\nhelper_command = privsep-helper\n\
                [vif_plug_linux_bridge_privileged]\nhelper_command = privsep-helper\n";
    let loaded = read(&[text], &[]).expect("good");
    let told: Vec<_> = loaded.warnings.iter().map(|warning| warning.group.as_str()).collect();
    assert_eq!(told, ["neutron", "vif_plug_ovs_privileged", "vif_plug_linux_bridge_privileged"]);
    assert_eq!(loaded.config.neutron_defaults.pod_security_groups, ["a", "b"]);
    assert!(!format!("{:?}", loaded.config).contains("password: Some(Secret"), "a secret hides itself");
    assert!(format!("{:?}", loaded.config).contains("password: Some(***)"));
}
