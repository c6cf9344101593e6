//! The request that says to Keystone who we are.

use kuryr_api::cloud::{Auth, Credential, Domain, Project, Scope, User};
use serde_json::{Value, json};

/// The body of `POST /v3/auth/tokens`.
pub(crate) fn request(auth: &Auth) -> Value {
    let mut body = json!({ "identity": identity(auth) });
    if let Some(scope) = scope_of(auth).and_then(scope) {
        body["scope"] = scope;
    }
    json!({ "auth": body })
}

fn identity(auth: &Auth) -> Value {
    match auth {
        Auth::Password { user: who, password, .. } => {
            let mut user = user(who);
            user["password"] = password.expose().into();
            json!({ "methods": ["password"], "password": { "user": user } })
        }
        Auth::ApplicationCredential { credential: which, secret } => {
            let mut credential = credential(which);
            credential["secret"] = secret.expose().into();
            json!({ "methods": ["application_credential"], "application_credential": credential })
        }
        Auth::Token { token, .. } => json!({ "methods": ["token"], "token": { "id": token.expose() } }),
    }
}

/// An application credential's scope is part of it.
fn scope_of(auth: &Auth) -> Option<&Scope> {
    match auth {
        Auth::Password { scope, .. } | Auth::Token { scope, .. } => Some(scope),
        Auth::ApplicationCredential { .. } => None,
    }
}

fn credential(credential: &Credential) -> Value {
    match credential {
        Credential::Id(id) => json!({ "id": id }),
        Credential::Name(name, of) => json!({ "name": name, "user": user(of) }),
    }
}

fn user(user: &User) -> Value {
    match user {
        User::Id(id) => json!({ "id": id }),
        User::Name(name, of) => json!({ "name": name, "domain": domain(of) }),
    }
}

fn domain(domain: &Domain) -> Value {
    match domain {
        Domain::Id(id) => json!({ "id": id }),
        Domain::Name(name) => json!({ "name": name }),
    }
}

fn scope(scope: &Scope) -> Option<Value> {
    match scope {
        Scope::Unscoped => None,
        Scope::Project(Project::Id(id)) => Some(json!({ "project": { "id": id } })),
        Scope::Project(Project::Name(name, of)) => {
            Some(json!({ "project": { "name": name, "domain": domain(of) } }))
        }
        Scope::Domain(of) => Some(json!({ "domain": domain(of) })),
        Scope::System => Some(json!({ "system": { "all": true } })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kuryr_api::cloud::Secret;

    fn user() -> User {
        User::Name("kuryr".into(), Domain::Name("Default".into()))
    }

    #[test]
    fn a_password_signs_in_to_a_project() {
        let auth = Auth::Password {
            user: user(),
            password: Secret::new("secret"),
            scope: Scope::Project(Project::Name("k8s".into(), Domain::Id("default".into()))),
        };
        assert_eq!(
            request(&auth),
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
            credential: Credential::Name("kuryr".into(), User::Id("u1".into())),
            secret: Secret::new("s"),
        };
        assert_eq!(
            request(&auth),
            json!({"auth": {"identity": {"methods": ["application_credential"],
                "application_credential": {"name": "kuryr", "user": {"id": "u1"}, "secret": "s"}}}})
        );
    }

    #[test]
    fn a_token_is_exchanged() {
        let auth = Auth::Token { token: Secret::new("t"), scope: Scope::System };
        assert_eq!(
            request(&auth),
            json!({"auth": {"identity": {"methods": ["token"], "token": {"id": "t"}}, "scope": {"system": {"all": true}}}})
        );
    }
}
