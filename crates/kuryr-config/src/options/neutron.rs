//! `[neutron]` and `[neutron_defaults]`: how to get at OpenStack, and what pods get there.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use super::group;
use crate::{
    Secret,
    kind::Kind,
    option::{Choice, Opt},
};

/// keystoneauth takes seconds with a fraction.
const SECONDS: Kind = Kind::Float { min: 0.0 };

const INTERFACES: &[Choice] = &[Choice::Works("public"), Choice::Works("internal"), Choice::Works("admin")];

/// The options of `[neutron]` that `auth_section` moves to another group: keystoneauth's plugin options.
const AUTH: &[&str] = &[
    "auth_type",
    "auth_url",
    "username",
    "user_id",
    "password",
    "user_domain_name",
    "user_domain_id",
    "project_name",
    "project_id",
    "project_domain_name",
    "project_domain_id",
    "domain_name",
    "domain_id",
    "system_scope",
    "default_domain_name",
    "default_domain_id",
    "application_credential_id",
    "application_credential_name",
    "application_credential_secret",
    "token",
    "trust_id",
];

/// Whether an option of `[neutron]` is one that `auth_section` moves.
pub(crate) fn is_auth(opt: &Opt) -> bool {
    AUTH.contains(&opt.name)
}

group! {
    /// How the controller gets at OpenStack. Instead of all this, cloud may name an entry of clouds.yaml.
    "neutron" Neutron {
        /// Name of a cloud in clouds.yaml, which is looked for as every OpenStack client does
        /// (`OS_CLIENT_CONFIG_FILE`, the working directory, ~/.config/openstack, /etc/openstack). The environment
        /// variable `OS_CLOUD` is used if neither this nor `auth_url` is set, and without it `OS_AUTH_URL` and its companions.
        cloud: Option<String> = added();
        /// How to authenticate: password (v3password), v3applicationcredential or v3token (token).
        auth_type: Option<String> = deprecated(&[("", "auth_plugin")]);
        /// Another group of this file that the options of authentication are in.
        auth_section: Option<String>;
        /// Where Keystone is.
        auth_url: Option<String>;
        /// Name of the user.
        username: Option<String> = deprecated(&[("", "user-name"), ("", "user_name")]);
        /// Id of the user, instead of a name and a domain.
        user_id: Option<String>;
        /// Password of the user.
        password: Option<Secret> = secret();
        /// Name of the user's domain.
        user_domain_name: Option<String>;
        /// Id of the user's domain.
        user_domain_id: Option<String>;
        /// Name of the project to work in.
        project_name: Option<String> = deprecated(&[("", "tenant-name"), ("", "tenant_name")]);
        /// Id of the project to work in.
        project_id: Option<String> = deprecated(&[("", "tenant-id"), ("", "tenant_id")]);
        /// Name of the project's domain.
        project_domain_name: Option<String>;
        /// Id of the project's domain.
        project_domain_id: Option<String>;
        /// Name of a domain to work in, instead of a project.
        domain_name: Option<String>;
        /// Id of a domain to work in, instead of a project.
        domain_id: Option<String>;
        /// "all" to work in the whole system, instead of a project.
        system_scope: Option<String>;
        /// Name of the domain of user and project, where they have none of their own.
        default_domain_name: Option<String>;
        /// Id of the domain of user and project, where they have none of their own.
        default_domain_id: Option<String>;
        /// Id of the application credential.
        application_credential_id: Option<String>;
        /// Name of the application credential, with a user instead of an id.
        application_credential_name: Option<String>;
        /// Secret of the application credential.
        application_credential_secret: Option<Secret> = secret();
        /// Token, for `auth_type` token.
        token: Option<Secret> = secret();
        /// CA bundle that the certificates of OpenStack's APIs are verified with. Without it, the system's.
        cafile: Option<PathBuf>;
        /// Whether the certificates of OpenStack's APIs are not verified at all.
        insecure: bool = preset("false");
        /// How long a request to OpenStack may take, in seconds. Without it, a limit that fits the request.
        timeout: Option<Duration> = kind(SECONDS);
        /// Region whose endpoints are used.
        region_name: Option<String>;
        /// Which endpoints of the catalogue are used; without it, public. (Ignored by Kuryr-Kubernetes.)
        endpoint_type: Option<String> = choices(INTERFACES);
        /// Where Neutron is, whatever the catalogue says.
        endpoint_override: Option<String> = added();
    }
    known {
        /// Trust that is used to authenticate.
        trust_id: String = later("authentication by a trust");
        /// Client certificate for OpenStack's APIs.
        certfile: String = later("client certificates towards OpenStack");
        /// Key of the client certificate.
        keyfile: String = later("client certificates towards OpenStack");
        /// Whether times of requests are kept.
        collect_timing: bool = preset("false") obsolete("the metrics hold the time of every request");
        /// Whether parts of requests are logged apart.
        split_loggers: bool = preset("false") obsolete("there is one log");
        /// TLS ciphers towards OpenStack.
        tls_ciphers: String = obsolete("TLS 1.2 and 1.3 with their safe ciphers are used");
        /// Least TLS version towards OpenStack.
        tls_min_version: String = obsolete("TLS 1.2 and 1.3 with their safe ciphers are used");
        /// Where signing certificates are kept.
        signing_dir: String = obsolete("no token is verified here");
        /// Whether DHCP is on in subnets made by kuryr-lib.
        enable_dhcp: String = preset("True") obsolete("it belongs to Kuryr for Docker");
        /// IPv4 subnet pool of kuryr-lib.
        default_subnetpool_v4: String = preset("kuryr") obsolete("it belongs to Kuryr for Docker");
        /// IPv6 subnet pool of kuryr-lib.
        default_subnetpool_v6: String = preset("kuryr6") obsolete("it belongs to Kuryr for Docker");
        /// Whether a port that does not become active is an error in kuryr-lib.
        vif_plugging_is_fatal: bool = preset("false") obsolete("it belongs to Kuryr for Docker");
        /// How long kuryr-lib waits for a port to become active.
        vif_plugging_timeout: u32 = preset("0") obsolete("it belongs to Kuryr for Docker");
    }
}

