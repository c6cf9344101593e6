//! Floating IPs: addresses of an external network that lead to a port.
//!
//! Neutron takes no tags as it makes one, unlike ports, so it gets them by a second request. Between the two, and whenever an
//! answer is lost, it is known by its description, which should therefore be nobody else's.

use super::{
    Deleted, Neutron, lost,
    network::{is_exactly, joined, with_common},
    wire::any_of,
};
use crate::{
    Call, Effect, Error, Result, Service,
    wire::{Listed, One, Query},
};
use http::Method;
use kuryr_api::ids::{FloatingIpId, NetworkId, PortId, ProjectId, SubnetId};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

const ALL: &str = "/floatingips";
const ONE: &str = "/floatingips/{id}";

/// A floating IP.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FloatingIp {
    /// Its id.
    pub id: FloatingIpId,
    /// The address outside.
    pub floating_ip_address: IpAddr,
    /// The external network that the address is of.
    pub floating_network_id: NetworkId,
    /// The port that it leads to, if any. It leads nowhere any more once that port is deleted.
    #[serde(default)]
    pub port_id: Option<PortId>,
    /// The port's address that it leads to.
    #[serde(default)]
    pub fixed_ip_address: Option<IpAddr>,
    /// Whose it is.
    #[serde(default)]
    pub project_id: Option<ProjectId>,
    /// `ACTIVE`, `DOWN`, `ERROR`. It follows a moment after a change: the answer to one tells the status before it.
    #[serde(default)]
    pub status: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// Its tags.
    #[serde(default)]
    pub tags: Vec<String>,
}

/// A floating IP to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewFloatingIp {
    /// The external network.
    pub floating_network_id: NetworkId,
    /// The subnet to take the address from; without one, any of the network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnet_id: Option<SubnetId>,
    /// The address; without one, whichever is free. By default an administrator's right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floating_ip_address: Option<IpAddr>,
    /// The port that it is to lead to: to its first IPv4 address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port_id: Option<PortId>,
    /// What it is for. A create whose answer is lost can be taken up only if this is set: it is how the floating IP is found again.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Whose it is to be; by default the session's project's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
    /// Its tags.
    #[serde(skip)]
    pub tags: Vec<String>,
}

/// Which floating IPs to list: those that answer to all that is set. An empty list of ids finds none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FloatingIpFilter {
    /// One of these.
    pub ids: Option<Vec<FloatingIpId>>,
    /// Leading to one of these.
    pub port_ids: Option<Vec<PortId>>,
    /// Of this address.
    pub address: Option<IpAddr>,
    /// Of this external network.
    pub network: Option<NetworkId>,
    /// Of this project.
    pub project: Option<ProjectId>,
    /// With exactly this description.
    pub description: Option<String>,
    /// With all of these tags.
    pub tags: Vec<String>,
}

/// A floating IP, as a request wraps it.
#[derive(Serialize)]
struct Body<T> {
    floatingip: T,
}

impl Listed for FloatingIp {
    fn marker(&self) -> &str {
        self.id.as_str()
    }
}

impl NewFloatingIp {
    /// Any free address of this external network.
    pub fn of(network: NetworkId) -> Self {
        Self {
            floating_network_id: network,
            subnet_id: None,
            floating_ip_address: None,
            port_id: None,
            description: String::new(),
            project_id: None,
            tags: Vec::new(),
        }
    }

    /// Whether `made` is what this request makes: for the same purpose, of the same network, and what else it asks for.
    pub fn describes(&self, made: &FloatingIp) -> bool {
        self.floating_network_id == made.floating_network_id
            && self.description == made.description
            && self.floating_ip_address.is_none_or(|asked| asked == made.floating_ip_address)
            && self.port_id.as_ref().is_none_or(|asked| made.port_id.as_ref() == Some(asked))
            && self.project_id.as_ref().is_none_or(|asked| made.project_id.as_ref() == Some(asked))
    }
}

impl FloatingIpFilter {
    /// The queries that together list these floating IPs.
    fn queries(&self) -> Vec<Query> {
        let ids = self.ids.as_ref().map(|ids| ids.iter().map(ToString::to_string).collect());
        let ports = self.port_ids.as_ref().map(|ids| ids.iter().map(ToString::to_string).collect());
        let by_port = any_of("port_id", ports);
        let both = any_of("id", ids)
            .into_iter()
            .flat_map(|ids| by_port.iter().map(move |ports| [ids.as_slice(), ports.as_slice()].concat()));
        let common = [
            ("floating_ip_address", self.address.map(|address| address.to_string())),
            ("floating_network_id", self.network.as_ref().map(ToString::to_string)),
            ("project_id", self.project.as_ref().map(ToString::to_string)),
            ("description", self.description.clone()),
            ("tags", joined(&self.tags)),
        ];
        with_common(both.collect(), &common)
    }
}

