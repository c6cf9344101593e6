//! keystoneauth's options, wherever they stand, as one [`Auth`].

use kuryr_api::cloud::{Auth, CloudAccess, Credential, Domain, Interface, Project, Scope, Secret, User};

use super::{CloudError, Place};
use crate::options::Neutron;

/// What authentication is made of, wherever it stands: both places use keystoneauth's names.
pub(super) struct Credentials<'a> {
    pub(super) place: Place,
    pub(super) auth_type: Option<String>,
    pub(super) get: &'a dyn Fn(&str) -> Option<String>,
}

impl Credentials<'_> {
    /// What the options of `[neutron]` give.
    pub(super) fn access_of(neutron: &Neutron) -> Result<CloudAccess, CloudError> {
        let group = neutron.auth_section.as_deref().unwrap_or("neutron");
        let credentials = Credentials {
            place: Place::Group(group.to_owned()),
            auth_type: neutron.auth_type.clone(),
            get: &|name| neutron_option(neutron, name),
        };
        credentials.access()
    }

    /// The way to OpenStack that authentication alone gives.
    pub(super) fn access(&self) -> Result<CloudAccess, CloudError> {
        Ok(CloudAccess {
            auth_url: self.need("auth_url", "OpenStack")?,
            auth: self.auth()?,
            region_name: None,
            interface: Interface::Public,
            cafile: None,
            insecure: false,
            timeout: None,
            network_endpoint_override: None,
            load_balancer_endpoint_override: None,
        })
    }

    fn auth(&self) -> Result<Auth, CloudError> {
        match self.auth_type.as_deref().unwrap_or("password") {
            "password" | "v3password" => Ok(Auth::Password {
                user: self.user()?,
                password: Secret::new(self.need("password", "auth_type password")?),
                scope: self.scope()?,
            }),
            "v3applicationcredential" => {
                let secret =
                    self.need("application_credential_secret", "auth_type v3applicationcredential")?;
                Ok(Auth::ApplicationCredential {
                    credential: self.credential()?,
                    secret: Secret::new(secret),
                })
            }
            "token" | "v3token" => Ok(Auth::Token {
                token: Secret::new(self.need("token", "auth_type token")?),
                scope: self.scope()?,
            }),
            other => Err(CloudError::ReadOption {
                place: self.place.clone(),
                option: "auth_type",
                value: other.to_owned(),
                allowed: "password, v3password, v3applicationcredential, token or v3token",
            }),
        }
    }

    fn user(&self) -> Result<User, CloudError> {
        if let Some(id) = (self.get)("user_id") {
            return Ok(User::Id(id));
        }
        let name = self.need("username", "authentication as a user")?;
        let domain = self.domain("user_domain_id", "user_domain_name");
        let domain = domain.ok_or_else(|| self.missing("user_domain_name", "username"))?;
        Ok(User::Name(name, domain))
    }

    fn credential(&self) -> Result<Credential, CloudError> {
        if let Some(id) = (self.get)("application_credential_id") {
            return Ok(Credential::Id(id));
        }
        let Some(name) = (self.get)("application_credential_name") else {
            return Err(self.missing("application_credential_id", "auth_type v3applicationcredential"));
        };
        Ok(Credential::Name(name, self.user()?))
    }

    fn scope(&self) -> Result<Scope, CloudError> {
        if let Some(id) = (self.get)("project_id") {
            return Ok(Scope::Project(Project::Id(id)));
        }
        if let Some(name) = (self.get)("project_name") {
            let domain = self.domain("project_domain_id", "project_domain_name");
            let domain = domain.ok_or_else(|| self.missing("project_domain_name", "project_name"))?;
            return Ok(Scope::Project(Project::Name(name, domain)));
        }
        if let Some(domain) = self.domain_of("domain_id", "domain_name") {
            return Ok(Scope::Domain(domain));
        }
        Ok((self.get)("system_scope").map_or(Scope::Unscoped, |_| Scope::System))
    }

    fn domain(&self, id: &str, name: &str) -> Option<Domain> {
        self.domain_of(id, name).or_else(|| self.domain_of("default_domain_id", "default_domain_name"))
    }

    fn domain_of(&self, id: &str, name: &str) -> Option<Domain> {
        (self.get)(id).map(Domain::Id).or_else(|| (self.get)(name).map(Domain::Name))
    }

    fn need(&self, option: &'static str, what: &'static str) -> Result<String, CloudError> {
        (self.get)(option).ok_or_else(|| self.missing(option, what))
    }

    fn missing(&self, option: &'static str, what: &'static str) -> CloudError {
        CloudError::FindOption { place: self.place.clone(), option, what }
    }
}

fn neutron_option(neutron: &Neutron, name: &str) -> Option<String> {
    let secret = |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.expose().to_owned());
    match name {
        "password" => secret(&neutron.password),
        "application_credential_secret" => secret(&neutron.application_credential_secret),
        "token" => secret(&neutron.token),
        "auth_url" => neutron.auth_url.clone(),
        "username" => neutron.username.clone(),
        "user_id" => neutron.user_id.clone(),
        "user_domain_name" => neutron.user_domain_name.clone(),
        "user_domain_id" => neutron.user_domain_id.clone(),
        "project_name" => neutron.project_name.clone(),
        "project_id" => neutron.project_id.clone(),
        "project_domain_name" => neutron.project_domain_name.clone(),
        "project_domain_id" => neutron.project_domain_id.clone(),
        "domain_name" => neutron.domain_name.clone(),
        "domain_id" => neutron.domain_id.clone(),
        "system_scope" => neutron.system_scope.clone(),
        "default_domain_name" => neutron.default_domain_name.clone(),
        "default_domain_id" => neutron.default_domain_id.clone(),
        "application_credential_id" => neutron.application_credential_id.clone(),
        "application_credential_name" => neutron.application_credential_name.clone(),
        _ => None,
    }
}
