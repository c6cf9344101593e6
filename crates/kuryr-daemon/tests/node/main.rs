//! The daemon against the real kernel and a real ovsdb-server, in namespaces and with a database that each test makes for itself.
//! The API server is a small one of the test's own; ovs-vswitchd's and ovn-controller's part is played by the stage. Needs root.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]
#![allow(clippy::needless_pass_by_value, reason = "a test hands over JSON that it has just written")]

mod add;
mod api;
mod check;
mod cut;
mod del;
mod doors;
mod dpdk;
mod keep;
mod nested;
mod nic;
mod ovs;
mod process;
mod report;
mod sriov;
mod stage;
mod standalone;
mod vhostuser;
