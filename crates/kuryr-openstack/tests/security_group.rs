//! Security groups, rules and address groups whose making is interrupted: they are taken up, and made once.
#![allow(clippy::unwrap_used)]

mod common;

use common::client;
use kuryr_api::ids::SecurityGroupId;
use kuryr_openstack::{
    Effect, Kind, Neutron,
    neutron::{Direction, EtherType, NewAddressGroup, NewRule, NewSecurityGroup},
};
use kuryr_testkit::{
    FakeCloud, Reply,
    proxy::{Fault, Faulty, Plan},
};
use serde_json::Value;

const GROUP: &str = "POST /security-groups";
const RULES: &str = "POST /security-group-rules";
const ADDRESSES: &str = "POST /address-groups";

fn group(description: &str) -> NewSecurityGroup {
    NewSecurityGroup { name: "web".into(), description: description.into(), project_id: None }
}

fn rule(group: &str, port: u16) -> NewRule {
    NewRule {
        protocol: Some("tcp".into()),
        port_range_min: Some(port),
        port_range_max: Some(port),
        ..NewRule::open(group.into(), Direction::Ingress, EtherType::IPv4)
    }
}

/// A client, and a proxy that cuts off the next answer once it is told to.
async fn client_by_proxy(cloud: &FakeCloud) -> (Neutron, Faulty) {
    let proxy = Faulty::start(&cloud.neutron_url(), Plan::harmless()).await.unwrap();
    (client(cloud, &proxy.url()), proxy)
}

fn cut(proxy: &Faulty) {
    proxy.set_plan(Plan::next(Fault::CutAfterwards, 1));
}

fn named_web(groups: Vec<Value>) -> usize {
    groups.into_iter().filter(|group| group["name"] == "web").count()
}

#[tokio::test]
async fn a_group_whose_answer_was_cut_off_is_taken_up() {
    let cloud = FakeCloud::start().await.unwrap();
    let (neutron, proxy) = client_by_proxy(&cloud).await;
    cut(&proxy);
    let made = neutron.create_security_group(&group("for web")).await.unwrap();
    assert_eq!((made.description.as_str(), made.rules.len()), ("for web", 2));
    assert_eq!((cloud.neutron().counts().of(GROUP), named_web(cloud.neutron().security_groups())), (1, 1));
}

#[tokio::test]
async fn a_group_that_cannot_be_recognised_is_not_asked_for_twice() {
    let cloud = FakeCloud::start().await.unwrap();
    let (neutron, proxy) = client_by_proxy(&cloud).await;
    cut(&proxy);
    let error = neutron.create_security_group(&group("")).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (Kind::Interrupted, Effect::Unknown));
    assert_eq!(cloud.neutron().counts().of(GROUP), 1);
}

#[tokio::test]
async fn rules_whose_answer_was_cut_off_are_taken_up() {
    let cloud = FakeCloud::start().await.unwrap();
    let (neutron, proxy) = client_by_proxy(&cloud).await;
    let id = cloud.neutron().id_of("k8s-pods").unwrap();
    cut(&proxy);
    let asked: Vec<_> = (1..4).map(|port| rule(&id, port)).collect();
    let made = neutron.create_security_group_rules(&asked).await.unwrap();
    let ports: Vec<_> = made.iter().filter_map(|held| held.rule.port_range_min).collect();
    assert_eq!((ports, cloud.neutron().counts().of(RULES)), (vec![1, 2, 3], 1));
}

#[tokio::test]
async fn a_server_that_fails_makes_no_rules() {
    let cloud = FakeCloud::start().await.unwrap();
    let neutron = client(&cloud, &cloud.neutron_url());
    let id = cloud.neutron().id_of("k8s-pods").unwrap();
    cloud.neutron().fail_next(RULES, 1, Reply::neutron_error(500, "HTTPInternalServerError", "oops"));
    let error = neutron.create_security_group_rules(&[rule(&id, 1)]).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (Kind::Fault, Effect::Unknown));
    assert_eq!(cloud.neutron().counts().of(RULES), 1);
}

