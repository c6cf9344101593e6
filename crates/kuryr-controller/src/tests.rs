//! The controller against an API server and a Neutron in memory: what it leaves behind, whatever happens on the way.

mod adoption;
mod capacity;
mod counts;
mod crash;
mod explain;
mod leader;
mod life;
mod pairs;
mod policies;
mod policy_storm;
mod pool_bursts;
mod pool_socket;
mod pools;
mod servers;
mod services;
mod sriov;
mod storm;
mod trunks;

use crate::context::{Caches, Context, Current, Parts};
use crate::driver::Driver;
use crate::leader::Term;
use crate::metrics::{Kind, Metrics};
use crate::pools::PoolDefaults;
use crate::reconcile::capacity as counting;
use crate::settings::{PodDefaults, PolicyDefaults, Projects, ServiceDefaults};
use crate::sriov::Functions;
use crate::{dispatch, policies as enforcing, pools as pooling, relist, services as serving, wiring};
use kuryr_api::cloud::{Auth, Domain, Project, Scope, Secret, User};
use kuryr_core::network::Naming;
use kuryr_core::service::{External, MemberMode, Timeouts, WithoutClass};
use kuryr_k8s::events::Voice;
use kuryr_k8s::fence::{Clock, Permit};
use kuryr_openstack::{Hooks, Session, Settings};
use kuryr_telemetry::{Component, Health, Probe};
use kuryr_testkit::{FakeCloud, FakeKubernetes};
use serde_json::{Value, json};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::TaskTracker;

const PODS: &str = "/api/v1/namespaces/default/pods";
const RECORDS: &str = "/apis/openstack.org/v1/namespaces/default/kuryrports";

/// A cluster and a cloud that outlive controllers.
struct World {
    kubernetes: FakeKubernetes,
    cloud: FakeCloud,
    /// How controllers enforce network policies, if they do.
    policies: Option<PolicyDefaults>,
    /// How they keep ports ready, if they do.
    pools: Option<PoolDefaults>,
    /// Whether ports carry names.
    naming: Naming,
    /// How ports get to nodes without a label.
    driver: Driver,
    /// How pods ask for virtual functions.
    functions: Functions,
}

