//! What the socket of the pools says: JSON for programs, of which `kuryrctl pools` is one (docs/pools.md).

use crate::{PortId, SecurityGroupId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// All pools, or one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pools {
    /// By the names of their nodes.
    pub pools: Vec<NodePool>,
}

/// The ports that are kept ready on a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodePool {
    /// The node.
    pub node: String,
    /// Pods on it that have a port or need one.
    pub pods: u32,
    /// Ports that no pod has.
    pub free: u32,
    /// How many of them there are to be.
    pub target: u32,
    /// Free ports that are wired on the node already, as its daemon said last. None: it said nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm: Option<u32>,
    /// What was done to it by hand, as long as that counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_hand: Option<ByHand>,
    /// Its free ports, by their security groups. None where nobody tells: a KuryrNode has numbers alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<Vec<Part>>,
}

/// What an operator did to a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ByHand {
    /// Filled: what is too many stays for a while.
    Filled,
    /// Emptied: it stays empty until a pod comes.
    Emptied,
}

/// Free ports that have the same security groups: what the Python Kuryr called a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// What it is known by.
    pub key: Key,
    /// Its ports, those that are free for longest first.
    pub ports: Vec<FreePort>,
}

/// A pool's key as the Python Kuryr wrote it: where, the project, the security groups. A node with a trunk is called by its address, any
/// other by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key(pub String, pub String, pub BTreeSet<SecurityGroupId>);

/// A port that no pod has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FreePort {
    /// Its id.
    pub id: PortId,
    /// Its MAC address.
    pub mac: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Its VLAN id, where it is on a trunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// For how many seconds it has been free.
    pub idle: u64,
}

/// What became of filling or emptying pools.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// In the order in which the nodes were named.
    pub pools: Vec<Change>,
}

/// What became of one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The node.
    pub node: String,
    /// Ports that were made, or given back.
    pub ports: u32,
    /// Why it were no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// Why nothing was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What is wrong, and what to do.
    pub error: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_as_the_python_kuryr_wrote_it() {
        let groups = ["b".into(), "a".into()].into();
        let key = Key("10.0.0.6".to_owned(), "project".to_owned(), groups);
        let text = serde_json::to_string(&key).unwrap();
        assert_eq!(text, r#"["10.0.0.6","project",["a","b"]]"#);
        assert_eq!(serde_json::from_str::<Key>(&text).unwrap(), key);
    }
}
