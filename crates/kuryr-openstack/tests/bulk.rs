//! Ports made in bulk, when all goes well and when it does not.
#![allow(clippy::unwrap_used)]

mod common;

use common::{client, settings};
use futures::future::join_all;
use kuryr_api::ids::PortId;
use kuryr_openstack::{
    Class, Effect, Kind, Neutron, Session,
    neutron::{Bulk, FixedIpRequest, Joining, NewPort, Port, PortFilter},
};
use kuryr_testkit::{
    FakeCloud, Reply,
    neutron::Pace,
    proxy::{Fault, Faulty, Plan},
};
use std::{collections::BTreeMap, time::Duration};

const CREATE: &str = "POST /ports";

fn wanted(cloud: &FakeCloud, device: &str) -> NewPort {
    let id_of = |name: &str| cloud.neutron().id_of(name).unwrap();
    NewPort {
        device_id: device.into(),
        device_owner: "compute:kuryr".into(),
        fixed_ips: vec![FixedIpRequest::any(id_of("k8s-pod-subnet").as_str().into())],
        security_groups: Some(vec![id_of("k8s-pods").as_str().into()]),
        host: Some("node1".into()),
        tags: vec!["ours".into()],
        ..NewPort::on(id_of("k8s-pod-net").into())
    }
}

fn many(cloud: &FakeCloud, number: usize) -> Vec<NewPort> {
    (0..number).map(|at| wanted(cloud, &format!("pod-{at}"))).collect()
}

