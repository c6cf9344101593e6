//! Health and metrics: what the controller can do now, and what it did.

use crate::context::Context;
use crate::metrics::Kind;
use http::StatusCode;
use kuryr_k8s::Sync;
use kuryr_openstack::neutron::SubnetFilter;
use kuryr_openstack::{Finished, Kind as Fault, Observer};
use kuryr_telemetry::{Component, Health, Probe};
use std::sync::Arc;
use std::time::Duration;

/// How often a component that is bad is looked at, and a good one from memory.
const PERIOD: Duration = Duration::from_secs(2);

/// The components of `/ready`.
pub struct Components {
    /// The API server answers, and the caches are current.
    pub kubernetes: Component,
    /// Keystone and Neutron answer.
    pub openstack: Component,
    /// The pods' network and ports were read once.
    pub network: Component,
}

impl Components {
    /// Registers them.
    pub fn register(health: &Health) -> Self {
        Self {
            kubernetes: health.component("kubernetes", Probe::Ready),
            openstack: health.component("openstack", Probe::Ready),
            network: health.component("network", Probe::Ready),
        }
    }
}

/// Keeps the components current. Runs until it is dropped.
pub async fn run(context: &Context, components: &Components, outages: &Outages) {
    loop {
        kubernetes(context, &components.kubernetes);
        openstack(context, &components.openstack, outages).await;
        tokio::time::sleep(PERIOD).await;
    }
}

fn kubernetes(context: &Context, component: &Component) {
    let caches = &context.caches;
    let syncs = [
        ("pods", caches.pods.sync()),
        ("kuryrports", caches.records.sync()),
        ("nodes", caches.nodes.sync()),
        ("namespaces", caches.namespaces.sync()),
    ];
    let trouble = syncs.iter().find_map(|(name, sync)| match &*sync.borrow() {
        Sync::Following => None,
        Sync::Starting => Some(format!("{name} are being listed")),
        Sync::Behind(why) | Sync::Failing(why) => Some(format!("{name} can't be watched: {why}")),
    });
    match trouble {
        None => component.good(),
        Some(why) => component.bad(why),
    }
}

/// Whether OpenStack's last answer was one.
#[derive(Default)]
pub struct Outages {
    last: parking_lot::Mutex<Option<String>>,
}

impl Outages {
    /// The pods' network can't be read, or a probe failed.
    pub fn failed(&self, why: String) {
        *self.last.lock() = Some(why);
    }

    fn current(&self) -> Option<String> {
        self.last.lock().clone()
    }
}

impl Observer for Outages {
    fn finished(&self, request: &Finished<'_>) {
        let down = [StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT];
        let trouble = match &request.outcome {
            Ok(status) if down.contains(status) => Some(format!("{} answers {status}", request.service)),
            Ok(_) => None,
            Err(Fault::Unreachable) => Some(format!("{} can't be reached", request.service)),
            Err(fault) => Some(format!("{}: {fault:?}", request.service)),
        };
        *self.last.lock() = trouble;
    }
}

/// Good unless the last request failed; then it is asked until it answers, so that health turns good by itself.
async fn openstack(context: &Context, component: &Component, outages: &Outages) {
    if outages.current().is_some()
        && let Err(error) = probe(context).await
    {
        outages.failed(error.chain());
    }
    match outages.current() {
        None => component.good(),
        Some(why) => component.bad(why),
    }
}

/// Asks Keystone for a token and Neutron for our subnets.
async fn probe(context: &Context) -> kuryr_openstack::Result<()> {
    context.neutron.session().check().await?;
    let ids = context.defaults.subnets.iter().map(|id| id.as_str().into()).collect();
    context.neutron.subnets(&SubnetFilter { ids: Some(ids), ..SubnetFilter::default() }).await.map(drop)
}

/// Brings the sizes up to date, just before they are read.
pub fn refresh(context: &Arc<Context>) {
    let caches = &context.caches;
    let sizes = [
        ("pod", caches.pods.len()),
        ("kuryrport", caches.records.len()),
        ("node", caches.nodes.len()),
        ("namespace", caches.namespaces.len()),
        ("port", context.ports.len()),
    ];
    for (kind, size) in sizes {
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        context.metrics.cached.get_or_create(&Kind { kind }).set(size);
    }
}
