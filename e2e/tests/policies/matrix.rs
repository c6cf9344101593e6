//! Who reaches whom: as the oracle says it, and as it is.

use crate::grid::Grid;
use futures::future::try_join_all;
use kuryr_e2e::{Probe, Protocol, Result, ensure};
use kuryr_netpol_oracle::cases::PORTS;
use kuryr_netpol_oracle::{self as oracle, Cluster, Endpoint, Family, OraclePod, Verdict, allows_over};
use std::fmt;
use std::net::SocketAddr;

/// One question: from a pod to a pod, over a family, by a protocol, at a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    from: usize,
    to: usize,
    family: Family,
    protocol: Protocol,
    port: u16,
}

/// A cell that is not as the oracle says.
pub struct Difference {
    cell: Cell,
    expected: Verdict,
    seen: Result<String, String>,
}

/// What is said of a difference, with the names of pods.
pub struct Shown<'d>(pub &'d Cluster, pub &'d Difference);

/// All cells, in the order of who asks.
pub fn cells(cluster: &Cluster) -> Vec<Cell> {
    let pods = cluster.pods.len();
    (0..pods).flat_map(|from| cells_from(from, pods)).collect()
}

fn cells_from(from: usize, pods: usize) -> Vec<Cell> {
    let mut cells = Vec::new();
    for to in 0..pods {
        for family in [Family::V4, Family::V6] {
            for protocol in [Protocol::Tcp, Protocol::Udp] {
                cells.extend(PORTS.map(|port| Cell { from, to, family, protocol, port }));
            }
        }
    }
    cells
}

/// Has all probers ask all others at once. Returned is what differs from what the oracle says of this cluster.
pub async fn differences(grid: &mut Grid<'_>, cluster: &Cluster) -> Result<Vec<Difference>> {
    let pods = cluster.pods.len();
    let asked = grid.probers.iter_mut().enumerate().map(async |(from, prober)| -> Result<Vec<_>> {
        let cells = cells_from(from, pods);
        let probes: Vec<_> = cells.iter().filter_map(|cell| cell.probe(cluster)).collect();
        ensure!(probes.len() == cells.len(), "a pod lacks an address");
        let outcomes = prober.ask(&probes).await?;
        Ok(cells.into_iter().zip(outcomes.into_iter().map(|outcome| outcome.answer)).collect::<Vec<_>>())
    });
    let seen = try_join_all(asked).await?.into_iter().flatten();
    Ok(seen.filter_map(|(cell, seen)| cell.difference(cluster, seen)).collect())
}

impl Cell {
    /// What the oracle says.
    pub fn verdict(&self, cluster: &Cluster) -> Verdict {
        let protocol = match self.protocol {
            Protocol::Tcp => oracle::Protocol::Tcp,
            Protocol::Udp => oracle::Protocol::Udp,
        };
        let (from, to) = (Endpoint::Pod(self.from), Endpoint::Pod(self.to));
        allows_over(self.family, cluster, from, to, protocol, self.port)
    }

    fn probe(&self, cluster: &Cluster) -> Option<Probe> {
        let address = cluster.pods[self.to].address(self.family)?;
        Some(Probe { at: SocketAddr::new(address, self.port), protocol: self.protocol })
    }

    fn difference(self, cluster: &Cluster, seen: Result<String, String>) -> Option<Difference> {
        let expected = self.verdict(cluster);
        let is_as_expected = match &seen {
            Ok(name) => expected.is_allowed() && *name == cluster.pods[self.to].path(),
            Err(_) => !expected.is_allowed(),
        };
        (!is_as_expected).then_some(Difference { cell: self, expected, seen })
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(cluster, Difference { cell, expected, seen }) = self;
        let [from, to] = [cell.from, cell.to].map(|index| label(cluster, &cluster.pods[index]));
        let (protocol, family, port) = (cell.protocol, cell.family, cell.port);
        let word = if expected.is_allowed() { "allowed" } else { "denied" };
        write!(
            f,
            "{from} -> {to} {protocol:?} {family:?} port {port}: expected {word} ({expected}), seen: "
        )?;
        match seen {
            Ok(name) => write!(f, "answer of {name}"),
            Err(reason) => f.write_str(reason),
        }
    }
}

/// Such as `x/a`.
fn label(cluster: &Cluster, pod: &OraclePod) -> String {
    let labels = cluster.namespace_labels(&pod.namespace);
    format!("{}/{}", labels.get("ns").map_or("?", String::as_str), pod.name)
}
