//! Starts and stops it all.

use crate::args::Args;
use crate::context::{Caches, Current};
use crate::leader::Candidate;
use crate::metrics::Metrics;
use crate::pools::socket::{self, Served};
use crate::relist;
use crate::upkeep::{Components, Outages};
use crate::{driver, settings, upkeep};
use anyhow::Context as _;
use kuryr_api::cloud::CloudAccess;
use kuryr_config::cloud;
use kuryr_config::{Config, Sources};
use kuryr_k8s::lease::Elector;
use kuryr_openstack::{Finished, Observer, Session, Settings};
use kuryr_telemetry::{Health, http, logs, process};
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Exit code of a configuration that can't be used.
const BAD_CONFIGURATION: u8 = 2;

/// Runs until it is asked to stop.
///
/// # Errors
/// The process can't start: no runtime, a port that is taken, a certificate that can't be read.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let sources = Sources::from_cli(args.config_files.clone(), args.config_dirs.clone());
    let loaded = match kuryr_config::load(&sources) {
        Ok(loaded) => loaded,
        Err(error) => return Ok(refuse(&error)),
    };
    let (format, level, output) = settings::logs(&loaded.config, args.debug)?;
    logs::init(format, level, output);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let configured = cloud::access(&loaded.config, &sources.env).map_err(anyhow::Error::from);
    let configured = configured.and_then(|cloud| Ok((cloud, settings::pod_defaults(&loaded.config)?)));
    let (access, defaults) = match configured {
        Ok(configured) => configured,
        Err(error) => return Ok(refuse(&format_args!("{error:#}"))),
    };
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?
        .block_on(serve(loaded.config, &access, defaults))
}

/// The configuration can't be used: said on standard error, since logging may not be set up.
fn refuse(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("kuryr-k8s-controller: {error}");
    ExitCode::from(BAD_CONFIGURATION)
}

async fn serve(
    config: Config,
    access: &CloudAccess,
    defaults: settings::PodDefaults,
) -> anyhow::Result<ExitCode> {
    let health = Health::default();
    let components = Components::register(&health, settings::recovery(&config));
    let health_port = http::listen(config.health_server.port).await?;
    let metrics_port = http::listen(config.prometheus_exporter.controller_exporter_port).await?;
    http::spawn(health_port, http::health_router(health));
    let client = kuryr_k8s::client::connect(&settings::kubernetes_access(&config))?;
    let cloud = Settings::from(access);
    // Each term opens its own; what can't be opened is told at the start, by a standby too.
    Session::open(cloud.clone()).context("failed to set up the way to OpenStack")?;
    let (metrics, outages) = (Metrics::default(), Arc::new(Outages::default()));
    for mapped in driver::impossible_pools(&config) {
        tracing::warn!(
            "[vif_pool] vif_pool_mapping {mapped}: there is no such pool for these nodes, and none is kept"
        );
    }
    let (current, pools) = (Current::default(), settings::pool_defaults(&config));
    let candidate = Candidate {
        caches: Caches::start(&client, &current, pools.as_ref()),
        client,
        current,
        cloud,
        observer: Arc::new(Observers { metrics: metrics.clone(), outages: outages.clone() }),
        outages,
        metrics,
        defaults,
        services: settings::service_defaults(&config),
        policies: settings::policy_defaults(&config),
        pools,
        voice: settings::voice(&config),
        components,
    };
    show(metrics_port, &candidate);
    let _socket = serve_pools(&config, &candidate.current).await;
    Box::pin(until_stopped(&candidate)).await.map(|()| ExitCode::SUCCESS)
}

/// Serves the metrics.
fn show(port: TcpListener, candidate: &Candidate) {
    let (caches, current) = (candidate.caches.clone(), candidate.current.clone());
    let metrics = candidate.metrics.clone();
    let registry = metrics.registry();
    let refresh = Arc::new(move || upkeep::refresh(&caches, &current, &metrics));
    http::spawn(port, http::metrics_router(registry, refresh));
}

/// Serves the socket by which pools are looked after, where that is asked for. Pods do not depend on it.
async fn serve_pools(config: &Config, current: &Current) -> Option<Served> {
    let place = settings::pool_socket(config)?;
    let path = place.path.display();
    match socket::serve(&place, current).await {
        Ok(served) => {
            tracing::info!(socket = %path, "serving pools");
            Some(served)
        }
        Err(error) => {
            let why = relist::chain(&error);
            tracing::error!(socket = %path, why, "pools can't be looked after by [pool_manager] sock_file");
            None
        }
    }
}

async fn until_stopped(candidate: &Candidate) -> anyhow::Result<()> {
    let mut elector = Elector::new(candidate.client.clone(), settings::lease()?);
    let asked = process::asked_to_stop();
    let stop = pin!(async {
        match asked.await {
            Ok(signal) => tracing::info!(signal, "stopping"),
            Err(error) => tracing::error!(%error, "signals can't be received: stopping"),
        }
    });
    tokio::select! {
        never = upkeep::kubernetes(&candidate.caches, &candidate.components.kubernetes) => match never {},
        ended = candidate.run(&mut elector, stop) => ended,
    }
}

/// Tells two about each request.
struct Observers {
    metrics: Metrics,
    outages: Arc<Outages>,
}

impl Observer for Observers {
    fn finished(&self, request: &Finished<'_>) {
        self.metrics.finished(request);
        self.outages.finished(request);
    }
}