impl Neutron {
    /// The floating IPs that answer to `filter`.
    pub async fn floating_ips(&self, filter: &FloatingIpFilter) -> Result<Vec<FloatingIp>> {
        let mut found: Vec<FloatingIp> = Vec::new();
        for query in filter.queries() {
            found.append(&mut self.list(ALL, &query).await?);
        }
        found.retain(|one| is_exactly(filter.description.as_ref(), &one.description));
        Ok(found)
    }

    /// Makes a floating IP and gives it its tags.
    ///
    /// With a description it survives a lost answer: one that [`NewFloatingIp::describes`] says is the wanted one is taken up. One
    /// that can't be tagged is deleted again. Only if this process ends (or may not write any more) between the two requests is
    /// one left without tags; whoever may come after such an end looks for the description first.
    ///
    /// Of refusals these concern the request: [`Kind::Conflict`](crate::Kind::Conflict), the address is not free, the port has
    /// a floating IP of this network, or no router leads from it there; [`Kind::NotFound`](crate::Kind::NotFound), there is no such
    /// network, subnet or port; [`Kind::Invalid`](crate::Kind::Invalid), the network is not external, subnet or address not of it, or
    /// the port has no IPv4 address.
    pub async fn create_floating_ip(&self, new: &NewFloatingIp) -> Result<FloatingIp> {
        let call = Call::new(Service::Network, Method::POST, ALL, ALL.into());
        let call = call.json(&Body { floatingip: new })?;
        let made = match self.session.call(&call).await.and_then(|answer| answer.json::<One<_>>()) {
            Ok(made) => made.item,
            Err(error) if error.effect() == Effect::Unknown => self.look_for_floating_ip(new, error).await?,
            Err(error) => return Err(error),
        };
        self.tagged_floating_ip(new, made).await
    }

    /// Lets a floating IP lead to a port, wherever it led before. Its refusals are those of a create.
    pub async fn attach_floating_ip(&self, id: &FloatingIpId, port: &PortId) -> Result<FloatingIp> {
        self.lead_floating_ip(id, Some(port)).await
    }

    /// Lets a floating IP lead nowhere. It keeps its address.
    pub async fn detach_floating_ip(&self, id: &FloatingIpId) -> Result<FloatingIp> {
        self.lead_floating_ip(id, None).await
    }

    /// Deletes a floating IP, wherever it leads.
    pub async fn delete_floating_ip(&self, id: &FloatingIpId) -> Result<Deleted> {
        self.delete(ONE, format!("{ALL}/{id}")).await
    }

    /// Sets a floating IP's tags, whatever it had.
    pub async fn set_floating_ip_tags(&self, id: &FloatingIpId, tags: &[String]) -> Result<()> {
        self.set_tags("/floatingips/{id}/tags", format!("{ALL}/{id}/tags"), tags).await
    }

    async fn lead_floating_ip(&self, id: &FloatingIpId, port: Option<&PortId>) -> Result<FloatingIp> {
        let call = Call::new(Service::Network, Method::PUT, ONE, format!("{ALL}/{id}"));
        let call = call.json(&Body { floatingip: serde_json::json!({ "port_id": port }) })?;
        Ok(self.session.call(&call).await?.json::<One<_>>()?.item)
    }

    /// Finds what a create made whose answer is lost.
    async fn look_for_floating_ip(&self, new: &NewFloatingIp, lost: Error) -> Result<FloatingIp> {
        if new.description.is_empty() {
            return Err(lost);
        }
        let filter = FloatingIpFilter {
            network: Some(new.floating_network_id.clone()),
            description: Some(new.description.clone()),
            ..FloatingIpFilter::default()
        };
        let filter = &filter;
        let find = || async move {
            let found = self.floating_ips(filter).await?;
            Ok(found.into_iter().find(|found| new.describes(found)))
        };
        lost::look_for("floating IP", lost, find).await
    }

    /// Sees to it that a floating IP has its tags. One without would not be known as ours, so it is not kept.
    async fn tagged_floating_ip(&self, new: &NewFloatingIp, mut made: FloatingIp) -> Result<FloatingIp> {
        if new.tags.iter().all(|tag| made.tags.contains(tag)) {
            return Ok(made);
        }
        let Err(error) = self.set_floating_ip_tags(&made.id, &new.tags).await else {
            made.tags.clone_from(&new.tags);
            return Ok(made);
        };
        if let Err(error) = self.delete_floating_ip(&made.id).await {
            tracing::warn!(id = %made.id, error = error.chain(), "cannot delete a floating IP that could not be tagged");
        }
        Err(error)
    }
}
