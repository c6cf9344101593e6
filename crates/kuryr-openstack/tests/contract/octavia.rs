//! The life of a load balancer, one change at a time, with the OVN provider.

use super::{Cloud, unique};
use kuryr_api::ids::LoadBalancerId;
use kuryr_openstack::Kind;
use kuryr_openstack::octavia::{
    Listener, ListenerUpdate, LoadBalancer, LoadBalancerFilter, NewListener, NewLoadBalancer, NewMember,
    NewPool, Octavia, Of, PoolUpdate, SessionPersistence, Status,
};
use std::net::IpAddr;
use std::time::{Duration, Instant};

const ALGORITHM: &str = "SOURCE_IP_PORT";
const LONGEST: Duration = Duration::from_mins(1);

/// One load balancer, known by its tag.
pub(super) struct Mine<'c> {
    pub(super) cloud: &'c Cloud,
    pub(super) octavia: Octavia,
    pub(super) tag: String,
}

pub async fn a_load_balancer_lives_and_dies(cloud: &Cloud) {
    let mine = Mine::new(cloud);
    mine.make().await;
    mine.change().await;
    mine.listen_more().await;
    mine.end().await;
}

impl<'c> Mine<'c> {
    pub(super) fn new(cloud: &'c Cloud) -> Self {
        Self { cloud, octavia: Octavia::new(cloud.session(cloud.auth())), tag: unique() }
    }

    pub(super) fn balancer(&self) -> NewLoadBalancer {
        NewLoadBalancer {
            name: "contract/balancer".into(),
            vip_subnet_id: Some(self.cloud.subnet_v4.clone()),
            provider: Some("ovn".into()),
            tags: vec![self.tag.clone()],
            ..NewLoadBalancer::default()
        }
    }

    /// One that can be changed.
    pub(super) async fn make_balancer(&self) -> LoadBalancer {
        self.octavia.create_load_balancer(&self.balancer()).await.unwrap();
        self.active().await
    }

    pub(super) async fn listen(&self, at: &LoadBalancerId, protocol: &str) -> Listener {
        let made = self.octavia.create_listener(&self.listener(at, protocol)).await.unwrap();
        self.active().await;
        made
    }

