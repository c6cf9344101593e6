//! What tests stand on: fakes that behave, and a proxy that misbehaves.
//!
//! - [`FakeCloud`]: Keystone, Neutron, Octavia and Nova on the loopback, with state.
//! - [`FakeKubernetes`]: an API server in memory, with versions, finalizers and watches.
//! - [`proxy::Faulty`]: an HTTP proxy that spoils some of the requests that pass, repeatably.
#![forbid(unsafe_code)]

mod cloud;
mod fault;
pub mod keystone;
mod kubernetes;
pub mod neutron;
pub mod nova;
pub mod octavia;
pub mod proxy;
mod reply;

pub use cloud::FakeCloud;
pub use kubernetes::FakeKubernetes;
pub use reply::{Counts, Crowd, Reply};
