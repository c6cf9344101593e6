//! Octavia, as Kuryr's user, and what its provider makes of it in OVN.

use crate::census::API_SERVER;
use crate::command;
use crate::service::RunningService;
use crate::stage::Stage;
use crate::wait::{PATIENCE, PERIOD, seconds, until};
use anyhow::{Context, Result, bail, ensure};
use kuryr_api::LoadBalancerId;
use kuryr_openstack::octavia::{
    Listener, LoadBalancer, LoadBalancerFilter, NewLoadBalancer, Octavia, Of, Status,
};
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use tokio::time::{Instant, sleep};

impl Stage {
    /// All load balancers of this cluster's Kuryr.
    pub(crate) async fn own_balancers(&self) -> Result<Vec<LoadBalancer>> {
        let filter = LoadBalancerFilter { tags: vec![self.own_tag.clone()], ..LoadBalancerFilter::default() };
        Ok(self.octavia.load_balancers(&filter).await?)
    }

    /// The load balancers of this story's Services.
    pub async fn balancers_of_namespace(&self) -> Result<Vec<LoadBalancer>> {
        let prefix = format!("{}/", self.namespace);
        let all = self.own_balancers().await?;
        Ok(all.into_iter().filter(|one| one.name.starts_with(&prefix)).collect())
    }

    /// Load balancers that were not there before the story: all of this cluster's Kuryr, and whatever is called like a Service of
    /// this story.
    pub async fn balancers_since(&self) -> Result<Vec<LoadBalancer>> {
        let prefix = format!("{}/", self.namespace);
        let is_ours = |one: &LoadBalancer| one.tags.contains(&self.own_tag) && one.name != API_SERVER;
        let all = self.octavia.load_balancers(&LoadBalancerFilter::default()).await?;
        let ours = all.into_iter().filter(|one| is_ours(one) || one.name.starts_with(&prefix));
        Ok(ours.filter(|one| !self.was_there(one.id.as_str())).collect())
    }

    /// Load balancers at an address, whoever's.
    pub async fn balancers_at(&self, address: IpAddr) -> Result<Vec<LoadBalancer>> {
        let all = self.octavia.load_balancers(&LoadBalancerFilter::default()).await?;
        Ok(all.into_iter().filter(|one| one.vip_address == address).collect())
    }

    /// Whether a Service has one load balancer, with a listener for each of `fronts` and no other.
    pub(crate) async fn balances(&self, service: &RunningService, fronts: &BTreeSet<String>) -> Result<()> {
        let balancers = self.balancers_at(service.address).await?;
        let ids: Vec<_> = balancers.iter().map(|one| one.id.as_str()).collect();
        ensure!(ids == [service.balancer.as_str()], "{} is recorded, there are {ids:?}", service.balancer);
        let balancer = &balancers[0];
        ensure!(balancer.name == service.path(), "its load balancer is called {}", balancer.name);
        ensure!(balancer.provisioning_status == Status::Active, "it is {:?}", balancer.provisioning_status);
        ensure!(balancer.tags.contains(&self.own_tag), "it has tags {:?}", balancer.tags);
        let listeners = self.listeners(service).await?;
        let listens: BTreeSet<_> =
            listeners.iter().map(|one| format!("{}:{}", one.protocol, one.protocol_port)).collect();
        ensure!(listens == *fronts, "it listens at {listens:?}, not at {fronts:?}");
        Ok(())
    }

    /// The listeners of a Service's load balancer.
    pub async fn listeners(&self, service: &RunningService) -> Result<Vec<Listener>> {
        Ok(self.octavia.listeners(Of::Balancer(&service.balancer)).await?)
    }

    /// Waits until these, and no others, are the members behind the port of a Service, whatever packets they get.
    pub async fn members(&self, service: &RunningService, port: u16, members: &[SocketAddr]) -> Result<()> {
        let expected: BTreeSet<_> = members.iter().copied().collect();
        until(&format!("{expected:?} are the members of {}", service.path()), seconds(20), async || {
            let listeners = self.listeners(service).await?;
            let listener = listeners.iter().find(|one| one.protocol_port == port).context("no listener")?;
            let pool = listener.default_pool_id.as_ref().context("no pool")?;
            let found = self.octavia.members(pool).await?;
            let found: BTreeSet<_> =
                found.iter().map(|one| SocketAddr::new(one.address, one.protocol_port)).collect();
            ensure!(found == expected, "{found:?} are");
            Ok(())
        })
        .await
    }

    /// Makes somebody else's load balancer.
    pub async fn stranger(&self, address: IpAddr) -> Result<LoadBalancerId> {
        let new = NewLoadBalancer {
            name: "a-strangers".to_owned(),
            vip_address: Some(address),
            vip_subnet_id: Some(self.facts.openstack.service_subnet.id.clone()),
            provider: Some("ovn".to_owned()),
            tags: vec!["kuryr-cluster=other".to_owned()],
            ..NewLoadBalancer::default()
        };
        let made = self.octavia.create_load_balancer(&new).await?;
        let (octavia, id) = (self.octavia.clone(), made.id.clone());
        self.put_back("stranger's load balancer", async move { balancer_gone(&octavia, &id).await });
        until("the stranger's load balancer is made", seconds(20), async || {
            let status = self.octavia.load_balancer(&made.id).await?.provisioning_status;
            ensure!(status == Status::Active, "it is {status:?}");
            Ok(())
        })
        .await?;
        Ok(made.id)
    }

    /// Deletes a load balancer behind Kuryr's back, and waits until it is gone.
    pub async fn delete_balancer(&self, id: &LoadBalancerId) -> Result<()> {
        balancer_gone(&self.octavia, id).await
    }

    /// What OVN forwards from a socket to, by the word of its northbound database.
    pub async fn ovn_forwards(&self, protocol: &str, from: SocketAddr) -> Result<BTreeSet<SocketAddr>> {
        let db = format!("--db={}", self.facts.ovn.northbound);
        let find = ["--format=json", "--columns=vips", "find", "load_balancer"];
        let program = self.facts.binary("ovn-nbctl")?.into();
        let words = [db.as_str()].into_iter().chain(find).map(Into::into);
        let words = [program].into_iter().chain(words).chain([format!("protocol={protocol}").into()]);
        let table: Value = serde_json::from_str(&command::run(words.collect()).await?)?;
        let rows = table["data"].as_array().into_iter().flatten();
        // OVSDB's way of writing a map: ["map", [[key, value], …]].
        let vips = rows.flat_map(|row| row[0][1].as_array().into_iter().flatten());
        let here = vips.filter(|pair| pair[0] == from.to_string());
        let backends = here.filter_map(|pair| pair[1].as_str()).flat_map(|text| text.split(','));
        backends.map(|text| Ok(text.parse()?)).collect()
    }
}

/// Deletes one that Octavia may be at work with, until it is gone. It also runs where things are put back, which no closure of
/// [`until`] can be sent to.
async fn balancer_gone(octavia: &Octavia, id: &LoadBalancerId) -> Result<()> {
    let deadline = Instant::now() + seconds(20) * PATIENCE;
    while Instant::now() < deadline {
        let all = octavia.load_balancers(&LoadBalancerFilter::default()).await?;
        let Some(found) = all.iter().find(|one| one.id == *id) else { return Ok(()) };
        if matches!(found.provisioning_status, Status::Active | Status::Error) {
            octavia.delete_load_balancer(id).await?;
        }
        sleep(PERIOD).await;
    }
    bail!("load balancer {id} does not go")
}
