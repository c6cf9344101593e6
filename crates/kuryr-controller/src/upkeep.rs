//! Health and metrics: what the controller can do now, and what it did.

use crate::context::{Caches, Context, Current};
use crate::metrics::{Kind, Metrics};
use http::StatusCode;
use kuryr_k8s::Sync;
use kuryr_openstack::neutron::SubnetFilter;
use kuryr_openstack::{Finished, Kind as Fault, Observer, Service};
use kuryr_telemetry::{Component, Health, Probe};
use std::convert::Infallible;
use std::time::Duration;

/// How often a component that is bad is looked at, and a good one from memory.
const PERIOD: Duration = Duration::from_secs(2);
/// An answer that took longer than this is no sign of health.
const PATIENCE: Duration = Duration::from_secs(5);
/// What the Python Kuryr's `/ready` answered, with status 404, until it had found the ports of its pools.
pub const NOT_LOADED: &str = "Ports not loaded into the pools.";

/// The components of `/ready`.
pub struct Components {
    /// The API server answers, and the caches are current.
    pub kubernetes: Component,
    /// This process leads, or knows who does.
    pub leader: Component,
    /// Keystone and Neutron answer.
    pub openstack: Component,
    /// The pods' network and ports were read once.
    pub network: Component,
    /// Load balancers were read once. Never bad: pods do not depend on it.
    pub services: Component,
    /// The ports of pools were found, where that is waited for.
    pub pools: Option<Component>,
}

/// Whether `/ready` waits for the ports of pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// It does.
    Awaited,
    /// Nobody asks for it.
    Unasked,
}

impl Components {
    /// Registers them.
    pub fn register(health: &Health, recovery: Recovery) -> Self {
        let pools = (recovery == Recovery::Awaited).then(|| health.component("pools", Probe::Ready));
        if let Some(pools) = &pools {
            pools.missing(NOT_LOADED);
        }
        Self {
            pools,
            kubernetes: health.component("kubernetes", Probe::Ready),
            leader: health.component("leader", Probe::Ready),
            openstack: health.component("openstack", Probe::Ready),
            network: health.component("network", Probe::Ready),
            services: health.component("services", Probe::Ready),
        }
    }
}

/// Keeps the component of the API server current.
pub async fn kubernetes(caches: &Caches, component: &Component) -> Infallible {
    loop {
        look_at_caches(caches, component);
        tokio::time::sleep(PERIOD).await;
    }
}

/// Keeps the component of OpenStack current. Runs until it is dropped.
pub async fn openstack(context: &Context, components: &Components, outages: &Outages) {
    // Not asked yet is not known to work.
    outages.doubt("it was not asked yet".to_owned());
    loop {
        look_at_openstack(context, components, outages).await;
        if outages.ended() {
            context.outage_over.notify_one();
        }
        tokio::time::sleep(PERIOD).await;
    }
}

fn look_at_caches(caches: &Caches, component: &Component) {
    let trouble = caches.states().into_iter().find_map(|(kind, sync, _)| match &*sync.borrow() {
        Sync::Following => None,
        Sync::Starting => Some(format!("{} are being listed", plural(kind))),
        Sync::Behind(why) | Sync::Failing(why) => Some(format!("{} can't be watched: {why}", plural(kind))),
    });
    match trouble {
        None => component.good(),
        Some(why) => component.bad(why),
    }
}

fn plural(kind: &str) -> String {
    kind.strip_suffix('y').map_or_else(|| format!("{kind}s"), |stem| format!("{stem}ies"))
}

/// Whether OpenStack's last answer was one, and whether one failed to come since somebody looked.
#[derive(Default)]
pub struct Outages {
    seen: parking_lot::Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    last: Option<String>,
    /// An outage may be shorter than the pauses between looks, and Keystone may answer while Neutron does not.
    since_look: bool,
}

impl Outages {
    /// The pods' network can't be read, or a probe failed.
    pub fn failed(&self, why: String) {
        *self.seen.lock() = Seen { last: Some(why), since_look: true };
    }

    /// Nothing of it is known to work.
    fn doubt(&self, why: String) {
        self.seen.lock().last = Some(why);
    }

    /// It works.
    fn over(&self) {
        self.seen.lock().last = None;
    }

    fn current(&self) -> Option<String> {
        self.seen.lock().last.clone()
    }

