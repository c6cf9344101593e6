//! How a session behaves when tokens end and servers misbehave.
#![allow(clippy::unwrap_used)]

mod common;

use common::{auth, client, settings};
use futures::future::join_all;
use kuryr_api::cloud::Interface;
use kuryr_openstack::{
    Class, Effect, Error, Finished, Gate, Hooks, Kind, Limits, Neutron, Observer, Service, Session,
    neutron::{Deleted, NewPort, PortFilter},
};
use kuryr_testkit::{
    FakeCloud, Reply,
    neutron::{Pace, Rights},
};
use serde_json::json;
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

const SIGN_IN: &str = "POST /auth/tokens";
const LIST: &str = "GET /ports";

async fn list_at_once(neutron: &Neutron, times: usize) {
    let filter = PortFilter::default();
    let lists = (0..times).map(|_| neutron.ports(&filter));
    assert!(join_all(lists).await.iter().all(Result::is_ok));
}

fn unavailable(status: u16, retry_after: Option<&str>) -> Reply {
    let reply = Reply::neutron_error(status, "ServiceUnavailable", "try later");
    retry_after.into_iter().fold(reply, |reply, seconds| reply.with_header("retry-after", seconds))
}

#[tokio::test]
async fn a_server_that_is_still_starting_has_not_lost_a_port() {
    let cloud = FakeCloud::start().await.unwrap();
    let neutron = client(&cloud, &cloud.neutron_url());
    let network = cloud.neutron().id_of("k8s-pod-net").unwrap();
    let port = neutron.create_port(&NewPort::on(network.as_str().into())).await.unwrap();
    let nameless = Reply::neutron_error(404, "HTTPNotFound", "The resource could not be found.");
    cloud.neutron().fail_next("DELETE /ports/{id}", 1, nameless);
    assert_eq!(neutron.delete_port(&port.id).await.unwrap(), Deleted::Now, "asked again");
    assert_eq!(neutron.delete_port(&port.id).await.unwrap(), Deleted::Before);
}

#[tokio::test]
async fn a_port_that_a_starting_server_hides_is_not_taken_for_gone() {
    let cloud = FakeCloud::start().await.unwrap();
    let neutron = client(&cloud, &cloud.neutron_url());
    let network = cloud.neutron().id_of("k8s-pod-net").unwrap();
    let port = neutron.create_port(&NewPort::on(network.as_str().into())).await.unwrap();
    cloud.neutron().set_rights(Rights::Unread);
    assert!(neutron.ports(&PortFilter::default()).await.unwrap().is_empty(), "which proves nothing");
    let error = neutron.find_port(&port.id).await.unwrap_err();
    assert_eq!((error.kind(), error.class()), (Kind::Unavailable, Class::Retry), "{}", error.chain());
    cloud.neutron().set_rights(Rights::Read);
    assert_eq!(neutron.find_port(&port.id).await.unwrap().unwrap().id, port.id);
    neutron.delete_port(&port.id).await.unwrap();
    assert!(neutron.find_port(&port.id).await.unwrap().is_none());
}

#[tokio::test]
async fn all_who_need_a_token_wait_for_one_sign_in() {
    let cloud = FakeCloud::start().await.unwrap();
    let neutron = client(&cloud, &cloud.neutron_url());
    list_at_once(&neutron, 20).await;
    assert_eq!(cloud.keystone().counts().of(SIGN_IN), 1);
    list_at_once(&neutron, 20).await;
    assert_eq!(cloud.keystone().counts().of(SIGN_IN), 1);
}

#[tokio::test]
async fn a_rejected_token_is_renewed_once_for_all() {
    let cloud = FakeCloud::start().await.unwrap();
    let neutron = client(&cloud, &cloud.neutron_url());
    list_at_once(&neutron, 1).await;
    cloud.keystone().revoke_all();
    list_at_once(&neutron, 20).await;
    assert_eq!(cloud.keystone().counts().of(SIGN_IN), 2);
}

#[tokio::test]
async fn a_token_is_renewed_before_it_expires() {
    let cloud = FakeCloud::start().await.unwrap();
    cloud.keystone().set_token_life(Duration::from_secs(11));
    let neutron = client(&cloud, &cloud.neutron_url());
    list_at_once(&neutron, 1).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    list_at_once(&neutron, 5).await;
    assert_eq!(cloud.keystone().counts().of(SIGN_IN), 2);
    assert_eq!(cloud.neutron().counts().of(LIST), 6, "no request was sent with a token that is about to end");
}

#[tokio::test]
async fn a_refused_sign_in_is_told_to_all_and_can_be_mended() {
    let cloud = FakeCloud::start().await.unwrap();
    cloud.keystone().set_password("changed");
    let neutron = client(&cloud, &cloud.neutron_url());
    let filter = PortFilter::default();
    for failed in join_all((0..5).map(|_| neutron.ports(&filter))).await {
        let error = failed.unwrap_err();
        assert_eq!(
            (error.kind(), error.class(), error.effect()),
            (Kind::Unauthorized, Class::Wait, Effect::None)
        );
        assert_eq!(
            error.chain(),
            "cannot sign in to OpenStack: POST /auth/tokens of identity was answered 401 Unauthorized: \
             The request you have made requires authentication."
        );
    }
    assert_eq!(cloud.keystone().counts().of(SIGN_IN), 1);
    cloud.keystone().set_password(FakeCloud::PASSWORD);
    list_at_once(&neutron, 1).await;
}

