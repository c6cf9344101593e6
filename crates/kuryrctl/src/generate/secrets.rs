//! `certificates_secret.yml`: the CA of OpenStack's APIs, and the login. Only the controller mounts them.

use k8s_openapi::{ByteString, api::core::v1::Secret};

use super::{parameters::Parameters, pod::named};

pub(super) const CERTIFICATES: &str = "kuryr-certificates";
pub(super) const CA_KEY: &str = "kuryr-ca-bundle.crt";
/// Where the CA is in the controller's container.
pub(super) const CA_FILE: &str = "/etc/ssl/certs/kuryr-ca-bundle.crt";
pub(super) const CREDENTIALS: &str = "kuryr-credentials";
pub(super) const CREDENTIALS_KEY: &str = "credentials.conf";

pub(super) fn certificates(parameters: &Parameters) -> Secret {
    let content = ByteString(parameters.ca_bundle.as_bytes().to_vec());
    Secret { data: Some([(CA_KEY.to_owned(), content)].into()), ..secret(parameters, CERTIFICATES) }
}

/// As text, which whoever installs can edit.
pub(super) fn credentials(parameters: &Parameters) -> Secret {
    let content = parameters.credentials.clone();
    Secret {
        string_data: Some([(CREDENTIALS_KEY.to_owned(), content)].into()),
        ..secret(parameters, CREDENTIALS)
    }
}

fn secret(parameters: &Parameters, name: &str) -> Secret {
    Secret {
        metadata: named(name, Some(&parameters.namespace)),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    }
}
