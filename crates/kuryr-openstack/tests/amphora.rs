//! The fake Octavia's other provider, and what tests can do to the fake by hand. There is no real one of it in the lab: what it
//! accepts is what Octavia's source says.
#![allow(clippy::unwrap_used)]

mod common;

use common::client;
use kuryr_openstack::Kind;
use kuryr_openstack::octavia::{
    HealthMonitorFilter, ListenerUpdate, LoadBalancer, LoadBalancerFilter, NewHealthMonitor, NewListener,
    NewLoadBalancer, NewMember, NewPool, Octavia, Of, PoolUpdate, Probing, SessionPersistence, Status,
};
use kuryr_testkit::{
    FakeCloud,
    octavia::{Kind as What, Provider},
};
use std::time::Duration;

const QUICK: Duration = Duration::from_millis(5);

struct Amphorae {
    cloud: FakeCloud,
    octavia: Octavia,
}

impl Amphorae {
    async fn start() -> Self {
        let cloud = FakeCloud::start().await.unwrap();
        cloud.octavia().set_pace(QUICK);
        cloud.octavia().set_default_provider(Provider::Amphora);
        let octavia = Octavia::new(client(&cloud, &cloud.neutron_url()).session().clone());
        Self { cloud, octavia }
    }

    async fn make(&self) -> LoadBalancer {
        let subnet = self.cloud.neutron().id_of("k8s-service-subnet").unwrap();
        let new = NewLoadBalancer { vip_subnet_id: Some(subnet.into()), ..NewLoadBalancer::default() };
        self.octavia.create_load_balancer(&new).await.unwrap();
        self.active().await
    }

    async fn now(&self) -> LoadBalancer {
        self.octavia.load_balancers(&LoadBalancerFilter::default()).await.unwrap().remove(0)
    }

    async fn active(&self) -> LoadBalancer {
        loop {
            let balancer = self.now().await;
            if balancer.provisioning_status == Status::Active {
                return balancer;
            }
            tokio::time::sleep(QUICK).await;
        }
    }
}

fn listener(at: &LoadBalancer, protocol: &str, settings: ListenerUpdate) -> NewListener {
    NewListener {
        name: String::new(),
        loadbalancer_id: at.id.clone(),
        protocol: protocol.into(),
        protocol_port: 80,
        settings,
        tags: Vec::new(),
    }
}

fn spread(algorithm: &str, affinity: Option<&str>) -> PoolUpdate {
    let affinity = affinity.map(|kind| SessionPersistence { kind: kind.into(), persistence_timeout: None });
    PoolUpdate { lb_algorithm: algorithm.into(), session_persistence: affinity }
}

#[tokio::test]
async fn amphorae_can_what_ovn_cannot() {
    let amphorae = Amphorae::start().await;
    let octavia = &amphorae.octavia;
    let names: Vec<_> =
        octavia.providers().await.unwrap().into_iter().map(|provider| provider.name).collect();
    assert_eq!(names, ["ovn", "amphora"]);
    let balancer = amphorae.make().await;
    assert_eq!(balancer.provider, "amphora");

    let ranges = |range: &str| ListenerUpdate {
        timeout_client_data: Some(1000),
        allowed_cidrs: Some(Some(vec![range.into()])),
        ..ListenerUpdate::default()
    };
    let wrong = listener(&balancer, "TCP", ranges("fd00::/8"));
    assert_eq!(octavia.create_listener(&wrong).await.unwrap_err().kind(), Kind::Invalid);
    let new = listener(&balancer, "TCP", ranges("10.0.0.0/8"));
    let listener = octavia.create_listener(&new).await.unwrap();
    amphorae.active().await;
    assert_eq!(listener.timeout_client_data, Some(1000));

    let pool = |protocol: &str, settings| NewPool {
        name: String::new(),
        listener_id: listener.id.clone(),
        protocol: protocol.into(),
        settings,
        tags: Vec::new(),
    };
    for (wrong, kind) in [
        (pool("TCP", spread("SOURCE_IP_PORT", None)), Kind::Unsupported),
        (pool("UDP", spread("ROUND_ROBIN", None)), Kind::Invalid),
        (pool("TCP", spread("ROUND_ROBIN", Some("APP_COOKIE"))), Kind::Invalid),
    ] {
        assert_eq!(octavia.create_pool(&wrong).await.unwrap_err().kind(), kind, "{wrong:?}");
    }
    let made =
        octavia.create_pool(&pool("PROXYV2", spread("ROUND_ROBIN", Some("HTTP_COOKIE")))).await.unwrap();
    amphorae.active().await;
    octavia.update_pool(&made.id, &spread("LEAST_CONNECTIONS", None)).await.unwrap();
    amphorae.active().await;
    let monitor = NewHealthMonitor {
        name: String::new(),
        pool_id: made.id.clone(),
        kind: "HTTP".into(),
        probing: Probing { delay: 5, timeout: 3, max_retries: 3, max_retries_down: 3 },
        tags: Vec::new(),
    };
    let monitor = octavia.create_health_monitor(&monitor).await.unwrap();
    amphorae.active().await;
    octavia.update_health_monitor(&monitor.id, &monitor.probing).await.unwrap();
    amphorae.active().await;
    let listeners = octavia.listeners(Of::Balancer(&balancer.id)).await.unwrap();
    assert_eq!(listeners[0].provisioning_status, Status::Active, "amphorae tell of listeners, too");
}

