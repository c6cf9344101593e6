//! What `networking.k8s.io/v1` NetworkPolicies mean, written from the documentation of Kubernetes alone.
//!
//! It is the oracle against which Kuryr's planner is tested, in simulation and on a real cluster. It shares nothing with the planner,
//! knows neither Neutron nor rules, and looks at everything anew for every question: it is to be seen that it is right, not fast.
//!
//! ```text
//!   Cluster ── allows(from, to, protocol, port) ──► Verdict
//!   │ namespaces                                    │ egress:  what policies say of the source
//!   │ pods                                          │ ingress: what they say of the destination
//!   │ policies ◄── random_cluster(seed)             └ a packet passes when both let it
//!   │          ◄── generate(seed, cluster)
//!   └ nodes    ◄── cases(grid): a truth table for a real cluster
//! ```
//!
//! What the documentation leaves open, and what is taken here:
//!
//! - *The pod's own node.* The fields' documentation lets in what comes from the pod's local node. Traffic from **any** node is let in
//!   here. Traffic **to** a node leaves a pod only as policies allow.
//! - *Pods in their node's network* are no subjects of policies and no selector of a peer matches them; their traffic is their
//!   node's. An ipBlock matches their address.
//! - *ipBlock* matches any address, a pod's too.
//! - *Named ports* are looked up in the pod that is the destination, for ingress as for egress. If it has several of that name and
//!   protocol, each counts. Where the destination is no pod with a network of its own, they match nothing.
//! - *Families.* A packet belongs to one of them, and an ipBlock matches only packets of its own.
//! - *What the API server would refuse* (a peer without a field, a CIDR that is none, an unknown operator) matches nothing.

pub mod cases;
mod cluster;
mod evaluate;
mod random;
mod rule;
mod selector;
#[cfg(test)]
mod tests;

pub use cluster::{Cluster, Family, Labels, NAME_LABEL, NamedPort, OraclePod, Protocol};
pub use evaluate::{Decision, Endpoint, Exemption, Verdict, allows, allows_over};
pub use random::{generate, random_cluster};
