//! What the user may do, found out without doing it.

use super::{Neutron, NewPort};
use crate::{Error, Kind, Result};
use kuryr_api::ids::{NetworkId, ProjectId};

/// Whether something is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Right {
    /// It is.
    Granted,
    /// It is not; this is what Neutron says.
    Denied(String),
}

/// A group that no cloud has, as its version and variant are those of no UUID that is ever made.
const NO_GROUP: &str = "00000000-0000-0000-0000-000000000001";
/// What a port would be called that is made all the same.
const NAME: &str = "kuryr-asks-for-rights";

impl Neutron {
    /// Whether the user may make ports on this network for this project that are bound to a host.
    ///
    /// Neutron looks at the rights first and at the security groups afterwards, so a port is asked for that can't be made.
    pub async fn may_bind_ports(&self, network: &NetworkId, project: Option<&ProjectId>) -> Result<Right> {
        let port = NewPort {
            name: NAME.into(),
            project_id: project.cloned(),
            security_groups: Some(vec![NO_GROUP.into()]),
            host: Some(NAME.into()),
            ..NewPort::on(network.clone())
        };
        match self.create_port(&port).await {
            Ok(made) => self.delete_port(&made.id).await.map(|_| Right::Granted),
            Err(error) => right(error),
        }
    }
}

fn right(error: Error) -> Result<Right> {
    match (error.kind(), error.refusal()) {
        (Kind::Forbidden, Some(refusal)) => Ok(Right::Denied(refusal.message.clone())),
        _ if error.neutron_type() == Some("SecurityGroupNotFound") => Ok(Right::Granted),
        _ => Err(error),
    }
}
