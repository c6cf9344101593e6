//! What is counted of Services: their load balancers as Octavia has them, and how long they take.

use super::Gauge;
use crate::services::Services;
use jiff::SignedDuration;
use kuryr_core::service::{Balancer, Ownership, State};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Services that a cluster can't do without: the API server, and DNS by the names that kubeadm and OpenShift give it. The Python
/// Kuryr looked at the first and the last.
const CRITICAL: [&str; 3] = ["default/kubernetes", "kube-system/kube-dns", "openshift-dns/dns-default"];

/// What the Python Kuryr's metric of a state can be.
const STATES: [&str; 6] =
    ["ERROR", "ACTIVE", "DELETED", "PENDING_CREATE", "PENDING_UPDATE", "PENDING_DELETE"];

/// Labels of a pool of a Service that a cluster can't do without.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CriticalPool {
    lb_name: String,
    lb_pool_name: String,
}

/// Labels of a state that such a Service's load balancer is in or not.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CriticalState {
    lb_name: String,
    kuryr_critical_lb_state: &'static str,
}

/// Label of load balancers in one state.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct InState {
    state: &'static str,
}

/// What is counted of Services. Clones share it.
#[derive(Clone, Debug)]
pub struct ServiceMetrics {
    /// Times that a load balancer was found at work for longer than it should, `kuryr_load_balancer_readiness_total`.
    pub readiness: Counter,
    creation: Histogram,
    balancers: Family<InState, Gauge>,
    waiting: Gauge,
    longest_wait: gauge::Gauge<f64, AtomicU64>,
    floating_ips: Gauge,
    critical_members: Family<CriticalPool, Gauge>,
    critical_state: Family<CriticalState, Gauge>,
}

impl Default for ServiceMetrics {
    fn default() -> Self {
        Self {
            readiness: Counter::default(),
            creation: Histogram::new([0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0]),
            balancers: Family::default(),
            waiting: Gauge::default(),
            longest_wait: gauge::Gauge::default(),
            floating_ips: Gauge::default(),
            critical_members: Family::default(),
            critical_state: Family::default(),
        }
    }
}

impl ServiceMetrics {
    /// Shows all of it.
    pub fn register(&self, all: &mut Registry) {
        all.register(
            "load_balancer_readiness",
            "Times that a load balancer was found at work for longer than it should",
            self.readiness.clone(),
        );
        all.register(
            "critical_lb_members_count",
            "Members of the pools of Services that a cluster can't do without",
            self.critical_members.clone(),
        );
        all.register(
            "critical_lb_state",
            "1 for the state that such a Service's load balancer is in",
            self.critical_state.clone(),
        );
        all.register(
            "controller_load_balancer_creation_seconds",
            "Seconds from a Service's creation until its load balancers are complete",
            self.creation.clone(),
        );
        all.register("controller_load_balancers", "This cluster's load balancers", self.balancers.clone());
        all.register(
            "controller_load_balancers_waiting",
            "Load balancers that Octavia is waited for",
            self.waiting.clone(),
        );
        all.register(
            "controller_load_balancers_longest_wait_seconds",
            "For how long it has been waited for the one that takes longest",
            self.longest_wait.clone(),
        );
        all.register("controller_floating_ips", "This cluster's floating IPs", self.floating_ips.clone());
    }

    /// A Service has become complete, so long after it was made.
    pub fn made(&self, took: SignedDuration) {
        self.creation.observe(took.as_secs_f64().max(0.0));
    }

    /// Nothing is known any more: another process leads.
    pub fn forget(&self) {
        self.balancers.clear();
        self.critical_members.clear();
        self.critical_state.clear();
        self.waiting.set(0);
        self.longest_wait.set(0.0);
        self.floating_ips.set(0);
    }

    /// Brings what is known of Octavia and Neutron up to date.
    pub fn refresh(&self, services: &Services, own_tag: &str) {
        // Until Octavia was read it is not known that there are none.
        if services.site().is_none() {
            return;
        }
        self.count(&services.balancers.all());
        self.waiting.set(i64::try_from(services.settling.len()).unwrap_or(i64::MAX));
        let longest = services.settling.longest().unwrap_or_default();
        self.longest_wait.set(longest.as_secs_f64());
        let floating_ips = services.addresses.names(own_tag).len();
        self.floating_ips.set(i64::try_from(floating_ips).unwrap_or(i64::MAX));
    }

    fn count(&self, balancers: &[Arc<Balancer>]) {
        for state in ["active", "pending", "deleting", "error"] {
            self.balancers.get_or_create(&InState { state }).set(0);
        }
        for balancer in balancers.iter().filter(|one| one.ownership == Ownership::Ours) {
            self.balancers.get_or_create(&InState { state: short(balancer.state) }).inc();
        }
        for name in CRITICAL {
            // The API server's may be its installer's.
            let found: Vec<_> = balancers.iter().filter(|one| one.name == name).collect();
            self.count_critical(name, &found);
        }
    }

