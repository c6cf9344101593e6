//! Addresses outside of the cluster, and who answers there.

use crate::pod::RunningPod;
use crate::stage::Stage;
use crate::wait::{seconds, until};
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Service;
use kuryr_openstack::neutron::{FloatingIp, FloatingIpFilter, NewFloatingIp};
use std::collections::BTreeSet;
use std::net::IpAddr;

impl Stage {
    /// Where a Service is reached from outside, as its status says.
    pub async fn ingress(&self, name: &str) -> Result<Vec<IpAddr>> {
        let status = self.api::<Service>().get(name).await?.status;
        let ingress = status.and_then(|status| status.load_balancer?.ingress).unwrap_or_default();
        let addresses = ingress.iter().filter_map(|one| one.ip.as_ref());
        addresses.map(|ip| ip.parse().with_context(|| format!("{ip:?} is no address"))).collect()
    }

    /// Waits until a Service has an address outside.
    pub async fn outside(&self, name: &str) -> Result<IpAddr> {
        until(&format!("Service {name} has an address outside"), seconds(30), async || {
            self.ingress(name).await?.first().copied().context("it has none")
        })
        .await
    }

    /// Waits until a Service has no address outside any more.
    pub async fn nowhere_outside(&self, name: &str) -> Result<()> {
        until(&format!("Service {name} has no address outside"), seconds(30), async || {
            let ingress = self.ingress(name).await?;
            ensure!(ingress.is_empty(), "it has {ingress:?}");
            Ok(())
        })
        .await
    }

    /// Waits until who asks from outside is answered by each of `pods`.
    pub async fn answered_outside(&self, address: IpAddr, pods: &[&RunningPod]) -> Result<()> {
        let missing = std::sync::Mutex::new(pods.iter().map(|pod| pod.name.clone()).collect::<BTreeSet<_>>());
        until(&format!("all pods answer at {address}"), seconds(60), async || {
            // A connection that is kept is kept with one pod.
            let request = self.http.get(format!("http://{address}/hostname")).header("Connection", "close");
            let answer = request.send().await?;
            let name = answer.error_for_status()?.text().await?;
            let mut missing = missing.lock().map_err(|_| anyhow::anyhow!("poisoned"))?;
            missing.remove(&name);
            ensure!(missing.is_empty(), "{missing:?} did not answer yet");
            Ok(())
        })
        .await
    }

    /// The floating IP that has an address.
    pub async fn floating_ip(&self, address: IpAddr) -> Result<Option<FloatingIp>> {
        let filter = FloatingIpFilter { address: Some(address), ..FloatingIpFilter::default() };
        Ok(self.neutron.floating_ips(&filter).await?.pop())
    }

    /// A floating IP of the user's own. It goes when the story ends.
    pub async fn own_floating_ip(&self) -> Result<FloatingIp> {
        let new = NewFloatingIp {
            description: format!("a user's, {}", self.namespace),
            ..NewFloatingIp::of(self.facts.openstack.external_network.id.clone())
        };
        let made = self.neutron.create_floating_ip(&new).await?;
        self.give_back_at_end(&made);
        Ok(made)
    }

    /// Deletes a floating IP when the story ends.
    pub fn give_back_at_end(&self, address: &FloatingIp) {
        let (neutron, id) = (self.neutron.clone(), address.id.clone());
        self.put_back("floating IP", async move { Ok(neutron.delete_floating_ip(&id).await.map(drop)?) });
    }

    /// Floating IPs of this cluster's Kuryr that were not there before the story.
    pub async fn floating_ips_since(&self) -> Result<Vec<FloatingIp>> {
        let all = self.own_floating_ips().await?;
        Ok(all.into_iter().filter(|one| !self.was_there(one.id.as_str())).collect())
    }

    /// Those that Kuryr has made.
    pub(crate) async fn own_floating_ips(&self) -> Result<Vec<FloatingIp>> {
        let filter = FloatingIpFilter { tags: vec![self.own_tag.clone()], ..FloatingIpFilter::default() };
        Ok(self.neutron.floating_ips(&filter).await?)
    }
}
