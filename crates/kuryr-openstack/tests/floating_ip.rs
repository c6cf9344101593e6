//! Floating IPs whose making is interrupted: they are taken up, or nothing is left of them, or they can be found.
#![allow(clippy::unwrap_used)]

mod common;

use common::client;
use kuryr_openstack::{
    Effect, Kind, Neutron,
    neutron::{FloatingIpFilter, NewFloatingIp},
};
use kuryr_testkit::{
    FakeCloud, Reply,
    proxy::{Fault, Faulty, Plan},
};

const CREATE: &str = "POST /floatingips";
const TAG: &str = "PUT /floatingips/{id}/tags";
const DELETE: &str = "DELETE /floatingips/{id}";

fn wanted(cloud: &FakeCloud, description: &str) -> NewFloatingIp {
    let external = cloud.neutron().id_of("public").unwrap();
    NewFloatingIp {
        description: description.into(),
        tags: vec!["ours".into()],
        ..NewFloatingIp::of(external.into())
    }
}

async fn cut_off(cloud: &FakeCloud) -> (Neutron, Faulty) {
    let proxy = Faulty::start(&cloud.neutron_url(), Plan::next(Fault::CutAfterwards, 1)).await.unwrap();
    (client(cloud, &proxy.url()), proxy)
}

#[tokio::test]
async fn one_whose_answer_was_cut_off_is_taken_up() {
    let cloud = FakeCloud::start().await.unwrap();
    let (neutron, _proxy) = cut_off(&cloud).await;
    let made = neutron.create_floating_ip(&wanted(&cloud, "for web")).await.unwrap();
    assert_eq!((made.description.as_str(), &made.tags[..]), ("for web", &["ours".to_owned()][..]));
    assert_eq!((cloud.neutron().counts().of(CREATE), cloud.neutron().floating_ips().len()), (1, 1));
}

#[tokio::test]
async fn one_that_cannot_be_recognised_is_not_asked_for_twice() {
    let cloud = FakeCloud::start().await.unwrap();
    let (neutron, _proxy) = cut_off(&cloud).await;
    let error = neutron.create_floating_ip(&wanted(&cloud, "")).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (Kind::Interrupted, Effect::Unknown));
    assert_eq!(cloud.neutron().counts().of(CREATE), 1);
}

#[tokio::test]
async fn one_that_cannot_be_tagged_is_not_kept() {
    let cloud = FakeCloud::start().await.unwrap();
    let neutron = client(&cloud, &cloud.neutron_url());
    cloud.neutron().fail_next(TAG, 2, Reply::neutron_error(403, "PolicyNotAuthorized", "no"));
    let error = neutron.create_floating_ip(&wanted(&cloud, "for web")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Forbidden);
    assert_eq!(cloud.neutron().floating_ips().len(), 0);
}

#[tokio::test]
async fn one_that_is_left_without_tags_is_found_by_its_description() {
    let cloud = FakeCloud::start().await.unwrap();
    let neutron = client(&cloud, &cloud.neutron_url());
    for route in [TAG, DELETE] {
        cloud.neutron().fail_next(route, 2, Reply::neutron_error(403, "PolicyNotAuthorized", "no"));
    }
    neutron.create_floating_ip(&wanted(&cloud, "for web")).await.unwrap_err();
    let filter = FloatingIpFilter { description: Some("for web".into()), ..FloatingIpFilter::default() };
    let left = neutron.floating_ips(&filter).await.unwrap();
    assert_eq!((left.len(), left[0].tags.len()), (1, 0));
    assert!(wanted(&cloud, "for web").describes(&left[0]));
}
