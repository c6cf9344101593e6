//! What the controller counts. Names and meanings of the Python Kuryr's metrics are kept; the `kuryr_controller_` ones are new.

mod services;

pub use services::ServiceMetrics;

use kuryr_openstack::{Finished, Observer};
use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// A number that goes up and down. Clones share it.
pub type Gauge = gauge::Gauge;

/// Label of a quota.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Resource {
    /// `ports`, `load_balancers`, …
    pub resource: &'static str,
}

/// Labels of a subnet.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Subnet {
    /// Its id.
    pub subnet_id: String,
    /// Its name.
    pub subnet_name: String,
}

/// Label of a cache.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Kind {
    /// `pod`, `kuryrport`, `port`, …
    pub kind: &'static str,
}

/// Labels of a reconcile that failed.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Failure {
    /// `pod`.
    pub kind: &'static str,
    /// `retry`, `wait` or `permanent`.
    pub class: &'static str,
}

/// Labels of a write to Kubernetes.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Write {
    /// `create_kuryrport`, …
    pub write: &'static str,
}

/// Labels of an OpenStack request.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Request {
    service: String,
    method: String,
    route: &'static str,
    status: String,
}

/// Labels of an OpenStack request's duration.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Call {
    service: String,
    method: String,
    route: &'static str,
}

/// A histogram for each set of labels.
type Latencies<L> = Family<L, Histogram, fn() -> Histogram>;

/// What the controller counts. Clones share it.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Free places in a quota, `kuryr_quota_free_count`.
    pub quota_free: Family<Resource, gauge::Gauge>,
    /// Addresses left in a subnet of pods, `kuryr_port_quota_per_subnet`.
    pub subnet_free: Family<Subnet, gauge::Gauge<f64, AtomicU64>>,
    /// From a pod's binding to its node until its port is recorded, `kuryr_pod_creation_latency`.
    pub pod_creation: Histogram,
    /// Ports that were not wired when first looked at, `kuryr_port_readiness_total`.
    pub port_readiness: Counter,
    /// Ports that were put on their trunk once more, `kuryr_controller_subports_stuck_total`.
    pub subports_stuck: Counter,
    /// Time that a reconcile took.
    pub reconciles: Latencies<Kind>,
    /// Reconciles that failed.
    pub failures: Family<Failure, Counter>,
    /// Names that wait to be looked at.
    pub queue_depth: Family<Kind, Gauge>,
    /// Sizes of caches.
    pub cached: Family<Kind, gauge::Gauge>,
    /// Whether this process is the one that works, 1 or 0.
    pub leader: Gauge,
    /// Writes to Kubernetes.
    pub writes: Family<Write, Counter>,
    /// What is counted of Services.
    pub services: ServiceMetrics,
    requests: Family<Request, Counter>,
    request_time: Latencies<Call>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            quota_free: Family::default(),
            subnet_free: Family::default(),
            pod_creation: pod_latency(),
            port_readiness: Counter::default(),
            subports_stuck: Counter::default(),
            reconciles: Family::new_with_constructor(latency),
            failures: Family::default(),
            queue_depth: Family::default(),
            cached: Family::default(),
            leader: Gauge::default(),
            writes: Family::default(),
            services: ServiceMetrics::default(),
            requests: Family::default(),
            request_time: Family::new_with_constructor(latency),
        }
    }
}

/// Seconds, from milliseconds to a minute.
fn latency() -> Histogram {
    Histogram::new([0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0])
}

/// The buckets of the Python Kuryr, 10 s to 2 min, and finer ones below them.
fn pod_latency() -> Histogram {
    let fine = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
    let original = (1..=12).map(|tens| f64::from(tens) * 10.0);
    Histogram::new(fine.into_iter().chain(original))
}

impl Metrics {
    /// A registry that shows all of it.
    pub fn registry(&self) -> Arc<Mutex<Registry>> {
        let mut all = Registry::with_prefix("kuryr");
        all.register(
            "quota_free_count",
            "Free places in a quota of Neutron or Octavia, -1 if unlimited",
            self.quota_free.clone(),
        );
        all.register(
            "port_quota_per_subnet",
            "Ports that a subnet of pods has addresses for",
            self.subnet_free.clone(),
        );
        all.register(
            "pod_creation_latency",
            "Seconds from a pod's scheduling until its port is recorded",
            self.pod_creation.clone(),
        );
        all.register("port_readiness", "Ports that were waited for", self.port_readiness.clone());
        all.register(
            "controller_subports_stuck",
            "Ports that were put on their trunk once more, since OVN had missed it",
            self.subports_stuck.clone(),
        );
        all.register("controller_reconcile_seconds", "Time that a reconcile took", self.reconciles.clone());
        all.register("controller_reconcile_failures", "Reconciles that failed", self.failures.clone());
        all.register("controller_queue_depth", "Names that wait or are looked at", self.queue_depth.clone());
        all.register("controller_cached", "Objects in a cache", self.cached.clone());
        all.register(
            "controller_leader",
            "1 for the process that works, 0 for a standby",
            self.leader.clone(),
        );
        all.register("controller_kubernetes_writes", "Writes to Kubernetes", self.writes.clone());
        self.services.register(&mut all);
        all.register("controller_openstack_requests", "Requests to OpenStack", self.requests.clone());
        all.register(
            "controller_openstack_request_seconds",
            "Time that they took",
            self.request_time.clone(),
        );
        Arc::new(Mutex::new(all))
    }

    /// Counts a write to Kubernetes.
    pub fn wrote(&self, write: &'static str) {
        self.writes.get_or_create(&Write { write }).inc();
    }

    /// Records how long a reconcile took.
    pub fn reconciled(&self, kind: &'static str, took: Duration) {
        self.reconciles.get_or_create(&Kind { kind }).observe(took.as_secs_f64());
    }
}

impl Observer for Metrics {
    fn finished(&self, request: &Finished<'_>) {
        let (service, method) = (request.service.to_string(), request.method.to_string());
        let status = match &request.outcome {
            Ok(status) => status.as_u16().to_string(),
            Err(kind) => format!("{kind:?}").to_lowercase(),
        };
        let call = Call { service: service.clone(), method: method.clone(), route: request.route };
        self.request_time.get_or_create(&call).observe(request.took.as_secs_f64());
        self.requests.get_or_create(&Request { service, method, route: request.route, status }).inc();
    }
}
