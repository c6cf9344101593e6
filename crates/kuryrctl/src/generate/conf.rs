//! The kuryr.conf that is made when none is given: what the Python Kuryr's script wrote, from the same variables.

use super::{options::Settings, secrets::CA_FILE};

/// Right where every node runs an API server, as on a cluster of one node. The script's default.
pub(crate) const API_ROOT: &str = "https://127.0.0.1:6443";
/// Stands for the Service of the cluster itself.
const IN_CLUSTER: &str = "in-cluster";
/// Stands for no driver.
const NO_DRIVER: &str = "none";

/// What is not in `Settings` and yet decides what is written.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Facts {
    pub(crate) has_ca: bool,
    /// The daemon's container sees the node's processes.
    pub(crate) has_proc: bool,
    pub(crate) health_port: Option<u16>,
    pub(crate) cni_health_port: Option<u16>,
}

/// The text of the file, credentials and all.
pub(crate) fn text(settings: &Settings, facts: Facts) -> String {
    let mut conf = Conf::default();
    conf.group("DEFAULT").comment("Log each request too.").set("debug", "false");
    kubernetes(&mut conf, settings);
    neutron(&mut conf, settings, facts);
    neutron_defaults(&mut conf, settings);
    namespaces(&mut conf, settings);
    nested(&mut conf, settings);
    servers(&mut conf, facts);
    daemon(&mut conf, facts);
    conf.0
}

fn kubernetes(conf: &mut Conf, settings: &Settings) {
    conf.group("kubernetes")
        .set("api_root", &api_root(&settings.api_root))
        .set("token_file", "/var/run/secrets/kubernetes.io/serviceaccount/token")
        .set("ssl_ca_crt_file", "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt")
        .comment("Network policies are enforced. With default they are not.")
        .set("pod_security_groups_driver", "policy");
    if has_driver(settings) && !workers(settings).is_empty() {
        conf.comment("The nodes are VMs of the same OpenStack, with trunks. Others have the label pod_vif=neutron-vif.")
            .set("pod_vif_driver", "nested-vlan");
    }
}

fn neutron(conf: &mut Conf, settings: &Settings, facts: Facts) {
    conf.group("neutron").set("auth_type", "password").set("auth_url", &settings.auth_url);
    conf.set("username", &settings.username)
        .set("password", &quoted(&settings.password))
        .set("user_domain_name", &settings.user_domain_name)
        .comment("The project that Kuryr logs in to.")
        .set("project_id", &settings.kuryr_project_id)
        .set("project_domain_name", &settings.project_domain_name);
    if facts.has_ca {
        conf.set("cafile", CA_FILE);
    }
}

fn neutron_defaults(conf: &mut Conf, settings: &Settings) {
    conf.group("neutron_defaults")
        .comment("Needed: the project, subnets and security groups of pods' ports, by their ids.")
        .set("project", &settings.project_id);
    let option = if settings.pod_subnet_id.contains(',') { "pod_subnets" } else { "pod_subnet" };
    conf.set(option, &settings.pod_subnet_id)
        .set("pod_security_groups", &settings.pod_sg)
        .comment("The subnet of Services.")
        .set("service_subnet", &settings.service_subnet_id);
    if !settings.external_svc_net_id.is_empty() {
        conf.comment("The network that Services of type LoadBalancer get their floating IPs from.")
            .set("external_svc_net", &settings.external_svc_net_id);
    }
    conf.set("ovs_bridge", "br-int");
}

fn namespaces(conf: &mut Conf, settings: &Settings) {
    if !settings.pod_subnet_pool_id.is_empty() {
        conf.group("namespace_subnet").set("pod_subnet_pool", &settings.pod_subnet_pool_id);
    }
}

fn nested(conf: &mut Conf, settings: &Settings) {
    if !has_driver(settings) {
        return;
    }
    conf.group("pod_vif_nested")
        .comment("For nodes that are VMs of the same OpenStack: the subnets of the nodes.")
        .set("worker_nodes_subnets", workers(settings));
    conf.group("binding").set("driver", &settings.binding_driver).set("link_iface", &settings.binding_iface);
}

fn has_driver(settings: &Settings) -> bool {
    ![NO_DRIVER, ""].contains(&settings.binding_driver.as_str())
}

/// The subnets of nodes that are VMs, by either of the option's names.
fn workers(settings: &Settings) -> &str {
    let plural = Some(&settings.worker_nodes_subnets).filter(|subnets| !subnets.is_empty());
    plural.unwrap_or(&settings.worker_nodes_subnet)
}

fn servers(conf: &mut Conf, facts: Facts) {
    let ports = [("health_server", facts.health_port), ("cni_health_server", facts.cni_health_port)];
    for (group, port) in ports {
        if let Some(port) = port {
            conf.group(group).set("port", &port.to_string());
        }
    }
}

fn daemon(conf: &mut Conf, facts: Facts) {
    if facts.has_proc {
        conf.group("cni_daemon")
            .comment("Where the daemon's container has the node's /proc.")
            .set("docker_mode", "true")
            .set("netns_proc_dir", super::daemon::PROC);
    }
    let no_effect = "Without effect any more: the daemon starts no helper to get privileges.";
    for group in ["vif_plug_ovs_privileged", "vif_plug_linux_bridge_privileged"] {
        conf.group(group).comment(no_effect).set("helper_command", "privsep-helper");
    }
}

fn api_root(given: &str) -> String {
    match given {
        IN_CLUSTER => String::new(),
        "" => API_ROOT.to_owned(),
        url if url.contains("://") => url.to_owned(),
        address => format!("https://{address}"),
    }
}

/// As the file's dialect has it: what it would take for a reference or for quotes is written so that it does not.
fn quoted(value: &str) -> String {
    let escaped = value.replace('$', "$$");
    let needs = |c: char| c == '"' || c == '\'' || c.is_whitespace();
    if escaped.starts_with(needs) || escaped.ends_with(needs) { format!("\"{escaped}\"") } else { escaped }
}

#[derive(Default)]
struct Conf(String);

impl Conf {
    fn group(&mut self, name: &str) -> &mut Self {
        let gap = if self.0.is_empty() { "" } else { "\n" };
        self.0.extend([gap, "[", name, "]\n"]);
        self
    }

    fn comment(&mut self, text: &str) -> &mut Self {
        self.0.extend(["# ", text, "\n"]);
        self
    }

    fn set(&mut self, option: &str, value: &str) -> &mut Self {
        // A value of several lines goes on in indented ones.
        self.0 += format!("{option} = {}", value.replace('\n', "\n ")).trim_end();
        self.0.push('\n');
        self
    }
}
