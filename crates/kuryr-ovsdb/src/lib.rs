//! A client of the node's OVSDB (RFC 7047), as much of it as plugging a port needs.
//!
//! ```text
//!  Ovsdb (cheap to clone) ──commands──► session task ──JSON-RPC──► ovsdb-server
//!        ▲                                   │
//!        └────────── watch ◄── Switch ◄──────┘ monitor updates
//! ```
//!
//! One task owns the connection. It keeps a [`Switch`], the monitored part of the database, in step, and everyone who waits for
//! something (a port wired by OVN, `ovs-vswitchd` caught up) waits on that value through a watch channel: nothing here polls.
//! When the connection breaks, requests in flight fail with an error that says they may be repeated, and the task connects again.
//!
//! What is no matter of configuration, frames that a bridge is to take, goes to the bridge itself (`openflow`).
//!
//! `datapath_type` of a bridge that is there is never written: changing it, even for a moment, makes OVS re-create every internal port.

mod client;
mod confirm;
mod endpoint;
mod frame;
mod openflow;
mod ports;
mod session;
mod switch;
mod vacant;
mod value;
mod wire;

pub use client::{Ovsdb, OvsdbError, Refusal};
pub use endpoint::{Endpoint, EndpointError};
pub use frame::{FrameDecoder, FrameError};
pub use openflow::{OpenFlowError, Received};
pub use ports::{Device, NewPort, Removed};
pub use switch::{Bridge, Interface, Link, Port, Root, RowId, Switch};
