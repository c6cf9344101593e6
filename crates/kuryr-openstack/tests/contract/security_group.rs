//! Security groups: made, filled, given to ports, taken away.

use super::{Cloud, Mine, NOWHERE, floating_ip::nobody, troubled, unique};
use kuryr_api::ids::{ProjectId, SecurityGroupId, SecurityGroupRuleId};
use kuryr_openstack::{
    Call, Class, Effect, Kind, Neutron, Service,
    neutron::{
        Deleted, Direction, EtherType, HeldRule, NewRule, NewSecurityGroup, PortUpdate, SecurityGroupFilter,
    },
};
use reqwest::Method;
use serde_json::{Value, json};

fn wanted(name: &str) -> NewSecurityGroup {
    NewSecurityGroup { name: name.into(), description: format!("about {name}"), project_id: None }
}

pub(super) async fn make(neutron: &Neutron) -> SecurityGroupId {
    neutron.create_security_group(&wanted(&unique())).await.unwrap().id
}

fn described(name: &str) -> SecurityGroupFilter {
    SecurityGroupFilter { description: Some(wanted(name).description), ..SecurityGroupFilter::default() }
}

async fn found(neutron: &Neutron, filter: SecurityGroupFilter) -> Vec<SecurityGroupId> {
    neutron.security_groups(&filter).await.unwrap().into_iter().map(|group| group.id).collect()
}

async fn rules(neutron: &Neutron, group: &SecurityGroupId) -> Vec<HeldRule> {
    neutron.security_group(group).await.unwrap().rules.into_iter().collect()
}

pub(super) fn ingress(group: &SecurityGroupId) -> NewRule {
    NewRule::open(group.clone(), Direction::Ingress, EtherType::IPv4)
}

fn tcp(group: &SecurityGroupId, first: u16, last: u16) -> NewRule {
    NewRule {
        protocol: Some("tcp".into()),
        port_range_min: Some(first),
        port_range_max: Some(last),
        ..ingress(group)
    }
}

fn from(group: &SecurityGroupId, prefix: &str) -> NewRule {
    let ethertype = if prefix.contains(':') { EtherType::IPv6 } else { EtherType::IPv4 };
    NewRule { ethertype, remote_ip_prefix: Some(prefix.into()), ..ingress(group) }
}

/// One of each kind.
fn many(group: &SecurityGroupId) -> Vec<NewRule> {
    let egress = |protocol: &str, ethertype| NewRule {
        protocol: Some(protocol.into()),
        ..NewRule::open(group.clone(), Direction::Egress, ethertype)
    };
    vec![
        NewRule { description: "web".into(), ..tcp(group, 80, 80) },
        NewRule { remote_ip_prefix: Some("10.1.0.0/16".into()), ..tcp(group, 8000, 9000) },
        from(group, "fd10:1::/64"),
        NewRule { remote_group_id: Some(group.clone()), ..ingress(group) },
        NewRule { port_range_min: Some(8), ..egress("icmp", EtherType::IPv4) },
        egress("sctp", EtherType::IPv6),
    ]
}

fn ids(rules: &[HeldRule]) -> Vec<SecurityGroupRuleId> {
    rules.iter().map(|rule| rule.id.clone()).collect()
}

pub async fn a_security_group_lives_and_dies(cloud: &Cloud) {
    let (neutron, name) = (cloud.neutron(), unique());
    let new = NewSecurityGroup { project_id: Some(cloud.project_id.clone()), ..wanted(&name) };
    let made = neutron.create_security_group(&new).await.unwrap();
    assert!(new.describes(&made) && made.tags.is_empty(), "{made:?}");
    let given: Vec<_> = made.rules.iter().map(|held| (held.rule.direction, held.rule.is_open())).collect();
    assert_eq!(given, [(Direction::Egress, true), (Direction::Egress, true)], "{made:?}");
    assert_eq!(neutron.security_group(&made.id).await.unwrap(), made);

    let tags = [name.clone(), "more".into()];
    neutron.set_security_group_tags(&made.id, &tags).await.unwrap();
    shows_it(&neutron, cloud, &made.id, &name).await;
    neutron.set_security_group_tags(&made.id, &tags[..1]).await.unwrap();
    assert_eq!(neutron.security_group(&made.id).await.unwrap().tags, tags[..1]);

    let asked = many(&made.id);
    let held = neutron.create_security_group_rules(&asked).await.unwrap();
    for (asked, held) in asked.iter().zip(&held) {
        assert!(held.rule.is_like(&asked.rule()), "{asked:?} {held:?}");
        assert_eq!(held.description.clone().unwrap_or_default(), asked.description);
    }
    assert_eq!((held.len(), rules(&neutron, &made.id).await.len()), (6, 8));
    for rule in &held {
        assert_eq!(neutron.delete_security_group_rule(&rule.id).await.unwrap(), Deleted::Now);
        assert_eq!(neutron.delete_security_group_rule(&rule.id).await.unwrap(), Deleted::Before);
    }
    assert_eq!(rules(&neutron, &made.id).await, Vec::from_iter(made.rules));

    assert_eq!(neutron.delete_security_group(&made.id).await.unwrap(), Deleted::Now);
    assert_eq!(neutron.delete_security_group(&made.id).await.unwrap(), Deleted::Before);
    assert_eq!(found(&neutron, described(&name)).await, []);
}