impl World {
    async fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let kubernetes = FakeKubernetes::default();
        for name in ["kube-system", "default"] {
            kubernetes.create("/api/v1/namespaces", json!({ "metadata": { "name": name } }));
        }
        for name in ["node1", "node2"] {
            kubernetes.create("/api/v1/nodes", json!({ "metadata": { "name": name } }));
        }
        Self {
            kubernetes,
            cloud: FakeCloud::start().await.unwrap(),
            policies: None,
            pools: None,
            naming: Naming::None,
            driver: Driver::default(),
            functions: Functions::default(),
        }
    }

    /// A pod as the scheduler leaves it.
    fn pod(&self, name: &str) -> Value {
        self.pod_on("node1", name)
    }

    /// One on that node.
    fn pod_on(&self, node: &str, name: &str) -> Value {
        let (metadata, spec) = (json!({ "name": name }), json!({ "nodeName": node }));
        let pod = json!({ "metadata": metadata, "spec": spec, "status": { "phase": "Pending" } });
        self.kubernetes.create(PODS, pod)
    }

    fn set_phase(&self, pod: &str, phase: &str) {
        self.kubernetes.patch(&format!("{PODS}/{pod}"), &json!({ "status": { "phase": phase } }));
    }

    fn record(&self, pod: &str) -> Option<Value> {
        self.kubernetes.get(&format!("{RECORDS}/{pod}"))
    }

    fn ports(&self) -> Vec<Value> {
        self.cloud.neutron().ports()
    }

    fn id_of(&self, name: &str) -> String {
        self.cloud.neutron().id_of(name).unwrap()
    }

    fn cloud_settings(&self) -> Settings {
        let domain = || Domain::Name("Default".into());
        let auth = Auth::Password {
            user: User::Name("kuryr".into(), domain()),
            password: Secret::new("secret"),
            scope: Scope::Project(Project::Name("k8s".into(), domain())),
        };
        let mut settings = Settings::new(self.cloud.auth_url(), auth);
        settings.retry.times = 0;
        settings
    }

    fn session(&self) -> Session {
        Session::open(self.cloud_settings()).unwrap()
    }

    fn defaults(&self) -> PodDefaults {
        let subnets = ["k8s-pod-subnet", "k8s-pod-subnet-v6"].map(|name| self.id_of(name));
        PodDefaults {
            subnets: subnets.into(),
            security_groups: vec![self.id_of("k8s-pods")],
            project: None,
            bridge: Some("br-int".into()),
            vhostuser_dir: "/var/cni/vhostuser".into(),
            tags: vec!["test".into()],
            naming: self.naming,
            driver: self.driver,
            workers: Vec::new(),
            update_attempts: NonZeroU32::new(3).unwrap(),
            functions: self.functions.clone(),
        }
    }

    fn service_defaults(&self) -> ServiceDefaults {
        ServiceDefaults {
            subnets: vec![self.id_of("k8s-service-subnet").as_str().into()],
            member_subnets: vec![self.id_of("k8s-pod-subnet").as_str().into()],
            project: None,
            projects: Projects::One,
            provider: Some("ovn".to_owned()),
            algorithm: "ROUND_ROBIN".to_owned(),
            member_mode: MemberMode::L3,
            timeouts: Timeouts::default(),
            patience: Duration::from_mins(5),
            external: Some(External { network: self.id_of("public").as_str().into(), subnet: None }),
            without_class: WithoutClass::Ours,
            guards: self.policies.is_some(),
        }
    }

    async fn context(&self) -> Arc<Context> {
        self.context_with(|_| {}).await
    }

    async fn context_with(&self, how: impl FnOnce(&mut ServiceDefaults)) -> Arc<Context> {
        self.context_through(self.cloud_settings(), &permit(), how).await
    }

    async fn context_through(
        &self,
        settings: Settings,
        permit: &Permit,
        how: impl FnOnce(&mut ServiceDefaults),
    ) -> Arc<Context> {
        let hooks = Hooks { gate: Arc::new(Term(permit.clone())), ..Hooks::default() };
        let session = Session::open_with(settings, hooks).unwrap();
        let mut services = self.service_defaults();
        how(&mut services);
        let current = Current::default();
        let client = permit.guard(&self.kubernetes.client());
        let caches = Caches::start(&client, &current, self.pools.as_ref());
        caches.complete().await;
        let context = Arc::new(Context::new(Parts {
            own_tag: caches.own_tag().await,
            caches,
            client,
            session,
            metrics: Metrics::default(),
            defaults: self.defaults(),
            services: Some(services),
            policies: self.policies.clone(),
            pools: self.pools.clone(),
            voice: Voice::On,
        }));
        current.set(&context);
        context
    }

    /// A controller, until it is dropped.
    async fn controller(&self) -> Controller {
        self.controller_with(|_| {}).await
    }

    /// One whose load balancers are made by this provider.
    async fn controller_of(&self, provider: &str) -> Controller {
        self.controller_with(|defaults| defaults.provider = Some(provider.to_owned())).await
    }

    /// One that serves Services otherwise.
    async fn controller_with(&self, how: impl FnOnce(&mut ServiceDefaults)) -> Controller {
        self.controller_through(self.cloud_settings(), how).await
    }

    /// One that reaches the cloud otherwise.
    async fn controller_through(
        &self,
        settings: Settings,
        how: impl FnOnce(&mut ServiceDefaults),
    ) -> Controller {
        let permit = permit();
        let context = self.context_through(settings, &permit, how).await;
        let running = context.clone();
        let task = tokio::spawn(async move {
            relist::once(&running, |_| {}).await;
            running.look_at_all();
            let (tracker, component) = (TaskTracker::new(), component());
            tokio::join!(
                dispatch::pods(&running, &tracker),
                dispatch::services(&running, &tracker),
                dispatch::policies(&running, &tracker),
                dispatch::pools(&running, &tracker),
                counting::run(&running),
                enforcing::run(&running),
                pooling::run(&running),
                serving::run(&running, &component),
                wiring::run(&running)
            );
        });
        Controller { context, permit, task }
    }

    /// Waits until `what` is so. The time is for machines that are busy with something else.
    async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        for _ in 0..3000 {
            if is_so(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!(
            "never: {what}\nports: {:#?}\nrecords: {:#?}",
            self.ports(),
            self.kubernetes.all("kuryrports")
        );
    }

    fn events(&self) -> Vec<String> {
        let events = self.kubernetes.all("events");
        events.iter().map(|event| event["reason"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

struct Controller {
    context: Arc<Context>,
    permit: Permit,
    task: tokio::task::JoinHandle<()>,
}

impl Controller {
    /// No name waits to be looked at.
    fn rests(&self) -> bool {
        let depth = |kind| self.context.metrics.queue_depth.get_or_create(&Kind { kind }).get();
        ["pod", "service", "policy", "peer", "pool"].into_iter().all(|kind| depth(kind) == 0)
    }
}

/// What a controller says of Services to whom nobody listens.
fn component() -> Component {
    Health::default().component("services", Probe::Ready)
}

/// A process that ends sends nothing more, whatever it was about to do.
impl Drop for Controller {
    fn drop(&mut self) {
        self.permit.close();
        self.task.abort();
    }
}

/// One that lasts until it is closed.
fn permit() -> Permit {
    Permit::new(Clock::default(), Duration::MAX)
}

/// The port that a record names.
fn port_of(record: &Value) -> &str {
    record["status"]["vifs"]["eth0"]["vif"]["versioned_object.data"]["id"].as_str().unwrap()
}
