//! What Octavia refuses, and how that is told apart.

use super::{Cloud, NOWHERE, floating_ip::nobody, octavia::Mine};
use kuryr_openstack::octavia::{NewLoadBalancer, Of, PoolUpdate, SessionPersistence, Status};
use kuryr_openstack::{Call, Class, Error, Kind, Service};
use reqwest::Method;
use serde_json::{Value, json};

pub async fn what_stands_in_a_load_balancers_way_is_told(cloud: &Cloud) {
    let mine = Mine::new(cloud);
    let there = mine.make_balancer().await;
    let refused = async |asked: NewLoadBalancer| mine.octavia.create_load_balancer(&asked).await.unwrap_err();
    let at =
        |address: &str| NewLoadBalancer { vip_address: Some(address.parse().unwrap()), ..mine.balancer() };

    let taken = refused(at(&there.vip_address.to_string())).await;
    assert_eq!((taken.kind(), taken.class()), (Kind::Conflict, Class::Retry), "{}", taken.chain());
    assert!(said(&taken).starts_with("The VIP IP address is already in use: "), "{}", taken.chain());
    for asked in [
        at("192.0.2.7"),
        NewLoadBalancer { vip_subnet_id: Some(NOWHERE.into()), ..mine.balancer() },
        NewLoadBalancer { provider: Some("nobody".into()), ..mine.balancer() },
    ] {
        let error = refused(asked.clone()).await;
        assert_eq!(
            (error.kind(), error.class()),
            (Kind::Invalid, Class::Permanent),
            "{asked:?}: {}",
            error.chain()
        );
    }
    for (protocol, kind) in [("HTTP", Kind::Unsupported), ("CARRIER-PIGEON", Kind::Invalid)] {
        let error = mine.octavia.create_listener(&mine.listener(&there.id, protocol)).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{}", error.chain());
        mine.active().await;
    }
    tells_of_the_quota(&mine).await;
    mine.remove(&there.id).await;
}

async fn tells_of_the_quota(mine: &Mine<'_>) {
    let project = nobody();
    let call = |method, body: Option<Value>| {
        let path = format!("/lbaas/quotas/{project}");
        let call = Call::new(Service::LoadBalancer, method, "/lbaas/quotas/{id}", path);
        body.map_or_else(|| call.clone(), |body| call.clone().json(&body).unwrap())
    };
    let none = json!({ "quota": { "load_balancer": 0 } });
    mine.octavia.session().call(&call(Method::PUT, Some(none))).await.unwrap();
    let asked = NewLoadBalancer { project_id: Some(project.as_str().into()), ..mine.balancer() };
    let error = mine.octavia.create_load_balancer(&asked).await.unwrap_err();
    assert_eq!((error.kind(), error.class()), (Kind::OverQuota, Class::Wait), "{}", error.chain());
    assert_eq!(said(&error), "Quota has been met for resources: Load Balancer");
    mine.octavia.session().call(&call(Method::DELETE, None)).await.unwrap();
}

fn said(error: &Error) -> &str {
    &error.refusal().unwrap().message
}

/// OVN's provider stumbles over a change of affinity that does not say that the pool is enabled. Ours does, and mends what another
/// client's broke.
pub async fn a_pool_survives_changes_of_its_affinity(cloud: &Cloud) {
    let mine = Mine::new(cloud);
    let balancer = mine.make_balancer().await;
    let listener = mine.listen(&balancer.id, "UDP").await;
    let pool = mine.octavia.create_pool(&mine.pool(&listener, "SOURCE_IP_PORT")).await.unwrap();
    mine.active().await;
    let status = async || {
        mine.active().await;
        mine.octavia.pools(Of::Balancer(&balancer.id)).await.unwrap().remove(0).provisioning_status
    };

    let by_source = SessionPersistence { kind: "SOURCE_IP".into(), persistence_timeout: Some(60) };
    for affinity in [Some(by_source), None] {
        let update =
            PoolUpdate { lb_algorithm: "SOURCE_IP_PORT".into(), session_persistence: affinity.clone() };
        mine.octavia.update_pool(&pool.id, &update).await.unwrap();
        assert_eq!(status().await, Status::Active);
        let seen =
            mine.octavia.pools(Of::Balancer(&balancer.id)).await.unwrap().remove(0).session_persistence;
        assert_eq!(seen, affinity);
    }

    let path = format!("/lbaas/pools/{}", pool.id);
    let call = Call::new(Service::LoadBalancer, Method::PUT, "/lbaas/pools/{id}", path);
    let clumsy = call.json(&json!({ "pool": { "session_persistence": null } })).unwrap();
    mine.octavia.session().call(&clumsy).await.unwrap();
    assert_eq!(status().await, Status::Error);
    let refused = mine.octavia.set_members(&pool.id, &mine.members(&[1])).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Conflict, "{}", refused.chain());
    let update = PoolUpdate { lb_algorithm: "SOURCE_IP_PORT".into(), session_persistence: None };
    mine.octavia.update_pool(&pool.id, &update).await.unwrap();
    assert_eq!(status().await, Status::Active);
    mine.octavia.set_members(&pool.id, &mine.members(&[1])).await.unwrap();
    mine.active().await;
    assert_eq!(mine.octavia.pools(Of::Balancer(&balancer.id)).await.unwrap()[0].members.len(), 1);
    mine.remove(&balancer.id).await;
}
