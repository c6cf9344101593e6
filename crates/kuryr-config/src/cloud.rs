//! How to get at OpenStack: `[neutron]`, or an entry of `clouds.yaml`, as one plain value.
//!
//! `[neutron] cloud` names an entry; without it `[neutron] auth_url` and its companions say everything; without both the environment
//! variable `OS_CLOUD` names an entry. What is set in `[neutron]` beside a cloud (region, CA, timeout, ...) goes before the entry's.

mod clouds_yaml;
mod credentials;
mod error;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

pub use self::error::{CloudError, Place};
use self::{clouds_yaml::Entry, credentials::Credentials};
use crate::{options::Config, secret::Secret};

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

impl CloudAccess {
    /// How to get at OpenStack by this configuration and these environment variables.
    pub fn resolve(config: &Config, env: &BTreeMap<String, String>) -> Result<Self, CloudError> {
        let named = config.neutron.cloud.as_ref();
        let named = named.or_else(|| env.get("OS_CLOUD").filter(|_| config.neutron.auth_url.is_none()));
        let mut access = match named {
            Some(cloud) => Self::from_entry(&clouds_yaml::find(cloud, env)?)?,
            None => Credentials::access_of(&config.neutron)?,
        };
        access.prefer(config)?;
        Ok(access)
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

fn prefer<T: Clone>(field: &mut Option<T>, set: Option<&T>) {
    if let Some(set) = set {
        *field = Some(set.clone());
    }
}