#[tokio::test]
async fn nothing_shows_a_secret() {
    let cloud = FakeCloud::start().await.unwrap();
    let neutron = client(&cloud, &cloud.neutron_url());
    list_at_once(&neutron, 1).await;
    let shown = format!("{neutron:?} {:?}", settings(&cloud, &cloud.neutron_url()));
    assert!(shown.contains(FakeCloud::USER));
    assert!(!shown.contains("fake-token") && !shown.contains(FakeCloud::PASSWORD), "{shown}");
}

#[tokio::test]
async fn a_reading_call_outlasts_a_server_that_is_down_for_a_moment() {
    let cloud = FakeCloud::start().await.unwrap();
    let neutron = client(&cloud, &cloud.neutron_url());
    cloud.neutron().fail_next(LIST, 1, unavailable(503, None));
    cloud.neutron().fail_next(LIST, 1, Reply::neutron_error(500, "HTTPInternalServerError", "oops"));
    list_at_once(&neutron, 1).await;
    assert_eq!(cloud.neutron().counts().of(LIST), 3);
}

#[tokio::test]
async fn retry_after_is_obeyed() {
    let cloud = FakeCloud::start().await.unwrap();
    let neutron = client(&cloud, &cloud.neutron_url());
    cloud.neutron().fail_next(LIST, 1, unavailable(429, Some("1")));
    let start = Instant::now();
    list_at_once(&neutron, 1).await;
    assert!(start.elapsed() >= Duration::from_secs(1));

    cloud.neutron().fail_next(LIST, 1, unavailable(429, Some("3600")));
    let error = neutron.ports(&PortFilter::default()).await.unwrap_err();
    assert_eq!((error.kind(), error.class()), (Kind::RateLimited, Class::Retry));
    assert_eq!(
        error.retry_after(),
        Some(Duration::from_hours(1)),
        "too long to wait here: the caller is told"
    );
}

#[tokio::test]
async fn a_create_is_repeated_only_if_it_had_no_effect() {
    let cloud = FakeCloud::start().await.unwrap();
    let neutron = client(&cloud, &cloud.neutron_url());
    let port = NewPort::on(cloud.neutron().id_of("k8s-pod-net").unwrap().into());
    cloud.neutron().fail_next("POST /ports", 1, unavailable(503, None));
    neutron.create_port(&port).await.unwrap();
    cloud.neutron().fail_next("POST /ports", 1, Reply::neutron_error(500, "HTTPInternalServerError", "oops"));
    let error = neutron.create_port(&port).await.unwrap_err();
    assert_eq!((error.kind(), error.class(), error.effect()), (Kind::Fault, Class::Retry, Effect::Unknown));
    assert_eq!(cloud.neutron().counts().of("POST /ports"), 3);
}

#[tokio::test]
async fn a_slow_and_an_absent_server_are_told_apart() {
    let cloud = FakeCloud::start().await.unwrap();
    let mut hasty = settings(&cloud, &cloud.neutron_url());
    hasty.timeouts.request = Duration::from_millis(100);
    hasty.retry.times = 0;
    let neutron = Neutron::new(Session::open(hasty).unwrap());
    list_at_once(&neutron, 1).await;
    cloud.neutron().set_pace(Pace { request: Duration::from_secs(2), ..Pace::default() });
    let error = neutron.ports(&PortFilter::default()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.class(), error.effect()),
        (Kind::TimedOut, Class::Retry, Effect::Unknown)
    );

    let mut absent = settings(&cloud, "http://127.0.0.1:1");
    absent.retry.times = 1;
    let error = Neutron::new(Session::open(absent).unwrap()).ports(&PortFilter::default()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.class(), error.effect()),
        (Kind::Unreachable, Class::Retry, Effect::None)
    );
    assert!(error.chain().starts_with("no answer to GET /ports of network: "), "{}", error.chain());
}

#[tokio::test]
async fn an_endpoint_comes_from_the_catalogue_or_from_an_override() {
    let cloud = FakeCloud::start().await.unwrap();
    let mut from_catalogue = settings(&cloud, "");
    from_catalogue.endpoints.overrides.clear();
    from_catalogue.endpoints.region = Some("RegionOne".into());
    from_catalogue.endpoints.interface = Interface::Internal;
    list_at_once(&Neutron::new(Session::open(from_catalogue.clone()).unwrap()), 1).await;

    from_catalogue.endpoints.region = Some("Elsewhere".into());
    let error =
        Neutron::new(Session::open(from_catalogue).unwrap()).ports(&PortFilter::default()).await.unwrap_err();
    assert_eq!((error.kind(), error.class()), (Kind::NoEndpoint, Class::Wait));
    assert_eq!(
        error.to_string(),
        "the service catalogue has no internal endpoint for network in region Elsewhere"
    );

    let nonsense = settings(&cloud, "ftp://127.0.0.1");
    assert_eq!(
        Session::open(nonsense).unwrap_err().to_string(),
        "\"ftp://127.0.0.1\" is not an http or https address"
    );
}

