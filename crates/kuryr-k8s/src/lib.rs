//! Kubernetes as Kuryr sees it: a client, small objects, caches that follow the API, a lease, and events.
//!
//! ```text
//!   API server ── LIST, then WATCH with bookmarks ──► Cache<Pod>, Cache<Service>, … ──► on_change(key)
//!              ◄─ create / patch / delete ──────────── Records          ◄── Events: what a user should know
//! ```
//!
//! - [`client`]: one client from the options of `[kubernetes]`
//! - [`slim`]: what is kept of a Pod, Node, Namespace, Service or record: a few hundred bytes each
//! - [`cache`]: the current state of one kind, kept up to date
//! - [`records`]: writes to our records and to the finalizers of what they are about
//! - [`node_records`]: writes to KuryrNodes; [`nodes`]: writes to the status of Nodes
//! - [`lease`]: which of several processes works, and [`fence`]: what keeps the others from writing
//! - [`events`]: Kubernetes Events, said once and not once a retry

pub mod cache;
pub mod client;
pub mod events;
pub mod fence;
pub mod key;
pub mod lease;
pub mod node_records;
pub mod nodes;
pub mod records;
pub mod slim;

pub use cache::{Cache, Sync};
pub use client::Access;
pub use key::Key;

/// Re-exported so that callers name the same version.
pub use kube::Client;