fn devices(cloud: &FakeCloud) -> BTreeMap<String, usize> {
    let mut devices = BTreeMap::new();
    for port in cloud.neutron().ports() {
        *devices.entry(port["device_id"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    devices
}

fn assert_one_each(cloud: &FakeCloud, number: usize) {
    let devices = devices(cloud);
    assert_eq!(devices.len(), number);
    assert!(devices.values().all(|count| *count == 1), "{devices:?}");
}

#[tokio::test]
async fn a_burst_of_twenty_needs_three_requests_at_most() {
    let cloud = FakeCloud::start().await.unwrap();
    cloud.neutron().set_pace(Pace { request: Duration::from_millis(20), port: Duration::from_millis(20) });
    let bulk = Bulk::start(client(&cloud, &cloud.neutron_url()), Joining::default());
    let create = async |at: usize| {
        // Pods of a burst are bound one after another, some milliseconds apart.
        tokio::time::sleep(Duration::from_millis(5 * u64::try_from(at).unwrap())).await;
        bulk.create(wanted(&cloud, &format!("pod-{at}"))).await
    };
    let made = join_all((0..20).map(create)).await;
    for (at, made) in made.into_iter().enumerate() {
        assert_eq!(made.unwrap().device_id, format!("pod-{at}"));
    }
    assert_one_each(&cloud, 20);
    assert!(cloud.neutron().counts().of(CREATE) <= 3, "{:?}", cloud.neutron().counts());
}

#[tokio::test]
async fn a_create_that_nobody_waits_for_is_not_sent() {
    let cloud = FakeCloud::start().await.unwrap();
    let bulk = Bulk::start(client(&cloud, &cloud.neutron_url()), Joining::default());
    let given_up = tokio::time::timeout(Duration::from_millis(1), bulk.create(wanted(&cloud, "gone"))).await;
    assert!(given_up.is_err());
    bulk.create(wanted(&cloud, "stays")).await.unwrap();
    assert_eq!(devices(&cloud).into_keys().collect::<Vec<_>>(), ["stays"]);
}

#[tokio::test]
async fn ports_whose_answer_was_cut_off_are_taken_up() {
    let cloud = FakeCloud::start().await.unwrap();
    let proxy = Faulty::start(&cloud.neutron_url(), Plan::harmless()).await.unwrap();
    let neutron = client(&cloud, &proxy.url());
    neutron.extensions().await.unwrap();
    proxy.set_plan(Plan::next(Fault::CutAfterwards, 1));
    let made = neutron.make_ports(&many(&cloud, 5)).await;
    assert!(made.iter().all(Result::is_ok), "{made:?}");
    assert_eq!(proxy.done(), BTreeMap::from([(Fault::CutAfterwards, 1)]));
    assert_eq!(cloud.neutron().counts().of(CREATE), 1);
    assert_one_each(&cloud, 5);
}

#[tokio::test]
async fn ports_that_were_never_asked_for_are_asked_for_again() {
    let cloud = FakeCloud::start().await.unwrap();
    let proxy = Faulty::start(&cloud.neutron_url(), Plan::harmless()).await.unwrap();
    let neutron = client(&cloud, &proxy.url());
    neutron.extensions().await.unwrap();
    proxy.set_plan(Plan::next(Fault::Refuse, 1));
    let made = neutron.make_ports(&many(&cloud, 3)).await;
    assert!(made.iter().all(Result::is_ok), "{made:?}");
    assert_eq!(cloud.neutron().counts().of(CREATE), 1, "the first one did not get through");
    assert_one_each(&cloud, 3);
}

#[tokio::test]
async fn a_port_that_cannot_be_recognised_is_not_asked_for_twice() {
    let cloud = FakeCloud::start().await.unwrap();
    let proxy = Faulty::start(&cloud.neutron_url(), Plan::harmless()).await.unwrap();
    let neutron = client(&cloud, &proxy.url());
    neutron.extensions().await.unwrap();
    proxy.set_plan(Plan::next(Fault::CutAfterwards, 1));
    let made = neutron.make_ports(&[wanted(&cloud, ""), wanted(&cloud, "pod")]).await;
    let error = made[0].as_ref().unwrap_err();
    assert_eq!((error.kind(), error.effect()), (Kind::Interrupted, Effect::Unknown));
    assert_eq!(made[1].as_ref().unwrap().device_id, "pod");
    assert_eq!(cloud.neutron().counts().of(CREATE), 1);
}

#[tokio::test]
async fn a_request_that_was_thought_lost_and_arrives_late_leaves_no_double() {
    let cloud = FakeCloud::start().await.unwrap();
    let mut hasty = settings(&cloud, &cloud.neutron_url());
    hasty.timeouts.request = Duration::from_millis(300);
    let neutron = Neutron::new(Session::open(hasty).unwrap());
    neutron.extensions().await.unwrap();
    // Longer than all looks for the port together, so that the repetition is sent before the first is done.
    cloud.neutron().set_pace(Pace { port: Duration::from_secs(6), ..Pace::default() });
    let making = tokio::spawn({
        let (neutron, wanted) = (neutron.clone(), many(&cloud, 1));
        async move { neutron.make_ports(&wanted).await }
    });
    tokio::time::sleep(Duration::from_secs(4)).await;
    cloud.neutron().set_pace(Pace { port: Duration::from_millis(10), ..Pace::default() });
    let made = making.await.unwrap();
    let made = made[0].as_ref().unwrap();
    assert_eq!(cloud.neutron().counts().of(CREATE), 2);
    assert_one_each(&cloud, 1);
    assert_eq!(cloud.neutron().ports()[0]["id"], made.id.as_str());
}

#[tokio::test]
async fn a_server_that_fails_on_one_request_is_asked_in_parts() {
    let cloud = FakeCloud::start().await.unwrap();
    let neutron = client(&cloud, &cloud.neutron_url());
    cloud.neutron().fail_next(CREATE, 2, Reply::neutron_error(500, "HTTPInternalServerError", "oops"));
    let made = neutron.make_ports(&many(&cloud, 8)).await;
    assert!(made.iter().all(Result::is_ok), "{made:?}");
    assert_one_each(&cloud, 8);
}

#[tokio::test]
async fn a_broken_server_is_not_hammered() {
    let cloud = FakeCloud::start().await.unwrap();
    let neutron = client(&cloud, &cloud.neutron_url());
    cloud.neutron().fail_next(CREATE, 1000, Reply::neutron_error(500, "HTTPInternalServerError", "oops"));
    let made = neutron.make_ports(&many(&cloud, 20)).await;
    for error in made.iter().map(|made| made.as_ref().unwrap_err()) {
        assert_eq!((error.kind(), error.class()), (Kind::Fault, Class::Retry));
    }
    assert!(cloud.neutron().counts().of(CREATE) <= 12, "{:?}", cloud.neutron().counts());
}

#[tokio::test]
async fn a_server_that_is_down_fails_all_at_once() {
    let cloud = FakeCloud::start().await.unwrap();
    let neutron = client(&cloud, &cloud.neutron_url());
    neutron.extensions().await.unwrap();
    cloud.neutron().fail_next(CREATE, 1000, Reply::neutron_error(503, "ServiceUnavailable", "down"));
    let made = neutron.make_ports(&many(&cloud, 20)).await;
    assert!(made.iter().all(|made| made.as_ref().is_err_and(|error| error.kind() == Kind::Unavailable)));
    assert_eq!(cloud.neutron().counts().of(CREATE), 5, "one request, repeated as a whole");
}

#[tokio::test]
async fn a_cloud_that_cannot_tag_new_ports_tags_them_afterwards() {
    let cloud = FakeCloud::start().await.unwrap();
    cloud.neutron().remove_extension("tag-creation");
    let neutron = client(&cloud, &cloud.neutron_url());
    let made = neutron.make_ports(&many(&cloud, 3)).await;
    assert!(made.iter().all(|made| made.as_ref().is_ok_and(|port| port.tags == ["ours"])), "{made:?}");
    let tagged = PortFilter { tags: vec!["ours".into()], ..PortFilter::default() };
    assert_eq!(neutron.ports(&tagged).await.unwrap().len(), 3);

    cloud.neutron().fail_next("PUT /ports/{id}/tags", 1, Reply::neutron_error(400, "HTTPBadRequest", "no"));
    let untagged = neutron.make_ports(&[wanted(&cloud, "untagged")]).await;
    assert_eq!(untagged[0].as_ref().unwrap_err().kind(), Kind::Invalid);
    assert!(!devices(&cloud).contains_key("untagged"), "what cannot be tagged is not kept");
}

/// Another one than usual, to repeat a failure or to look for one.
fn seed() -> u64 {
    std::env::var("KURYR_FAULT_SEED").map_or(20, |seed| seed.parse().unwrap())
}

/// What a controller does with a create that fails: it looks, and asks again.
async fn until_made(neutron: &Neutron, bulk: &Bulk, wanted: &NewPort) -> Port {
    loop {
        match bulk.create(wanted.clone()).await {
            Ok(port) => return port,
            Err(error) => assert_eq!(error.class(), Class::Retry, "{}", error.chain()),
        }
        let filter = PortFilter { device_ids: Some(vec![wanted.device_id.clone()]), ..PortFilter::default() };
        if let Ok(mut found) = neutron.ports(&filter).await
            && let Some(port) = found.pop()
        {
            return port;
        }
    }
}

async fn until_deleted(neutron: &Neutron, id: &PortId) {
    while let Err(error) = neutron.delete_port(id).await {
        assert_eq!(error.class(), Class::Retry, "{}", error.chain());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn through_all_faults_everyone_gets_one_port() {
    let cloud = FakeCloud::start().await.unwrap();
    let plan = Plan { delay: Duration::from_millis(30), ..Plan::evenly(25, seed()) };
    let proxy = Faulty::start(&cloud.neutron_url(), plan).await.unwrap();
    let neutron = client(&cloud, &proxy.url());
    let bulk = Bulk::start(neutron.clone(), Joining { most: 4, in_flight: 3, ..Joining::default() });
    let wanted = many(&cloud, 60);
    let made = join_all(wanted.iter().map(|wanted| until_made(&neutron, &bulk, wanted))).await;
    assert_one_each(&cloud, 60);
    for (wanted, made) in wanted.iter().zip(&made) {
        assert!(wanted.describes(made));
        assert!(cloud.neutron().ports().iter().any(|port| port["id"] == made.id.as_str()));
    }
    join_all(made.iter().map(|port| until_deleted(&neutron, &port.id))).await;
    assert_one_each(&cloud, 0);
    assert!(proxy.done().len() >= 5, "most kinds of faults have occurred: {:?}", proxy.done());
}
