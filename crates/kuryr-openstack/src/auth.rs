//! Who we are to Keystone, and the request that says so.

use serde_json::{Value, json};
use std::fmt;

/// A secret that no message shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

/// How to sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// `auth_type = password`.
    Password {
        /// Who.
        user: User,
        /// The user's password.
        password: Secret,
        /// What for.
        scope: Scope,
    },
    /// `auth_type = v3applicationcredential`: its project is part of it.
    ApplicationCredential {
        /// Which one.
        credential: ApplicationCredential,
        /// Its secret.
        secret: Secret,
    },
    /// `auth_type = v3token`: a token that somebody else got. It can be exchanged, but never outlived.
    Token {
        /// The token.
        token: Secret,
        /// What for.
        scope: Scope,
    },
}

/// An application credential: by id, or by its user and its name with that user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApplicationCredential {
    /// By id.
    Id(String),
    /// By name.
    Name {
        /// Its name.
        name: String,
        /// Whose it is.
        user: User,
    },
}

/// A Keystone user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum User {
    /// By id.
    Id(String),
    /// By name.
    Name {
        /// The user's name.
        name: String,
        /// The domain that the name belongs to.
        domain: Domain,
    },
}

/// A Keystone domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Domain {
    /// By id.
    Id(String),
    /// By name.
    Name(String),
}

/// What a token is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Whatever Keystone makes of it: the user's default project.
    Default,
    /// A project by its id.
    Project(String),
    /// A project by its name.
    ProjectName {
        /// The project's name.
        name: String,
        /// The domain that the name belongs to.
        domain: Domain,
    },
    /// A domain.
    Domain(Domain),
    /// The whole system (`system_scope = all`).
    System,
}

impl Secret {
    /// The secret itself, for the one place that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(secret: &str) -> Self {
        Self(secret.into())
    }
}

impl From<String> for Secret {
    fn from(secret: String) -> Self {
        Self(secret.into_boxed_str())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Auth {
    /// The body of `POST /v3/auth/tokens`.
    pub(crate) fn request(&self) -> Value {
        let mut auth = json!({ "identity": self.identity() });
        if let Some(scope) = self.scope().and_then(Scope::request) {
            auth["scope"] = scope;
        }
        json!({ "auth": auth })
    }

    fn identity(&self) -> Value {
        match self {
            Self::Password { user, password, .. } => {
                let mut user = user.request();
                user["password"] = password.reveal().into();
                json!({ "methods": ["password"], "password": { "user": user } })
            }
            Self::ApplicationCredential { credential, secret } => {
                let mut credential = credential.request();
                credential["secret"] = secret.reveal().into();
                json!({ "methods": ["application_credential"], "application_credential": credential })
            }
            Self::Token { token, .. } => json!({ "methods": ["token"], "token": { "id": token.reveal() } }),
        }
    }

    fn scope(&self) -> Option<&Scope> {
        match self {
            Self::Password { scope, .. } | Self::Token { scope, .. } => Some(scope),
            Self::ApplicationCredential { .. } => None,
        }
    }
}

impl ApplicationCredential {
    fn request(&self) -> Value {
        match self {
            Self::Id(id) => json!({ "id": id }),
            Self::Name { name, user } => json!({ "name": name, "user": user.request() }),
        }
    }
}

impl User {
    fn request(&self) -> Value {
        match self {
            Self::Id(id) => json!({ "id": id }),
            Self::Name { name, domain } => json!({ "name": name, "domain": domain.request() }),
        }
    }
}

impl Domain {
    fn request(&self) -> Value {
        match self {
            Self::Id(id) => json!({ "id": id }),
            Self::Name(name) => json!({ "name": name }),
        }
    }
}

impl Scope {
    fn request(&self) -> Option<Value> {
        match self {
            Self::Default => None,
            Self::Project(id) => Some(json!({ "project": { "id": id } })),
            Self::ProjectName { name, domain } => {
                Some(json!({ "project": { "name": name, "domain": domain.request() } }))
            }
            Self::Domain(domain) => Some(json!({ "domain": domain.request() })),
            Self::System => Some(json!({ "system": { "all": true } })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user() -> User {
        User::Name { name: "kuryr".into(), domain: Domain::Name("Default".into()) }
    }

    #[test]
    fn a_password_signs_in_to_a_project() {
        let auth = Auth::Password {
            user: user(),
            password: "secret".into(),
            scope: Scope::ProjectName { name: "k8s".into(), domain: Domain::Id("default".into()) },
        };
        assert_eq!(
            auth.request(),
            json!({"auth": {
                "identity": {"methods": ["password"], "password": {
                    "user": {"name": "kuryr", "domain": {"name": "Default"}, "password": "secret"}}},
                "scope": {"project": {"name": "k8s", "domain": {"id": "default"}}}}})
        );
        assert!(!format!("{auth:?}").contains("secret\""), "{auth:?}");
    }

    #[test]
    fn an_application_credential_names_no_scope() {
        let auth = Auth::ApplicationCredential {
            credential: ApplicationCredential::Name { name: "kuryr".into(), user: User::Id("u1".into()) },
            secret: "s".into(),
        };
        assert_eq!(
            auth.request(),
            json!({"auth": {"identity": {"methods": ["application_credential"],
                "application_credential": {"name": "kuryr", "user": {"id": "u1"}, "secret": "s"}}}})
        );
    }

    #[test]
    fn a_token_is_exchanged() {
        let auth = Auth::Token { token: "t".into(), scope: Scope::System };
        assert_eq!(
            auth.request(),
            json!({"auth": {"identity": {"methods": ["token"], "token": {"id": "t"}}, "scope": {"system": {"all": true}}}})
        );
    }
}