group! {
    /// What pods get in OpenStack.
    "neutron_defaults" NeutronDefaults {
        /// Id of the project that pods' ports are made in. Needed by the controller.
        project: Option<String>;
        /// Ids of the subnets that a pod gets an address from, all of one network: one with IPv4 and one with IPv6
        /// give every pod both. Goes before `pod_subnet`.
        pod_subnets: Vec<String> = preset("") added();
        /// Id of the subnet that a pod gets its address from. Needed by the controller if there are no `pod_subnets`.
        pod_subnet: Option<String>;
        /// Ids of the security groups of a pod's port. Needed by the controller.
        pod_security_groups: Vec<String> = preset("");
        /// Name of the Open vSwitch bridge that pods are plugged into, where Neutron does not say.
        ovs_bridge: Option<String>;
        /// Greatest MTU of a pod's interface. 0: that of its network.
        network_device_mtu: u32 = preset("0");
        /// Tags put on everything made in OpenStack.
        resource_tags: Vec<String> = preset("");
        /// Ids of the subnets that hold the API server's service range: one with IPv4 and one with IPv6 serve Services of both
        /// families. Goes before `service_subnet`.
        service_subnets: Vec<String> = preset("") added();
        /// Id of the subnet that holds the API server's service range. Without it and `service_subnets`, Services get no load
        /// balancers.
        service_subnet: Option<String>;
        /// Id of the network that Services of type LoadBalancer get their floating IPs from. Without it they get none.
        external_svc_net: Option<String>;
        /// Id of the subnet of that network that floating IPs are from. Without it, any.
        external_svc_subnet: Option<String>;
        /// After how many seconds at work with a load balancer Octavia is said to be stuck.
        lbaas_activation_timeout: Duration = preset("300");
    }
    known {
        /// Subnet of each driver of further interfaces.
        subnet_mapping: BTreeMap<String, String> = preset("") later("more than one interface in a pod");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_of_authentication_is_in_the_table() {
        for name in AUTH {
            assert!(Neutron::GROUP.options.iter().any(|opt| opt.name == *name), "{name}");
        }
    }
}
