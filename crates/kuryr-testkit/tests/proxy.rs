//! What the proxy's faults look like from outside.
#![allow(clippy::unwrap_used)]

use http_body_util::{BodyExt, Empty};
use hyper::{Response, StatusCode, body::Bytes, body::Incoming};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use kuryr_testkit::{
    FakeCloud,
    proxy::{Fault, Faulty, Plan},
};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

const ROUTE: &str = "GET /ports";

struct Setup {
    cloud: FakeCloud,
    proxy: Faulty,
    client: Client<HttpConnector, Empty<Bytes>>,
}

impl Setup {
    async fn new() -> Self {
        let cloud = FakeCloud::start().await.unwrap();
        let proxy = Faulty::start(&cloud.neutron_url(), Plan::harmless()).await.unwrap();
        let client = Client::builder(TokioExecutor::new()).retry_canceled_requests(false).build_http();
        Self { cloud, proxy, client }
    }

    async fn ask(&self) -> Result<Response<Incoming>, hyper_util::client::legacy::Error> {
        self.client.get(format!("{}/v2.0/ports", self.proxy.url()).parse().unwrap()).await
    }

    /// How often the server behind was asked.
    fn served(&self) -> u64 {
        self.cloud.neutron().counts().of(ROUTE)
    }
}

#[tokio::test]
async fn a_harmless_plan_passes_everything_on() {
    let setup = Setup::new().await;
    let answer = setup.ask().await.unwrap();
    assert_eq!(answer.status(), 401);
    assert!(answer.headers().contains_key("x-openstack-request-id"));
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&body).contains("requires authentication"));
    assert_eq!((setup.proxy.requests(), setup.proxy.done()), (1, BTreeMap::new()));
}

#[tokio::test]
async fn answers_are_given_in_the_servers_place() {
    let setup = Setup::new().await;
    for (fault, status) in [
        (Fault::Conflict, 409),
        (Fault::TooManyRequests, 429),
        (Fault::ServerError, 500),
        (Fault::Unavailable, 503),
    ] {
        setup.proxy.set_plan(Plan::next(fault, 1));
        let answer = setup.ask().await.unwrap();
        assert_eq!(answer.status(), status);
        assert_eq!(answer.headers().contains_key("retry-after"), fault == Fault::TooManyRequests);
        assert_eq!(setup.proxy.done(), BTreeMap::from([(fault, 1)]));
    }
    assert_eq!(setup.served(), 0);
    assert_eq!(setup.ask().await.unwrap().status(), 401, "the plan is used up");
}

#[tokio::test]
async fn a_path_can_have_an_answer_of_its_own() {
    let setup = Setup::new().await;
    setup.proxy.answer_for("/v2.0/ports", StatusCode::OK, r#"{"ports": []}"#);
    let answer = setup.ask().await.unwrap();
    assert_eq!(
        (answer.status(), answer.headers()["content-type"].as_bytes()),
        (StatusCode::OK, &b"application/json"[..])
    );
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), r#"{"ports": []}"#);
    assert_eq!(setup.served(), 0);
}

#[tokio::test]
async fn a_connection_ends_before_or_after_the_server_acts() {
    let setup = Setup::new().await;
    setup.proxy.set_plan(Plan::next(Fault::Refuse, 1));
    assert!(setup.ask().await.is_err());
    assert_eq!(setup.served(), 0);
    setup.proxy.set_plan(Plan::next(Fault::CutAfterwards, 1));
    assert!(setup.ask().await.is_err());
    assert_eq!(setup.served(), 1);
    assert!(setup.ask().await.is_ok());
}

#[tokio::test]
async fn a_delayed_request_is_served_all_the_same() {
    let setup = Setup::new().await;
    let delay = Duration::from_millis(200);
    setup.proxy.set_plan(Plan { delay, ..Plan::next(Fault::Delay, 1) });
    let start = Instant::now();
    assert_eq!(setup.ask().await.unwrap().status(), 401);
    assert!(start.elapsed() >= delay);
}

#[tokio::test]
async fn an_idle_connection_goes() {
    let setup = Setup::new().await;
    setup.proxy.set_plan(Plan::next(Fault::KillIdle, 1));
    setup.ask().await.unwrap().into_body().collect().await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(setup.ask().await.unwrap().status(), 401, "over a new one");
    assert_eq!(setup.served(), 2);
}
