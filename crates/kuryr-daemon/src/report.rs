//! Tells the controller which ports of pods that go are plugged no more: only then may the next pod have them.
//!
//! ```text
//!   KuryrPort that is being deleted ─┐
//!   no port of its in Open vSwitch ──┼─► KuryrNode, status.unplugged ──► controller: the port is free, the KuryrPort goes
//!   no call for its pod under way ───┘                                                    │
//!                                          entry taken out ◄──────────────────────────────┘
//! ```
//!
//! Where the controller keeps no ports ready there is no KuryrNode, and nothing is told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kube::{Api, runtime::watcher};
use kuryr_k8s::{
    Cache, Client, Key, node_records,
    records::Written,
    slim::{NodeRecord, PortRecord},
};
use serde_json::{Map, Value, json};
use tokio::time::sleep;

use crate::{failure::Chain, mark::Mark, node::Node};

/// The KuryrNode is written at most so often.
const PAUSE: Duration = Duration::from_secs(1);
/// An API server that refuses, or is not there, is asked more seldom.
const AFTER_FAILURE: Duration = Duration::from_secs(10);
/// How soon a port is looked at again that is still plugged: nobody tells when a call ends.
const AGAIN: Duration = Duration::from_millis(100);
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What the daemon says of its node.
pub struct Report {
    client: Client,
    key: Key,
    said: Cache<NodeRecord>,
}

/// What a look at the node comes to.
#[derive(Debug, PartialEq)]
enum Look {
    /// This is to be said, as a merge patch of the status.
    Say(Value),
    /// A port may be unplugged soon.
    Soon,
}

impl Report {
    /// Follows the KuryrNode of a node.
    pub fn of_node(client: &Client, node: &str) -> Self {
        let named = watcher::Config::default().fields(&format!("metadata.name={node}"));
        Self {
            client: client.clone(),
            key: Key::new("", node),
            said: Cache::start(client, Api::all, named, Box::new(|_| {})),
        }
    }

    /// Keeps what is said true, for ever.
    pub async fn run(&self, node: &Node) {
        loop {
            let look = tokio::select! {
                look = self.said.wait_for(|_| self.look(node)) => look,
                look = node.records.ports.wait_for(|_| self.look(node)) => look,
            };
            match look {
                Look::Soon => sleep(AGAIN).await,
                Look::Say(status) => sleep(self.say(&status).await).await,
            }
        }
    }

    /// Returns when to look again.
    async fn say(&self, status: &Value) -> Duration {
        match node_records::change_status(&self.client, &self.key, status).await {
            Ok(Written::Done(record)) => self.said.note(record),
            Ok(Written::Outdated) => {}
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "could not tell what is unplugged");
                return AFTER_FAILURE;
            }
        }
        PAUSE
    }

    /// None: there is nothing to say, nor will be before something changes.
    fn look(&self, node: &Node) -> Option<Look> {
        let said = self.said.get(&self.key)?;
        let records = node.records.ports.all();
        let going: Vec<_> = records.iter().filter(|record| record.deleting).collect();
        let plugged = if going.is_empty() { None } else { plugged(node) };
        let is_free = |record: &PortRecord, port: &str| {
            plugged.as_ref().is_some_and(|plugged| !plugged.contains(port))
                && !node.turns.are_taken(&record.key)
        };
        let (mut unplugged, mut waits) = (BTreeMap::new(), false);
        for record in going {
            for port in record.content.vifs().map(|(_, entry)| entry.vif.base().id.as_str()) {
                if is_free(record, port) {
                    unplugged.insert(port.to_owned(), record.pod_uid.to_string());
                } else {
                    waits = true;
                }
            }
        }
        let difference = difference(&said, &unplugged);
        difference.map(Look::Say).or_else(|| waits.then_some(Look::Soon))
    }
}

/// The ports that are in Open vSwitch; none while its database is not there.
fn plugged(node: &Node) -> Option<BTreeSet<String>> {
    node.ovsdb.look(|switch| {
        let marks = switch.interfaces().filter_map(Mark::read).map(|mark| mark.port);
        switch.is_up().then(|| marks.collect())
    })
}

/// What has to be patched so that the KuryrNode says this.
fn difference(said: &NodeRecord, unplugged: &BTreeMap<String, String>) -> Option<Value> {
    let old = &said.status.unplugged;
    let news = unplugged.iter().filter(|(port, uid)| old.get(*port) != Some(*uid));
    let mut entries: Map<_, _> = news.map(|(port, uid)| (port.clone(), json!(uid))).collect();
    let gone = old.keys().filter(|port| !unplugged.contains_key(*port));
    entries.extend(gone.map(|port| (port.clone(), Value::Null)));
    let knows_daemon = said.status.daemon.as_deref() == Some(VERSION);
    match (entries.is_empty(), knows_daemon) {
        (true, true) => None,
        (false, true) => Some(json!({ "unplugged": entries })),
        (_, false) => Some(json!({ "daemon": VERSION, "unplugged": entries })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kuryr_api::node::{KuryrNodeSpec, KuryrNodeStatus};

    fn said(daemon: &str, unplugged: &[(&str, &str)]) -> NodeRecord {
        let pairs = unplugged.iter().map(|(port, uid)| ((*port).to_owned(), (*uid).to_owned()));
        NodeRecord {
            key: Key::new("", "node1"),
            uid: "u".into(),
            resource_version: "1".into(),
            spec: KuryrNodeSpec::default(),
            status: KuryrNodeStatus { daemon: Some(daemon.to_owned()), unplugged: pairs.collect() },
        }
    }

    fn now(unplugged: &[(&str, &str)]) -> BTreeMap<String, String> {
        unplugged.iter().map(|(port, uid)| ((*port).to_owned(), (*uid).to_owned())).collect()
    }

    #[test]
    fn only_what_changed_is_said() {
        let old = said(VERSION, &[("kept", "a"), ("gone", "b"), ("again", "c")]);
        assert_eq!(difference(&old, &now(&[("kept", "a"), ("gone", "b"), ("again", "c")])), None);
        let expected = json!({ "unplugged": { "gone": null, "again": "d", "new": "e" } });
        assert_eq!(difference(&old, &now(&[("kept", "a"), ("again", "d"), ("new", "e")])), Some(expected));
    }

    #[test]
    fn a_new_daemon_says_that_it_is_there() {
        let expected = json!({ "daemon": VERSION, "unplugged": {} });
        assert_eq!(difference(&said("older", &[]), &now(&[])), Some(expected));
    }
}