    /// Whether there was an outage since the last time that this was asked, and none is now.
    fn ended(&self) -> bool {
        let mut seen = self.seen.lock();
        seen.last.is_none() && std::mem::take(&mut seen.since_look)
    }
}

impl Observer for Outages {
    fn finished(&self, request: &Finished<'_>) {
        let down = [StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT];
        let trouble = match &request.outcome {
            Ok(status) if down.contains(status) => Some(format!("{} answers {status}", request.service)),
            // It says nothing of OpenStack that we did not ask it.
            Err(Fault::Fenced) => return,
            Ok(_) => None,
            Err(Fault::Unreachable) => Some(format!("{} can't be reached", request.service)),
            Err(fault) => Some(format!("{}: {fault:?}", request.service)),
        };
        match (trouble, request.service) {
            // While others are away, nothing happens to what Neutron has.
            (Some(why), Service::Network | Service::Identity) => self.failed(why),
            (Some(why), _) => self.doubt(why),
            (None, _) => self.over(),
        }
    }
}

/// Good unless the last request failed; then it is asked until it answers, so that health turns good by itself.
async fn look_at_openstack(context: &Context, components: &Components, outages: &Outages) {
    if outages.current().is_some() {
        match tokio::time::timeout(PATIENCE, probe(context)).await {
            Ok(Ok(())) => outages.over(),
            Ok(Err(error)) => outages.failed(error.chain()),
            Err(_) => outages.failed(format!("no answer within {} s", PATIENCE.as_secs())),
        }
    }
    match outages.current() {
        None => components.openstack.good(),
        Some(why) => {
            components.openstack.bad(why);
            if context.network().is_none() {
                components.network.bad("not read yet, since OpenStack does not answer");
            }
        }
    }
}

/// Asks Keystone for a token and Neutron for our subnets.
async fn probe(context: &Context) -> kuryr_openstack::Result<()> {
    context.neutron.session().check().await?;
    let ids = context.defaults.subnets.iter().map(|id| id.as_str().into()).collect();
    context.neutron.subnets(&SubnetFilter { ids: Some(ids), ..SubnetFilter::default() }).await.map(drop)
}

/// Brings the sizes up to date, just before they are read.
pub fn refresh(caches: &Caches, current: &Current, metrics: &Metrics) {
    let context = current.get();
    let context = context.as_deref();
    let services = context.and_then(|context| context.services.as_ref());
    let policies = context.and_then(|context| context.policies.as_ref());
    let (groups, address_groups) = policies.map_or((0, 0), |policies| policies.store.len());
    let sizes = caches.states().map(|(kind, _, size)| (kind, size));
    let sizes = sizes.into_iter().chain([
        ("port", context.map_or(0, |context| context.ports.len())),
        ("subport", context.map_or(0, |context| context.trunks.len())),
        ("address_pair", context.map_or(0, |context| context.pairs.len())),
        ("warm_port", context.map_or(0, |context| context.ports.free_len())),
        ("load_balancer", services.map_or(0, |services| services.balancers.len())),
        ("security_group", groups),
        ("address_group", address_groups),
    ]);
    for (kind, size) in sizes {
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        metrics.cached.get_or_create(&Kind { kind }).set(size);
    }
    metrics.services.forget();
    if let (Some(context), Some(services)) = (context, services) {
        metrics.services.refresh(services, &context.own_tag);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;

    fn answer(outages: &Outages, service: Service, outcome: Result<StatusCode, Fault>) {
        let (method, route, took) = (&Method::GET, "/", Duration::ZERO);
        outages.finished(&Finished { service, method, route, outcome, took });
    }

    #[test]
    fn an_outage_between_two_looks_is_not_missed() {
        let outages = Outages::default();
        assert!(!outages.ended());
        answer(&outages, Service::Network, Err(Fault::Unreachable));
        assert!(!outages.ended(), "it is not over");
        answer(&outages, Service::Identity, Ok(StatusCode::OK));
        assert!(outages.current().is_none());
        assert!(outages.ended() && !outages.ended());
    }

    #[test]
    fn what_others_than_neutron_suffer_is_no_reason_to_list_ports() {
        let outages = Outages::default();
        answer(&outages, Service::LoadBalancer, Ok(StatusCode::SERVICE_UNAVAILABLE));
        assert!(outages.current().is_some());
        answer(&outages, Service::Network, Ok(StatusCode::OK));
        assert!(outages.current().is_none() && !outages.ended());
    }
}
