//! The kuryr.conf for a layout: all of it but the secrets.

use std::fmt::{self, Write};

use anyhow::Result;
use kuryr_api::{
    ProjectId,
    cloud::{Auth, CloudAccess, Credential, Domain, Project, Scope, User},
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
    let region = access.region_name.iter().map(|region| ("region_name", region));
    let region = region.chain(access.network_endpoint_override.iter().map(|url| ("endpoint_override", url)));
    region.into_iter().try_for_each(|(option, value)| set(option, value))
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
