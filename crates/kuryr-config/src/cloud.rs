//! How to get at OpenStack: `[neutron]`, or an entry of `clouds.yaml`, as one plain value.
//!
//! `[neutron] cloud` names an entry; without it `[neutron] auth_url` and its companions say everything; without both the environment
//! variable `OS_CLOUD` names an entry. What is set in `[neutron]` beside a cloud (region, CA, timeout, ...) goes before the entry's.

use std::{collections::BTreeMap, fmt, io, path::PathBuf, time::Duration};

use thiserror::Error;

use crate::{
    clouds_yaml::{self, Entry},
    options::{Config, Neutron},
    secret::Secret,
};

/// All that is needed to talk to OpenStack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudAccess {
    /// Where Keystone is.
    pub auth_url: String,
    /// Who we are.
    pub auth: Auth,
    /// Region whose endpoints are used; `None`: any.
    pub region_name: Option<String>,
    /// Which endpoints are used.
    pub interface: Interface,
    /// CA bundle to verify with; `None`: the system's.
    pub cafile: Option<PathBuf>,
    /// Whether certificates are not verified at all.
    pub insecure: bool,
    /// Limit of a request; `None`: the caller's own.
    pub timeout: Option<Duration>,
    /// Where Neutron is, whatever the catalogue says.
    pub network_endpoint_override: Option<String>,
    /// Where Octavia is, whatever the catalogue says.
    pub load_balancer_endpoint_override: Option<String>,
}

/// Who we are, and how we prove it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// A user with a password.
    Password {
        /// The user.
        user: User,
        /// Its password.
        password: Secret,
        /// What to work in.
        scope: Scope,
    },
    /// An application credential, which has its own scope.
    ApplicationCredential {
        /// Which.
        credential: Credential,
        /// Its secret.
        secret: Secret,
    },
    /// A token.
    Token {
        /// The token.
        token: Secret,
        /// What to work in.
        scope: Scope,
    },
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum User {
    /// By id.
    Id(String),
    /// By name, which is unique in a domain only.
    Name(String, Domain),
}

/// A domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Domain {
    /// By id.
    Id(String),
    /// By name.
    Name(String),
}

/// A project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Project {
    /// By id.
    Id(String),
    /// By name, which is unique in a domain only.
    Name(String, Domain),
}

/// An application credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// By id.
    Id(String),
    /// By name, which is unique for a user only.
    Name(String, User),
}

/// What a token gives rights in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// A project.
    Project(Project),
    /// A domain.
    Domain(Domain),
    /// The whole system.
    System,
    /// What Keystone makes of it: the user's default project, if it has one.
    Unscoped,
}

/// Which of a service's endpoints are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Interface {
    /// For everyone.
    #[default]
    Public,
    /// For services of the cloud.
    Internal,
    /// For administrators.
    Admin,
}

/// Why there is no way to OpenStack.
#[derive(Debug, Error)]
pub enum CloudError {
    /// A cloud is named, and there is no `clouds.yaml`.
    #[error("there is no clouds.yaml for cloud {cloud:?}; looked for {}", Listed(looked))]
    FindFile {
        /// The cloud.
        cloud: String,
        /// Where we looked.
        looked: Vec<PathBuf>,
    },
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    ReadFile {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not YAML.
    #[error("{} is not YAML: {why}", path.display())]
    ParseFile {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The file has no such cloud.
    #[error("{} has no cloud {cloud:?}; it has {}", path.display(), known.join(", "))]
    FindCloud {
        /// The cloud.
        cloud: String,
        /// The file.
        path: PathBuf,
        /// What is in it.
        known: Vec<String>,
    },
    /// Something that is needed is not set.
    #[error("{place}: {option} is not set, and {what} needs it")]
    FindOption {
        /// Where it should be.
        place: Place,
        /// Its name.
        option: &'static str,
        /// What needs it.
        what: &'static str,
    },
    /// A value that is not one of those allowed.
    #[error("{place}: {option} = {value:?}: only {allowed} is allowed here")]
    ReadOption {
        /// Where it is.
        place: Place,
        /// Its name.
        option: &'static str,
        /// Its value.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
}

/// Where credentials stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a group of `kuryr.conf`.
    Group(String),
    /// In an entry of a `clouds.yaml`.
    Cloud {
        /// Its name.
        cloud: String,
        /// The file.
        path: PathBuf,
    },
}

/// What authentication is made of, wherever it stands: both places use keystoneauth's names.
struct Credentials<'a> {
    place: Place,
    auth_type: Option<String>,
    get: &'a dyn Fn(&str) -> Option<String>,
}

impl CloudAccess {
    /// How to get at OpenStack by this configuration and these environment variables.
    pub fn resolve(config: &Config, env: &BTreeMap<String, String>) -> Result<Self, CloudError> {
        let named = config.neutron.cloud.as_ref();
        let named = named.or_else(|| env.get("OS_CLOUD").filter(|_| config.neutron.auth_url.is_none()));
        let mut access = match named {
            Some(cloud) => Self::from_entry(&clouds_yaml::find(cloud, env)?)?,
            None => Self::from_neutron(&config.neutron)?,
        };
        access.prefer(config)?;
        Ok(access)
    }

