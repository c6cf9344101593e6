//! Kuryr's data, and nothing but data: what stands in the Kubernetes API and who may read it.
//!
//! ```text
//!   Pod ◄── owns ── KuryrPort ── status.vifs ──► Vif (os-vif JSON) ── id ──► Neutron port
//!   Service ◄─────── KuryrLoadBalancer
//!   Namespace ◄───── KuryrNetwork
//!   NetworkPolicy ◄─ KuryrNetworkPolicy
//!   Node ◄── owns ── KuryrNode
//! ```
//!
//! The custom resources keep the group, version, field names and JSON of the Python Kuryr-Kubernetes, so that
//! either implementation reads what the other wrote.
//!
//! Without the feature `kubernetes` there is only what can be read without Kubernetes' own types, which take minutes to build.
//!
//! - [`cloud`]: how to get at OpenStack
//! - [`ids`]: newtypes for OpenStack identifiers
//! - [`names`]: finalizers, labels, annotations, event reasons
//! - [`vif`]: os-vif's versioned objects
//! - [`port`], [`load_balancer`], [`network`], [`network_policy`], [`node`]: the custom resources
//! - [`pool`]: what the socket of the pools says

pub mod cloud;
#[cfg(feature = "kubernetes")]
mod definitions;
pub mod ids;
#[cfg(feature = "kubernetes")]
pub mod load_balancer;
pub mod names;
#[cfg(feature = "kubernetes")]
pub mod network;
#[cfg(feature = "kubernetes")]
pub mod network_policy;
#[cfg(feature = "kubernetes")]
pub mod node;
pub mod pool;
#[cfg(feature = "kubernetes")]
pub mod port;
pub mod vif;

#[cfg(feature = "kubernetes")]
pub use definitions::crds;
#[cfg(feature = "kubernetes")]
pub(crate) use definitions::free_form_object;
pub use ids::{
    AddressGroupId, FloatingIpId, HealthMonitorId, ListenerId, LoadBalancerId, MemberId, NetworkId, PoolId,
    PortId, ProjectId, RouterId, SecurityGroupId, SecurityGroupRuleId, ServerId, SubnetId, TrunkId,
};
#[cfg(feature = "kubernetes")]
pub use load_balancer::KuryrLoadBalancer;
#[cfg(feature = "kubernetes")]
pub use network::KuryrNetwork;
#[cfg(feature = "kubernetes")]
pub use network_policy::KuryrNetworkPolicy;
#[cfg(feature = "kubernetes")]
pub use node::KuryrNode;
#[cfg(feature = "kubernetes")]
pub use port::KuryrPort;