#[tokio::test]
async fn a_broken_one_is_made_anew_or_deleted() {
    let amphorae = Amphorae::start().await;
    let (octavia, fake) = (&amphorae.octavia, amphorae.cloud.octavia());
    let balancer = amphorae.make().await;
    assert!(fake.set_status(What::LoadBalancer, balancer.id.as_str(), "ERROR"));
    let new = listener(&balancer, "TCP", ListenerUpdate::default());
    assert_eq!(octavia.create_listener(&new).await.unwrap_err().kind(), Kind::Conflict);
    fake.set_pace(Duration::from_millis(200));
    octavia.fail_over(&balancer.id).await.unwrap();
    assert_eq!(amphorae.now().await.provisioning_status, Status::PendingUpdate);
    fake.set_pace(QUICK);
    amphorae.active().await;
    octavia.create_listener(&new).await.unwrap();
    amphorae.active().await;

    fake.set_paused(true);
    octavia.delete_load_balancer(&balancer.id).await.unwrap();
    tokio::time::sleep(4 * QUICK).await;
    assert_eq!(amphorae.now().await.provisioning_status, Status::PendingDelete);
    assert_eq!(octavia.fail_over(&balancer.id).await.unwrap_err().kind(), Kind::Conflict);
    fake.set_status(What::LoadBalancer, balancer.id.as_str(), "ERROR");
    octavia.delete_load_balancer(&balancer.id).await.unwrap();
    fake.set_paused(false);
    tokio::time::sleep(4 * QUICK).await;
    assert_eq!((fake.all(What::LoadBalancer).len(), fake.all(What::Listener).len()), (0, 0));
    assert_eq!(amphorae.cloud.neutron().ports().len(), 0, "the port of its address is gone");
    assert_eq!(fake.counts().of("PUT /loadbalancers/{id}/failover"), 2);
}

#[tokio::test]
async fn somebody_else_takes_things_away_and_sets_limits() {
    let amphorae = Amphorae::start().await;
    let (octavia, fake) = (&amphorae.octavia, amphorae.cloud.octavia());
    let balancer = amphorae.make().await;
    let new = listener(&balancer, "TCP", ListenerUpdate::default());
    let listener = octavia.create_listener(&new).await.unwrap();
    amphorae.active().await;
    let pool = NewPool {
        name: String::new(),
        listener_id: listener.id.clone(),
        protocol: "TCP".into(),
        settings: spread("ROUND_ROBIN", None),
        tags: Vec::new(),
    };
    let pool = octavia.create_pool(&pool).await.unwrap();
    amphorae.active().await;
    let member = |last| NewMember {
        name: String::new(),
        address: [10, 1, 0, last].into(),
        protocol_port: 80,
        subnet_id: None,
    };
    fake.set_quota(FakeCloud::PROJECT_ID, What::Member, 1);
    let refused = octavia.set_members(&pool.id, &[member(1), member(2)]).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::OverQuota);
    octavia.set_members(&pool.id, &[member(1)]).await.unwrap();
    amphorae.active().await;
    assert_eq!(fake.members(pool.id.as_str())[0]["address"], "10.1.0.1");

    assert!(fake.remove(What::Pool, pool.id.as_str()) && !fake.remove(What::Pool, pool.id.as_str()));
    assert_eq!((fake.all(What::Pool).len(), fake.all(What::Member).len()), (0, 0));
    assert_eq!(octavia.listeners(Of::Balancer(&balancer.id)).await.unwrap()[0].default_pool_id, None);
    assert_eq!(octavia.health_monitors(&HealthMonitorFilter::default()).await.unwrap(), []);
    assert_eq!(octavia.members(&pool.id).await.unwrap_err().kind(), Kind::NotFound);
}
