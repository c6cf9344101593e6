//! Looks into a node: its links, its switch, its namespaces.

use crate::command;
use crate::facts::{Facts, NodeFacts};
use crate::pod::RunningPod;
use crate::stage::Stage;
use anyhow::{Context, Result};
use kuryr_api::TrunkId;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

/// A node of the lab.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its name, in Kubernetes and as Neutron's host.
    pub name: String,
    lab: PathBuf,
    /// A virtual machine has its own, that nobody else sees.
    file_system: Option<PathBuf>,
}

/// A node that is a virtual machine.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The node.
    pub node: Node,
    /// The trunk of its port.
    pub trunk: TrunkId,
}

/// A port of the node's switch, with what the daemon wrote beside it.
#[derive(Debug, Clone)]
pub struct OvsPort {
    /// Name, which is also the link's.
    pub name: String,
    ids: BTreeMap<String, String>,
}

impl Node {
    pub(crate) fn of(facts: &Facts, name: &str) -> Result<Self> {
        let of_machine = |node: &NodeFacts| (node.name == name).then(|| Some(node.file_system.clone()));
        let vms = facts.nested.iter().flat_map(|nested| &nested.vms);
        let mut all =
            facts.nodes.iter().filter_map(of_machine).chain(vms.filter(|vm| vm.name == name).map(|_| None));
        let file_system = all.next().with_context(|| format!("lab.json has no {name}"))?;
        Ok(Self { name: name.to_owned(), lab: facts.command(), file_system })
    }

    /// Runs a command inside the node and returns what it printed.
    pub async fn run<W: Into<OsString>>(&self, words: impl IntoIterator<Item = W>) -> Result<String> {
        command::run(self.words(words)).await
    }

    /// The command that runs another one inside the node.
    fn words<W: Into<OsString>>(&self, words: impl IntoIterator<Item = W>) -> Vec<OsString> {
        let enter = [self.lab.clone().into(), "exec".into(), self.name.clone().into()];
        enter.into_iter().chain(words.into_iter().map(Into::into)).collect()
    }

    /// Gets a page from where the kubelet stands.
    pub async fn get(&self, url: &str) -> Result<String> {
        self.get_within("4", url).await
    }

    /// Gets a page that may take so many seconds.
    pub(crate) async fn get_within(&self, seconds: &str, url: &str) -> Result<String> {
        self.run(["curl", "-sSf", "--globoff", "--max-time", seconds, url]).await
    }

    /// Runs a command in the network of a pod of this node.
    pub async fn in_pod(&self, pod: &RunningPod, words: &[&str]) -> Result<String> {
        command::run(self.words_in_pod(pod, words).await?).await
    }

    /// The command that runs another one in the network of a pod of this node.
    pub(crate) async fn words_in_pod<W: Into<OsString> + Clone>(
        &self,
        pod: &RunningPod,
        words: &[W],
    ) -> Result<Vec<OsString>> {
        let enter: [OsString; 2] = ["nsenter".into(), format!("--net={}", self.netns(pod).await?).into()];
        Ok(self.words(enter.into_iter().chain(words.iter().cloned().map(Into::into))))
    }

    /// Where a pod of this node has its network namespace.
    pub async fn netns(&self, pod: &RunningPod) -> Result<String> {
        let name = pod.path();
        let ports = self.ovs_ports().await?;
        let port = ports.iter().find(|port| port.id("kuryr-pod") == Some(&name));
        let netns = port.and_then(|port| port.id("kuryr-netns"));
        netns.map(ToOwned::to_owned).with_context(|| format!("{} has no OVS port of {name}", self.name))
    }

    /// The pods' ports on the node's switch.
    pub async fn ovs_ports(&self) -> Result<Vec<OvsPort>> {
        let words = ["ovs-vsctl", "--format=json", "--columns=name,external_ids", "list", "interface"];
        let table: Value = serde_json::from_str(&self.run(words).await?)?;
        let rows = table["data"].as_array().into_iter().flatten();
        let ports = rows
            .map(|row| OvsPort { name: row[0].as_str().unwrap_or_default().to_owned(), ids: pairs(&row[1]) });
        Ok(ports
            .filter(|port| ["tap", "qbr", "qvo"].iter().any(|kind| port.name.starts_with(kind)))
            .collect())
    }

    /// Everything that a pod's plugging leaves on a node: links and named network namespaces.
    pub(crate) async fn traces(&self) -> Result<Vec<String>> {
        let script = "ls /sys/class/net | grep -E '^(tap|qbr|qvb|qvo)' | sed 's/^/link /'; \
                      ls /run/netns 2>/dev/null | sed 's/^/network namespace /'; true";
        Ok(self.run(["sh", "-c", script]).await?.lines().map(ToOwned::to_owned).collect())
    }

    /// How many links there are for pods.
    pub async fn pod_links(&self) -> Result<usize> {
        Ok(self.traces().await?.iter().filter(|trace| trace.starts_with("link ")).count())
    }

    /// The path, outside of the node, of a file inside it.
    pub fn file(&self, path: &str) -> PathBuf {
        self.file_system.clone().unwrap_or_default().join(path.trim_start_matches('/'))
    }
}

impl Machine {
    /// The VLAN links of its pods: id and, where it has one, the namespace that it is in.
    pub async fn vlans(&self) -> Result<Vec<String>> {
        let script = "for net in $(ls /run/netns 2>/dev/null); do \
                      ip -n $net -d link show type vlan | grep -o 'vlan protocol 802.1Q id [0-9]*' | sed 's/.* id //'; done";
        let mut ids: Vec<_> =
            self.node.run(["sh", "-c", script]).await?.lines().map(ToOwned::to_owned).collect();
        ids.sort();
        Ok(ids)
    }
}

impl OvsPort {
    /// What was written beside it under `key`.
    pub fn id(&self, key: &str) -> Option<&str> {
        self.ids.get(key).map(String::as_str)
    }
}

impl Stage {
    /// A node by its name. A virtual machine may be younger than what was read of the lab.
    pub fn node(&self, name: &str) -> Result<Node> {
        Node::of(&self.facts, name).or_else(|_| Node::of(&Facts::read()?, name))
    }

    /// Boots a node that is a virtual machine, with a daemon of Kuryr's. It goes when the story ends.
    pub async fn machine(&self) -> Result<Machine> {
        self.lab_at_end(["nested", "down", "--purge"].map(Into::into).into());
        self.lab(["nested", "up"]).await?;
        let programs = self.facts.lab.join("kuryr/bin");
        self.lab(["kuryr".as_ref(), "up".as_ref(), "--bin".as_ref(), programs.as_os_str()]).await?;
        let facts = Facts::read()?;
        let mut vms = facts.nested.iter().flat_map(|nested| &nested.vms);
        let vm = vms.next().context("lab.json has no virtual machine")?;
        Ok(Machine { node: Node::of(&facts, &vm.name)?, trunk: vm.trunk.clone() })
    }

    /// All nodes but virtual machines.
    pub fn nodes(&self) -> Result<Vec<Node>> {
        self.facts.nodes.iter().map(|node| self.node(&node.name)).collect()
    }
}

/// OVSDB's way of writing a map: `["map", [[key, value], …]]`.
fn pairs(map: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    map[1].as_array().into_iter().flatten().map(|pair| (text(&pair[0]), text(&pair[1]))).collect()
}