/// Every filter finds it, and only it.
async fn shows_it(neutron: &Neutron, cloud: &Cloud, it: &SecurityGroupId, name: &str) {
    let none = SecurityGroupFilter::default;
    for filter in [
        SecurityGroupFilter { ids: Some(vec![it.clone(), NOWHERE.into()]), ..none() },
        SecurityGroupFilter { name: Some(name.into()), ..none() },
        SecurityGroupFilter { project: Some(cloud.project_id.clone()), ..described(name) },
        SecurityGroupFilter { tags: vec![name.into(), "more".into()], ..none() },
        described(name),
    ] {
        assert_eq!(found(neutron, filter.clone()).await, std::slice::from_ref(it), "{filter:?}");
    }
    for filter in [
        SecurityGroupFilter { ids: Some(vec![]), ..none() },
        SecurityGroupFilter { name: Some("other".into()), ..described(name) },
        SecurityGroupFilter { description: Some(format!("about {name} ")), ..none() },
        SecurityGroupFilter { name: Some(name.to_uppercase()), ..none() },
        SecurityGroupFilter { tags: vec![name.into(), "other".into()], ..none() },
    ] {
        assert_eq!(found(neutron, filter.clone()).await, [], "{filter:?}");
    }
}

pub async fn a_rule_is_made_once(cloud: &Cloud) {
    let neutron = cloud.neutron();
    let (group, other) = (make(&neutron).await, make(&neutron).await);
    let first = neutron.create_security_group_rules(&many(&group)[..3]).await.unwrap();
    let all = neutron.create_security_group_rules(&many(&group)).await.unwrap();
    assert_eq!(ids(&all[..3]), ids(&first), "what was there is taken as it is");
    assert_eq!((all.len(), rules(&neutron, &group).await.len()), (6, 8), "and the others are made");
    assert_eq!(ids(&neutron.create_security_group_rules(&many(&group)).await.unwrap()), ids(&all));

    let spelled = [
        NewRule { protocol: Some("6".into()), description: "other".into(), ..tcp(&group, 80, 80) },
        from(&group, "FD10:1:0::/64"),
        NewRule { protocol: Some("132".into()), ..many(&group).remove(5) },
    ];
    let same = neutron.create_security_group_rules(&spelled).await.unwrap();
    assert_eq!(ids(&same), ids(&[0, 2, 5].map(|at| all[at].clone())));
    let out = NewRule {
        remote_ip_prefix: Some("0.0.0.0/0".into()),
        ..NewRule::open(group.clone(), Direction::Egress, EtherType::IPv4)
    };
    assert!(neutron.create_security_group_rules(&[out]).await.unwrap()[0].rule.is_open());
    assert_eq!(rules(&neutron, &group).await.len(), 8);

    let all_ports = NewRule { protocol: Some("tcp".into()), ..ingress(&group) };
    let twice = [tcp(&group, 1, 65535), tcp(&other, 443, 443), ingress(&other), ingress(&other), all_ports];
    let held = neutron.create_security_group_rules(&twice).await.unwrap();
    assert_eq!((&held[0].id, &held[2].id), (&held[4].id, &held[3].id));
    assert_eq!((held[0].rule.port_range_min, held[0].rule.port_range_max), (None, None));
    assert_eq!((rules(&neutron, &group).await.len(), rules(&neutron, &other).await.len()), (9, 4));
    assert_eq!(neutron.create_security_group_rules(&[]).await.unwrap(), []);

    let of_other = NewRule { remote_group_id: Some(other.clone()), ..tcp(&group, 22, 22) };
    neutron.create_security_group_rules(&[of_other]).await.unwrap();
    neutron.delete_security_group(&other).await.unwrap();
    assert_eq!(rules(&neutron, &group).await.len(), 9, "a rule ends with the group that it names");
    neutron.delete_security_group(&group).await.unwrap();
}

