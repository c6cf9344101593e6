//! Several controllers on one cluster: one works, the next follows it, and one that was held still writes nothing.

use super::*;
use crate::leader::Candidate;
use crate::upkeep::{self, Components, NOT_LOADED, Outages, Recovery};
use kuryr_k8s::fence::Clock;
use kuryr_k8s::lease::{self, Elector};
use kuryr_openstack::Unobserved;
use kuryr_telemetry::{Health, Probe, Verdict};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kuryr-controller";

/// Shorter than in earnest, but long beside what a busy machine holds a test up.
const TIMES: lease::Times = lease::Times {
    lease: Duration::from_secs(4),
    permit: Duration::from_secs(2),
    renewal: Duration::from_millis(300),
    look: Duration::from_millis(100),
    request: Duration::from_secs(1),
};

/// A whole controller but for its ports.
struct Process {
    health: Health,
    metrics: Metrics,
    /// What the process slept, in milliseconds: its own clock goes on meanwhile.
    slept: Arc<AtomicU64>,
    task: JoinHandle<()>,
    stop: Option<oneshot::Sender<()>>,
}

impl Process {
    fn start(world: &World, name: &str) -> Self {
        Self::start_with(world, name, world.cloud_settings())
    }

    fn start_with(world: &World, name: &str, cloud: Settings) -> Self {
        let recovery = if world.pools.is_some() { Recovery::Awaited } else { Recovery::Unasked };
        let (health, metrics, current) = (Health::default(), Metrics::default(), Current::default());
        let client = world.kubernetes.client();
        let candidate = Candidate {
            caches: Caches::start(&client, &current, world.pools.as_ref()),
            client: client.clone(),
            current,
            cloud,
            observer: Arc::new(Unobserved),
            outages: Arc::new(Outages::default()),
            metrics: metrics.clone(),
            defaults: world.defaults(),
            services: None,
            policies: None,
            pools: world.pools.clone(),
            voice: Voice::On,
            components: Components::register(&health, recovery),
        };
        let slept = Arc::new(AtomicU64::new(0));
        let mut elector = Elector::new(client, lease_settings(name, &slept));
        let (stop, asked) = oneshot::channel();
        let task = tokio::spawn(async move {
            let stop = pin!(async { asked.await.unwrap_or_default() });
            tokio::select! {
                never = upkeep::kubernetes(&candidate.caches, &candidate.components.kubernetes) => match never {},
                ended = candidate.run(&mut elector, stop) => ended.unwrap(),
            }
        });
        Self { health, metrics, slept, task, stop: Some(stop) }
    }

    fn leads(&self) -> bool {
        self.metrics.leader.get() == 1
    }

    fn ready(&self) -> (bool, String) {
        let report = self.health.report(Probe::Ready);
        (report.verdict == Verdict::Good, report.text)
    }

    /// The end of all its tasks that matter here: it renews no more.
    fn kill(&self) {
        self.task.abort();
    }

