//! Address groups: made, changed by those who may have changed them already, named by rules, taken away.

use super::{
    Cloud, NOWHERE,
    security_group::{ingress, make, until_done},
    troubled, unique,
};
use ipnet::IpNet;
use kuryr_api::ids::AddressGroupId;
use kuryr_openstack::{
    Call, Class, Effect, Kind, Neutron, Service,
    neutron::{AddressGroup, AddressGroupFilter, Deleted, NewAddressGroup, NewRule},
};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn nets(addresses: &[&str]) -> Vec<IpNet> {
    addresses.iter().map(|address| address.parse().unwrap()).collect()
}

fn set(addresses: &[&str]) -> BTreeSet<IpNet> {
    nets(addresses).into_iter().collect()
}

fn wanted(name: &str, addresses: &[&str]) -> NewAddressGroup {
    NewAddressGroup {
        name: name.into(),
        description: format!("about {name}"),
        project_id: None,
        addresses: set(addresses),
    }
}

fn described(name: &str) -> AddressGroupFilter {
    AddressGroupFilter { description: Some(wanted(name, &[]).description), ..AddressGroupFilter::default() }
}

async fn found(neutron: &Neutron, filter: AddressGroupFilter) -> Vec<AddressGroupId> {
    neutron.address_groups(&filter).await.unwrap().into_iter().map(|group| group.id).collect()
}

pub async fn an_address_group_lives_and_dies(cloud: &Cloud) {
    let (neutron, name) = (cloud.neutron(), unique());
    let new = NewAddressGroup {
        project_id: Some(cloud.project_id.clone()),
        ..wanted(&name, &["10.1.0.7/32", "10.2.3.4/16", "10.2.0.0/16", "fd10:1::7/128"])
    };
    let made = neutron.create_address_group(&new).await.unwrap();
    assert!(new.describes(&made), "{made:?}");
    assert_eq!(made.addresses, set(&["10.1.0.7/32", "10.2.0.0/16", "fd10:1::7/128"]));
    assert_eq!(neutron.address_group(&made.id).await.unwrap(), made);
    shows_it(&neutron, cloud, &made.id, &name).await;
    changes_are_made_once(&neutron, &made).await;

    let group = make(&neutron).await;
    let rule = NewRule { remote_address_group_id: Some(made.id.clone()), ..ingress(&group) };
    let held = neutron.create_security_group_rules(std::slice::from_ref(&rule)).await.unwrap().remove(0);
    assert!(held.rule.is_like(&rule.rule()) && !held.rule.is_open(), "{held:?}");
    let again = neutron.create_security_group_rules(&[rule]).await.unwrap();
    assert_eq!(again, std::slice::from_ref(&held));
    let error = neutron.delete_address_group(&made.id).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.class(), error.effect()),
        (Kind::InUse, Class::Retry, Effect::None),
        "{}",
        error.chain()
    );
    neutron.delete_security_group_rule(&held.id).await.unwrap();
    neutron.delete_security_group(&group).await.unwrap();
    assert_eq!(neutron.delete_address_group(&made.id).await.unwrap(), Deleted::Now);
    assert_eq!(neutron.delete_address_group(&made.id).await.unwrap(), Deleted::Before);
    assert_eq!(found(&neutron, described(&name)).await, []);
}

/// Whatever is there already, or not any more.
async fn changes_are_made_once(neutron: &Neutron, group: &AddressGroup) {
    let add = async |addresses: &[&str]| neutron.add_addresses(&group.id, &nets(addresses)).await;
    let remove = async |addresses: &[&str]| neutron.remove_addresses(&group.id, &nets(addresses)).await;
    let all = set(&["10.1.0.7/32", "10.1.0.8/32", "10.2.0.0/16", "fd10:1::7/128", "fd10:1::8/128"]);
    let more = ["10.1.0.8/32", "FD10:1:0:0::8/128", "fd10:1:0000::0007/128", "10.2.255.1/16"];
    for _ in 0..2 {
        let changed = add(&more).await.unwrap();
        assert_eq!((&changed.id, &changed.addresses), (&group.id, &all));
    }
    for _ in 0..2 {
        let changed =
            remove(&["10.1.0.8/32", "10.1.0.9/32", "fd10:1::8/128", "fd10:1::9/128"]).await.unwrap();
        assert_eq!(changed.addresses, group.addresses);
    }
    assert_eq!(add(&[]).await.unwrap().addresses, group.addresses);
    let mixed =
        ["::ffff:10.1.0.7/128", "::10.1.0.7/128", "::1.2.0.0/112", "0.0.0.0/1", "128.0.0.0/1", "::/1"];
    let changed = add(&mixed).await.unwrap();
    assert_eq!(changed.addresses, group.addresses.union(&set(&mixed)).copied().collect());
    assert_eq!(remove(&mixed).await.unwrap().addresses, group.addresses);
    let all: Vec<_> = group.addresses.iter().map(ToString::to_string).collect();
    let all: Vec<_> = all.iter().map(String::as_str).collect();
    assert_eq!(remove(&all).await.unwrap().addresses, BTreeSet::new());
    assert_eq!(remove(&all).await.unwrap().addresses, BTreeSet::new());
    assert_eq!(add(&all).await.unwrap().addresses, group.addresses);
}