pub async fn what_stands_in_a_security_groups_way_is_told(cloud: &Cloud) {
    let neutron = cloud.neutron();
    let group = make(&neutron).await;
    let bare = rules(&neutron, &group).await;
    for (bad, kind) in [
        (ingress(&NOWHERE.into()), Kind::NotFound),
        (NewRule { remote_group_id: Some(NOWHERE.into()), ..ingress(&group) }, Kind::NotFound),
        (NewRule { remote_address_group_id: Some(NOWHERE.into()), ..ingress(&group) }, Kind::NotFound),
        (NewRule { ethertype: EtherType::IPv4, ..from(&group, "fd00::/8") }, Kind::Invalid),
        (NewRule { protocol: None, ..tcp(&group, 1, 2) }, Kind::Invalid),
        (NewRule { port_range_min: None, ..tcp(&group, 1, 2) }, Kind::Invalid),
        (tcp(&group, 2, 1), Kind::Invalid),
        (NewRule { remote_group_id: Some(group.clone()), ..from(&group, "10.0.0.0/8") }, Kind::Invalid),
        (NewRule { protocol: Some("carrier-pigeon".into()), ..ingress(&group) }, Kind::Invalid),
        (from(&group, "10.0.0.0/99"), Kind::Invalid),
    ] {
        let asked = [tcp(&bad.security_group_id, 80, 80), bad.clone()];
        let error = neutron.create_security_group_rules(&asked).await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (kind, Effect::None), "{bad:?}: {}", error.chain());
        assert_eq!(rules(&neutron, &group).await, bare, "nothing is left of {bad:?}");
    }
    let long = NewSecurityGroup { name: "n".repeat(256), ..wanted(&unique()) };
    assert_eq!(neutron.create_security_group(&long).await.unwrap_err().kind(), Kind::Invalid);
    let long = NewSecurityGroup { description: "d".repeat(256), ..wanted(&unique()) };
    assert_eq!(neutron.create_security_group(&long).await.unwrap_err().kind(), Kind::Invalid);
    let longest = wanted(&format!("{:x<249}", unique()));
    let longest = neutron.create_security_group(&longest).await.unwrap();
    neutron.delete_security_group(&longest.id).await.unwrap();
    let reserved = NewSecurityGroup { name: "default".into(), ..wanted(&unique()) };
    assert_eq!(neutron.create_security_group(&reserved).await.unwrap_err().kind(), Kind::Conflict);
    // Not all versions say why.
    neutron.set_security_group_tags(&NOWHERE.into(), &[]).await.unwrap_err();
    neutron.delete_security_group(&group).await.unwrap();
}

pub async fn a_port_changes_its_security_groups(cloud: &Cloud) {
    let mine = Mine::new(cloud, 1);
    let neutron = &mine.neutron;
    let (one, other) = (make(neutron).await, make(neutron).await);
    let port = neutron.create_port(&cloud.new_port(&mine.devices[0])).await.unwrap();
    let groups = |groups: &[&SecurityGroupId]| PortUpdate {
        security_groups: Some(groups.iter().copied().cloned().collect()),
        ..PortUpdate::default()
    };
    let changed = neutron.update_port(&port.id, &groups(&[&one, &other])).await.unwrap();
    let mut given = changed.security_groups.clone();
    given.sort_unstable();
    let mut both = [one.clone(), other.clone()];
    both.sort_unstable();
    assert_eq!(given, both);
    assert!(changed.revision_number > port.revision_number);

    let stale = neutron.update_port_at(&port.id, &groups(&[&one]), port.revision_number).await.unwrap_err();
    assert_eq!(stale.kind(), Kind::Stale);
    for (bad, kind) in [(NOWHERE, Kind::NotFound), ("no-uuid", Kind::Invalid), (one.as_str(), Kind::Invalid)]
    {
        let error = neutron.update_port(&port.id, &groups(&[&one, &bad.into()])).await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (kind, Effect::None), "{}", error.chain());
    }
    assert_eq!(neutron.port(&port.id).await.unwrap().security_groups.len(), 2, "it keeps what it has");

    let changed = neutron.update_port_at(&port.id, &groups(&[&one]), changed.revision_number).await.unwrap();
    assert_eq!(changed.security_groups, std::slice::from_ref(&one));
    let same = neutron.update_port(&port.id, &groups(&[&one])).await.unwrap();
    assert_eq!(same.revision_number, changed.revision_number, "what changes nothing is no change");
    assert_eq!(neutron.delete_security_group(&other).await.unwrap(), Deleted::Now);
    let error = neutron.delete_security_group(&one).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.class(), error.effect()),
        (Kind::InUse, Class::Retry, Effect::None),
        "{}",
        error.chain()
    );
    let none = neutron.update_port(&port.id, &groups(&[])).await.unwrap();
    assert!(none.security_groups.is_empty() && none.revision_number > changed.revision_number);
    assert_eq!(neutron.delete_security_group(&one).await.unwrap(), Deleted::Now);
    mine.remove().await;
}

