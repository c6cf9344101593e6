//! The servers of Nova that nodes are, and the ports of pods that are attached to them as interfaces of their own.
//!
//! ```text
//!   node's address ──► its port ──► the port's device: the server
//! ```
//!
//! A port is made in Neutron first, with its addresses, security groups and tags, and attached then. The port itself tells whether it is:
//! nothing has to be remembered of a call whose answer was lost.

use crate::context::Context;
use crate::parents::{self, Error, ambiguous, named};
use crate::relist;
use kuryr_api::{PortId, ServerId, SubnetId};
use kuryr_core::carrier::Place;
use kuryr_k8s::slim::Node;
use kuryr_openstack::neutron::Neutron;
use kuryr_openstack::nova::server_of;
use kuryr_openstack::{Kind, Result};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::net::IpAddr;

/// The servers that are known.
#[derive(Default)]
pub struct Servers {
    of_address: RwLock<HashMap<IpAddr, ServerId>>,
    /// Nodes are looked for one after the other: what is found for one pod is there for the next.
    looking: tokio::sync::Mutex<()>,
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// The port says so.
    Now,
    /// Nova is at work.
    Soon,
}

impl Servers {
    /// The server of the node that has one of these addresses, if it is known.
    pub fn of(&self, addresses: &[IpAddr]) -> Option<ServerId> {
        let known = self.of_address.read();
        addresses.iter().find_map(|address| known.get(address).cloned())
    }

    fn forget(&self, server: &ServerId) {
        self.of_address.write().retain(|_, of| of != server);
    }
}

/// The server that a node is.
///
/// # Errors
/// Neutron did not tell, or there is none.
pub async fn find(
    servers: &Servers,
    neutron: &Neutron,
    workers: &[SubnetId],
    node: &Node,
) -> Result<ServerId, Error> {
    if let Some(server) = servers.of(&node.addresses) {
        return Ok(server);
    }
    let _turn = servers.looking.lock().await;
    if let Some(server) = servers.of(&node.addresses) {
        return Ok(server);
    }
    let ports = parents::candidates(neutron, workers, &node.addresses).await?;
    let ports: Vec<_> = ports.iter().collect();
    let attached: Vec<_> = ports.iter().filter_map(|port| Some((*port, server_of(port)?))).collect();
    let (port, server) = match attached.as_slice() {
        [(port, server)] => (*port, server.clone()),
        [] => return Err(Error::None(format!("{} has its address, but is no server's", named(&ports)))),
        several => return Err(ambiguous(&several.iter().map(|(port, _)| *port).collect::<Vec<_>>())),
    };
    let addresses = parents::addresses(port).map(|address| (address, server.clone()));
    servers.of_address.write().extend(addresses);
    tracing::info!(node = node.key.name(), %server, port = %port.id, "found a node's server");
    Ok(server)
}

/// Attaches a port to a server.
///
/// # Errors
/// Nova refuses, or Neutron does not tell whether it did.
pub async fn attach(context: &Context, id: &PortId, server: &ServerId) -> Result<Done> {
    let attached = context.nova.attach_interface(server, id).await;
    if attached.as_ref().is_err_and(|error| error.kind() == Kind::NotFound) {
        context.servers.forget(server);
    }
    // Whatever Nova said: its answer may be lost, or say that it has done so before.
    if attached_to(context, id).await?.as_ref() == Some(server) {
        return Ok(Done::Now);
    }
    attached.map(|()| Done::Soon)
}

/// Detaches a port from a server.
///
/// # Errors
/// Nova refuses, or Neutron does not tell whether it did.
pub async fn detach(context: &Context, id: &PortId, server: &ServerId) -> Result<Done> {
    context.nova.detach_interface(server, id).await?;
    let is_gone = attached_to(context, id).await?.is_none();
    Ok(if is_gone { Done::Now } else { Done::Soon })
}

/// The server that a port is attached to now.
async fn attached_to(context: &Context, id: &PortId) -> Result<Option<ServerId>> {
    relist::look_up(context, vec![id.clone()]).await?;
    let place = context.ports.get(id).and_then(|port| context.place(&port));
    Ok(if let Some(Place::Server(server)) = place { Some(server) } else { None })
}
