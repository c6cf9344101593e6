//! Newtypes for OpenStack identifiers, so that a network's id never stands where a port's belongs.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Box<str>);

        impl $name {
            /// The identifier as OpenStack spells it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<String> for $name {
            fn from(id: String) -> Self {
                Self(id.into_boxed_str())
            }
        }

        impl From<&str> for $name {
            fn from(id: &str) -> Self {
                Self(id.into())
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

id! {
    /// A Neutron port.
    PortId,
    /// A Neutron network.
    NetworkId,
    /// A Neutron subnet.
    SubnetId,
    /// A Neutron router.
    RouterId,
    /// A Neutron trunk.
    TrunkId,
    /// A Nova server: a virtual machine.
    ServerId,
    /// A Neutron security group.
    SecurityGroupId,
    /// A rule of a Neutron security group.
    SecurityGroupRuleId,
    /// A Neutron address group.
    AddressGroupId,
    /// A Neutron floating IP.
    FloatingIpId,
    /// A Keystone project.
    ProjectId,
    /// An Octavia load balancer.
    LoadBalancerId,
    /// An Octavia listener.
    ListenerId,
    /// An Octavia pool.
    PoolId,
    /// An Octavia member.
    MemberId,
    /// An Octavia health monitor.
    HealthMonitorId,
}
