//! Floating IPs: made once, tagged, led to ports, given back.

use super::{Cloud, Mine, NOWHERE, troubled, unique};
use kuryr_api::ids::{FloatingIpId, PortId, ProjectId};
use kuryr_openstack::{
    Call, Class, Effect, Kind, Neutron, Service,
    neutron::{Deleted, FixedIpRequest, FloatingIp, FloatingIpFilter, NewFloatingIp, NewPort},
};
use reqwest::Method;
use serde_json::{Value, json};

fn wanted(cloud: &Cloud, description: &str) -> NewFloatingIp {
    NewFloatingIp { description: description.into(), ..NewFloatingIp::of(cloud.external.clone()) }
}

fn described(description: &str) -> FloatingIpFilter {
    FloatingIpFilter { description: Some(description.into()), ..FloatingIpFilter::default() }
}

async fn found(neutron: &Neutron, filter: FloatingIpFilter) -> Vec<FloatingIpId> {
    neutron.floating_ips(&filter).await.unwrap().into_iter().map(|found| found.id).collect()
}

async fn port(mine: &Mine, cloud: &Cloud, at: usize) -> PortId {
    mine.neutron.create_port(&cloud.new_port(&mine.devices[at])).await.unwrap().id
}

pub async fn a_floating_ip_leads_where_it_is_told(cloud: &Cloud) {
    let mine = Mine::new(cloud, 2);
    let (neutron, name) = (&mine.neutron, unique());
    let tags = vec![name.clone(), "more".into()];
    let new = NewFloatingIp {
        subnet_id: Some(cloud.external_subnet.clone()),
        project_id: Some(cloud.project_id.clone()),
        tags: tags.clone(),
        ..wanted(cloud, &name)
    };
    let made = neutron.create_floating_ip(&new).await.unwrap();
    assert!(new.describes(&made) && made.port_id.is_none() && made.fixed_ip_address.is_none(), "{made:?}");
    assert_eq!(made.tags, tags);

    let (one, other) = (port(&mine, cloud, 0).await, port(&mine, cloud, 1).await);
    let led = neutron.attach_floating_ip(&made.id, &one).await.unwrap();
    let again = neutron.attach_floating_ip(&made.id, &one).await.unwrap();
    assert_eq!((&led.port_id, led.fixed_ip_address), (&again.port_id, again.fixed_ip_address));
    assert!(led.fixed_ip_address.is_some() && led.floating_ip_address == made.floating_ip_address);
    shows_it(neutron, cloud, &led, &name).await;

    let led = neutron.attach_floating_ip(&made.id, &other).await.unwrap();
    assert_eq!(led.port_id.as_ref(), Some(&other));
    for _ in 0..2 {
        assert_eq!(neutron.detach_floating_ip(&made.id).await.unwrap().port_id, None);
    }
    neutron.attach_floating_ip(&made.id, &other).await.unwrap();
    neutron.delete_port(&other).await.unwrap();
    let left: Vec<FloatingIp> = neutron.floating_ips(&described(&name)).await.unwrap();
    assert_eq!((left.len(), &left[0].port_id), (1, &None), "it outlives its port");

    neutron.set_floating_ip_tags(&made.id, std::slice::from_ref(&name)).await.unwrap();
    assert_eq!(neutron.floating_ips(&described(&name)).await.unwrap()[0].tags, [name.as_str()]);
    assert_eq!(neutron.delete_floating_ip(&made.id).await.unwrap(), Deleted::Now);
    assert_eq!(neutron.delete_floating_ip(&made.id).await.unwrap(), Deleted::Before);
    assert_eq!(neutron.detach_floating_ip(&made.id).await.unwrap_err().kind(), Kind::NotFound);

    let same = NewFloatingIp {
        floating_ip_address: Some(made.floating_ip_address),
        port_id: Some(one.clone()),
        ..wanted(cloud, &name)
    };
    let made = neutron.create_floating_ip(&same).await.unwrap();
    assert!(same.describes(&made), "{made:?}");
    neutron.delete_floating_ip(&made.id).await.unwrap();
    mine.remove().await;
}

/// Every filter finds it, and only it.
async fn shows_it(neutron: &Neutron, cloud: &Cloud, it: &FloatingIp, name: &str) {
    let none = FloatingIpFilter::default;
    let ports = |port: &PortId| Some(vec![port.clone(), NOWHERE.into()]);
    let only = vec![it.id.clone()];
    for filter in [
        FloatingIpFilter { ids: Some(vec![it.id.clone(), NOWHERE.into()]), ..none() },
        FloatingIpFilter { port_ids: ports(it.port_id.as_ref().unwrap()), ..none() },
        FloatingIpFilter {
            address: Some(it.floating_ip_address),
            network: Some(cloud.external.clone()),
            ..none()
        },
        FloatingIpFilter { project: Some(cloud.project_id.clone()), ..described(name) },
        FloatingIpFilter { tags: vec![name.into(), "more".into()], ..none() },
        described(name),
    ] {
        assert_eq!(found(neutron, filter.clone()).await, only, "{filter:?}");
    }
    for filter in [
        FloatingIpFilter { ids: Some(vec![]), ..none() },
        FloatingIpFilter { port_ids: ports(&NOWHERE.into()), ..none() },
        FloatingIpFilter { project: Some(NOWHERE.into()), ..described(name) },
        FloatingIpFilter { tags: vec![name.into(), "other".into()], ..none() },
        FloatingIpFilter { network: Some(cloud.network.clone()), ..described(name) },
    ] {
        assert_eq!(found(neutron, filter.clone()).await, [], "{filter:?}");
    }
}

