//! Health monitors, with the provider ovn.

use super::{Cloud, octavia::Mine};
use kuryr_api::ids::{HealthMonitorId, PoolId};
use kuryr_openstack::Kind;
use kuryr_openstack::octavia::{
    HealthMonitor, HealthMonitorFilter, Listener, ListenerUpdate, NewHealthMonitor, Of, Probing, Status,
};

const PROBING: Probing = Probing { delay: 5, timeout: 3, max_retries: 2, max_retries_down: 4 };

pub async fn a_pool_is_watched(cloud: &Cloud) {
    let mine = Mine::new(cloud);
    let balancer = mine.make_balancer().await;
    let tcp = pool_at(&mine, &mine.listen(&balancer.id, "TCP").await).await;
    let udp = pool_at(&mine, &mine.listen(&balancer.id, "UDP").await).await;
    refuses_what_it_cannot_ask(&mine, &tcp).await;

    let made = watch(&mine, &tcp, "TCP").await;
    assert_eq!((made.kind.as_str(), made.probing, &made.pools[..]), ("TCP", PROBING, &[tcp.clone()][..]));
    let other = watch(&mine, &udp, "UDP-CONNECT").await;
    let second = mine.octavia.create_health_monitor(&new(&mine, &tcp, "TCP")).await.unwrap_err();
    assert_eq!(second.kind(), Kind::Conflict, "{second:?}");
    mine.active().await;
    lists_by_what_they_are(&mine, [(&tcp, &made.id), (&udp, &other.id)]).await;
    changes(&mine, &made.id).await;

    let pools = mine.octavia.pools(Of::Balancer(&balancer.id)).await.unwrap();
    let of = |id: &PoolId| pools.iter().find(|pool| pool.id == *id).unwrap().healthmonitor_id.clone();
    assert_eq!((of(&tcp), of(&udp)), (Some(made.id.clone()), Some(other.id)));
    mine.octavia.delete_health_monitor(&made.id).await.unwrap();
    mine.active().await;
    mine.octavia.delete_health_monitor(&made.id).await.unwrap();
    mine.octavia.delete_pool(&udp).await.unwrap();
    mine.active().await;
    assert_eq!(ids(&mine, HealthMonitorFilter::default()).await, [], "it goes with its pool");
    mine.remove(&balancer.id).await;
}

fn new(mine: &Mine<'_>, pool: &PoolId, kind: &str) -> NewHealthMonitor {
    NewHealthMonitor {
        name: "contract/monitor".into(),
        pool_id: pool.clone(),
        kind: kind.into(),
        probing: PROBING,
        tags: vec![mine.tag.clone()],
    }
}

async fn pool_at(mine: &Mine<'_>, listener: &Listener) -> PoolId {
    let pool = mine.octavia.create_pool(&mine.pool(listener, "SOURCE_IP_PORT")).await.unwrap();
    mine.active().await;
    pool.id
}

async fn watch(mine: &Mine<'_>, pool: &PoolId, kind: &str) -> HealthMonitor {
    let made = mine.octavia.create_health_monitor(&new(mine, pool, kind)).await.unwrap();
    mine.active().await;
    made
}

async fn refuses_what_it_cannot_ask(mine: &Mine<'_>, pool: &PoolId) {
    for (asked, kind) in [
        (new(mine, pool, "HTTP"), Kind::Unsupported),
        (new(mine, pool, "UDP-CONNECT"), Kind::Invalid),
        (new(mine, pool, "TELEPATHY"), Kind::Invalid),
        (new(mine, &super::NOWHERE.into(), "TCP"), Kind::NotFound),
    ] {
        let refused = mine.octavia.create_health_monitor(&asked).await.unwrap_err();
        assert_eq!(refused.kind(), kind, "{refused:?}");
        mine.active().await;
    }
}

async fn ids(mine: &Mine<'_>, filter: HealthMonitorFilter) -> Vec<HealthMonitorId> {
    let filter = HealthMonitorFilter { tags: vec![mine.tag.clone()], ..filter };
    let mut found: Vec<_> =
        mine.octavia.health_monitors(&filter).await.unwrap().into_iter().map(|found| found.id).collect();
    found.sort_unstable();
    found
}

async fn lists_by_what_they_are(mine: &Mine<'_>, made: [(&PoolId, &HealthMonitorId); 2]) {
    let mut all = made.map(|(_, id)| id.clone());
    all.sort_unstable();
    let none = HealthMonitorFilter::default;
    let project = |id: &str| HealthMonitorFilter { project: Some(id.into()), ..none() };
    assert_eq!(ids(mine, none()).await, all);
    assert_eq!(ids(mine, project(mine.cloud.project_id.as_str())).await, all);
    assert_eq!(ids(mine, project("nobody")).await, []);
    for (pool, id) in made {
        assert_eq!(
            ids(mine, HealthMonitorFilter { pool: Some(pool.clone()), ..none() }).await,
            std::slice::from_ref(id)
        );
    }
}

/// Octavia's own words about pool and monitor can be believed afterwards; about listeners they can't, with OVN, but those can be
/// changed all the same.
async fn changes(mine: &Mine<'_>, id: &HealthMonitorId) {
    let slower = Probing { delay: 9, timeout: 7, max_retries: 1, max_retries_down: 2 };
    let changed = mine.octavia.update_health_monitor(id, &slower).await.unwrap();
    assert_eq!(changed.probing, slower);
    let balancer = mine.active().await;
    let filter = HealthMonitorFilter { tags: vec![mine.tag.clone()], ..HealthMonitorFilter::default() };
    let seen = mine.octavia.health_monitors(&filter).await.unwrap();
    let seen = seen.iter().find(|seen| seen.id == *id).unwrap();
    assert_eq!((seen.probing, &seen.provisioning_status), (slower, &Status::Active));
    let listeners = mine.octavia.listeners(Of::Balancer(&balancer.id)).await.unwrap();
    let tcp = listeners.iter().find(|one| one.protocol == "TCP").unwrap();
    assert_eq!(tcp.provisioning_status, Status::PendingUpdate);
    let patience = ListenerUpdate { timeout_client_data: Some(60_000), ..ListenerUpdate::default() };
    mine.octavia.update_listener(&tcp.id, &patience).await.unwrap();
    mine.active().await;
    let listeners = mine.octavia.listeners(Of::Balancer(&balancer.id)).await.unwrap();
    assert!(listeners.iter().all(|one| one.provisioning_status == Status::Active), "{listeners:?}");
}