    fn from_neutron(neutron: &Neutron) -> Result<Self, CloudError> {
        let group = neutron.auth_section.as_deref().unwrap_or("neutron");
        let credentials = Credentials {
            place: Place::Group(group.to_owned()),
            auth_type: neutron.auth_type.clone(),
            get: &|name| neutron_option(neutron, name),
        };
        credentials.access()
    }

    fn from_entry(entry: &Entry) -> Result<Self, CloudError> {
        let place = || Place::Cloud { cloud: entry.cloud.clone(), path: entry.path.clone() };
        let credentials =
            Credentials { place: place(), auth_type: entry.get("auth_type"), get: &|name| entry.auth(name) };
        let access = credentials.access()?;
        let interface = entry.get("interface").or_else(|| entry.get("endpoint_type"));
        Ok(Self {
            region_name: entry.get("region_name"),
            interface: interface
                .map_or(Ok(Interface::Public), |value| Interface::read(value, place(), "interface"))?,
            cafile: entry.get("cacert").map(PathBuf::from),
            insecure: !entry.flag("verify", true, place())? || entry.flag("insecure", false, place())?,
            timeout: entry.seconds("api_timeout", place())?,
            network_endpoint_override: entry.get("network_endpoint_override"),
            load_balancer_endpoint_override: entry.get("load_balancer_endpoint_override"),
            ..access
        })
    }

    /// Lets what is set in `kuryr.conf` go before what a cloud says.
    fn prefer(&mut self, config: &Config) -> Result<(), CloudError> {
        let neutron = &config.neutron;
        if let Some(interface) = neutron.endpoint_type.clone() {
            self.interface = Interface::read(interface, Place::Group("neutron".to_owned()), "endpoint_type")?;
        }
        prefer(&mut self.region_name, neutron.region_name.as_ref());
        prefer(&mut self.cafile, neutron.cafile.as_ref());
        prefer(&mut self.timeout, neutron.timeout.as_ref());
        prefer(&mut self.network_endpoint_override, neutron.endpoint_override.as_ref());
        prefer(&mut self.load_balancer_endpoint_override, config.octavia_defaults.endpoint_override.as_ref());
        self.insecure |= neutron.insecure;
        Ok(())
    }
}

impl Credentials<'_> {
    fn access(&self) -> Result<CloudAccess, CloudError> {
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

impl Interface {
    /// `publicURL` is how older clients wrote it.
    fn read(value: String, place: Place, option: &'static str) -> Result<Self, CloudError> {
        match value.strip_suffix("URL").unwrap_or(&value) {
            "public" => Ok(Self::Public),
            "internal" => Ok(Self::Internal),
            "admin" => Ok(Self::Admin),
            _ => Err(CloudError::ReadOption { place, option, value, allowed: "public, internal or admin" }),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group(group) => write!(f, "[{group}]"),
            Self::Cloud { cloud, path } => write!(f, "cloud {cloud} of {}", path.display()),
        }
    }
}

/// Paths, separated by commas.
struct Listed<'a>(&'a [PathBuf]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths: Vec<_> = self.0.iter().map(|path| path.display().to_string()).collect();
        f.write_str(&paths.join(", "))
    }
}

fn prefer<T: Clone>(field: &mut Option<T>, set: Option<&T>) {
    if let Some(set) = set {
        *field = Some(set.clone());
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