pub async fn security_groups_have_quotas(cloud: &Cloud) {
    let neutron = cloud.neutron();
    let project: ProjectId = nobody().into();
    let call = |method, body: Option<Value>| {
        let call = Call::new(Service::Network, method, "/quotas/{id}", format!("/quotas/{project}"));
        body.map_or_else(|| call.clone(), |body| call.clone().json(&body).unwrap())
    };
    // The default group with its four rules comes with the first one, which has two.
    let limits = json!({ "quota": { "security_group": 2, "security_group_rule": 8 } });
    neutron.session().call(&call(Method::PUT, Some(limits))).await.unwrap();
    let new = || NewSecurityGroup { project_id: Some(project.clone()), ..wanted(&unique()) };
    let made = neutron.create_security_group(&new()).await.unwrap();
    let over = neutron.create_security_group(&new()).await.unwrap_err();
    assert_eq!((over.kind(), over.class(), over.effect()), (Kind::OverQuota, Class::Wait, Effect::None));

    let rule = |port| NewRule { project_id: Some(project.clone()), ..tcp(&made.id, port, port) };
    let over = neutron.create_security_group_rules(&[rule(1), rule(2), rule(3)]).await.unwrap_err();
    assert_eq!((over.kind(), over.class(), over.effect()), (Kind::OverQuota, Class::Wait, Effect::None));
    assert_eq!(rules(&neutron, &made.id).await.len(), 2, "of too many none is made");
    neutron.create_security_group_rules(&[rule(1), rule(2)]).await.unwrap();
    let quotas = neutron.quotas(&project).await.unwrap();
    assert_eq!((quotas.security_group.limit, quotas.security_group.used), (2, 2));
    assert_eq!((quotas.security_group_rule.limit, quotas.security_group_rule.used), (8, 8));
    assert_eq!(quotas.security_group_rule.free(), Some(0));

    let of_project = SecurityGroupFilter { project: Some(project.clone()), ..SecurityGroupFilter::default() };
    for group in found(&neutron, of_project).await {
        neutron.delete_security_group(&group).await.unwrap();
    }
    neutron.session().call(&call(Method::DELETE, None)).await.unwrap();
}

/// What a controller does with a create that fails: it looks by the description, and asks again.
async fn until_made(neutron: &Neutron, name: &str) -> SecurityGroupId {
    loop {
        match neutron.create_security_group(&wanted(name)).await {
            Ok(made) => return made.id,
            Err(error) => assert_eq!(error.class(), Class::Retry, "{}", error.chain()),
        }
        let found = neutron.security_groups(&described(name)).await;
        if let Some(made) = found.ok().and_then(|mut found| found.pop()) {
            return made.id;
        }
    }
}

/// Asks until it is done.
pub(super) async fn until_done<T>(mut ask: impl AsyncFnMut() -> kuryr_openstack::Result<T>) -> T {
    loop {
        match ask().await {
            Ok(done) => return done,
            Err(error) => assert_eq!(error.class(), Class::Retry, "{}", error.chain()),
        }
    }
}

pub async fn through_faults_a_security_group_is_made_once(cloud: &Cloud) {
    let neutron = cloud.neutron();
    let (hampered, proxy) = troubled(cloud, 7).await;
    let name = unique();
    for at in 0..3 {
        let name = format!("{name} {at}");
        let id = until_made(&hampered, &name).await;
        assert_eq!(found(&neutron, described(&name)).await, std::slice::from_ref(&id));
        for half in [&many(&id)[..4], &many(&id)[2..]] {
            let held = until_done(async || hampered.create_security_group_rules(half).await).await;
            assert_eq!(held.len(), 4);
        }
        let held = rules(&neutron, &id).await;
        assert_eq!(held.len(), 8, "{held:?}");
        for rule in &held {
            until_done(async || hampered.delete_security_group_rule(&rule.id).await).await;
        }
        assert_eq!(rules(&neutron, &id).await, []);
        until_done(async || hampered.delete_security_group(&id).await).await;
        assert_eq!(found(&neutron, described(&name)).await, []);
    }
    assert!(proxy.done().values().sum::<u64>() > 3, "{:?}", proxy.done());
}
