//! What we expect of Octavia with the OVN provider: the life of a load balancer, one change at a time.
#![allow(clippy::unwrap_used)]

use kuryr_api::cloud::{Auth, Domain, Project, Scope, Secret, User};
use kuryr_api::ids::LoadBalancerId;
use kuryr_e2e::{Ending, Facts, Result, ensure, say, seconds, story, until};
use kuryr_openstack::octavia::{
    Listener, ListenerUpdate, LoadBalancer, LoadBalancerFilter, NewListener, NewLoadBalancer, NewMember,
    NewPool, Octavia, Pool, PoolUpdate, SessionPersistence, Status,
};
use kuryr_openstack::{Kind, Session, Settings};
use std::net::IpAddr;
use std::time::Instant;

const TAG: &str = "kuryr-e2e=octavia";
const ALGORITHM: &str = "SOURCE_IP_PORT";

struct Lab {
    octavia: Octavia,
    facts: Facts,
}

impl Lab {
    async fn open(facts: Facts) -> Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let cloud = &facts.openstack;
        let domain = || Domain::Name(cloud.domain.clone());
        let auth = Auth::Password {
            user: User::Name(cloud.kuryr.user.clone(), domain()),
            password: Secret::new(cloud.kuryr.password.as_str()),
            scope: Scope::Project(Project::Name(cloud.kuryr.project.clone(), domain())),
        };
        let lab = Self { octavia: Octavia::new(Session::open(Settings::new(&cloud.keystone, auth))?), facts };
        lab.clear().await?;
        Ok(lab)
    }

    fn wanted(&self) -> NewLoadBalancer {
        NewLoadBalancer {
            name: "e2e/octavia".into(),
            vip_subnet_id: Some(self.facts.openstack.service_subnet.id.clone()),
            provider: Some("ovn".into()),
            tags: vec![TAG.into()],
            ..NewLoadBalancer::default()
        }
    }

    async fn ours(&self) -> Result<Vec<LoadBalancer>> {
        let filter = LoadBalancerFilter { tags: vec![TAG.into()], ..LoadBalancerFilter::default() };
        Ok(self.octavia.load_balancers(&filter).await?)
    }

    /// Whatever an earlier run left.
    async fn clear(&self) -> Result<()> {
        until("Octavia has none of ours", seconds(60), async || {
            for balancer in self.ours().await? {
                // One that is being changed is immutable: the next look deletes it.
                let _ = self.octavia.delete_load_balancer(&balancer.id).await;
            }
            ensure!(self.ours().await?.is_empty(), "there are some");
            Ok(())
        })
        .await
    }

    /// Waits until it can be changed, and tells how long that took.
    async fn active(&self, what: &str, since: Instant) -> Result<LoadBalancer> {
        let asked = since.elapsed();
        let balancer = until(what, seconds(60), async || {
            let found = self.ours().await?;
            ensure!(found.len() == 1, "there are {}", found.len());
            ensure!(found[0].provisioning_status == Status::Active, "it is {}", found[0].provisioning_status);
            Ok(found[0].clone())
        })
        .await?;
        say(&format!(
            "  {what}: answered after {} ms, active after {} ms",
            asked.as_millis(),
            since.elapsed().as_millis()
        ));
        Ok(balancer)
    }

    fn members(&self, last: &[u8]) -> Vec<NewMember> {
        let subnet = &self.facts.openstack.service_subnet.id;
        let member = |last: &u8| NewMember {
            name: format!("e2e/pod-{last}:8080"),
            address: IpAddr::from([10, 1, 255, *last]),
            protocol_port: 8080,
            subnet_id: Some(subnet.clone()),
        };
        last.iter().map(member).collect()
    }
}

fn listener(of: &LoadBalancerId, protocol: &str, port: u16) -> NewListener {
    NewListener {
        name: format!("e2e/octavia:{protocol}:{port}"),
        loadbalancer_id: of.clone(),
        protocol: protocol.into(),
        protocol_port: port,
        settings: ListenerUpdate::default(),
        tags: vec![TAG.into()],
    }
}

fn pool(listener: &Listener, algorithm: &str) -> NewPool {
    NewPool {
        name: listener.name.clone(),
        listener_id: listener.id.clone(),
        protocol: listener.protocol.clone(),
        settings: PoolUpdate { lb_algorithm: algorithm.into(), session_persistence: None },
        tags: vec![TAG.into()],
    }
}

#[tokio::test]
async fn a_load_balancer_lives_and_dies() -> Ending {
    story("life of a load balancer", async |stage| {
        let lab = Lab::open(stage.facts.clone()).await?;
        make(&lab).await?;
        change(&lab).await?;
        end(&lab).await
    })
    .await
}

