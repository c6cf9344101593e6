//! Which certificates we trust and show.
//!
//! The HTTP client is always given an explicit list, because a container made from nothing has no trust store to fall
//! back on: better a clear error at start than a handshake that fails later.

use reqwest::{Certificate, ClientBuilder, Identity};
use std::{
    io,
    path::{Path, PathBuf},
};

/// How `https` endpoints are checked, and how we identify ourselves to them.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// Whom to trust.
    pub trust: Trust,
    /// A client certificate and its key, both PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// Whose certificates are good.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Trust {
    /// Those that the system's bundle of certificate authorities vouches for.
    #[default]
    System,
    /// Those that this bundle vouches for (`cafile`).
    File(PathBuf),
    /// Anybody's (`insecure`).
    Anyone,
}

/// TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read.
    #[error("cannot read {path}")]
    ReadFile {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file holds no certificates, or no usable ones.
    #[error("{path} holds no usable certificates")]
    ParseCertificates {
        /// Which.
        path: PathBuf,
        /// What is wrong with them; nothing if there are none.
        #[source]
        source: Option<reqwest::Error>,
    },
    /// The client certificate or its key is not usable.
    #[error("{cert} and {key} are not a usable client certificate")]
    ParseIdentity {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong with them.
        #[source]
        source: reqwest::Error,
    },
    /// No bundle of certificate authorities was found, and an `https` address is to be called.
    #[error("no certificate authorities found in {}: set cafile", SYSTEM_BUNDLES.join(", "))]
    FindBundle,
}

/// Where distributions keep the bundle: Debian and Alpine, Fedora and RHEL, SUSE, old RHEL.
const SYSTEM_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

impl Tls {
    /// Sets up `client`; `needed` tells whether an `https` address is known to be called.
    pub(crate) fn apply(&self, client: ClientBuilder, needed: Needed) -> Result<ClientBuilder, TlsError> {
        let client = match &self.trust {
            Trust::Anyone => client.tls_certs_only([]).tls_danger_accept_invalid_certs(true),
            Trust::File(path) => client.tls_certs_only(certificates(path)?),
            Trust::System => client.tls_certs_only(system_certificates(needed)?),
        };
        match &self.identity {
            None => Ok(client),
            Some((cert, key)) => Ok(client.identity(identity(cert, key)?)),
        }
    }
}

/// Whether an address that needs TLS is known at start. One that only the catalogue names is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needed {
    Yes,
    Perhaps,
}

fn system_certificates(needed: Needed) -> Result<Vec<Certificate>, TlsError> {
    match (SYSTEM_BUNDLES.iter().map(Path::new).find(|path| path.exists()), needed) {
        (Some(path), _) => certificates(path),
        (None, Needed::Yes) => Err(TlsError::FindBundle),
        (None, Needed::Perhaps) => Ok(Vec::new()),
    }
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, TlsError> {
    let unusable = |source| TlsError::ParseCertificates { path: path.into(), source };
    let found = Certificate::from_pem_bundle(&read(path)?).map_err(|source| unusable(Some(source)))?;
    if found.is_empty() { Err(unusable(None)) } else { Ok(found) }
}

fn identity(cert: &Path, key: &Path) -> Result<Identity, TlsError> {
    let mut pem = read(cert)?;
    pem.push(b'\n');
    pem.extend(read(key)?);
    Identity::from_pem(&pem).map_err(|source| TlsError::ParseIdentity {
        cert: cert.into(),
        key: key.into(),
        source,
    })
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::ReadFile { path: path.into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_bundle_is_named() {
        let error = certificates(Path::new("/nonexistent/ca.pem")).unwrap_err();
        assert_eq!(error.to_string(), "cannot read /nonexistent/ca.pem");
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        let error = certificates(Path::new("/etc/hostname")).unwrap_err();
        assert_eq!(error.to_string(), "/etc/hostname holds no usable certificates");
    }
}