    /// SIGTERM.
    async fn stop(mut self) {
        let _ = self.stop.take().unwrap().send(());
        (&mut self.task).await.unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lease_settings(name: &str, slept: &Arc<AtomicU64>) -> lease::Settings {
    let (start, slept) = (Instant::now(), slept.clone());
    lease::Settings {
        namespace: "kube-system".into(),
        name: "kuryr-controller".into(),
        identity: name.into(),
        times: TIMES,
        clock: Clock::new(move || start.elapsed() + Duration::from_millis(slept.load(Ordering::Relaxed))),
    }
}

fn holder(world: &World) -> Value {
    world.kubernetes.get(LEASE).map_or(Value::Null, |lease| lease["spec"]["holderIdentity"].clone())
}

/// The first leads, the second stands by.
async fn two(world: &World) -> (Process, Process) {
    let first = Process::start(world, "first");
    world.until("the first leads", |_| first.leads()).await;
    let second = Process::start(world, "second");
    world.until("the second is ready", |_| second.ready().0).await;
    (first, second)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_works_and_the_other_says_that_it_stands_by() {
    let world = World::new().await;
    let (first, second) = two(&world).await;
    world.pod("web");
    world.until("the pod is recorded", |world| world.record("web").is_some()).await;
    world.until("the first is ready", |_| first.ready().0).await;
    assert!(first.ready().1.contains("leader: ok\n"), "{}", first.ready().1);
    assert!(second.ready().1.contains("leader: standby, first leads\n"), "{}", second.ready().1);
    assert!(!second.leads());
    assert_eq!(world.ports().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_takes_over_from_one_that_was_killed() {
    let world = World::new().await;
    let (first, second) = two(&world).await;
    world.pod("early");
    world.until("the pod is recorded", |world| world.record("early").is_some()).await;
    first.kill();
    world.pod("late");
    world.kubernetes.delete(&format!("{PODS}/early"));
    world.until("the second leads", |_| second.leads()).await;
    let done = |world: &World| world.record("late").is_some() && world.record("early").is_none();
    world.until("the second works", done).await;
    assert_eq!(world.ports().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_takes_over_at_once_from_one_that_stops() {
    let world = World::new().await;
    let (first, second) = two(&world).await;
    first.stop().await;
    assert_ne!(holder(&world), "first");
    let since = Instant::now();
    world.until("the second leads", |_| second.leads()).await;
    assert!(since.elapsed() < TIMES.lease, "it waited for the lease to run out");
    world.pod("web");
    world.until("the pod is recorded", |world| world.record("web").is_some()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_held_still_writes_nothing_and_stands_by() {
    let world = World::new().await;
    let (first, second) = two(&world).await;
    // It renews no more, and wakes past the end of its lease: with a pod to see to.
    world.kubernetes.fail_next("PUT leases", u32::MAX, 503);
    first.slept.fetch_add(60_000, Ordering::Relaxed);
    let before = world.kubernetes.counts().all();
    world.pod("web");
    world.until("the first is no leader", |_| !first.leads()).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let now = world.kubernetes.counts().all();
    for route in ["POST kuryrports", "PATCH kuryrports", "POST events"] {
        assert_eq!(now.get(route), before.get(route), "{route}");
    }
    assert!(world.ports().is_empty() && world.cloud.neutron().counts().of("POST /ports") == 0);

    world.kubernetes.fail_next("PUT leases", 0, 503);
    world.until("the pod is recorded", |world| world.record("web").is_some()).await;
    assert!(first.leads() != second.leads(), "one leads");
    assert_eq!(world.ports().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn alone_it_leads_again_after_an_outage_of_the_api() {
    let world = World::new().await;
    let only = Process::start(&world, "only");
    world.until("it leads", |_| only.leads()).await;
    world.kubernetes.fail_next("PUT leases", u32::MAX, 503);
    world.until("it lost the lease", |_| !only.leads()).await;
    let trouble =
        |_: &World| only.ready().1.contains("leader: failed to write Lease kube-system/kuryr-controller");
    world.until("it says why", trouble).await;
    assert!(!only.ready().0);
    world.kubernetes.fail_next("PUT leases", 0, 503);
    world.pod("web");
    world.until("the pod is recorded", |world| world.record("web").is_some()).await;
    assert!(only.leads());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_keystone_hangs_each_component_says_what_it_waits_for() {
    let world = World::new().await;
    // It takes connections, and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut cloud = world.cloud_settings();
    cloud.auth_url = format!("http://{}/v3", silent.local_addr().unwrap());
    let process = Process::start_with(&world, "only", cloud);
    world.until("it says that nobody answers", |_| process.ready().1.contains("no answer within")).await;
    let (healthy, text) = process.ready();
    assert!(!healthy);
    assert!(text.starts_with("not ok\nkubernetes: ok\nleader: ok\nnetwork: not read yet"), "{text}");
    assert!(text.contains("\nopenstack: no answer within 5 s\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_not_ready_before_the_ports_of_pools_are_found_and_pods_wait_in_silence() {
    let world = World::with_pools().await;
    let lost = kuryr_testkit::Reply::neutron_error(503, "ServiceUnavailable", "try again");
    world.cloud.neutron().fail_next("GET /ports", 2, lost);
    let process = Process::start(&world, "only");
    world.until("it leads", |_| process.leads()).await;
    world.pod("web");
    let has_failed = |world: &World| world.cloud.neutron().counts().of("GET /ports") > 0;
    world.until("it can't list its ports", has_failed).await;
    let report = process.health.report(Probe::Ready);
    assert_eq!(report.verdict, Verdict::Missing);
    assert!(report.text.starts_with(&format!("{NOT_LOADED}\n")), "{}", report.text);
    assert!(world.record("web").is_none() && world.events().is_empty(), "{:?}", world.events());

    world.until("the pod is recorded", |world| world.record("web").is_some()).await;
    world.until("it is ready", |_| process.ready().0).await;
    assert!(process.ready().1.contains("\npools: ok\n"), "{}", process.ready().1);
    assert!(world.events().is_empty(), "{:?}", world.events());
    let standby = Process::start(&world, "second");
    world.until("a standby is ready", |_| standby.ready().0).await;
    assert!(standby.ready().1.contains("\npools: a standby keeps none\n"), "{}", standby.ready().1);
}