#[tokio::test]
async fn rules_take_one_request_and_two_where_one_is_there() {
    let cloud = FakeCloud::start().await.unwrap();
    let neutron = client(&cloud, &cloud.neutron_url());
    let id = cloud.neutron().id_of("k8s-pods").unwrap();
    neutron.create_security_group_rules(&[rule(&id, 5)]).await.unwrap();
    cloud.neutron().counts().reset();
    let asked: Vec<_> = (1..30).map(|port| rule(&id, port)).collect();
    let made = neutron.create_security_group_rules(&asked).await.unwrap();
    assert_eq!((made.len(), cloud.neutron().counts().of(RULES)), (29, 2));
}

/// A server of another version may take rules for the same that we hold for different.
#[tokio::test]
async fn a_rule_that_is_said_to_be_there_and_is_not_seen_stops_no_other() {
    let cloud = FakeCloud::start().await.unwrap();
    let neutron = client(&cloud, &cloud.neutron_url());
    let id = cloud.neutron().id_of("k8s-pods").unwrap();
    let there =
        || Reply::neutron_error(409, "SecurityGroupRuleExists", "Security group rule already exists.");
    cloud.neutron().fail_next(RULES, 4, there());
    let made = neutron.create_security_group_rules(&[rule(&id, 1), rule(&id, 2)]).await.unwrap();
    assert_eq!(made.len(), 2);

    let asked: Vec<_> = (3..6).map(|port| rule(&id, port)).collect();
    cloud.neutron().fail_next(RULES, 1000, there());
    let error = neutron.create_security_group_rules(&asked).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    assert!(cloud.neutron().counts().of(RULES) < 20, "{:?}", cloud.neutron().counts());
}

#[tokio::test]
async fn an_address_group_whose_answer_was_cut_off_is_taken_up_and_filled() {
    let cloud = FakeCloud::start().await.unwrap();
    let neutron = client(&cloud, &cloud.neutron_url());
    let addresses = ["10.0.0.1/32", "fd00::1/128"].map(|text| text.parse().unwrap()).into();
    let new =
        NewAddressGroup { name: "web".into(), description: "for web".into(), project_id: None, addresses };
    // What Neutron leaves that stops between making a group and filling it.
    let half = NewAddressGroup { addresses: [new.addresses.first().copied().unwrap()].into(), ..new.clone() };
    let half = neutron.create_address_group(&half).await.unwrap();
    cloud.neutron().fail_next(ADDRESSES, 1, Reply::neutron_error(500, "HTTPInternalServerError", "oops"));
    let made = neutron.create_address_group(&new).await.unwrap();
    assert_eq!((&made.id, &made.addresses), (&half.id, &new.addresses));
    assert_eq!(named_web(cloud.neutron().address_groups()), 1);
}

#[tokio::test]
async fn a_change_of_addresses_whose_answer_was_cut_off_is_done_once() {
    let cloud = FakeCloud::start().await.unwrap();
    let (neutron, proxy) = client_by_proxy(&cloud).await;
    let made = neutron.create_address_group(&NewAddressGroup::default()).await.unwrap();
    let some = ["10.0.0.1/32", "10.0.0.2/32"].map(|text| text.parse().unwrap());
    cut(&proxy);
    let changed = neutron.add_addresses(&made.id, &some).await.unwrap();
    assert_eq!(changed.addresses, some.into());
    cut(&proxy);
    let changed = neutron.remove_addresses(&made.id, &some).await.unwrap();
    assert_eq!(changed.addresses, [].into());
    let revision = &cloud.neutron().address_groups()[0]["revision_number"];
    assert_eq!(*revision, 2, "one change for each");
}

#[tokio::test]
async fn a_cloud_without_address_groups_says_so() {
    let cloud = FakeCloud::start().await.unwrap();
    let neutron = client(&cloud, &cloud.neutron_url());
    cloud.neutron().remove_extension("security-groups-remote-address-group");
    assert!(!neutron.extensions().await.unwrap().address_groups());
    let id: SecurityGroupId = cloud.neutron().id_of("k8s-pods").unwrap().into();
    let of = NewRule { remote_address_group_id: Some("group".into()), ..rule(id.as_str(), 1) };
    let error = neutron.create_security_group_rules(&[of]).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
}
