//! A client from the options of `[kubernetes]`.
//!
//! The same rules as the Python Kuryr's: a token file wins over a client certificate, an empty `api_root`
//! means the API server of the cluster that the process runs in. Unlike there, the server's certificate
//! is verified unless told otherwise, and a rotated token or CA file is read again.
//!
//! kube's own client speaks HTTP/1 alone: twenty records that are written at once need twenty connections,
//! each with its TLS handshake, when nothing was written for a while. This one speaks HTTP/2 where the server
//! does, so that watches and requests share one connection, and its pings notice a server that is gone without
//! a word.

use hyper_rustls::HttpsConnector;
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::Config;
use kube::client::{Body, ClientBuilder, ConfigExt};
use kube::config::{AuthInfo, InClusterError};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tower::{BoxError, ServiceBuilder};
use tower_http::decompression::DecompressionLayer;

/// A request that is not a watch ends after this time at the latest. The API server's own limit is 60 s.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// So long nothing came from the server until it is asked whether it is there.
const PING_AFTER: Duration = Duration::from_secs(10);

/// A server that does not answer a ping for so long is gone, and what waits for it is told.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// What a watch may be sent before it is read.
const STREAM_WINDOW: u32 = 256 << 10;

/// The same of all that share the connection: so many watches that nobody reads would have to come together to stop the others.
const CONNECTION_WINDOW: u32 = 32 * STREAM_WINDOW;

/// How to reach the API server.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// `https://host:port`; without a scheme `https` is meant; empty means in-cluster.
    pub api_root: String,
    /// Bearer token; read again when it changes.
    pub token_file: Option<PathBuf>,
    /// Client certificate in PEM; used when there is no token file.
    pub client_certificate: Option<PathBuf>,
    /// Key of the client certificate in PEM.
    pub client_key: Option<PathBuf>,
    /// CA bundle in PEM.
    pub ca_file: Option<PathBuf>,
    /// Take any server certificate.
    pub insecure: bool,
    /// Limit for making a connection.
    pub connect_timeout: Option<Duration>,
}

/// Why there is no client.
#[derive(Debug, Error)]
pub enum Error {
    /// `api_root` is not a URL.
    #[error("[kubernetes] api_root `{url}` is not a URL")]
    ParseUrl {
        /// The value.
        url: String,
        /// What is wrong with it.
        #[source]
        source: http::uri::InvalidUri,
    },
    /// A file that the options name can't be read.
    #[error("failed to read {path}, which [kubernetes] {option} names")]
    ReadFile {
        /// Option.
        option: &'static str,
        /// File.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// `api_root` is empty outside of a cluster.
    #[error("[kubernetes] api_root is empty, and the process does not run inside a cluster")]
    InCluster(#[source] InClusterError),
    /// The TLS settings do not fit together.
    #[error("failed to make a Kubernetes client")]
    Build(#[source] Box<kube::Error>),
}

/// Makes a client. No request is sent: an API server that is down is noticed by the first caller.
pub fn connect(access: &Access) -> Result<kube::Client, Error> {
    let config = config(access)?;
    client(&config).map_err(|error| Error::Build(Box::new(error)))
}

fn client(config: &Config) -> kube::Result<kube::Client> {
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .layer(DecompressionLayer::new())
        .option_layer(config.auth_layer()?)
        .map_err(BoxError::from)
        .service(transport(config)?);
    Ok(ClientBuilder::new(service, config.default_namespace.clone()).build())
}

fn transport(
    config: &Config,
) -> kube::Result<legacy::Client<TimeoutConnector<HttpsConnector<HttpConnector>>, Body>> {
    let mut tls = config.rustls_client_config()?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    let mut connector = TimeoutConnector::new(HttpsConnector::from((tcp, Arc::new(tls))));
    connector.set_connect_timeout(config.connect_timeout);
    Ok(legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keep_alive_interval(PING_AFTER)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .build(connector))
}

fn config(access: &Access) -> Result<Config, Error> {
    let mut config = if access.api_root.is_empty() {
        Config::incluster().map_err(Error::InCluster)?
    } else {
        explicit(access)?
    };
    config.accept_invalid_certs = access.insecure;
    config.connect_timeout = access.connect_timeout.or(config.connect_timeout);
    Ok(config)
}

fn explicit(access: &Access) -> Result<Config, Error> {
    let url = with_scheme(&access.api_root);
    let parsed = url.parse().map_err(|source| Error::ParseUrl { url: url.clone(), source })?;
    let mut config = Config::new(parsed);
    config.auth_info = credentials(access)?;
    if let Some(path) = access.ca_file.as_ref().filter(|_| url.starts_with("https") && !access.insecure) {
        readable("ssl_ca_crt_file", path)?;
        config.root_cert_file = Some(path.clone());
    }
    Ok(config)
}

fn with_scheme(api_root: &str) -> String {
    if api_root.contains("://") { api_root.to_owned() } else { format!("https://{api_root}") }
}

fn credentials(access: &Access) -> Result<AuthInfo, Error> {
    let mut auth = AuthInfo::default();
    if let Some(path) = &access.token_file {
        readable("token_file", path)?;
        auth.token_file = Some(path.display().to_string());
        return Ok(auth);
    }
    if let (Some(certificate), Some(key)) = (&access.client_certificate, &access.client_key) {
        readable("ssl_client_crt_file", certificate)?;
        readable("ssl_client_key_file", key)?;
        auth.client_certificate = Some(certificate.display().to_string());
        auth.client_key = Some(key.display().to_string());
    }
    Ok(auth)
}

fn readable(option: &'static str, path: &PathBuf) -> Result<(), Error> {
    std::fs::File::open(path).map(drop).map_err(|source| Error::ReadFile {
        option,
        path: path.clone(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    const UNAVAILABLE: &[u8] =
        b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\nconnection: close\r\n\r\nbusy";

    #[test]
    fn an_address_without_scheme_means_https() {
        assert_eq!(with_scheme("192.0.2.1:6443"), "https://192.0.2.1:6443");
        assert_eq!(with_scheme("http://192.0.2.1"), "http://192.0.2.1");
    }

    #[test]
    fn a_missing_token_file_is_named_with_its_option() {
        let access = Access {
            api_root: "https://192.0.2.1".into(),
            token_file: Some("/nowhere/token".into()),
            ..Access::default()
        };
        let error = config(&access).unwrap_err().to_string();
        assert_eq!(error, "failed to read /nowhere/token, which [kubernetes] token_file names");
    }

    #[tokio::test]
    async fn what_fails_is_asked_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api_root = format!("http://{}", listener.local_addr().unwrap());
        let client = connect(&Access { api_root, ..Access::default() }).unwrap();
        let serving = async {
            let mut asked = 0;
            while let Ok(Ok((mut stream, _))) = timeout(Duration::from_secs(2), listener.accept()).await {
                asked += 1;
                let mut request = [0; 4096];
                assert!(stream.read(&mut request).await.unwrap() > 0);
                stream.write_all(UNAVAILABLE).await.unwrap();
            }
            asked
        };
        let asking = async {
            let create = http::Request::post("/api/v1/namespaces/default/pods").body(Vec::new()).unwrap();
            client.request::<serde_json::Value>(create).await
        };
        let (asked, answer) = tokio::join!(serving, asking);
        let kube::Error::Api(status) = answer.unwrap_err() else { panic!("no answer") };
        assert_eq!((asked, status.code), (1, 503));
    }
}
