//! Nova: which ports are interfaces of a virtual machine, beyond those that it was made with.

use crate::{Call, Kind, Result, Service, Session, neutron::Port};
use http::Method;
use kuryr_api::{
    ids::{PortId, ServerId},
    names::DEVICE_OWNER,
};
use serde_json::json;
use std::time::Duration;

/// `device_owner` of what Nova has attached begins so.
const COMPUTE: &str = "compute:";
/// Nova answers when the hypervisor has attached an interface.
const TIME_TO_ATTACH: Duration = Duration::from_mins(1);

/// Nova's API. Clones share everything.
#[derive(Debug, Clone)]
pub struct Nova {
    session: Session,
}

impl Nova {
    /// Nova as `session` finds it.
    pub fn new(session: Session) -> Self {
        Self { session }
    }

    /// Attaches a port, which then has the server as its device, to a server.
    ///
    /// It is [`Kind::Conflict`] if the port has a device, be it this server, and also if the server is at work with something else.
    /// Nova attaches no port twice: after an answer that was lost the port tells whether it did.
    pub async fn attach_interface(&self, server: &ServerId, port: &PortId) -> Result<()> {
        let path = format!("/servers/{server}/os-interface");
        let call = Call::new(Service::Compute, Method::POST, "/servers/{id}/os-interface", path);
        let body = json!({ "interfaceAttachment": { "port_id": port } });
        self.session.call(&call.extra_time(TIME_TO_ATTACH).json(&body)?).await.map(drop)
    }

    /// Whether there is such a server that this user sees.
    pub async fn has_server(&self, server: &ServerId) -> Result<bool> {
        let call = Call::new(Service::Compute, Method::GET, "/servers/{id}", format!("/servers/{server}"));
        match self.session.call(&call).await {
            Err(error) if error.kind() == Kind::NotFound => Ok(false),
            answer => answer.map(|_| true),
        }
    }

    /// Lets a server give a port back, which stays. One that it does not have is fine, and so is a server that is gone.
    ///
    /// Nova answers before the hypervisor has done it: the port tells when it has no device any more.
    pub async fn detach_interface(&self, server: &ServerId, port: &PortId) -> Result<()> {
        let route = "/servers/{id}/os-interface/{port}";
        let path = format!("/servers/{server}/os-interface/{port}");
        match self.session.call(&Call::new(Service::Compute, Method::DELETE, route, path)).await {
            Err(error) if error.kind() == Kind::NotFound => Ok(()),
            answer => answer.map(drop),
        }
    }
}

/// The server that Nova has attached a port to. Ports of pods are called much the same by Kuryr itself, and are no server's.
pub fn server_of(port: &Port) -> Option<ServerId> {
    let owner = port.device_owner.as_str();
    let is_attached =
        owner.starts_with(COMPUTE) && !owner.starts_with(DEVICE_OWNER) && !port.device_id.is_empty();
    is_attached.then(|| port.device_id.as_str().into())
}
