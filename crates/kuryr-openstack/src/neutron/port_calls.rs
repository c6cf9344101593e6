//! The calls about ports.

use super::{
    Deleted, Neutron, NewPort, Port, PortFilter, PortUpdate,
    wire::{PortBody, PortsBody},
};
use crate::{
    Call, Error, Result, Service,
    wire::{Many, One},
};
use http::{HeaderValue, Method, header::IF_MATCH};
use kuryr_api::ids::PortId;
use std::{sync::Arc, time::Duration};

/// A create takes up to half a second on a small cloud, and those of one request are done one after another.
const TIME_FOR_A_PORT: Duration = Duration::from_secs(1);

impl Neutron {
    /// Makes a port. [`Bulk`](super::Bulk) is the better way where several may be wanted at once.
    pub async fn create_port(&self, port: &NewPort) -> Result<Port> {
        let call = create_call().json(&PortBody { port })?;
        Ok(self.session.call(&call).await?.json::<One<Port>>()?.item)
    }

    /// Makes several ports in one request, all or none. The answer is in Neutron's order.
    pub async fn create_ports(&self, ports: &[&NewPort]) -> Result<Vec<Port>> {
        let time = TIME_FOR_A_PORT.saturating_mul(ports.len().try_into().unwrap_or(u32::MAX));
        let call = create_call().extra_time(time).json(&PortsBody { ports })?;
        Ok(self.session.call(&call).await?.json::<Many<Port>>()?.items)
    }

    /// A port by its id.
    pub async fn port(&self, id: &PortId) -> Result<Port> {
        self.get("/ports/{id}", format!("/ports/{id}")).await
    }

    /// A port by its id; none if Neutron says by name that there is none. A list that does not show it proves nothing: a Neutron that
    /// has just started leaves out what it can't tell yet who may see.
    pub async fn find_port(&self, id: &PortId) -> Result<Option<Port>> {
        Self::if_there(self.port(id).await)
    }

    /// The ports that answer to `filter`.
    pub async fn ports(&self, filter: &PortFilter) -> Result<Vec<Port>> {
        let mut found = Vec::new();
        for query in filter.queries() {
            found.append(&mut self.list("/ports", &query).await?);
        }
        Ok(found)
    }

    /// Changes a port.
    pub async fn update_port(&self, id: &PortId, update: &PortUpdate) -> Result<Port> {
        self.put_port(id, update, None).await
    }

    /// Changes a port if nobody has changed it since `revision`; else the error is [`Kind::Stale`](crate::Kind::Stale).
    pub async fn update_port_at(&self, id: &PortId, update: &PortUpdate, revision: u64) -> Result<Port> {
        self.put_port(id, update, Some(revision)).await
    }

    /// Deletes a port.
    pub async fn delete_port(&self, id: &PortId) -> Result<Deleted> {
        self.delete("/ports/{id}", format!("/ports/{id}")).await
    }

    /// Sets a port's tags, whatever it had.
    pub async fn set_port_tags(&self, id: &PortId, tags: &[String]) -> Result<()> {
        self.set_tags("/ports/{id}/tags", format!("/ports/{id}/tags"), tags).await
    }

    async fn put_port(&self, id: &PortId, update: &PortUpdate, revision: Option<u64>) -> Result<Port> {
        let mut call = Call::new(Service::Network, Method::PUT, "/ports/{id}", format!("/ports/{id}"));
        if let Some(revision) = revision {
            let value = HeaderValue::try_from(format!("revision_number={revision}"))
                .map_err(|source| Error::Encode { call: call.target.clone(), source: Arc::new(source) })?;
            call.headers.insert(IF_MATCH, value);
        }
        Ok(self.session.call(&call.json(&PortBody { port: update })?).await?.json::<One<Port>>()?.item)
    }
}

fn create_call() -> Call {
    Call::new(Service::Network, Method::POST, "/ports", "/ports".into())
}
