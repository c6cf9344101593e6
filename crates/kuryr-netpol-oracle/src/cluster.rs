//! What the oracle is told of a cluster.

use k8s_openapi::api::networking::v1::NetworkPolicy;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

/// Labels of an object.
pub type Labels = BTreeMap<String, String>;

/// The label that the API server gives to every namespace. Its value is the namespace's name.
pub const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// A cluster.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    /// Namespaces by name. [`NAME_LABEL`] is theirs without being listed.
    pub namespaces: BTreeMap<String, Labels>,
    /// All pods that run.
    pub pods: Vec<OraclePod>,
    /// All policies.
    pub policies: Vec<NetworkPolicy>,
    /// Every address of every node.
    pub node_addresses: Vec<IpAddr>,
}

/// A pod that runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OraclePod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
    /// Its addresses, which are its node's if it is in its node's network.
    pub addresses: Vec<IpAddr>,
    /// Those ports of its containers that have a name.
    pub ports: Vec<NamedPort>,
    /// It is in its node's network.
    pub host_network: bool,
    /// Its node. It decides nothing, since all nodes are treated alike.
    pub node: String,
}

/// A port of a container that has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPort {
    /// Name.
    pub name: String,
    /// Protocol.
    pub protocol: Protocol,
    /// Number.
    pub number: u16,
}

/// A protocol that policies know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Cluster {
    /// The labels of a namespace, the one of its name among them.
    pub fn namespace_labels(&self, name: &str) -> Labels {
        let mut labels = self.namespaces.get(name).cloned().unwrap_or_default();
        labels.insert(NAME_LABEL.to_owned(), name.to_owned());
        labels
    }
}

impl OraclePod {
    /// Its address of a family.
    pub fn address(&self, family: Family) -> Option<IpAddr> {
        self.addresses.iter().copied().find(|address| Family::of(*address) == family)
    }

    /// Namespace and name, with a slash.
    pub fn path(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

impl Protocol {
    /// As policies write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Family {
    /// The family of an address.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}