#[derive(Default)]
struct Seen(Mutex<Vec<Request>>);

type Request = (Service, String, Result<u16, Kind>);

impl Observer for Seen {
    fn finished(&self, request: &Finished<'_>) {
        let route = format!("{} {}", request.method, request.route);
        self.0.lock().unwrap().push((request.service, route, request.outcome.map(|status| status.as_u16())));
    }
}

#[tokio::test]
async fn every_request_is_observed_by_its_route() {
    let cloud = FakeCloud::start().await.unwrap();
    let seen = Arc::new(Seen::default());
    let hooks = Hooks { observer: seen.clone(), ..Hooks::default() };
    let session = Session::open_with(settings(&cloud, &cloud.neutron_url()), hooks).unwrap();
    cloud.neutron().fail_next(LIST, 1, unavailable(503, None));
    list_at_once(&Neutron::new(session.clone()), 1).await;
    let missing = Neutron::new(session).port(&"no-such-port".into()).await;
    assert!(matches!(missing, Err(Error::Refused(_))));
    let expected = [
        (Service::Identity, SIGN_IN, 201),
        (Service::Network, LIST, 503),
        (Service::Network, LIST, 200),
        (Service::Network, "GET /ports/{id}", 404),
    ];
    assert_eq!(
        *seen.0.lock().unwrap(),
        expected.map(|(service, route, status)| (service, route.to_owned(), Ok(status)))
    );
}

#[tokio::test]
async fn no_more_requests_are_open_than_allowed() {
    let cloud = FakeCloud::start().await.unwrap();
    let mut narrow = settings(&cloud, &cloud.neutron_url());
    narrow.limits = Limits { rate: 10.0, burst: 1, ..narrow.limits };
    let neutron = Neutron::new(Session::open(narrow).unwrap());
    let start = Instant::now();
    list_at_once(&neutron, 5).await;
    assert!(start.elapsed() >= Duration::from_millis(480), "{:?}", start.elapsed());
}

#[tokio::test]
async fn odd_answers_are_errors_of_their_own() {
    let cloud = FakeCloud::start().await.unwrap();
    let neutron = client(&cloud, &cloud.neutron_url());
    cloud.neutron().fail_next(LIST, 1, Reply::ok(json!({ "ports": "none" })));
    let error = neutron.ports(&PortFilter::default()).await.unwrap_err();
    assert_eq!((error.kind(), error.class()), (Kind::Unreadable, Class::Retry));
    assert!(format!("{:?}", auth()).contains("***"));
}

/// Open until a moment.
struct Until(Mutex<Instant>);

impl Gate for Until {
    fn left(&self) -> Option<Duration> {
        self.0.lock().unwrap().checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }
}

fn gated(cloud: &FakeCloud, open_for: Duration) -> (Neutron, Arc<Until>) {
    let gate = Arc::new(Until(Mutex::new(Instant::now() + open_for)));
    let hooks = Hooks { gate: gate.clone(), ..Hooks::default() };
    let session = Session::open_with(settings(cloud, &cloud.neutron_url()), hooks).unwrap();
    (Neutron::new(session), gate)
}

#[tokio::test]
async fn behind_a_closed_gate_one_may_read_and_write_nothing() {
    let cloud = FakeCloud::start().await.unwrap();
    let (neutron, gate) = gated(&cloud, Duration::from_mins(1));
    let network = cloud.neutron().id_of("k8s-pod-net").unwrap();
    let port = neutron.create_port(&NewPort::on(network.as_str().into())).await.unwrap();
    *gate.0.lock().unwrap() = Instant::now();
    list_at_once(&neutron, 1).await;
    let refused = neutron.delete_port(&port.id).await.unwrap_err();
    assert_eq!((refused.kind(), refused.effect()), (Kind::Fenced, Effect::None));
    assert!(neutron.create_port(&NewPort::on(network.as_str().into())).await.is_err());
    let counts = cloud.neutron().counts();
    assert_eq!((counts.of("DELETE /ports/{id}"), counts.of("POST /ports")), (0, 1));
}

#[tokio::test]
async fn a_gate_that_closes_cuts_what_is_under_way() {
    let cloud = FakeCloud::start().await.unwrap();
    let (neutron, gate) = gated(&cloud, Duration::from_mins(1));
    list_at_once(&neutron, 1).await;
    cloud.neutron().set_pace(Pace { request: Duration::from_secs(30), ..Pace::default() });
    *gate.0.lock().unwrap() = Instant::now() + Duration::from_millis(300);
    let started = Instant::now();
    let network = cloud.neutron().id_of("k8s-pod-net").unwrap();
    let cut = neutron.create_port(&NewPort::on(network.as_str().into())).await.unwrap_err();
    assert_eq!((cut.kind(), cut.effect()), (Kind::Fenced, Effect::Unknown));
    assert!(started.elapsed() < Duration::from_secs(20));
}
