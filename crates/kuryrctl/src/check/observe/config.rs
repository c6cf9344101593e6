//! kuryr.conf, as the programs read it.

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

use kuryr_config::{Config, Layers, Loaded, Sources, Warning, What, options::schema};
use kuryr_controller::driver;
use kuryr_k8s::Access;

use crate::check::{
    facts::{self, Balancer, PoolSizes, Ports, Settings},
    finding::Gap,
};

/// Where a pod finds its account. Files there are nobody's fault outside of pods.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The configuration, if it can be read.
pub(in crate::check) struct Read {
    loaded: Result<(Config, Box<Settings>), Vec<String>>,
}

impl Read {
    pub(in crate::check) fn new(sources: &Sources) -> Self {
        let loaded = match kuryr_config::load(sources) {
            Ok(loaded) => Ok((loaded.config.clone(), Box::new(settings(&loaded, sources)))),
            Err(error) => Err(error.problems.iter().map(ToString::to_string).collect()),
        };
        Self { loaded }
    }

    pub(super) fn config(&self) -> Result<&Config, Gap> {
        self.both().map(|(config, _)| config)
    }

    pub(super) fn settings(&self) -> Result<&Settings, Gap> {
        self.both().map(|(_, settings)| &**settings)
    }

    fn both(&self) -> Result<&(Config, Box<Settings>), Gap> {
        self.loaded.as_ref().map_err(|_| Gap::unknown("the configuration can't be read"))
    }

    pub(in crate::check) fn into_facts(self) -> facts::Config {
        match self.loaded {
            Ok((_, settings)) => facts::Config::Read(settings),
            Err(problems) => facts::Config::Unreadable(problems),
        }
    }
}

fn settings(loaded: &Loaded, sources: &Sources) -> Settings {
    let Config {
        neutron_defaults,
        octavia_defaults,
        kubernetes,
        health_server,
        cni_health_server,
        prometheus_exporter,
        pod_vif_nested,
        ..
    } = &loaded.config;
    let written = Written(Layers::read(sources).0);
    let (neutron, octavia) = (neutron_defaults, octavia_defaults);
    Settings {
        files: loaded.files_read.len(),
        ignored: loaded.warnings.iter().filter(|warning| is_slip(warning)).map(ToString::to_string).collect(),
        unreadable: unreadable(&loaded.config),
        project: neutron_defaults.project.clone(),
        pod_subnets: one_or_all(neutron.pod_subnet.as_ref(), &neutron.pod_subnets),
        security_groups: neutron_defaults.pod_security_groups.clone(),
        service_subnets: one_or_all(neutron.service_subnet.as_ref(), &neutron.service_subnets),
        external_network: neutron.external_svc_net.clone().filter(|id| !id.is_empty()),
        mtu: neutron_defaults.network_device_mtu,
        enforces_policies: kubernetes.pod_security_groups_driver == "policy",
        pool: pool(&loaded.config),
        impossible_pools: driver::impossible_pools(&loaded.config),
        balancer: Balancer {
            provider: kubernetes.endpoints_driver_octavia_provider.clone(),
            algorithm: octavia.lb_algorithm.clone(),
            algorithm_is_set: written.is_set("octavia_defaults", "lb_algorithm"),
            enforce_rules: octavia.enforce_sg_rules,
        },
        ports: Ports {
            controller_health: health_server.port,
            controller_metrics: prometheus_exporter.controller_exporter_port,
            daemon_health: cni_health_server.port,
            daemon_metrics: prometheus_exporter.cni_exporter_port,
        },
        pod_vif_driver: kubernetes.pod_vif_driver.clone(),
        worker_subnets: pod_vif_nested.worker_nodes_subnets.clone(),
        bridge: neutron_defaults.ovs_bridge.clone().unwrap_or_else(|| "br-int".to_owned()),
        ovsdb: loaded.config.vif_plug_ovs.ovsdb_connection.clone(),
    }
}

/// What an option that holds one and an option that holds several say together.
fn one_or_all(one: Option<&String>, all: &[String]) -> Vec<String> {
    let one = one.filter(|id| all.is_empty() && !id.is_empty());
    all.iter().chain(one).cloned().collect()
}

/// Only what its writer can correct: `kuryrctl config check` tells what has no effect, or none yet.
fn is_slip(warning: &Warning) -> bool {
    matches!(warning.what, What::UnknownGroup { .. } | What::UnknownOption { .. } | What::Renamed { .. })
}

fn unreadable(config: &Config) -> Vec<(&'static str, PathBuf, String)> {
    let kubernetes = &config.kubernetes;
    let files = [
        ("ssl_ca_crt_file", &kubernetes.ssl_ca_crt_file),
        ("token_file", &kubernetes.token_file),
        ("ssl_client_crt_file", &kubernetes.ssl_client_crt_file),
        ("ssl_client_key_file", &kubernetes.ssl_client_key_file),
    ];
    let named = files.into_iter().filter_map(|(option, path)| Some((option, path.as_deref()?)));
    let outside = named.filter(|(_, path)| !path.as_os_str().is_empty() && !path.starts_with(ACCOUNT));
    outside.filter_map(|(option, path)| Some((option, path.to_owned(), unreadable_file(path)?))).collect()
}

