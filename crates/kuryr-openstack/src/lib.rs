//! The OpenStack calls that Kuryr makes, typed.
//!
//! ```text
//!  Neutron ─┐
//!           ├─► Session ──► Tokens (Keystone: sign in once for all, renew, find endpoints)
//!  Octavia ─┤      │
//!  Nova ────┘      └──────► Transport (one HTTP request: turn, deadline, answer, Observer)
//! ```
//!
//! A [`Session`] is opened once and cloned to whoever needs it. Every failure is an [`Error`] that tells what happened
//! ([`Kind`]), whether to try again ([`Class`]) and whether it may have taken effect ([`Effect`]).
#![forbid(unsafe_code)]

mod auth;
mod catalog;
mod error;
mod gate;
mod limit;
pub mod neutron;
pub mod nova;
mod observe;
pub mod octavia;
mod retry;
mod session;
mod tls;
mod token;
mod transport;
mod wire;

pub use catalog::{Endpoints, Service};
pub use error::{Class, Effect, Error, Kind, Refusal, Result, Target};
pub use gate::{Gate, Ungated};
pub use limit::Limits;
pub use neutron::Neutron;
pub use nova::Nova;
pub use observe::{Finished, Observer, Unobserved};
pub use octavia::Octavia;
pub use retry::{Repeat, Retry};
pub use session::{Hooks, OpenError, Session, Settings, Timeouts};
pub use tls::{Tls, TlsError, Trust};
pub use transport::{Answer, Call};
