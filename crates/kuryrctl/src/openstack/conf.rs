//! The kuryr.conf for a layout: all of it but the secrets.

use std::fmt::{self, Write};

use anyhow::Result;
use kuryr_api::{
    ProjectId,
    cloud::{Auth, CloudAccess, Credential, Domain, Interface, Project, Scope, User},
};
use kuryr_core::layout::{Found, Layout};

use super::known;

/// kuryr.conf for a complete layout.
pub(super) fn render(
    layout: &Layout,
    found: &Found,
    project: &ProjectId,
    access: &CloudAccess,
) -> Result<String> {
    let mut conf = String::from(HEADER);
    neutron(&mut conf, access)?;
    defaults(&mut conf, layout, found, project)?;
    let router = &known(found.router(&layout.router), &layout.router)?.id;
    writeln!(conf, "\n[namespace_subnet]\npod_router = {router}")?;
    Ok(conf)
}

const HEADER: &str = "\
# Made by `kuryrctl openstack init`. Next: put the secret of Kuryr's user into [neutron], then
#   kuryrctl generate --controller-conf FILE | kubectl apply -f -

[kubernetes]
# An address that every node reaches; empty: that of the Service `kubernetes`, which needs kube-proxy on every node.
# api_root = https://192.168.0.1:6443
token_file = /var/run/secrets/kubernetes.io/serviceaccount/token
ssl_ca_crt_file = /var/run/secrets/kubernetes.io/serviceaccount/ca.crt
# Network policies are enforced; `default` ignores them.
pod_security_groups_driver = policy
";

fn neutron(conf: &mut String, access: &CloudAccess) -> fmt::Result {
    writeln!(conf, "\n[neutron]\nauth_url = {}", access.auth_url)?;
    let mut set = |option: &str, value: &str| writeln!(conf, "{option} = {value}");
    match &access.auth {
        Auth::Password { user, scope, .. } => {
            set("auth_type", "password")?;
            in_name_of(&mut set, user)?;
            set("# password", "...")?;
            within(&mut set, scope)?;
        }
        Auth::ApplicationCredential { credential, .. } => {
            set("auth_type", "v3applicationcredential")?;
            match credential {
                Credential::Id(id) => set("application_credential_id", id)?,
                Credential::Name(name, user) => {
                    set("application_credential_name", name)?;
                    in_name_of(&mut set, user)?;
                }
            }
            set("# application_credential_secret", "...")?;
        }
        // A token is for a person's hour, not for a program's life.
        Auth::Token { scope, .. } => {
            set("auth_type", "password")?;
            set("# username", "...")?;
            set("# user_domain_name", "...")?;
            set("# password", "...")?;
            within(&mut set, scope)?;
        }
    }
    if access.interface != Interface::default() {
        set("endpoint_type", &access.interface.to_string())?;
    }
    let region = access.region_name.iter().map(|region| ("region_name", region));
    let mut both =
        region.chain(access.network_endpoint_override.iter().map(|url| ("endpoint_override", url)));
    both.try_for_each(|(option, value)| set(option, value))
}

type Set<'a> = dyn FnMut(&str, &str) -> fmt::Result + 'a;

fn in_name_of(set: &mut Set<'_>, user: &User) -> fmt::Result {
    match user {
        User::Id(id) => set("user_id", id),
        User::Name(name, home) => {
            set("username", name)?;
            domain(set, home, ["user_domain_id", "user_domain_name"])
        }
    }
}

fn within(set: &mut Set<'_>, scope: &Scope) -> fmt::Result {
    match scope {
        Scope::Project(Project::Id(id)) => set("project_id", id),
        Scope::Project(Project::Name(name, home)) => {
            set("project_name", name)?;
            domain(set, home, ["project_domain_id", "project_domain_name"])
        }
        Scope::Domain(_) | Scope::System | Scope::Unscoped => Ok(()),
    }
}

fn domain(set: &mut Set<'_>, domain: &Domain, [by_id, by_name]: [&str; 2]) -> fmt::Result {
    match domain {
        Domain::Id(id) => set(by_id, id),
        Domain::Name(name) => set(by_name, name),
    }
}

