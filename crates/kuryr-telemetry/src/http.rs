//! The HTTP endpoints of a process: `/alive` and `/ready`, `/metrics`.

use crate::health::{Health, Probe, Verdict};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use parking_lot::Mutex;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use thiserror::Error;
use tokio::net::TcpListener;

/// Why an endpoint is not served.
#[derive(Debug, Error)]
pub enum Error {
    /// The port is taken, or needs rights that the process lacks.
    #[error("failed to listen on port {port}")]
    Listen {
        /// TCP port.
        port: u16,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
}

/// A hook that brings values up to date just before they are read.
pub type Refresh = Arc<dyn Fn() + Send + Sync>;

/// `/alive` and `/ready`: 200, 500, or 404 as long as something is missing, with a line for each component in the body.
pub fn health_router(health: Health) -> Router {
    Router::new()
        .route("/alive", get(|State(health): State<Health>| async move { answer(&health, Probe::Alive) }))
        .route("/ready", get(|State(health): State<Health>| async move { answer(&health, Probe::Ready) }))
        .with_state(health)
}

fn answer(health: &Health, probe: Probe) -> impl IntoResponse + use<> {
    let report = health.report(probe);
    let status = match report.verdict {
        Verdict::Good => StatusCode::OK,
        Verdict::Missing => StatusCode::NOT_FOUND,
        Verdict::Bad => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], report.text)
}

/// `/metrics` in the OpenMetrics text format. `refresh` runs before each scrape.
///
/// `kuryr_build_info` is always among them: a page of a program that has measured nothing yet is recognized as Kuryr's.
pub fn metrics_router(registry: Arc<Mutex<Registry>>, refresh: Refresh) -> Router {
    let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
    registry.lock().register("kuryr_build", "Version of the program", build);
    let page = move || {
        let (registry, refresh) = (registry.clone(), refresh.clone());
        async move {
            refresh();
            let mut text = String::new();
            match prometheus_client::encoding::text::encode(&mut text, &registry.lock()) {
                Ok(()) => (StatusCode::OK, text),
                Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
            }
        }
    };
    let kind = [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")];
    Router::new().route("/metrics", get(move || async move { (kind, page().await) }))
}

/// Listens on `port` of all addresses, IPv6 and IPv4; of IPv4 alone where the node has no IPv6.
pub async fn listen(port: u16) -> Result<TcpListener, Error> {
    let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let listener = match TcpListener::bind(both).await {
        Err(error) if error.kind() == std::io::ErrorKind::Unsupported || no_ipv6(&error) => {
            TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).await
        }
        other => other,
    };
    listener.map_err(|source| Error::Listen { port, source })
}

fn no_ipv6(error: &std::io::Error) -> bool {
    const EADDRNOTAVAIL: i32 = 99;
    const EAFNOSUPPORT: i32 = 97;
    matches!(error.raw_os_error(), Some(EADDRNOTAVAIL | EAFNOSUPPORT))
}

/// Serves until the returned task is aborted.
pub fn spawn(listener: TcpListener, router: Router) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "an HTTP endpoint ended");
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_program_that_measured_nothing_says_what_it_is() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let mut stream = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let serving = spawn(listener, metrics_router(Arc::default(), Arc::new(|| {})));
        let request = b"GET /metrics HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).await.unwrap();
        let info = format!("\nkuryr_build_info{{version=\"{}\"}} 1\n", env!("CARGO_PKG_VERSION"));
        assert!(page.contains(&info), "{page}");
        serving.abort();
    }
}
