//! `kuryr-k8s-controller`: watches Kubernetes, decides, calls OpenStack, records the result.
//!
//! ```text
//!   caches (Pod, KuryrPort, Node, Namespace) ── key ──► Queue ──► reconcile::pod
//!                                                                   observe ─ plan (kuryr-core) ─ apply
//!   Ports (what exists in Neutron) ◄── own calls, Relist ─────────────┴───────────────────┘
//! ```
//!
//! - [`args`], [`settings`]: from the command line and kuryr.conf to what the parts need
//! - [`leader`]: one of several controllers works, the others stand by
//! - [`dispatch`]: one task for each name that is due
//! - [`queue`]: which names to look at, each by one task at a time, with backoff
//! - [`ports`]: the ports that exist, known from our own calls and a slow re-list
//! - [`network`]: the network of pods, read from Neutron
//! - [`context`]: everything that a reconciler needs
//! - [`reconcile`]: observe, plan, apply; one file for each kind
//! - [`relist`], [`wiring`]: the two tasks that look at Neutron on their own
//! - [`upkeep`]: health and metrics
//! - [`mod@run`]: starts and stops it all

mod args;
mod context;
mod dispatch;
mod leader;
mod metrics;
mod network;
mod ports;
mod queue;
mod reconcile;
mod relist;
mod run;
mod settings;
#[cfg(test)]
mod tests;
mod upkeep;
mod wiring;

pub use args::Args;
pub use run::run;