fn unreadable_file(path: &Path) -> Option<String> {
    File::open(path).err().map(|error| error.to_string())
}

/// Whether the API server knows its caller by the account of the pod that it runs in: elsewhere than in the controller's own pod
/// that is somebody else.
pub(super) fn by_account(config: &Config) -> bool {
    config.kubernetes.token_file.as_ref().is_some_and(|path| path.starts_with(ACCOUNT))
}

/// How the controller reaches the API server.
pub(super) fn access(config: &Config) -> Access {
    let options = &config.kubernetes;
    Access {
        api_root: options.api_root.clone(),
        token_file: options.token_file.clone(),
        client_certificate: options.ssl_client_crt_file.clone(),
        client_key: options.ssl_client_key_file.clone(),
        ca_file: options.ssl_ca_crt_file.clone(),
        insecure: !options.ssl_verify_server_crt,
        connect_timeout: Some(Duration::from_secs(5)),
    }
}

/// What was written, whatever came of it.
struct Written(Layers);

impl Written {
    fn is_set(&self, group: &str, name: &str) -> bool {
        schema().option(group, name).is_some_and(|option| self.0.is_set(group, option))
    }
}

fn pool(config: &Config) -> PoolSizes {
    let pool = &config.vif_pool;
    PoolSizes {
        are_kept: config.kubernetes.vif_pool_driver != "noop"
            || pool.mapping().values().any(|kind| *kind != "noop"),
        max: pool.ports_pool_max.into(),
        min: pool.ports_pool_min.into(),
        batch: pool.ports_pool_batch.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read(text: &str) -> Read {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kuryr.conf");
        fs::write(&file, text).unwrap();
        Read::new(&Sources { files: vec![file], ..Sources::default() })
    }

    #[test]
    fn options_are_read_whether_they_have_an_effect_or_not() {
        let read = read(
            "[neutron_defaults]\nservice_subnet = s\npod_subnet = p\n[octavia_defaults]\nlb_algorithm = SOURCE_IP_PORT\n\
             enforce_sg_rules = false\n[vif_pool]\nports_pool_min = 7\n",
        );
        let settings = read.settings().unwrap();
        assert_eq!(settings.service_subnets, ["s"]);
        assert_eq!(settings.pod_subnets, ["p"]);
        assert_eq!((settings.pool.max, settings.pool.min, settings.pool.batch), (0, 7, 10));
        let Balancer { provider, algorithm, algorithm_is_set, enforce_rules } = &settings.balancer;
        assert!(algorithm_is_set);
        assert_eq!(
            (provider.as_str(), algorithm.as_str(), enforce_rules),
            ("default", "SOURCE_IP_PORT", &false)
        );
        assert_eq!((settings.ports.controller_health, settings.ports.daemon_metrics), (8082, 9655));
    }

    #[test]
    fn several_subnets_go_before_one_and_a_default_is_nobodys_choice() {
        let read =
            read("[neutron_defaults]\nservice_subnet = s\nservice_subnets = a,b\nexternal_svc_net = x\n");
        let settings = read.settings().unwrap();
        assert_eq!(settings.service_subnets, ["a", "b"]);
        assert_eq!(settings.external_network.as_deref(), Some("x"));
        assert!(!settings.balancer.algorithm_is_set && settings.balancer.algorithm == "ROUND_ROBIN");
    }

    #[test]
    fn slips_are_told_and_features_to_come_are_not() {
        let read = read("[neutron_defaults]\nservice_subnet = s\npod_subnt = p\n");
        let [slip] = read.settings().unwrap().ignored.as_slice() else { panic!("one slip") };
        assert!(slip.contains("did you mean pod_subnet?"), "{slip}");
    }

    #[test]
    fn files_that_only_a_pod_has_are_nobodys_fault() {
        let read = read("[kubernetes]\nssl_ca_crt_file = /nowhere/ca.crt\n");
        let named: Vec<_> =
            read.settings().unwrap().unreadable.iter().map(|(option, _, _)| *option).collect();
        assert_eq!(named, ["ssl_ca_crt_file"], "and not the token of the default");
    }

    #[test]
    fn a_pods_account_is_not_the_controllers() {
        assert!(by_account(read("").config().unwrap()));
        let certificate = "[kubernetes]\ntoken_file =\nssl_client_crt_file = /etc/kuryr/client.crt\n";
        assert!(!by_account(read(certificate).config().unwrap()));
    }

    #[test]
    fn all_that_is_wrong_is_told() {
        let facts = read("[kubernetes]\nuse_events = perhaps\n[health_server]\nport = 99999\n").into_facts();
        let facts::Config::Unreadable(problems) = facts else { panic!("it is unreadable") };
        assert_eq!(problems.len(), 2);
    }
}
