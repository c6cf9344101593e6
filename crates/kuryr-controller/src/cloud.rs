//! From `[neutron]` or clouds.yaml to a session: the same nouns, once as configuration and once as OpenStack's client has them.

use kuryr_config::cloud::{self, CloudAccess};
use kuryr_openstack as openstack;
use std::collections::BTreeMap;

/// What a session needs.
pub fn session_settings(access: &CloudAccess) -> openstack::Settings {
    let mut settings = openstack::Settings::new(access.auth_url.clone(), auth(&access.auth));
    settings.endpoints = openstack::Endpoints {
        region: access.region_name.clone(),
        interface: match access.interface {
            cloud::Interface::Public => openstack::Interface::Public,
            cloud::Interface::Internal => openstack::Interface::Internal,
            cloud::Interface::Admin => openstack::Interface::Admin,
        },
        overrides: overrides(access),
    };
    settings.tls.trust = match (&access.cafile, access.insecure) {
        (_, true) => openstack::Trust::Anyone,
        (Some(path), false) => openstack::Trust::File(path.clone()),
        (None, false) => openstack::Trust::System,
    };
    settings.timeouts.request = access.timeout.unwrap_or(settings.timeouts.request);
    settings
}

fn overrides(access: &CloudAccess) -> BTreeMap<openstack::Service, String> {
    let network = access.network_endpoint_override.clone();
    let load_balancer = access.load_balancer_endpoint_override.clone();
    let named = [(openstack::Service::Network, network), (openstack::Service::LoadBalancer, load_balancer)];
    named.into_iter().filter_map(|(service, url)| Some((service, url?))).collect()
}

fn auth(auth: &cloud::Auth) -> openstack::Auth {
    match auth {
        cloud::Auth::Password { user: who, password, scope: what } => {
            openstack::Auth::Password { user: user(who), password: secret(password), scope: scope(what) }
        }
        cloud::Auth::ApplicationCredential { credential, secret: hidden } => {
            openstack::Auth::ApplicationCredential {
                credential: application_credential(credential),
                secret: secret(hidden),
            }
        }
        cloud::Auth::Token { token, scope: what } => {
            openstack::Auth::Token { token: secret(token), scope: scope(what) }
        }
    }
}

fn secret(secret: &kuryr_config::Secret) -> openstack::Secret {
    openstack::Secret::from(secret.expose())
}

fn user(user: &cloud::User) -> openstack::User {
    match user {
        cloud::User::Id(id) => openstack::User::Id(id.clone()),
        cloud::User::Name(name, of) => openstack::User::Name { name: name.clone(), domain: domain(of) },
    }
}

fn domain(domain: &cloud::Domain) -> openstack::Domain {
    match domain {
        cloud::Domain::Id(id) => openstack::Domain::Id(id.clone()),
        cloud::Domain::Name(name) => openstack::Domain::Name(name.clone()),
    }
}

fn application_credential(credential: &cloud::Credential) -> openstack::ApplicationCredential {
    match credential {
        cloud::Credential::Id(id) => openstack::ApplicationCredential::Id(id.clone()),
        cloud::Credential::Name(name, of) => {
            openstack::ApplicationCredential::Name { name: name.clone(), user: user(of) }
        }
    }
}

fn scope(scope: &cloud::Scope) -> openstack::Scope {
    match scope {
        cloud::Scope::Project(cloud::Project::Id(id)) => openstack::Scope::Project(id.clone()),
        cloud::Scope::Project(cloud::Project::Name(name, of)) => {
            openstack::Scope::ProjectName { name: name.clone(), domain: domain(of) }
        }
        cloud::Scope::Domain(of) => openstack::Scope::Domain(domain(of)),
        cloud::Scope::System => openstack::Scope::System,
        cloud::Scope::Unscoped => openstack::Scope::Default,
    }
}