pub async fn what_stands_in_a_floating_ips_way_is_told(cloud: &Cloud) {
    let mine = Mine::new(cloud, 2);
    let (neutron, name) = (&mine.neutron, unique());
    let led = port(&mine, cloud, 0).await;
    let new = NewFloatingIp { port_id: Some(led.clone()), ..wanted(cloud, &name) };
    let there = neutron.create_floating_ip(&new).await.unwrap();
    let v6_alone = NewPort {
        fixed_ips: vec![FixedIpRequest::any(cloud.subnet_v6.clone())],
        ..cloud.new_port(&mine.devices[1])
    };
    let v6_alone = neutron.create_port(&v6_alone).await.unwrap().id;

    let new = || wanted(cloud, &unique());
    let at = |address: &str| NewFloatingIp { floating_ip_address: Some(address.parse().unwrap()), ..new() };
    let of = |subnet: &str| NewFloatingIp { subnet_id: Some(subnet.into()), ..new() };
    let to = |port: &PortId| NewFloatingIp { port_id: Some(port.clone()), ..new() };
    for (asked, kind) in [
        (at(&there.floating_ip_address.to_string()), Kind::Conflict),
        (at("192.0.2.1"), Kind::Invalid),
        (of(cloud.subnet_v4.as_str()), Kind::Invalid),
        (of(NOWHERE), Kind::NotFound),
        (NewFloatingIp::of(NOWHERE.into()), Kind::NotFound),
        (NewFloatingIp::of(cloud.network.clone()), Kind::Invalid),
        (to(&NOWHERE.into()), Kind::NotFound),
        (to(&led), Kind::Conflict),
        (to(&v6_alone), Kind::Invalid),
    ] {
        let error = neutron.create_floating_ip(&asked).await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (kind, Effect::None), "{asked:?}: {}", error.chain());
        if !asked.description.is_empty() {
            assert_eq!(
                found(neutron, described(&asked.description)).await,
                [],
                "nothing is left of {asked:?}"
            );
        }
    }
    let free = neutron.create_floating_ip(&new()).await.unwrap();
    assert_eq!(neutron.attach_floating_ip(&free.id, &led).await.unwrap_err().kind(), Kind::Conflict);
    neutron.delete_floating_ip(&free.id).await.unwrap();
    neutron.delete_floating_ip(&there.id).await.unwrap();
    tells_of_the_quota(neutron, new()).await;
    mine.remove().await;
}

async fn tells_of_the_quota(neutron: &Neutron, new: NewFloatingIp) {
    let project: ProjectId = nobody().into();
    let call = |method, body: Option<Value>| {
        let call = Call::new(Service::Network, method, "/quotas/{id}", format!("/quotas/{project}"));
        body.map_or_else(|| call.clone(), |body| call.clone().json(&body).unwrap())
    };
    let none = json!({ "quota": { "floatingip": 0 } });
    neutron.session().call(&call(Method::PUT, Some(none))).await.unwrap();
    let new = NewFloatingIp { project_id: Some(project.clone()), ..new };
    let error = neutron.create_floating_ip(&new).await.unwrap_err();
    assert_eq!((error.kind(), error.class()), (Kind::OverQuota, Class::Wait), "{}", error.chain());
    neutron.session().call(&call(Method::DELETE, None)).await.unwrap();
}

/// A project that nobody else uses: quotas are for any name.
pub fn nobody() -> String {
    format!("{:032x}", unique().bytes().fold(1_u128, |h, b| h.wrapping_mul(257) + u128::from(b)))
}

/// What a controller does with a create that fails: it looks by the description, and asks again.
async fn until_made(neutron: &Neutron, new: &NewFloatingIp) -> FloatingIpId {
    loop {
        match neutron.create_floating_ip(new).await {
            Ok(made) => return made.id,
            Err(error) => assert_eq!(error.class(), Class::Retry, "{}", error.chain()),
        }
        let found = neutron.floating_ips(&described(&new.description)).await;
        if let Some(made) = found.ok().and_then(|mut found| found.pop()) {
            return made.id;
        }
    }
}

pub async fn through_faults_a_floating_ip_is_made_once(cloud: &Cloud) {
    let neutron = cloud.neutron();
    let (troubled, proxy) = troubled(cloud, 5).await;
    let name = unique();
    let new = |at: usize| NewFloatingIp {
        tags: vec![name.clone(), at.to_string()],
        ..wanted(cloud, &format!("{name} {at}"))
    };
    let mut made = Vec::new();
    for at in 0..5 {
        let id = until_made(&troubled, &new(at)).await;
        assert_eq!(found(&neutron, described(&new(at).description)).await, std::slice::from_ref(&id));
        made.push(id);
    }
    for id in &made {
        while let Err(error) = troubled.delete_floating_ip(id).await {
            assert_eq!(error.class(), Class::Retry, "{}", error.chain());
        }
    }
    assert!(proxy.done().values().sum::<u64>() > 3, "{:?}", proxy.done());
    assert_eq!(
        found(&neutron, FloatingIpFilter { tags: vec![name], ..FloatingIpFilter::default() }).await,
        []
    );
}
