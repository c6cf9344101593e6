//! `kuryr-daemon`: connects the pods of one node.
//!
//! ```text
//!  kuryr-cni ──► server ──► verbs (ADD, DEL, CHECK, STATUS, GC)
//!                             ├─ records   what the controller recorded      (Kubernetes API, watched)
//!                             ├─ wiring    a VIF of it, read and checked
//!                             ├─ plug      links, addresses, OVS port        (netlink, OVSDB)
//!                             ├─ mark      whose port it is, kept in OVSDB; on a VM tag, kept on the link; of a PCI device, in the ledger
//!                             ├─ handout   what a program in user space is told of an interface without a link
//!                             └─ turns     one call at a time for each pod
//!  sriov, devices: PCI devices that pods have, and the ledger of what they were before
//!  kind: whether the node has an Open vSwitch, or is a VM whose own link (lower) its pods' links are on top of (stacked)
//!  beside them: keep (ports that are wired before their pods), announce (what their neighbours are told), install (what the runtime
//!  finds), sweep (what was left behind), report (what is unplugged), watch (health), legacy (the old API)
//! ```
//!
//! Without a daemon, [`standalone`] is the plugin and does the same in its own process, once for each call; [`installer`] is then all that
//! stays in the node's container, and [`handover`] what goes from it to the plugin.
//!
//! The daemon remembers nothing: what should be is in the KuryrPorts, what is in the kernel and in OVSDB, where each port is marked
//! with the sandbox that it belongs to, and in the ledger of PCI devices, which can't be marked. A restart therefore disturbs no pod, and a call that was cut short is finished by the
//! runtime's next one.

pub mod announce;
pub mod answer;
pub mod cli;
pub mod devices;
pub mod failure;
pub mod handout;
pub mod handover;
pub mod install;
pub mod installer;
pub mod keep;
pub mod kind;
pub mod ledger;
pub mod legacy;
pub mod lock;
pub mod lower;
pub mod mark;
pub mod metrics;
pub mod node;
pub mod plug;
pub mod records;
pub mod report;
pub mod run;
pub mod sandbox;
pub mod server;
pub mod settings;
pub mod sriov;
pub mod stacked;
pub mod standalone;
pub mod sweep;
pub mod tag;
pub mod turns;
pub mod verbs;
pub mod watch;
pub mod wiring;
