//! How to get at a cloud, and as whom: what a configuration says and a client needs.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Interface {
    /// For everyone.
    #[default]
    Public,
    /// For services of the cloud.
    Internal,
    /// For administrators.
    Admin,
}

/// Not the name of an interface.
#[derive(Debug, thiserror::Error)]
#[error("{name:?} is none of public, internal, admin")]
pub struct ParseInterfaceError {
    name: String,
}

/// A secret. `Debug` and `Display` print `***`; whoever needs the text asks with [`Secret::expose`].
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl FromStr for Interface {
    type Err = ParseInterfaceError;

    /// Takes the old spelling (`publicURL`) too.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name.strip_suffix("URL").unwrap_or(name) {
            "public" => Ok(Self::Public),
            "internal" => Ok(Self::Internal),
            "admin" => Ok(Self::Admin),
            _ => Err(ParseInterfaceError { name: name.into() }),
        }
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "public",
            Self::Internal => "internal",
            Self::Admin => "admin",
        })
    }
}

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?} {:?}", Some(&secret)), "*** *** Some(***)");
        assert_eq!(secret.expose(), "hunter2");
    }
}
