//! Trunks: the port of a virtual machine carries other ports, each by a VLAN id of its own.
//!
//! ```text
//!   virtual machine ── parent port ── trunk ─┬─ subport, VLAN 1 ── a pod
//!                                            └─ subport, VLAN 2 ── another
//! ```

use super::{Neutron, wire::any_of};
use crate::{Call, Error, Kind, Result, Service, wire::Listed};
use http::Method;
use kuryr_api::ids::{PortId, TrunkId};
use serde::{Deserialize, Serialize};
use std::time::Duration;

const ALL: &str = "/trunks";
/// A subport takes a small cloud as long as a port does.
const TIME_FOR_A_SUBPORT: Duration = Duration::from_secs(1);

/// A trunk.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Trunk {
    /// Its id.
    pub id: TrunkId,
    /// Its parent, the virtual machine's own port.
    pub port_id: PortId,
    /// Its subports.
    #[serde(default)]
    pub sub_ports: Vec<Subport>,
}

/// A port that a trunk carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subport {
    /// The port.
    pub port_id: PortId,
    /// The VLAN id, unlike that of any other subport of the trunk.
    pub segmentation_id: u16,
    /// `vlan`, or what the parent's network has (`inherit`).
    pub segmentation_type: String,
}

/// Why a trunk takes nobody's ports, or never this one: what Neutron calls a conflict too (`neutron/services/trunk/exceptions.py`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standstill {
    /// Its `admin_state_up` is false.
    Disabled,
    /// Neutron failed to carry out an earlier change of it.
    Broken,
    /// The port's network has a greater MTU than that of the trunk's parent.
    Mtu,
}

impl Standstill {
    /// Reads Neutron's name for it.
    pub fn of(error: &Error) -> Option<Self> {
        match error.neutron_type()? {
            "TrunkDisabled" => Some(Self::Disabled),
            "TrunkInErrorState" => Some(Self::Broken),
            "SubPortMtuGreaterThanTrunkPortMtu" => Some(Self::Mtu),
            _ => None,
        }
    }
}

/// Which trunks to list: those that answer to all that is set. An empty list of ids finds none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrunkFilter {
    /// One of these.
    pub ids: Option<Vec<TrunkId>>,
    /// Of one of these parents.
    pub parents: Option<Vec<PortId>>,
}

impl Subport {
    /// A subport by VLAN.
    pub fn vlan(port: PortId, id: u16) -> Self {
        Self { port_id: port, segmentation_id: id, segmentation_type: "vlan".to_owned() }
    }
}

impl Listed for Trunk {
    fn marker(&self) -> &str {
        self.id.as_str()
    }
}

impl Neutron {
    /// The trunks that answer to `filter`.
    pub async fn trunks(&self, filter: &TrunkFilter) -> Result<Vec<Trunk>> {
        let ids = filter.ids.as_ref().map(|ids| ids.iter().map(ToString::to_string).collect());
        let parents = filter.parents.as_ref().map(|ids| ids.iter().map(ToString::to_string).collect());
        let mut found = Vec::new();
        for parents in any_of("port_id", parents) {
            for ids in any_of("id", ids.clone()) {
                found.append(&mut self.list(ALL, &[parents.as_slice(), &ids].concat()).await?);
            }
        }
        Ok(found)
    }

    /// Adds subports to a trunk, all or none. The answer tells all that the trunk carries then.
    ///
    /// It is [`Kind::Conflict`] if one of the ports is in use, or one of the VLAN ids.
    pub async fn add_subports(&self, id: &TrunkId, subports: &[Subport]) -> Result<Trunk> {
        self.put_subports(id, "/trunks/{id}/add_subports", "add_subports", subports).await
    }

    /// Takes subports off a trunk, all that are there. One that is not on it, or a trunk that is gone, is fine.
    pub async fn remove_subports(&self, id: &TrunkId, ports: &[PortId]) -> Result<()> {
        let mut left = ports.to_vec();
        loop {
            let bare: Vec<_> = left.iter().map(|port| serde_json::json!({ "port_id": port })).collect();
            let route = "/trunks/{id}/remove_subports";
            match self.put_subports(id, route, "remove_subports", &bare).await {
                Ok(_) => return Ok(()),
                // Neutron names one that it misses and takes none off: the others are still to go.
                Err(error) if error.kind() == Kind::NotFound => {
                    let filter = TrunkFilter { ids: Some(vec![id.clone()]), ..TrunkFilter::default() };
                    let trunks = self.trunks(&filter).await?;
                    let is_carried = |port: &PortId| {
                        trunks.iter().flat_map(|trunk| &trunk.sub_ports).any(|sub| sub.port_id == *port)
                    };
                    let before = left.len();
                    left.retain(is_carried);
                    if left.is_empty() {
                        return Ok(());
                    }
                    if left.len() == before {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn put_subports(
        &self,
        id: &TrunkId,
        route: &'static str,
        verb: &str,
        subports: &[impl Serialize],
    ) -> Result<Trunk> {
        let count = subports.len().try_into().unwrap_or(u32::MAX);
        let call = Call::new(Service::Network, Method::PUT, route, format!("{ALL}/{id}/{verb}"));
        let call = call.extra_time(TIME_FOR_A_SUBPORT.saturating_mul(count));
        let call = call.json(&serde_json::json!({ "sub_ports": subports }))?;
        // The answer is the trunk, bare.
        self.session.call(&call).await?.json::<Trunk>()
    }
}