/// A load balancer, a listener, a pool and members.
async fn make(lab: &Lab) -> Result<()> {
    let octavia = &lab.octavia;
    let start = Instant::now();
    let made = octavia.create_load_balancer(&lab.wanted()).await?;
    ensure!(made.vip_port_id.is_some() && made.tags == [TAG], "{made:?}");
    let balancer = lab.active("load balancer made", start).await?;
    ensure!(balancer.provider == "ovn" && balancer.vip_address == made.vip_address, "{balancer:?}");

    let start = Instant::now();
    let http = octavia.create_listener(&listener(&balancer.id, "TCP", 80)).await?;
    lab.active("listener made", start).await?;

    let refused = octavia.create_pool(&pool(&http, "ROUND_ROBIN")).await.unwrap_err();
    ensure!(refused.kind() == Kind::Unsupported, "{refused:?}");
    lab.active("pool refused", Instant::now()).await?;
    let start = Instant::now();
    let made = octavia.create_pool(&pool(&http, ALGORITHM)).await?;
    lab.active("pool made", start).await?;
    let listeners = octavia.listeners(Some(&balancer.id)).await?;
    let forwards = |one: &Listener| one.id == http.id && one.default_pool_id.as_ref() == Some(&made.id);
    ensure!(listeners.iter().any(forwards), "{listeners:?}");
    let pools: Vec<Pool> = octavia.pools(Some(&balancer.id)).await?;
    ensure!(pools.len() == 1 && pools[0].listeners == [http.id.clone()], "{pools:?}");

    for (what, last) in
        [("members set", &[1, 2][..]), ("members changed", &[2, 3]), ("members unchanged", &[2, 3])]
    {
        let start = Instant::now();
        octavia.set_members(&made.id, &lab.members(last)).await?;
        lab.active(what, start).await?;
        let wanted: Vec<_> = lab.members(last).into_iter().map(|one| one.address).collect();
        // Octavia calls a load balancer active before the members that go are gone.
        until(what, seconds(20), async || {
            let members = octavia.members(&made.id).await?;
            let mut found: Vec<_> = members.iter().map(|one| one.address).collect();
            found.sort();
            ensure!(found == wanted, "{members:?}");
            Ok(())
        })
        .await?;
        say(&format!("  seen after {} ms", start.elapsed().as_millis()));
    }
    Ok(())
}

/// Settings of pool and listener, and further listeners.
async fn change(lab: &Lab) -> Result<()> {
    let octavia = &lab.octavia;
    let balancer = lab.active("as it was made", Instant::now()).await?;
    let http = octavia.listeners(Some(&balancer.id)).await?.remove(0);
    let made = octavia.pools(Some(&balancer.id)).await?.remove(0);
    let affinity = SessionPersistence { kind: "SOURCE_IP".into(), persistence_timeout: Some(60) };
    let timed = PoolUpdate { lb_algorithm: ALGORITHM.into(), session_persistence: Some(affinity) };
    let refused = octavia.update_pool(&made.id, &timed).await.unwrap_err();
    // Octavia takes a timeout for UDP only.
    ensure!(refused.kind() == Kind::Invalid, "{refused:?}");
    let affinity = SessionPersistence { kind: "SOURCE_IP".into(), persistence_timeout: None };
    let update = PoolUpdate { lb_algorithm: ALGORITHM.into(), session_persistence: Some(affinity.clone()) };
    let start = Instant::now();
    octavia.update_pool(&made.id, &update).await?;
    lab.active("affinity set", start).await?;
    let pools = octavia.pools(Some(&balancer.id)).await?;
    ensure!(pools[0].session_persistence.as_ref().is_some_and(|one| one.kind == affinity.kind), "{pools:?}");

    let ranges = ListenerUpdate {
        allowed_cidrs: Some(Some(vec!["192.0.2.0/24".into()])),
        ..ListenerUpdate::default()
    };
    let refused = octavia.update_listener(&http.id, &ranges).await.unwrap_err();
    ensure!(refused.kind() == Kind::Unsupported, "OVN has source ranges now: {refused:?}");
    lab.active("source ranges refused", Instant::now()).await?;
    for protocol in ["UDP", "SCTP"] {
        octavia.create_listener(&listener(&balancer.id, protocol, 80)).await?;
        lab.active(protocol, Instant::now()).await?;
    }
    let twice = octavia.create_listener(&listener(&balancer.id, "UDP", 80)).await.unwrap_err();
    ensure!(twice.kind() == Kind::Conflict, "{twice:?}");
    lab.active("refused", Instant::now()).await?;

    Ok(())
}

async fn end(lab: &Lab) -> Result<()> {
    let octavia = &lab.octavia;
    let balancer = lab.active("as it was changed", Instant::now()).await?;
    let refused = octavia.fail_over(&balancer.id).await.unwrap_err();
    ensure!(refused.kind() == Kind::Unsupported, "OVN can fail over now: {refused:?}");
    let start = Instant::now();
    octavia.delete_load_balancer(&balancer.id).await?;
    // Octavia is at work with it for most of a second.
    let refused = octavia.set_load_balancer_tags(&balancer.id, &[]).await.unwrap_err();
    ensure!(refused.kind() == Kind::Conflict, "immutable is told as {refused:?}");
    until("it is gone", seconds(60), async || {
        ensure!(lab.ours().await?.is_empty(), "it is there");
        Ok(())
    })
    .await?;
    say(&format!("  gone after {} ms", start.elapsed().as_millis()));
    Ok(octavia.delete_load_balancer(&balancer.id).await?)
}