/// Every filter finds it, and only it.
async fn shows_it(neutron: &Neutron, cloud: &Cloud, it: &AddressGroupId, name: &str) {
    let none = AddressGroupFilter::default;
    for filter in [
        AddressGroupFilter { ids: Some(vec![it.clone(), NOWHERE.into()]), ..none() },
        AddressGroupFilter { name: Some(name.into()), ..none() },
        AddressGroupFilter { project: Some(cloud.project_id.clone()), ..described(name) },
        described(name),
    ] {
        assert_eq!(found(neutron, filter.clone()).await, std::slice::from_ref(it), "{filter:?}");
    }
    for filter in [
        AddressGroupFilter { ids: Some(vec![]), ..none() },
        AddressGroupFilter { name: Some("other".into()), ..described(name) },
        AddressGroupFilter { project: Some(NOWHERE.into()), ..described(name) },
        AddressGroupFilter { description: Some(format!("about {name} ")), ..none() },
        AddressGroupFilter { name: Some(name.to_uppercase()), ..none() },
    ] {
        assert_eq!(found(neutron, filter.clone()).await, [], "{filter:?}");
    }
}

pub async fn what_stands_in_an_address_groups_way_is_told(cloud: &Cloud) {
    let neutron = cloud.neutron();
    let (nowhere, some) = (NOWHERE.into(), nets(&["10.1.0.7/32"]));
    for error in [
        neutron.address_group(&nowhere).await.unwrap_err(),
        neutron.add_addresses(&nowhere, &some).await.unwrap_err(),
        neutron.remove_addresses(&nowhere, &some).await.unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.class()), (Kind::NotFound, Class::Permanent), "{}", error.chain());
        assert_eq!(error.refusal().unwrap().neutron_type.as_deref(), Some("AddressGroupNotFound"));
    }
    assert_eq!(neutron.delete_address_group(&nowhere).await.unwrap(), Deleted::Before);

    let name = unique();
    let long = NewAddressGroup { name: "n".repeat(256), ..wanted(&name, &[]) };
    let error = neutron.create_address_group(&long).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (Kind::Invalid, Effect::None), "{}", error.chain());
    let long = NewAddressGroup { description: "d".repeat(256), ..wanted(&name, &[]) };
    let error = neutron.create_address_group(&long).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Fault, "beware: {}", error.chain());
    let longest = wanted(&format!("{name:x<249}"), &[]);
    let made = neutron.create_address_group(&longest).await.unwrap();
    assert!(longest.describes(&made) && made.addresses.is_empty(), "{made:?}");
    let namesake = neutron.create_address_group(&longest).await.unwrap();
    assert_ne!(made.id, namesake.id, "names are not unique");

    let path = format!("/address-groups/{}/tags", made.id);
    let call = Call::new(Service::Network, Method::PUT, "/address-groups/{id}/tags", path);
    let tag = call.json(&json!({ "tags": ["tag"] })).unwrap();
    let error = neutron.session().call(&tag).await.unwrap_err();
    assert_eq!(error.neutron_type(), Some("HTTPNotFound"), "address groups have no tags: {}", error.chain());
    let quotas = format!("/quotas/{}/details.json", cloud.project_id);
    let quotas = Call::new(Service::Network, Method::GET, "/quotas/{id}/details", quotas);
    let quotas: Value = neutron.session().call(&quotas).await.unwrap().json().unwrap();
    assert!(quotas["quota"]["port"].is_object() && quotas["quota"]["address_group"].is_null(), "{quotas}");
    for id in [made.id, namesake.id] {
        neutron.delete_address_group(&id).await.unwrap();
    }
}

/// What a controller does with a create that fails: it looks by the description, and asks again.
async fn until_made(neutron: &Neutron, new: &NewAddressGroup) -> AddressGroupId {
    loop {
        match neutron.create_address_group(new).await {
            Ok(made) => return made.id,
            Err(error) => assert_eq!(error.class(), Class::Retry, "{}", error.chain()),
        }
        let found = neutron.address_groups(&described(&new.name)).await;
        if let Some(made) = found.ok().and_then(|mut found| found.pop()) {
            return made.id;
        }
    }
}

pub async fn through_faults_an_address_group_has_what_it_should(cloud: &Cloud) {
    let neutron = cloud.neutron();
    let (hampered, proxy) = troubled(cloud, 13).await;
    let name = unique();
    for at in 0..3 {
        let name = format!("{name} {at}");
        let id = until_made(&hampered, &wanted(&name, &["10.1.0.1/32", "fd10:1::1/128"])).await;
        assert_eq!(found(&neutron, described(&name)).await, std::slice::from_ref(&id));
        for last in 2..6 {
            let both = nets(&[&format!("10.1.0.{last}/32"), &format!("fd10:1::{last}/128")]);
            let one = nets(&[&format!("10.1.0.{}/32", last - 1)]);
            let changed = until_done(async || hampered.add_addresses(&id, &both).await).await;
            assert!(both.iter().all(|address| changed.addresses.contains(address)), "{changed:?}");
            let changed = until_done(async || hampered.remove_addresses(&id, &one).await).await;
            assert!(!changed.addresses.contains(&one[0]), "{changed:?}");
        }
        let held = neutron.address_group(&id).await.unwrap().addresses;
        let v6 = ["fd10:1::1/128", "fd10:1::2/128", "fd10:1::3/128", "fd10:1::4/128", "fd10:1::5/128"];
        assert_eq!(held, set(&[&["10.1.0.5/32"], &v6[..]].concat()));
        until_done(async || hampered.delete_address_group(&id).await).await;
        assert_eq!(found(&neutron, described(&name)).await, []);
    }
    assert!(proxy.done().values().sum::<u64>() > 3, "{:?}", proxy.done());
}
