//! Starts and stops it all.

use crate::args::Args;
use crate::context::{Context, Parts};
use crate::metrics::Metrics;
use crate::upkeep::{Components, Outages};
use crate::{cloud, dispatch, relist, settings, upkeep, wiring};
use anyhow::Context as _;
use kuryr_config::cloud::CloudAccess;
use kuryr_config::{Config, Sources};
use kuryr_openstack::{Finished, Observer, Session};
use kuryr_telemetry::{Health, http, logs, process};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

/// After SIGTERM, what is in flight gets this long.
const GRACE: Duration = Duration::from_secs(20);
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
    let configured = CloudAccess::resolve(&loaded.config, &sources.env).map_err(anyhow::Error::from);
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
    let components = Components::register(&health);
    let health_port = http::listen(config.health_server.port).await?;
    let metrics_port = http::listen(config.prometheus_exporter.controller_exporter_port).await?;
    http::spawn(health_port, http::health_router(health));
    let client = kuryr_k8s::client::connect(&settings::kubernetes_access(&config))?;
    let (metrics, outages) = (Metrics::default(), Arc::new(Outages::default()));
    let observers = Arc::new(Observers { metrics: metrics.clone(), outages: outages.clone() });
    let session = Session::open_observed(cloud::session_settings(access), observers)
        .context("failed to set up the way to OpenStack")?;
    let parts = Parts { client, session, metrics, defaults, voice: settings::voice(&config) };
    let tracker = TaskTracker::new();
    tokio::select! {
        signal = process::asked_to_stop() => tracing::info!(signal = signal?, "stopping"),
        () = work(parts, metrics_port, &components, &outages, &tracker) => {}
    }
    finish(&tracker).await;
    Ok(ExitCode::SUCCESS)
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

/// Builds the context, takes the first look, and works until it is dropped.
async fn work(
    parts: Parts,
    metrics_port: TcpListener,
    components: &Components,
    outages: &Outages,
    tracker: &TaskTracker,
) {
    let report = |why: String| components.kubernetes.bad(format!("the API server can't be reached: {why}"));
    let context = Arc::new(Context::build(parts, report).await);
    let refreshed = context.clone();
    let refresh = Arc::new(move || upkeep::refresh(&refreshed));
    http::spawn(metrics_port, http::metrics_router(context.metrics.registry(), refresh));
    first_look(&context, components, outages).await;
    tracing::info!(tag = context.own_tag, "ready");
    tokio::join!(
        dispatch::run(&context, tracker),
        relist::run(&context),
        wiring::run(&context),
        upkeep::run(&context, components, outages),
    );
}

async fn first_look(context: &Context, components: &Components, outages: &Outages) {
    relist::first(context, |error| {
        let why = relist::chain(error);
        tracing::warn!(why, "can't start yet");
        components.network.bad(why.clone());
        components.openstack.bad(why.clone());
        outages.failed(why);
    })
    .await;
    components.network.good();
}

/// What is in flight is finished, within a limit.
async fn finish(tracker: &TaskTracker) {
    tracker.close();
    let in_flight = tracker.len();
    if tokio::time::timeout(GRACE, tracker.wait()).await.is_ok() {
        tracing::info!(in_flight, "stopped");
    } else {
        tracing::warn!(unfinished = tracker.len(), "stopped with work in flight: the next start takes it up");
    }
}
