//! `[kubernetes]`: the API server, and which driver does what.

use std::{path::PathBuf, time::Duration};

use super::group;
use crate::option::Choice::{self, Ignored, Works};

const PROJECTS: &[Choice] = &[Works("default"), Ignored("annotation", "projects by annotation")];
const PROJECT_OR_ANNOTATION: &[Choice] = &[Works("default"), Works("annotation")];
const SUBNETS: &[Choice] = &[Works("default"), Ignored("namespace", "a subnet for each namespace")];
const SECURITY_GROUPS: &[Choice] = &[Works("default"), Works("policy")];
const BALANCERS_GROUPS: &[Choice] =
    &[Works("default"), Ignored("policy", "security groups of load balancers that are machines")];
const VIFS: &[Choice] = &[
    Works("neutron-vif"),
    Works("nested-vlan"),
    Works("nested-macvlan"),
    Works("nested-ipvlan"),
    Works("nested-dpdk"),
    Works("sriov"),
];
const POOLS: &[Choice] = &[Works("noop"), Works("neutron"), Works("nested")];
const INTERFACES: &[Choice] =
    &[Works("noop"), Ignored("npwg_multiple_interfaces", "more than one interface in a pod")];
const DEFAULT: &[Choice] = &[Works("default")];
const OCTAVIA: &[Choice] = &[Works("lbaasv2")];
const FLOATING_IP: &[Choice] = &[Works("neutron_floating_ip")];

group! {
    /// The Kubernetes API and how pods, services and policies map to OpenStack.
    "kubernetes" Kubernetes {
        /// Where the Kubernetes API is. Empty: the cluster that the program itself runs in, by
        /// `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT_HTTPS`.
        api_root: String = env("K8S_API", "https://localhost:6443");
        /// Client certificate for the API. Used if `token_file` is empty.
        ssl_client_crt_file: Option<PathBuf>;
        /// Key of the client certificate.
        ssl_client_key_file: Option<PathBuf>;
        /// CA certificate that the API's certificate is verified with.
        ssl_ca_crt_file: Option<PathBuf> = preset("/var/run/secrets/kubernetes.io/serviceaccount/ca.crt");
        /// Whether the API's certificate is verified. (False by default in Kuryr-Kubernetes.)
        ssl_verify_server_crt: bool = preset("true");
        /// Bearer token for the API; read again when the file changes. Empty: no token.
        token_file: Option<PathBuf> = preset("/var/run/secrets/kubernetes.io/serviceaccount/token");
        /// Whether names of ports in Neutron tell their pods' names.
        port_debug: bool = preset("false");
        /// Whether Kubernetes Events are written on pods about what happens to their ports.
        use_events: bool = preset("true");
        /// How long to try to connect to the API, in seconds.
        watch_connection_timeout: Duration = preset("30");
        /// What finds the project of a service's load balancer: default is `[neutron_defaults] project`; annotation is what the
        /// namespace's annotation `openstack.org/kuryr-project` names, or else the default.
        service_project_driver: String = preset("default") choices(PROJECT_OR_ANNOTATION);
        /// Octavia's provider, by the name that it has there: ovn, amphora. default: Octavia's own.
        endpoints_driver_octavia_provider: String = preset("default");
        /// Which kinds of objects are handled. Pods are in any case; Services are if service, endpoints and kuryrloadbalancer are
        /// among these.
        enabled_handlers: Vec<String> = preset("vif,endpoints,service,kuryrloadbalancer,kuryrport");
        /// What finds a pod's security groups: default is `[neutron_defaults] pod_security_groups`, and network policies are not enforced;
        /// with policy they are, and those are the groups of pods that no policy is for.
        pod_security_groups_driver: String = preset("default") choices(SECURITY_GROUPS);
        /// What keeps ports ready for pods to come: noop keeps none, neutron some for each node that is no VM, nested some for each
        /// node that is one (`[vif_pool]`).
        vif_pool_driver: String = preset("noop") choices(POOLS);
        /// What makes a pod's interface, on nodes whose label `pod_vif` does not say otherwise.
        pod_vif_driver: String = preset("neutron-vif") choices(VIFS);
        /// Whether pools of ports can be looked at, filled and emptied through a socket (`[pool_manager]`).
        enable_manager: bool = preset("false");
    }
    known {
        /// What finds the project of a pod's port: default is `[neutron_defaults] project`.
        pod_project_driver: String = preset("default") choices(PROJECTS);
        /// What finds the project of a namespace's network.
        namespace_project_driver: String = preset("default") choices(PROJECTS);
        /// What finds the project of a network policy's security group.
        network_policy_project_driver: String = preset("default") choices(PROJECTS);
        /// What finds a pod's subnets: default is `[neutron_defaults] pod_subnets` or `pod_subnet`.
        pod_subnets_driver: String = preset("default") choices(SUBNETS);
        /// What finds a service's subnet: default is `[neutron_defaults] service_subnets` or `service_subnet`.
        service_subnets_driver: String = preset("default") choices(DEFAULT);
        /// What finds a service's security groups.
        service_security_groups_driver: String = preset("default") choices(BALANCERS_GROUPS);
        /// What makes load balancers.
        endpoints_lbaas_driver: String = preset("lbaasv2") choices(OCTAVIA);
        /// What finds the subnets of the nodes.
        nodes_subnets_driver: String = preset("config") later("pods on VMs and network policies");
        /// What gives a service its public address.
        service_public_ip_driver: String = preset("neutron_floating_ip") choices(FLOATING_IP);
        /// For how many seconds a failing watch is tried again.
        watch_retry_timeout: u32 = preset("60") obsolete("a watch is tried again until it works");
        /// After how many silent seconds a watch is made anew.
        watch_read_timeout: u32 = preset("60")
            obsolete("the API server ends a watch itself, and a dead connection is noticed without it");
        /// Every how many seconds all objects are looked at again.
        watch_reconcile_period: u32 = preset("120")
            obsolete("what changes is looked at when it changes, and nothing is written when nothing changes");
        /// Whether several controllers may run, of which one works.
        controller_ha: bool = preset("false")
            obsolete("any number of controllers may run: a Kubernetes Lease elects the one that works");
        /// Port of the leader elector beside the controller.
        controller_ha_elector_port: u16 = preset("16401")
            obsolete("a leader is elected by a Kubernetes Lease, without a program beside the controller");
        /// What turns network policies into security groups.
        network_policy_driver: String = preset("default") choices(DEFAULT);
        /// What gives a pod further interfaces.
        multi_vif_drivers: Vec<String> = preset("noop") choices(INTERFACES);
        /// How further interfaces are called, before their number.
        additional_ifname_prefix: String = preset("eth") later("more than one interface in a pod");
    }
}
