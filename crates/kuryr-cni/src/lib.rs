//! The Container Network Interface as Kuryr speaks it, and how the plugin talks to the daemon.
//!
//! ```text
//!  runtime ──environment, stdin──► kuryr-cni ──POST /cni, JSON──► kuryr-daemon (unix socket)
//!          ◄──────stdout────────             ◄──result or error──
//! ```
//!
//! The plugin is started for each verb of each pod, so it depends on nothing but the standard library and serde. Everything that
//! needs knowledge of the node is the daemon's work; both sides share the types of this library.
//!
//! Versions 0.3.0 to 1.1.0 of the specification are spoken; a result looks as the version of the configuration wants it.

mod daemon;
mod error;
mod ids;
mod plugin;
mod pod;
pub mod program;
mod request;
mod result;
mod version;

pub use daemon::{ADDRESS, DEFAULT_SOCKET};
pub use error::{CniError, Code};
pub use ids::{ContainerId, IfName, InvalidId};
pub use plugin::{Outcome, run, run_by};
pub use pod::{PodArgs, PodArgsError};
pub use request::{Attachment, Command, Request};
pub use result::{AddResult, Dns, Interface, Ip, Route};
pub use version::{Version, VersionInfo};
