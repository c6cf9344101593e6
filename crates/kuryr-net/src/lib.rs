//! What plugging a pod needs of the kernel: network namespaces, links, addresses, routes and sysctls.
//!
//! ```text
//!  NetNs (an open descriptor) ──netlink()──► Netlink (a socket born in that namespace)
//!     │                                        ├─ links: veth pairs, bridges; VLANs, MACVLANs and IPVLANs on another link;
//!     │                                        │  virtual functions
//!     └──enter()──► a thread of its own        └─ addresses, routes
//!                   └─ sysctls
//!  Sysfs ── PCI devices, and which driver has them
//! ```
//!
//! A namespace is held as an open descriptor, so that a path that is re-used meanwhile cannot lead elsewhere. Only a thread made for
//! the purpose ever changes its namespace, and it ends there: a thread of a pool that failed to come back would carry out other
//! pods' work in the wrong place.
//!
//! Everything may be repeated: adding what is there and removing what is not are successes.

mod address;
mod bridge;
mod error;
mod find;
mod function;
mod link;
mod mac;
mod netlink;
mod netns;
mod pci;
mod removal;
mod route;
mod stacked;
mod sysctl;
mod veth;

pub use error::NetError;
pub use find::{Found, namespaces};
pub use function::Function;
pub use link::{ALIAS_MAX, Link, LinkChange, LinkIndex, LinkState};
pub use mac::{MacAddr, ParseMacError};
pub use netlink::Netlink;
pub use netns::{NetNs, NetNsId, NetNsNumber};
pub use pci::{DriverName, ParsePciError, PciAddress, PciLink, Sysfs};
pub use removal::LinkRemover;
pub use route::Route;
pub use stacked::{NewStacked, Stack, Stacked};
pub use sysctl::Sysctl;
pub use veth::{VethEnds, VethPair};