    /// Deletes it and waits until it is gone.
    pub(super) async fn remove(&self, id: &LoadBalancerId) {
        self.octavia.delete_load_balancer(id).await.unwrap();
        let start = Instant::now();
        while !self.found().await.is_empty() {
            assert!(start.elapsed() < LONGEST, "it is there");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn found(&self) -> Vec<LoadBalancer> {
        let filter = LoadBalancerFilter { tags: vec![self.tag.clone()], ..LoadBalancerFilter::default() };
        self.octavia.load_balancers(&filter).await.unwrap()
    }

    /// Waits until it can be changed.
    pub(super) async fn active(&self) -> LoadBalancer {
        let start = Instant::now();
        loop {
            let found = self.found().await;
            assert_eq!(found.len(), 1);
            if found[0].provisioning_status == Status::Active {
                return found[0].clone();
            }
            assert!(start.elapsed() < LONGEST, "{found:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(super) fn listener(&self, of: &LoadBalancerId, protocol: &str) -> NewListener {
        NewListener {
            name: format!("contract:{protocol}:80"),
            loadbalancer_id: of.clone(),
            protocol: protocol.into(),
            protocol_port: 80,
            settings: ListenerUpdate::default(),
            tags: vec![self.tag.clone()],
        }
    }

    pub(super) fn pool(&self, listener: &Listener, algorithm: &str) -> NewPool {
        NewPool {
            name: listener.name.clone(),
            listener_id: listener.id.clone(),
            protocol: listener.protocol.clone(),
            settings: PoolUpdate { lb_algorithm: algorithm.into(), session_persistence: None },
            tags: vec![self.tag.clone()],
        }
    }

    pub(super) fn members(&self, last: &[u8]) -> Vec<NewMember> {
        let member = |last: &u8| NewMember {
            name: format!("contract/pod-{last}:8080"),
            address: IpAddr::from([10, 1, 255, *last]),
            protocol_port: 8080,
            subnet_id: Some(self.cloud.subnet_v4.clone()),
        };
        last.iter().map(member).collect()
    }

    async fn make(&self) {
        let made = self.octavia.create_load_balancer(&self.balancer()).await.unwrap();
        assert!(made.vip_port_id.is_some() && made.project_id == self.cloud.project_id, "{made:?}");
        let quotas = self.octavia.quotas(&made.project_id).await.unwrap();
        assert_ne!(quotas.load_balancer, 0, "{quotas:?}");
        let balancer = self.active().await;
        assert_eq!((balancer.provider.as_str(), balancer.vip_address), ("ovn", made.vip_address));

        let listener = self.octavia.create_listener(&self.listener(&balancer.id, "TCP")).await.unwrap();
        self.active().await;
        let refused = self.octavia.create_pool(&self.pool(&listener, "ROUND_ROBIN")).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Unsupported, "{refused:?}");
        self.active().await;
        let pool = self.octavia.create_pool(&self.pool(&listener, ALGORITHM)).await.unwrap();
        self.active().await;
        let listeners = self.octavia.listeners(Of::Balancer(&balancer.id)).await.unwrap();
        assert_eq!(listeners.len(), 1);
        assert_eq!(
            (&listeners[0].loadbalancers[..], &listeners[0].default_pool_id),
            (&[balancer.id.clone()][..], &Some(pool.id))
        );
        let pools = self.octavia.pools(Of::Balancer(&balancer.id)).await.unwrap();
        assert_eq!((pools.len(), &pools[0].listeners[..]), (1, &[listener.id][..]));
    }

    async fn change(&self) {
        let balancer = self.active().await;
        let listener = self.octavia.listeners(Of::Balancer(&balancer.id)).await.unwrap().remove(0);
        let pool = self.octavia.pools(Of::Balancer(&balancer.id)).await.unwrap().remove(0);
        let mut kept = None;
        for last in [&[1, 2][..], &[2, 3], &[2, 3]] {
            self.octavia.set_members(&pool.id, &self.members(last)).await.unwrap();
            self.active().await;
            let second = self.has_members(&pool.id, last).await;
            assert_eq!(
                *kept.get_or_insert_with(|| second.clone()),
                second,
                "a member that stays is another one"
            );
        }

        let affinity = |timeout| PoolUpdate {
            lb_algorithm: ALGORITHM.into(),
            session_persistence: Some(SessionPersistence {
                kind: "SOURCE_IP".into(),
                persistence_timeout: timeout,
            }),
        };
        // Octavia takes a timeout for UDP only.
        self.tells_how_it_does(&balancer.id, &listener, &pool.id).await;
        let refused = self.octavia.update_pool(&pool.id, &affinity(Some(60))).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Invalid, "{refused:?}");
        self.active().await;
        self.octavia.update_pool(&pool.id, &affinity(None)).await.unwrap();
        self.active().await;
        let pools = self.octavia.pools(Of::Balancer(&balancer.id)).await.unwrap();
        assert!(
            pools[0].session_persistence.as_ref().is_some_and(|one| one.kind == "SOURCE_IP"),
            "{pools:?}"
        );

        let ranges = Some(Some(vec!["192.0.2.0/24".into()]));
        let ranges = ListenerUpdate { allowed_cidrs: ranges, ..ListenerUpdate::default() };
        let refused = self.octavia.update_listener(&listener.id, &ranges).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Unsupported, "{refused:?}");
        self.active().await;
    }

    async fn tells_how_it_does(
        &self,
        id: &LoadBalancerId,
        listener: &Listener,
        pool: &kuryr_api::ids::PoolId,
    ) {
        let tree = self.octavia.statuses(id).await.unwrap();
        assert_eq!(tree.own.provisioning_status, Status::Active);
        assert!(!tree.own.operating_status.is_empty(), "{tree:?}");
        assert_eq!((tree.listeners.len(), &tree.listeners[0].id), (1, &listener.id));
        let of_pool = &tree.listeners[0].pools[0];
        assert_eq!(&of_pool.id, pool);
        let mut members: Vec<_> =
            of_pool.members.iter().map(|one| (one.address, one.protocol_port)).collect();
        members.sort_unstable();
        assert_eq!(members, [2, 3].map(|last| (IpAddr::from([10, 1, 255, last]), 8080)));
    }

    /// Octavia calls a load balancer active before the members that go are gone. Returns the id of the second pod's.
    async fn has_members(&self, pool: &kuryr_api::ids::PoolId, last: &[u8]) -> kuryr_api::ids::MemberId {
        let wanted: Vec<_> = self.members(last).into_iter().map(|one| one.address).collect();
        let start = Instant::now();
        loop {
            let mut members = self.octavia.members(pool).await.unwrap();
            members.sort_by_key(|one| one.address);
            if members.iter().map(|one| one.address).eq(wanted.iter().copied()) {
                return members
                    .into_iter()
                    .find(|one| one.address == IpAddr::from([10, 1, 255, 2]))
                    .unwrap()
                    .id;
            }
            assert!(start.elapsed() < LONGEST, "{members:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn listen_more(&self) {
        let balancer = self.active().await;
        for protocol in ["UDP", "SCTP"] {
            self.octavia.create_listener(&self.listener(&balancer.id, protocol)).await.unwrap();
            self.active().await;
        }
        let twice = self.octavia.create_listener(&self.listener(&balancer.id, "UDP")).await.unwrap_err();
        assert_eq!(twice.kind(), Kind::Conflict, "{twice:?}");
        self.active().await;
        let listeners = self.octavia.listeners(Of::Balancer(&balancer.id)).await.unwrap();
        let udp = listeners.iter().find(|one| one.protocol == "UDP").unwrap();
        self.octavia.delete_listener(&udp.id).await.unwrap();
        self.active().await;
        self.octavia.delete_listener(&udp.id).await.unwrap();
        assert_eq!(self.octavia.listeners(Of::Balancer(&balancer.id)).await.unwrap().len(), 2);
    }

    async fn end(&self) {
        let balancer = self.active().await;
        let refused = self.octavia.fail_over(&balancer.id).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Unsupported, "{refused:?}");
        let tags = [self.tag.clone(), "more".into()];
        self.octavia.set_load_balancer_tags(&balancer.id, &tags).await.unwrap();
        assert_eq!(self.active().await.tags.len(), 2);
        self.octavia.delete_load_balancer(&balancer.id).await.unwrap();
        // Octavia is at work with it for most of a second.
        let refused = self.octavia.set_load_balancer_tags(&balancer.id, &[]).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Conflict, "{refused:?}");
        let start = Instant::now();
        while !self.found().await.is_empty() {
            assert!(start.elapsed() < LONGEST, "it is there");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.octavia.delete_load_balancer(&balancer.id).await.unwrap();
    }
}