fn defaults(conf: &mut String, layout: &Layout, found: &Found, project: &ProjectId) -> Result<()> {
    let subnets = layout.subnets()?;
    let ids = subnets.iter().map(|subnet| Ok(known(found.same(subnet), &subnet.name)?.id.as_str()));
    let ids = ids.collect::<Result<Vec<_>>>()?;
    let (pods, services) = ids.split_at(layout.pod_ranges.len());
    writeln!(conf, "\n[neutron_defaults]\nproject = {project}")?;
    match pods {
        [only] => writeln!(conf, "pod_subnet = {only}")?,
        several => writeln!(conf, "pod_subnets = {}", several.join(","))?,
    }
    let group = known(found.group(&layout.security_group), &layout.security_group)?;
    writeln!(conf, "pod_security_groups = {}", group.id)?;
    writeln!(conf, "service_subnet = {}", services.concat())?;
    if let Some(external) = &layout.external_network {
        writeln!(conf, "external_svc_net = {}", known(found.network(external), external)?.id)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use kuryr_api::cloud::Secret;
    use kuryr_config::{Config, Layers, Loaded};
    use kuryr_core::layout::{Group, Network, Router, Subnet};

    use super::*;

    fn layout() -> Layout {
        Layout {
            pod_network: "pod-net".into(),
            pod_ranges: vec!["10.1.0.0/16".parse().unwrap(), "fd10:1::/64".parse().unwrap()],
            service_network: "service-net".into(),
            service_range: "10.96.0.0/16".parse().unwrap(),
            external_network: Some("public".into()),
            router: "router".into(),
            security_group: "pods".into(),
        }
    }

    fn found() -> Found {
        let network =
            |name: &str, external| Network { id: format!("{name}-id"), name: name.into(), external };
        let subnet = |id: &str, network: &str, range: &str| Subnet {
            id: id.into(),
            name: "any".into(),
            network: format!("{network}-id"),
            range: range.parse().unwrap(),
            pools: vec![],
        };
        Found {
            networks: vec![network("pod-net", false), network("service-net", false), network("public", true)],
            subnets: vec![
                subnet("elsewhere", "public", "10.1.0.0/16"),
                subnet("services", "service-net", "10.96.0.0/15"),
                subnet("six", "pod-net", "fd10:1::/64"),
                subnet("four", "pod-net", "10.1.0.0/16"),
            ],
            routers: vec![Router {
                id: "router-id".into(),
                name: "router".into(),
                external: None,
                subnets: vec![],
            }],
            groups: vec![Group { id: "group-id".into(), name: "pods".into(), open: vec![] }],
        }
    }

    fn access(auth: Auth) -> CloudAccess {
        CloudAccess {
            auth_url: "https://cloud.example:5000/v3".into(),
            auth,
            region_name: Some("north".into()),
            interface: Interface::Internal,
            cafile: Some(PathBuf::from("/home/me/ca.pem")),
            insecure: false,
            timeout: None,
            network_endpoint_override: None,
            load_balancer_endpoint_override: None,
        }
    }

    fn read(auth: Auth) -> Config {
        let text = render(&layout(), &found(), &"project".into(), &access(auth)).unwrap();
        assert!(!text.contains("hunter2"), "{text}");
        let layers = Layers::from_text(Path::new("kuryr.conf").to_owned(), &text).unwrap();
        Loaded::from_layers(&layers).unwrap().config
    }

    fn scope() -> Scope {
        Scope::Project(Project::Name("k8s".into(), Domain::Id("default".into())))
    }

    fn user() -> User {
        User::Name("kuryr".into(), Domain::Name("Default".into()))
    }

    #[test]
    fn a_user_stays_and_the_password_does_not() {
        let config = read(Auth::Password { user: user(), password: Secret::new("hunter2"), scope: scope() });
        assert_eq!(config.neutron.username.as_deref(), Some("kuryr"));
        assert_eq!(config.neutron.user_domain_name.as_deref(), Some("Default"));
        assert_eq!(config.neutron.project_domain_id.as_deref(), Some("default"));
        assert_eq!(config.neutron.region_name.as_deref(), Some("north"));
        assert_eq!(config.neutron.endpoint_type.as_deref(), Some("internal"));
        assert_eq!(config.neutron_defaults.pod_subnets, ["four", "six"]);
        assert_eq!(config.neutron_defaults.pod_security_groups, ["group-id"]);
    }

    #[test]
    fn an_application_credential_stays_without_its_secret() {
        let secret = || Secret::new("hunter2");
        let config =
            read(Auth::ApplicationCredential { credential: Credential::Id("one".into()), secret: secret() });
        assert_eq!(config.neutron.auth_type.as_deref(), Some("v3applicationcredential"));
        assert_eq!(config.neutron.application_credential_id.as_deref(), Some("one"));
        let named = Credential::Name("ours".into(), user());
        let config = read(Auth::ApplicationCredential { credential: named, secret: secret() });
        assert_eq!(config.neutron.application_credential_name.as_deref(), Some("ours"));
        assert_eq!(config.neutron.username.as_deref(), Some("kuryr"));
    }

    #[test]
    fn subnets_are_told_by_network_and_range() {
        let auth = Auth::Token { token: Secret::new("any"), scope: scope() };
        let text = render(&layout(), &found(), &"project".into(), &access(auth)).unwrap();
        for line in [
            "pod_security_groups_driver = policy",
            "pod_subnets = four,six",
            "service_subnet = services",
            "external_svc_net = public-id",
            "pod_router = router-id",
        ] {
            assert!(text.lines().any(|found| found == line), "no {line} in {text}");
        }
    }

    #[test]
    fn a_token_is_not_written_down() {
        let config = read(Auth::Token { token: Secret::new("hunter2"), scope: scope() });
        assert_eq!(config.neutron.auth_type.as_deref(), Some("password"));
        assert_eq!(config.neutron.project_name.as_deref(), Some("k8s"));
    }

    #[test]
    fn what_vanished_is_named() {
        let found = Found { groups: vec![], ..found() };
        let auth = Auth::Token { token: Secret::new("any"), scope: scope() };
        let error = render(&layout(), &found, &"project".into(), &access(auth)).unwrap_err();
        assert!(error.to_string().contains("`pods` vanished"), "{error}");
    }
}
