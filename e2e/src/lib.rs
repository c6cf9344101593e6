//! Tests with real pods on the lab: a real kubelet places them, a real Neutron gives them ports, real packets pass.
//!
//! A test is a story: [`story`] hands it a [`Stage`] with a namespace of its own, and afterwards puts everything back and
//! sees that nothing is left in Neutron, in Octavia, in Kubernetes or on the nodes. Stories of all programs run one after another.
//!
//! ```text
//! make lab-up && lab/lab kuryr up                      # what they need
//! cargo test -p kuryr-e2e -- --test-threads=1          # all of them
//! cargo test --workspace --test faults quota           # one of them
//! KURYR_E2E_STEADY_MINUTES=5 cargo test --workspace --test steady
//! KURYR_SOAK_SERVICES=100 KURYR_SOAK_MINUTES=5 cargo test --workspace --test soak services     # about 15 minutes
//! KURYR_POLICY_CASES=20 cargo test --workspace --test policies     # of the truth table, 20 cases
//! ```

mod census;
mod cloud;
mod command;
mod controller;
mod crowd;
mod facts;
mod faults;
mod guest;
mod installation;
mod node;
mod octavia;
mod outside;
mod packets;
mod pod;
mod prober;
mod scrape;
mod service;
mod stage;
mod wait;

pub use anyhow::{Context, Error, Result, bail, ensure};
pub use cloud::AsAdmin;
pub use command::built;
pub use controller::{Controller, Helping, Instead};
pub use facts::Facts;
pub use faults::Component;
pub use guest::Guest;
pub use installation::{CONTROLLER_PODS, DAEMON_PODS, FILES, Image, Installation};
pub use node::{Machine, Node, OvsPort};
pub use packets::{Dialled, Protocol};
pub use pod::{NewPod, RunningPod};
pub use prober::{Outcome, PROBED_PORTS, PROBED_WITHIN, Probe, Prober};
pub use scrape::Counters;
pub use service::{NewService, RunningService};
pub use stage::{Ending, Failed, Stage, say, story, story_within};
pub use wait::{seconds, until};
