//! Who may talk to whom: NetworkPolicies as Neutron's security groups and address groups.
//!
//! ```text
//!   pods, namespaces, policies, Services ──► Index ─┬─ groups_of(pod) ──────────► the security groups of its port
//!                                                   ├─ groups_of_policy(name) ──► the rules of its groups
//!                                                   └─ addresses_of(peer) ──────► the addresses of an address group
//!
//!   port ── carries ──► group ── holds ──► rule ── names ──► address group ── holds ──► addresses of pods
//! ```
//!
//! Security groups are a union: a port is open to what any of its groups allows. So a policy's group holds just what the policy
//! grants, and two shared groups that allow everything, one a direction, hang on a port as long as no policy isolates it in that
//! direction. A pod that comes, goes or changes its labels changes the addresses of address groups and the groups of its own port,
//! and never a rule.

pub mod audit;
pub mod explain;
pub mod held;
mod index;
pub mod key;
pub mod model;
pub mod plan;
mod render;
pub mod selector;
#[cfg(test)]
mod testing;
pub mod trace;

pub use index::{Changes, Clients, Groups, Index};
pub use render::by_address;
