//! Neutron: the resources that Kuryr works with, and no more of them than it needs.

mod address_group;
mod availability;
mod blame;
mod bulk;
mod extensions;
mod floating_ip;
mod lost;
mod make;
mod network;
mod port;
mod port_calls;
mod quota;
mod right;
mod router;
mod rule;
mod rule_calls;
mod security_group;
mod trunk;
mod wire;

pub use address_group::{AddressGroup, AddressGroupFilter, NewAddressGroup};
pub use availability::SubnetAvailability;
pub use bulk::{Bulk, Joining};
pub use extensions::Extensions;
pub use floating_ip::{FloatingIp, FloatingIpFilter, NewFloatingIp};
pub use network::{AllocationPool, HostRoute, Network, NetworkFilter, NewSubnet, Subnet, SubnetFilter};
pub use port::{
    AddressPair, FixedIp, FixedIpRequest, NewPort, Port, PortFilter, PortStatus, PortUpdate, TrunkDetails,
};
pub use quota::{Quota, Quotas};
pub use right::Right;
pub use router::{Gateway, Router};
pub use rule::{Direction, EtherType, HeldRule, NewRule, Rule};
pub use security_group::{NewSecurityGroup, SecurityGroup, SecurityGroupFilter};
pub use trunk::{Standstill, Subport, Trunk, TrunkFilter};
pub use wire::Deleted;

use crate::{Session, wire::PAGE};
use std::sync::Arc;
use tokio::sync::OnceCell;

/// Neutron's API. Clones share everything.
#[derive(Debug, Clone)]
pub struct Neutron {
    session: Session,
    extensions: Arc<OnceCell<Extensions>>,
    page: u32,
}

impl Neutron {
    /// Neutron as `session` finds it.
    pub fn new(session: Session) -> Self {
        Self { session, extensions: Arc::default(), page: PAGE }
    }

    /// Asks for lists in pages of so many objects.
    #[must_use]
    pub fn with_page(self, page: u32) -> Self {
        Self { page: page.max(1), ..self }
    }

    /// The session underneath.
    pub fn session(&self) -> &Session {
        &self.session
    }
}