    /// A Service of two families has two load balancers: their members are added up, and the state is that of the worse one.
    fn count_critical(&self, name: &str, balancers: &[&Arc<Balancer>]) {
        for pool in balancers.iter().flat_map(|one| one.pools.values()) {
            let labels = CriticalPool { lb_name: name.to_owned(), lb_pool_name: pool.name.clone() };
            let members = i64::try_from(pool.members.len()).unwrap_or(i64::MAX);
            self.critical_members.get_or_create(&labels).inc_by(members);
        }
        let Some(worst) = balancers.iter().max_by_key(|one| badness(one.state)) else { return };
        for state in STATES {
            let labels = CriticalState { lb_name: name.to_owned(), kuryr_critical_lb_state: state };
            self.critical_state.get_or_create(&labels).set((state == status(worst)).into());
        }
    }
}

fn short(state: State) -> &'static str {
    match state {
        State::Active => "active",
        State::Pending | State::Overdue => "pending",
        State::Deleting => "deleting",
        State::Error => "error",
    }
}

fn badness(state: State) -> u8 {
    match state {
        State::Active => 0,
        State::Pending | State::Overdue => 1,
        State::Deleting => 2,
        State::Error => 3,
    }
}

/// As Octavia calls it. One that is being made has nothing on it yet.
fn status(balancer: &Balancer) -> &'static str {
    match balancer.state {
        State::Active => "ACTIVE",
        State::Pending | State::Overdue if balancer.listeners.is_empty() => "PENDING_CREATE",
        State::Pending | State::Overdue => "PENDING_UPDATE",
        State::Deleting => "PENDING_DELETE",
        State::Error => "ERROR",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kuryr_core::service::{Member, Pool, Socket};
    use std::collections::BTreeMap;

    fn balancer(name: &str, state: State, ownership: Ownership, members: u16) -> Arc<Balancer> {
        let socket = |port| Socket { address: [10, 1, 0, 5].into(), port };
        let member = |port| (socket(port), Member { name: String::new(), subnet: None });
        let pool = Pool {
            name: format!("{name}:TCP:443"),
            algorithm: String::new(),
            protocol: None,
            monitor: None,
            affinity: None,
            members: (0..members).map(member).collect(),
            state: State::Active,
        };
        Arc::new(Balancer {
            id: format!("{name}-{members}").as_str().into(),
            name: name.to_owned(),
            vip: [10, 96, 0, 1].into(),
            subnet: None,
            port: None,
            provider: "ovn".to_owned(),
            project: "p".into(),
            state,
            ownership,
            listeners: BTreeMap::new(),
            pools: BTreeMap::from([("pool".into(), pool)]),
        })
    }

    fn shown(metrics: &ServiceMetrics) -> String {
        let mut all = Registry::with_prefix("kuryr");
        metrics.register(&mut all);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &all).unwrap();
        text
    }

    #[test]
    fn names_and_labels_are_those_of_the_python_kuryr() {
        let metrics = ServiceMetrics::default();
        metrics.readiness.inc();
        metrics.count(&[
            balancer("default/kubernetes", State::Active, Ownership::Foreign, 2),
            balancer("default/kubernetes", State::Error, Ownership::Foreign, 1),
            balancer("default/web", State::Active, Ownership::Ours, 1),
            balancer("default/db", State::Overdue, Ownership::Ours, 1),
        ]);
        let text = shown(&metrics);
        for line in [
            r"kuryr_load_balancer_readiness_total 1",
            r#"kuryr_critical_lb_members_count{lb_name="default/kubernetes",lb_pool_name="default/kubernetes:TCP:443"} 3"#,
            r#"kuryr_critical_lb_state{lb_name="default/kubernetes",kuryr_critical_lb_state="ERROR"} 1"#,
            r#"kuryr_critical_lb_state{lb_name="default/kubernetes",kuryr_critical_lb_state="ACTIVE"} 0"#,
            r#"kuryr_controller_load_balancers{state="active"} 1"#,
            r#"kuryr_controller_load_balancers{state="pending"} 1"#,
            r#"kuryr_controller_load_balancers{state="error"} 0"#,
        ] {
            assert!(text.lines().any(|one| one == line), "{line} is not in {text}");
        }
        assert!(!text.contains("kube-dns"), "nobody has such a Service: {text}");
    }

    #[test]
    fn who_does_not_lead_knows_of_none() {
        let metrics = ServiceMetrics::default();
        metrics.count(&[balancer("default/kubernetes", State::Active, Ownership::Ours, 2)]);
        metrics.made(SignedDuration::from_millis(700));
        metrics.forget();
        let text = shown(&metrics);
        assert!(!text.contains("kuryr_critical_lb_state{") && !text.contains("load_balancers{"), "{text}");
        assert!(text.contains(r#"creation_seconds_bucket{le="1.0"} 1"#), "{text}");
    }
}
