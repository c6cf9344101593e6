//! What the drivers for VMs share: a link in the pod's namespace on top of the node's own one.

use kuryr_net::{Link, MacAddr, NetError, NewStacked, Stack};

use super::Job;
use crate::{failure::Failure, tag::Tag};

/// A link to be on top of the node's own.
#[derive(Debug, Clone, Copy)]
pub struct OnTop<'a> {
    /// How.
    pub stack: Stack,
    /// Its name while it may not yet have its own.
    pub interim: &'a str,
}

impl OnTop<'_> {
    pub async fn is_plugged(&self, job: Job<'_>) -> Result<bool, Failure> {
        let inside = &job.place.inside;
        let links = inside.stacked_on(&job.node.host).await?;
        let Some(link) = links.iter().find(|link| link.name == job.wiring.ifname.as_str()) else {
            return Ok(false);
        };
        let lower = job.node.lower(&job.place.host).await?;
        let is_on_lower = link.stacked.is_some_and(|it| it.stack == self.stack && it.lower == lower.index);
        Ok(is_on_lower && link.mac == self.mac(job, &lower))
    }

    pub async fn clear(&self, job: Job<'_>) -> Result<(), Failure> {
        let names = [job.wiring.ifname.as_str(), self.interim];
        let left = job.node.stacked_of(job.place.sandbox, job.place.namespace, &names).await?;
        for found in &left {
            tracing::info!(port = %job.wiring.port, link = found.link.name, "removing what was left of the port");
        }
        job.node.unstack(&left).await
    }

    /// The node's own link, if the new one fits on top of it.
    pub async fn lower(&self, job: Job<'_>) -> Result<Link, Failure> {
        let lower = job.node.lower(&job.place.host).await?;
        if lower.mtu < job.wiring.mtu {
            return Err(Failure::SmallMtu {
                lower: lower.name,
                lower_mtu: lower.mtu,
                ifname: job.wiring.ifname.to_string(),
                mtu: job.wiring.mtu,
            });
        }
        Ok(lower)
    }

    /// Makes the link under its name where the kernel lets it, else under another one that nobody has.
    pub async fn make(&self, job: Job<'_>, lower: &Link) -> Result<(), NetError> {
        let (place, ifname) = (job.place, job.wiring.ifname.as_str());
        let name = if place.host.link(ifname).await?.is_none() { ifname } else { self.interim };
        let new = NewStacked {
            name,
            stack: self.stack,
            lower: lower.index,
            namespace: place.namespace,
            mac: job.wiring.mac,
            mtu: job.wiring.mtu,
        };
        place.host.add_stacked(&new).await?;
        let Some(link) = place.inside.link(name).await? else { return Ok(()) };
        if name != ifname {
            place.inside.rename(link.index, ifname).await?;
        }
        match Tag::of(job.wiring, place.sandbox).text() {
            Some(tag) => place.inside.set_alias(link.index, &tag).await,
            None => Ok(()),
        }
    }

    fn mac(&self, job: Job<'_>, lower: &Link) -> Option<MacAddr> {
        if self.stack == Stack::Ipvlan { lower.mac } else { Some(job.wiring.mac) }
    }
}
