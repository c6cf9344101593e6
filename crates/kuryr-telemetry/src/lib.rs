//! What a process tells about itself: logs, metrics and health.
//!
//! - [`logs`]: one line per decision, as text or JSON
//! - [`health`]: components report their state, `/alive` and `/ready` show it
//! - [`http`]: serves health and metrics; one small router each, on all addresses of the node

pub mod health;
pub mod http;
pub mod logs;
pub mod process;

pub use health::{Component, Health, Probe, Verdict};
