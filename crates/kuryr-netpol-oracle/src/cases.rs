//! A truth table for a real cluster: three namespaces `x`, `y`, `z` with pods `a`, `b`, `c` each, and what is to be tried on them.
//!
//! A case holds policies and nothing else. What should pass under them is asked of the oracle, with the addresses that the pods have.
//!
//! ```text
//!   grid(names) ──► pods are made ──► their addresses filled in ──► cases(&cluster) ──► each: apply, probe, compare with allows()
//! ```

mod documentation;
mod original;
mod suite;
#[cfg(test)]
mod tests;
mod words;

use crate::cluster::{Cluster, Family, NamedPort, OraclePod, Protocol};
use crate::random::generate;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde_json::{Value, json};
use std::fmt;
use std::net::IpAddr;

/// What the namespaces of the grid have for their label `ns`, and, but for the story's sake, for their name.
pub const NAMESPACES: [&str; 3] = ["x", "y", "z"];
/// Names of the pods in each namespace, and their label `pod`.
pub const PODS: [&str; 3] = ["a", "b", "c"];
/// The ports at which every pod answers, over TCP and UDP.
pub const PORTS: [u16; 2] = [80, 81];
/// Of the generated cases. They are fixed, so that a case of that name is the same tomorrow.
const SEEDS: std::ops::Range<u64> = 1000..1072;

/// What is tried.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name, which no other has.
    pub name: String,
    /// Where it comes from.
    pub origin: Origin,
    /// The policies, with their namespaces' real names.
    pub policies: Vec<NetworkPolicy>,
}

/// Where a case comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The documentation of Kubernetes describes it.
    Documentation,
    /// Kubernetes' own end-to-end tests, or those of others, have one like it.
    Suite,
    /// The Python Kuryr fails it.
    OriginalsBug,
    /// Chance made it, from this seed.
    Generated(u64),
}

/// Why there are no cases.
#[derive(Debug, thiserror::Error)]
pub enum CasesError {
    /// A cluster that is no grid, or one without addresses.
    #[error("the grid lacks {0}")]
    Lacks(String),
    /// A case was written wrong.
    #[error("failed to read the policies of case {case:?}")]
    Read {
        /// The case.
        case: String,
        /// Why.
        source: serde_json::Error,
    },
}

/// The namespaces and pods of the table, where the real names of [`NAMESPACES`] are given. Pods have no addresses and no nodes yet.
///
/// All pods have the same ports, but `web`: it is TCP port 80 of `a` and `b`, and 81 of `c`.
pub fn grid(names: [&str; 3]) -> Cluster {
    let mut cluster = Cluster::default();
    for (label, name) in NAMESPACES.into_iter().zip(names) {
        cluster.namespaces.insert(name.to_owned(), [("ns".to_owned(), label.to_owned())].into());
        cluster.pods.extend(PODS.map(|pod| OraclePod {
            namespace: name.to_owned(),
            name: pod.to_owned(),
            labels: [("pod".to_owned(), pod.to_owned())].into(),
            ports: ports(pod),
            ..OraclePod::default()
        }));
    }
    cluster
}

/// All cases for a grid whose pods have their addresses.
pub fn cases(cluster: &Cluster) -> Result<Vec<Case>, CasesError> {
    let grid = Grid::of(cluster)?;
    let written = [
        (Origin::Documentation, documentation::drafts(&grid)),
        (Origin::Suite, suite::drafts(&grid)),
        (Origin::OriginalsBug, original::drafts(&grid)),
    ];
    let mut cases = Vec::new();
    for (origin, drafts) in written {
        for draft in drafts {
            cases.push(draft.read(origin, &grid)?);
        }
    }
    cases.extend(SEEDS.map(|seed| Case {
        name: format!("generated {seed}"),
        origin: Origin::Generated(seed),
        policies: generate(seed, cluster),
    }));
    Ok(cases)
}

fn ports(pod: &str) -> Vec<NamedPort> {
    let named = |name: &str, protocol, number| NamedPort { name: name.to_owned(), protocol, number };
    vec![
        named("serve-80-tcp", Protocol::Tcp, 80),
        named("serve-80-udp", Protocol::Udp, 80),
        named("serve-81-tcp", Protocol::Tcp, 81),
        named("serve-81-udp", Protocol::Udp, 81),
        named("web", Protocol::Tcp, if pod == "c" { 81 } else { 80 }),
    ]
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Documentation => write!(f, "documentation"),
            Self::Suite => write!(f, "suite"),
            Self::OriginalsBug => write!(f, "original's bug"),
            Self::Generated(seed) => write!(f, "seed {seed}"),
        }
    }
}

/// A grid whose pods have addresses, for those who write cases.
struct Grid {
    names: [String; 3],
    /// Of `x/a`, `x/b`, and so on, of both families.
    addresses: Vec<[IpAddr; 2]>,
}

impl Grid {
    fn of(cluster: &Cluster) -> Result<Self, CasesError> {
        let mut names = [const { String::new() }; 3];
        let mut addresses = Vec::new();
        for (label, name) in NAMESPACES.into_iter().zip(&mut names) {
            let mut found = cluster.namespaces.iter();
            let found = found.find(|(_, labels)| labels.get("ns").is_some_and(|value| value == label));
            let lacks = || CasesError::Lacks(format!("a namespace with label ns={label}"));
            name.clone_from(found.ok_or_else(lacks)?.0);
            for pod in PODS {
                let found = cluster.pods.iter().find(|one| one.namespace == *name && one.name == pod);
                let both = [Family::V4, Family::V6].map(|family| found.and_then(|pod| pod.address(family)));
                let [Some(v4), Some(v6)] = both else {
                    return Err(CasesError::Lacks(format!("both addresses of pod {label}/{pod}")));
                };
                addresses.push([v4, v6]);
            }
        }
        Ok(Self { names, addresses })
    }

    /// The real name of a namespace.
    fn namespace(&self, label: &str) -> &str {
        let index = NAMESPACES.iter().position(|one| *one == label);
        &self.names[index.unwrap_or_default()]
    }

    /// The IPv4 address of a pod, such as `x/a`.
    fn v4(&self, pod: &str) -> IpAddr {
        self.addresses[index(pod)][0]
    }

    /// Its IPv6 address.
    fn v6(&self, pod: &str) -> IpAddr {
        self.addresses[index(pod)][1]
    }
}

fn index(pod: &str) -> usize {
    let (namespace, name) = pod.split_once('/').unwrap_or_default();
    let of = |all: [&str; 3], one: &str| all.iter().position(|other| *other == one).unwrap_or_default();
    of(NAMESPACES, namespace) * PODS.len() + of(PODS, name)
}

/// A case as it is written: the specs of its policies, and the label of the namespace that each is in.
struct Draft {
    name: &'static str,
    policies: Vec<(&'static str, Value)>,
}

impl Draft {
    fn read(&self, origin: Origin, grid: &Grid) -> Result<Case, CasesError> {
        let numbered = self.policies.iter().enumerate();
        let read = |(number, (namespace, spec)): (usize, &(&str, Value))| {
            let metadata =
                json!({ "namespace": grid.namespace(namespace), "name": format!("policy-{number}") });
            serde_json::from_value(json!({ "metadata": metadata, "spec": spec }))
        };
        let policies = numbered.map(read).collect::<Result<_, _>>();
        let policies = policies.map_err(|source| CasesError::Read { case: self.name.to_owned(), source })?;
        Ok(Case { name: self.name.to_owned(), origin, policies })
    }
}
