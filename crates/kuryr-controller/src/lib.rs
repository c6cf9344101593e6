//! `kuryr-k8s-controller`: watches Kubernetes, decides, calls OpenStack, records the result.
//!
//! ```text
//!   caches (Pod, KuryrPort, Service, …) ── key ──► Queue ──► reconcile::pod, reconcile::service
//!                                                              observe ─ plan (kuryr-core) ─ apply
//!   Ports, Balancers (what exists in OpenStack) ◄── own calls, lists ─┴───────────────────┘
//! ```
//!
//! - [`args`], [`settings`]: from the command line and kuryr.conf to what the parts need
//! - [`leader`]: one of several controllers works, the others stand by
//! - [`dispatch`]: one task for each name that is due
//! - [`queue`]: which names to look at, each by one task at a time, with backoff
//! - [`ports`]: the ports that exist, known from our own calls and a slow re-list
//! - [`pools`]: what is known of the pods of a node, for whom ports are kept ready; and the socket by which an operator looks after them
//! - [`capacity`]: what the quota leaves for pods of nodes that are virtual machines
//! - [`network`]: the network of pods, read from Neutron
//! - [`context`]: everything that a reconciler needs
//! - [`explain`]: what is seen of one Service, or of network policies, and would be done about it, for kuryrctl
//! - [`reconcile`]: observe, plan, apply; one file for each kind
//! - [`relist`], [`wiring`]: the two tasks that look at Neutron on their own
//! - [`services`]: what Octavia has, and the tasks that look at it; [`slices`]: the endpoints of Services
//! - [`driver`]: how ports get to their nodes; [`trunks`], [`pairs`]: what carries them to those that are virtual machines, found by
//!   [`parents`] and changed one [`mod@line`] at a time; [`sriov`]: what pods ask for to have virtual functions
//! - [`upkeep`]: health and metrics
//! - [`mod@run`]: starts and stops it all

mod args;
mod capacity;
mod context;
mod dispatch;
pub mod driver;
pub mod explain;
mod leader;
mod line;
mod metrics;
mod network;
mod pairs;
mod parents;
mod policies;
mod pools;
mod ports;
mod queue;
mod reconcile;
mod relist;
mod run;
mod servers;
mod services;
mod settings;
mod slices;
mod sriov;
#[cfg(test)]
mod tests;
mod trunks;
mod upkeep;
mod wiring;

pub use args::Args;
pub use run::run;
