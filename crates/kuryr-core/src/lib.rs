//! Kuryr's decisions. Everything here is pure: no I/O, no clock, no randomness, no Kubernetes or HTTP client.
//!
//! ```text
//!   observe (controller) ──► Observed ── plan ──► Vec<Action> ──► apply (controller)
//!                                ▲                                     │
//!                                └──────── the world, changed ◄────────┘
//! ```
//!
//! Every planner keeps one promise, and a property test holds it to it: applied often enough, its actions end in a
//! world where it plans nothing more. A steady state therefore writes nothing anywhere.
//!
//! - [`pod`]: which port a pod has, which it should have, and what to do about the difference
//! - [`service`]: which load balancers a Service has, which it should have, and what to do about the difference
//! - [`policy`]: who may talk to whom, and which security groups and address groups say so
//! - [`pool`]: how many ports a node keeps ready for pods to come
//! - [`capacity`]: how many pods fit on a node, as the scheduler counts
//! - [`carrier`]: what takes ports to nodes that are virtual machines; [`pairs`]: by the addresses that the machine's port may send from
//! - [`orphan`]: which of our ports nobody needs
//! - [`vif`]: how a port looks to the node that plugs it
//! - [`vlan`]: which VLAN ids of a trunk are free
//! - [`layout`]: what has to be there in OpenStack before the first pod
//! - [`network`], [`port`], [`protocol`], [`news`]: the nouns that the planners share

pub mod capacity;
pub mod carrier;
pub mod layout;
pub mod network;
pub mod news;
pub mod orphan;
pub mod pairs;
pub mod pod;
pub mod policy;
pub mod pool;
pub mod port;
pub mod protocol;
pub mod service;
pub mod vif;
pub mod vlan;
