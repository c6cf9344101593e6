//! Starts and stops it all.

use crate::args::Args;
use crate::cloud;
use crate::context::{Caches, Context};
use crate::metrics::{Failure, Metrics};
use crate::ports::Ports;
use crate::queue::Queue;
use crate::reconcile::{Next, pod};
use crate::upkeep::{Components, Outages};
use crate::wiring::Wiring;
use crate::{relist, settings, upkeep, wiring};
use anyhow::Context as _;
use kube::Api;
use kube::runtime::watcher;
use kuryr_api::names;
use kuryr_config::cloud::CloudAccess;
use kuryr_config::{Config, Sources};
use kuryr_k8s::events::Events;
use kuryr_k8s::slim::Slim;
use kuryr_k8s::{Cache, Client, Key};
use kuryr_openstack::neutron::{Bulk, Joining, Neutron};
use kuryr_openstack::{Finished, Observer, Session};
use kuryr_telemetry::{Health, http, logs, process};
use parking_lot::RwLock;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Names that are looked at side by side. Most of the time they wait for Neutron together.
const CONCURRENCY: usize = 512;
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
    let stop = CancellationToken::new();
    let work = work(&config, client, session, metrics, defaults, metrics_port, &components, &outages, &stop);
    tokio::select! {
        signal = process::asked_to_stop() => tracing::info!(signal = signal?, "stopping before the start was complete"),
        tracker = work => finish(&tracker, &stop).await,
    }
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

/// Builds the context, does the first look, and works until the process is asked to stop. Returns what is in flight then.
#[expect(clippy::too_many_arguments, reason = "each is made once, in `serve`, and handed over once")]
async fn work(
    config: &Config,
    client: Client,
    session: Session,
    metrics: Metrics,
    defaults: settings::PodDefaults,
    metrics_port: tokio::net::TcpListener,
    components: &Components,
    outages: &Arc<Outages>,
    stop: &CancellationToken,
) -> TaskTracker {
    let queue = Arc::new(Queue::new(metrics.queue_depth.clone()));
    let caches = watch(&client, &queue);
    caches.complete(components).await;
    let cluster = cluster_uid(&caches).await;
    let neutron = Neutron::new(session);
    let context = Arc::new(Context {
        caches,
        ports: Ports::default(),
        queue,
        wiring: Wiring::default(),
        events: Events::new(client.clone(), "kuryr-controller", None, settings::voice(config)),
        client,
        bulk: Bulk::start(neutron.clone(), Joining::default()),
        neutron,
        defaults,
        own_tag: names::ownership_tag(&cluster),
        network: RwLock::new(None),
        metrics,
    });
    let registry = context.metrics.registry();
    let refresh = {
        let context = context.clone();
        Arc::new(move || upkeep::refresh(&context))
    };
    http::spawn(metrics_port, http::metrics_router(registry, refresh));
    first_look(&context, components, outages).await;
    tracing::info!(cluster, "ready");
    reconcile_until(&context, components, outages, stop).await
}

impl Caches {
    /// Waits until all are complete, and says what is missing meanwhile.
    async fn complete(&self, components: &Components) {
        let complete = async {
            self.pods.complete().await;
            self.records.complete().await;
            self.nodes.complete().await;
            self.namespaces.complete().await;
        };
        let report = async {
            let mut sync = self.pods.sync();
            loop {
                if let kuryr_k8s::Sync::Failing(why) = &*sync.borrow_and_update() {
                    components.kubernetes.bad(format!("the API server can't be reached: {why}"));
                }
                if sync.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::select! { () = complete => {}, () = report => {} }
    }
}

fn watch(client: &Client, queue: &Arc<Queue<Key>>) -> Caches {
    let follow = || watcher::Config::default().page_size(500);
    Caches {
        pods: keyed(Api::all(client.clone()), follow(), queue),
        records: keyed(Api::all(client.clone()), follow(), queue),
        nodes: Cache::start(Api::all(client.clone()), follow(), Box::new(|_| {})),
        namespaces: Cache::start(Api::all(client.clone()), follow(), Box::new(|_| {})),
    }
}

/// A cache whose changes are names of pods to look at.
fn keyed<T: Slim>(api: Api<T::Wire>, follow: watcher::Config, queue: &Arc<Queue<Key>>) -> Cache<T> {
    let queue = queue.clone();
    Cache::start(api, follow, Box::new(move |change| queue.add(change.key().clone())))
}

/// The uid of the `kube-system` namespace, which lives exactly as long as the cluster.
async fn cluster_uid(caches: &Caches) -> String {
    let key = Key::new("", "kube-system");
    caches.namespaces.wait_for(|cache| cache.get(&key).map(|namespace| namespace.uid.to_string())).await
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

async fn reconcile_until(
    context: &Arc<Context>,
    components: &Components,
    outages: &Outages,
    stop: &CancellationToken,
) -> TaskTracker {
    let tracker = TaskTracker::new();
    let places = Arc::new(Semaphore::new(CONCURRENCY));
    let dispatch = async {
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let key = context.queue.next().await;
            let context = context.clone();
            tracker.spawn(async move {
                look_at(&context, key).await;
                drop(place);
            });
        }
    };
    tokio::select! {
        signal = process::asked_to_stop() => match signal {
            Ok(signal) => tracing::info!(signal, "stopping"),
            Err(error) => tracing::error!(%error, "signals can't be received"),
        },
        () = dispatch => {}
        () = relist::run(context) => {}
        () = wiring::run(context) => {}
        () = upkeep::run(context, components, outages) => {}
        () = stop.cancelled() => {}
    }
    tracker
}

/// One look at one name. A panic in it is a defect of ours, and harms that name alone.
async fn look_at(context: &Arc<Context>, key: Key) {
    let started = Instant::now();
    let look = {
        let (context, key) = (context.clone(), key.clone());
        tokio::spawn(async move { settle(&context, &key).await })
    };
    if look.await.is_err() {
        let pause = context.queue.add_failed(key.clone());
        tracing::error!(pod = %key, ?pause, "a look at the pod panicked");
    }
    context.metrics.reconciled("pod", started.elapsed());
    context.queue.done(&key);
}

async fn settle(context: &Context, key: &Key) {
    match pod::reconcile(context, key).await {
        Ok(Next::OnChange) => context.queue.forgive(key),
        Ok(Next::Within(time)) => {
            context.queue.forgive(key);
            context.queue.add_after(key.clone(), time);
        }
        Ok(Next::Later) => {
            context.queue.add_failed(key.clone());
        }
        Err(error) => {
            let failure = Failure { kind: "pod", class: error.class() };
            context.metrics.failures.get_or_create(&failure).inc();
            let pause = context.queue.add_failed(key.clone());
            let (why, request_id) = (relist::chain(&error), error.request_id().unwrap_or("-"));
            tracing::warn!(pod = %key, why, request_id, ?pause, "will look at the pod again");
            if let Some(news) = error.news() {
                pod::tell(context, key, context.caches.pods.get(key).as_deref(), news).await;
            }
        }
    }
}

/// What is in flight is finished, within a limit.
async fn finish(tracker: &TaskTracker, stop: &CancellationToken) {
    stop.cancel();
    tracker.close();
    let in_flight = tracker.len();
    if tokio::time::timeout(GRACE, tracker.wait()).await.is_ok() {
        tracing::info!(in_flight, "stopped");
    } else {
        tracing::warn!(unfinished = tracker.len(), "stopped with work in flight: the next start takes it up");
    }
}
