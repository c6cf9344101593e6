//! The lease's rules, on an API server in memory and a clock that stands still until a test moves it.

use super::*;
use kuryr_testkit::FakeKubernetes;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::task::JoinHandle;
use tokio::time::Instant;

const AT: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kuryr-controller";

/// tokio's paused time, and what a process slept on top of it.
#[derive(Clone)]
struct Sleeper {
    start: Instant,
    slept: Arc<AtomicU64>,
}

impl Sleeper {
    fn new() -> Self {
        Self { start: Instant::now(), slept: Arc::default() }
    }

    fn clock(&self) -> Clock {
        let this = self.clone();
        Clock::new(move || this.start.elapsed() + Duration::from_secs(this.slept.load(Ordering::Relaxed)))
    }

    /// The process was held still for so long: its timers did not fire, its clock went on.
    fn sleep(&self, seconds: u64) {
        self.slept.fetch_add(seconds, Ordering::Relaxed);
    }
}

fn elector(server: &FakeKubernetes, identity: &str, clock: Clock) -> Elector {
    let settings = Settings {
        namespace: "kube-system".into(),
        name: "kuryr-controller".into(),
        identity: identity.into(),
        times: Times::default(),
        clock,
    };
    Elector::new(server.client(), settings)
}

fn of(server: &FakeKubernetes, identity: &str) -> Elector {
    elector(server, identity, Sleeper::new().clock())
}

async fn lead(elector: &mut Elector) -> Permit {
    elector.acquire(|_| {}).await
}

/// Keeps the lease in a task of its own.
fn keeping(mut elector: Elector, permit: &Permit) -> JoinHandle<Lost> {
    let permit = permit.clone();
    tokio::spawn(async move { elector.keep(&permit).await })
}

fn spec(server: &FakeKubernetes) -> Value {
    server.get(AT).unwrap()["spec"].clone()
}

#[tokio::test(start_paused = true)]
async fn the_first_makes_the_lease_and_leads_as_long_as_it_renews() {
    let server = FakeKubernetes::default();
    let mut first = of(&server, "a");
    let permit = lead(&mut first).await;
    let kept = keeping(first, &permit);
    sleep(Duration::from_mins(5)).await;
    assert!(permit.left().is_some() && !kept.is_finished());
    let mut second = of(&server, "b");
    assert!(timeout(Duration::from_mins(5), lead(&mut second)).await.is_err());
    assert_eq!(spec(&server)["holderIdentity"], "a");
    assert_eq!(spec(&server)["leaseTransitions"], 0);
    let reads = server.counts().of("GET leases");
    assert!(server.counts().of("PUT leases") > 250 && reads < 400, "a renewal is one request");
}

#[tokio::test(start_paused = true)]
async fn a_killed_leader_is_followed_after_its_lease_and_not_before() {
    let server = FakeKubernetes::default();
    let mut first = of(&server, "a");
    let permit = lead(&mut first).await;
    let kept = keeping(first, &permit);
    let mut second = of(&server, "b");
    let waits = tokio::spawn(async move { (lead(&mut second).await, Instant::now()) });
    sleep(Duration::from_mins(1)).await;
    let (killed, until) = (Instant::now(), permit.left().unwrap());
    kept.abort();
    let (theirs, taken) = waits.await.unwrap();
    let took = taken - killed;
    assert!(took > until && took >= Duration::from_secs(9), "{took:?}");
    assert!(took <= Duration::from_secs(15), "{took:?}");
    assert!(permit.left().is_none() && theirs.left().is_some());
    assert_eq!(spec(&server)["leaseTransitions"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_was_given_back_is_taken_at_once() {
    let server = FakeKubernetes::default();
    let (mut first, mut second) = (of(&server, "a"), of(&server, "b"));
    let permit = lead(&mut first).await;
    let waits = tokio::spawn(async move { lead(&mut second).await });
    sleep(Duration::from_secs(5)).await;
    first.release(&permit).await.unwrap();
    assert!(permit.left().is_none());
    let theirs = timeout(Duration::from_secs(2), waits).await.unwrap().unwrap();
    assert!(theirs.left().is_some());
}

#[tokio::test(start_paused = true)]
async fn the_clock_of_the_other_is_never_asked() {
    let server = FakeKubernetes::default();
    // Its clock is wrong by years, to either side: what counts is when we saw it.
    for renewed in ["1999-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z"] {
        let held = json!({
            "metadata": { "name": "kuryr-controller" },
            "spec": { "holderIdentity": "x", "leaseDurationSeconds": 12, "renewTime": renewed },
        });
        server.create("/apis/coordination.k8s.io/v1/namespaces/kube-system/leases", held);
        let mut standby = of(&server, "b");
        assert!(timeout(Duration::from_secs(11), lead(&mut standby)).await.is_err());
        assert!(timeout(Duration::from_secs(3), lead(&mut standby)).await.is_ok());
        server.delete(AT);
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_renew_stops_before_another_may_start() {
    let server = FakeKubernetes::default();
    let mut first = of(&server, "a");
    let permit = lead(&mut first).await;
    let began = Instant::now();
    server.fail_next("PUT leases", 1000, 503);
    let lost = keeping(first, &permit).await.unwrap();
    assert!(matches!(lost, Lost::Late(Some(Error::Send { .. }))), "{lost:?}");
    assert!(began.elapsed() < Duration::from_secs(9));
    assert!(permit.left().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_short_outage_costs_nobody_the_lease() {
    let server = FakeKubernetes::default();
    let mut first = of(&server, "a");
    let permit = lead(&mut first).await;
    server.fail_next("PUT leases", 4, 503);
    let kept = keeping(first, &permit);
    sleep(Duration::from_secs(30)).await;
    assert!(permit.left().is_some() && !kept.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_was_held_still_may_not_write_though_nobody_took_the_lease() {
    let server = FakeKubernetes::default();
    let sleeper = Sleeper::new();
    let mut first = elector(&server, "a", sleeper.clock());
    let permit = lead(&mut first).await;
    let writes = permit.guard(&server.client());
    let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(writes, "default");
    let pod = serde_json::from_value(json!({ "metadata": { "name": "early" } })).unwrap();
    pods.create(&PostParams::default(), &pod).await.unwrap();

    sleeper.sleep(9);
    let refused = pods.create(&PostParams::default(), &pod).await.unwrap_err();
    assert!(refused.to_string().contains("not the leader"), "{refused}");
    assert!(pods.get("early").await.is_ok(), "it may read");
    assert_eq!(server.counts().of("POST pods"), 1);

    // A renewal would succeed now; this term is over all the same, and the next has a permit of its own.
    assert!(matches!(first.keep(&permit).await, Lost::Late(None)));
    let next = lead(&mut first).await;
    assert!(permit.left().is_none() && next.left().is_some());
}

#[tokio::test(start_paused = true)]
async fn what_is_in_flight_is_given_up_when_the_permit_ends() {
    let permit = Permit::new(Sleeper::new().clock(), Duration::from_secs(8));
    let began = Instant::now();
    let never = permit.within(std::future::pending::<()>()).await;
    assert_eq!(never, Err(Fenced));
    assert!((7..=9).contains(&began.elapsed().as_secs()));
    assert_eq!(permit.prolong(Duration::from_secs(100)), Err(Fenced), "what is over stays over");
}

#[tokio::test(start_paused = true)]
async fn a_lease_taken_by_hand_is_let_go() {
    let server = FakeKubernetes::default();
    let mut first = of(&server, "a");
    let permit = lead(&mut first).await;
    let kept = keeping(first, &permit);
    sleep(Duration::from_secs(3)).await;
    server.patch(AT, &json!({ "spec": { "holderIdentity": "somebody" } }));
    let lost = kept.await.unwrap();
    assert_eq!(lost.to_string(), "somebody took the lease");
    assert!(permit.left().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_was_deleted_ends_the_term_and_anybody_may_begin_the_next() {
    let server = FakeKubernetes::default();
    let mut first = of(&server, "a");
    let permit = lead(&mut first).await;
    let kept = keeping(first, &permit);
    sleep(Duration::from_secs(3)).await;
    server.delete(AT);
    let lost = timeout(Duration::from_secs(3), kept).await.unwrap().unwrap();
    assert!(matches!(lost, Lost::Gone), "{lost:?}");
    assert!(permit.left().is_none() && lead(&mut of(&server, "b")).await.left().is_some());
}

#[tokio::test(start_paused = true)]
async fn someone_who_annotates_the_lease_costs_nobody_anything() {
    let server = FakeKubernetes::default();
    let mut first = of(&server, "a");
    let permit = lead(&mut first).await;
    let kept = keeping(first, &permit);
    for note in 0..20 {
        sleep(Duration::from_secs(1)).await;
        server.patch(AT, &json!({ "metadata": { "annotations": { "note": note.to_string() } } }));
    }
    assert!(permit.left().is_some() && !kept.is_finished());
}

#[tokio::test(start_paused = true)]
async fn of_many_one_leads() {
    let server = FakeKubernetes::default();
    let all = ["a", "b", "c", "d"].map(|name| {
        let mut elector = of(&server, name);
        tokio::spawn(async move {
            let permit = lead(&mut elector).await;
            elector.keep(&permit).await
        })
    });
    sleep(Duration::from_mins(1)).await;
    assert!(all.iter().all(|one| !one.is_finished()));
    assert_eq!(spec(&server)["leaseTransitions"], 0);
    assert_eq!(server.counts().of("POST leases"), 4, "all tried");
}
