//! Tells the controller which ports of pods that go are plugged no more: only then may the next pod have them. And how many ports are
//! wired that no pod has.
//!
//! ```text
//!   KuryrPort that is being deleted ─┐
//!   no port of its in Open vSwitch ──┼─► KuryrNode, status.unplugged ──► controller: the port is free, the KuryrPort goes
//!   no call for its pod under way ───┘                                                    │
//!                                          entry taken out ◄──────────────────────────────┘
//! ```
//!
//! On a VM a port is plugged as long as a link for it is in some namespace. Where the controller keeps no ports ready there is no KuryrNode,
//! and nothing is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kube::{Api, runtime::watcher};
use kuryr_api::vif::Vif;
use kuryr_k8s::{
    Cache, Client, Key, node_records,
    records::Written,
    slim::{NodeRecord, PortRecord},
};
use kuryr_net::{Link, Stack};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    failure::{Chain, Failure},
    keep::{self, Keeper},
    kind::Kind,
    mark::Mark,
    node::Node,
    tag::Tag,
};

/// The KuryrNode is written at most so often.
const PAUSE: Duration = Duration::from_secs(1);
/// How many ports are wired changes with each pod, and no pod waits for it: alone it is told more seldom.
const COUNT_EVERY: Duration = Duration::from_secs(5);
/// An API server that refuses, or is not there, is asked more seldom.
const AFTER_FAILURE: Duration = Duration::from_secs(10);
/// How soon a port is looked at again that is still plugged.
const AGAIN: Duration = Duration::from_millis(100);
/// On a VM a look costs a socket in each namespace. Between calls a link can only go with its namespace.
const BETWEEN_CALLS: Duration = Duration::from_secs(5);
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What the daemon says of its node.
pub struct Report {
    client: Client,
    key: Key,
    said: Cache<NodeRecord>,
}

/// The KuryrPorts that are being deleted.
struct Going {
    records: Vec<Arc<PortRecord>>,
    /// Those for whose pods a call is under way.
    busy: BTreeSet<Key>,
}

/// What is plugged on the node.
#[derive(Debug, Default, PartialEq)]
struct Plugged {
    /// Ports.
    ports: BTreeSet<String>,
    /// VLAN ids of links of which it is not known whose they are: the Python Kuryr's.
    vlans: BTreeSet<u16>,
}

/// Whether it is time to tell how many ports are wired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Count {
    /// It is.
    Due,
    /// It is told only with something else.
    Later,
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

    /// Keeps ports wired for which the same KuryrNode asks.
    pub fn keeper(&self) -> Keeper {
        Keeper::new(self.said.clone(), self.key.clone())
    }

    /// Keeps what is said true, for ever.
    pub async fn run(&self, node: &Node) {
        let mut told: Option<Instant> = None;
        loop {
            let pause = told.map_or(Duration::ZERO, |told| COUNT_EVERY.saturating_sub(told.elapsed()));
            let count = if pause.is_zero() { Count::Due } else { Count::Later };
            tokio::select! {
                () = self.said.wait_for(|_| self.concern(node, count)) => {}
                () = node.records.ports.wait_for(|_| self.concern(node, count)) => {}
                () = node.ovsdb.wait_for(|switch| self.concern_of(node, keep::count_warm(switch), count)) => {}
                () = sleep(pause), if count == Count::Later => {}
            }
            // In this order: no call can plug the port of a record any more that is being deleted, unless it has begun before.
            let going = Going::look(node);
            let plugged = if going.records.is_empty() { None } else { Plugged::look(node).await };
            match self.judge(&going, plugged.as_ref(), node.ovsdb.look(keep::count_warm), count) {
                Some(Look::Soon) => may_be_otherwise(node).await,
                Some(Look::Say(status)) => {
                    let pause = self.say(&status).await;
                    told = Some(Instant::now());
                    sleep(pause).await;
                }
                None => {}
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

    /// Whether there may be something to say. None: nor will there be before something changes.
    fn concern(&self, node: &Node, count: Count) -> Option<()> {
        self.concern_of(node, node.ovsdb.look(keep::count_warm), count)
    }

    fn concern_of(&self, node: &Node, warm: u32, count: Count) -> Option<()> {
        let said = self.said.get(&self.key)?;
        difference(&said, &Going::look(node).ports(), warm, count).map(drop)
    }

    fn judge(&self, going: &Going, plugged: Option<&Plugged>, warm: u32, count: Count) -> Option<Look> {
        let said = self.said.get(&self.key)?;
        let is_free = |record: &PortRecord, vif: &Vif| {
            plugged.is_some_and(|plugged| !plugged.has(vif)) && !going.busy.contains(&record.key)
        };
        let unplugged = going.ports_that(is_free);
        let waits = unplugged.len() < going.ports().len();
        difference(&said, &unplugged, warm, count).map(Look::Say).or_else(|| waits.then_some(Look::Soon))
    }
}

impl Going {
    fn look(node: &Node) -> Self {
        let mut records = node.records.ports.all();
        records.retain(|record| record.deleting);
        let keys = records.iter().map(|record| record.key.clone());
        Self { busy: keys.filter(|key| node.turns.are_taken(key)).collect(), records }
    }

    /// All their ports, with the uids of the pods.
    fn ports(&self) -> BTreeMap<String, String> {
        self.ports_that(|_, _| true)
    }

    fn ports_that(&self, wanted: impl Fn(&PortRecord, &Vif) -> bool) -> BTreeMap<String, String> {
        let vifs = self
            .records
            .iter()
            .flat_map(|record| record.content.vifs().map(move |(_, entry)| (record.as_ref(), &entry.vif)));
        vifs.filter(|(record, vif)| wanted(record, vif))
            .map(|(record, vif)| (vif.base().id.clone(), record.pod_uid.to_string()))
            .collect()
    }
}

impl Plugged {
    /// None while nobody can tell.
    async fn look(node: &Node) -> Option<Self> {
        if node.own.kind()? == Kind::OpenVSwitch {
            return Self::in_switch(node);
        }
        match Self::without_switch(node).await {
            Ok(plugged) => Some(plugged),
            Err(failure) => {
                tracing::warn!(error = %Chain(&failure), "could not look for links of pods");
                None
            }
        }
    }

    async fn without_switch(node: &Node) -> Result<Self, Failure> {
        let links = node.stacked("").await?;
        let mut plugged: Self = links.iter().map(|found| &found.link).collect();
        plugged.ports.extend(node.plug.devices.ledger.all()?.into_iter().map(|held| held.taken.whose.port));
        plugged.ports.extend(node.plug.sriov.ledger.all()?.into_iter().map(|held| held.taken.port));
        Ok(plugged)
    }

    fn in_switch(node: &Node) -> Option<Self> {
        node.ovsdb.look(|switch| {
            let ports = switch.interfaces().filter_map(Mark::read).map(|mark| mark.port);
            switch.is_up().then(|| Self { ports: ports.collect(), vlans: BTreeSet::new() })
        })
    }

    fn has(&self, vif: &Vif) -> bool {
        let has_id = matches!(vif, Vif::VlanNested(vif) if self.vlans.contains(&vif.vlan_id));
        has_id || self.ports.contains(&vif.base().id)
    }
}

impl<'a> FromIterator<&'a Link> for Plugged {
    fn from_iter<I: IntoIterator<Item = &'a Link>>(links: I) -> Self {
        let mut plugged = Self::default();
        for link in links {
            if let Some(tag) = Tag::read(link) {
                plugged.ports.insert(tag.port);
            } else if let Some(Stack::Vlan(id)) = link.stack() {
                plugged.vlans.insert(id);
            }
        }
        plugged
    }
}

/// Waits until a port that was plugged may be so no more.
async fn may_be_otherwise(node: &Node) {
    sleep(AGAIN).await;
    if node.own.kind() == Some(Kind::Nested) {
        // Either is a reason to look.
        let _ = timeout(BETWEEN_CALLS, node.turns.call_ended()).await;
    }
}

/// What has to be patched so that the KuryrNode says this.
fn difference(
    said: &NodeRecord,
    unplugged: &BTreeMap<String, String>,
    warm: u32,
    count: Count,
) -> Option<Value> {
    let old = &said.status.unplugged;
    let news = unplugged.iter().filter(|(port, uid)| old.get(*port) != Some(*uid));
    let mut entries: Map<_, _> = news.map(|(port, uid)| (port.clone(), json!(uid))).collect();
    let gone = old.keys().filter(|port| !unplugged.contains_key(*port));
    entries.extend(gone.map(|port| (port.clone(), Value::Null)));
    let knows_daemon = said.status.daemon.as_deref() == Some(VERSION);
    let mut status = Map::new();
    if !knows_daemon {
        status.insert("daemon".to_owned(), json!(VERSION));
    }
    if !knows_daemon || !entries.is_empty() {
        status.insert("unplugged".to_owned(), Value::Object(entries));
    }
    // Whoever takes ports away waits for the last one.
    let is_told = count == Count::Due || warm == 0 || !status.is_empty();
    if is_told && said.status.warm != warm {
        status.insert("warm".to_owned(), json!(warm));
    }
    (!status.is_empty()).then_some(Value::Object(status))
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
            status: KuryrNodeStatus { daemon: Some(daemon.to_owned()), unplugged: pairs.collect(), warm: 1 },
        }
    }

    fn now(unplugged: &[(&str, &str)]) -> BTreeMap<String, String> {
        unplugged.iter().map(|(port, uid)| ((*port).to_owned(), (*uid).to_owned())).collect()
    }

    #[test]
    fn only_what_changed_is_said() {
        let old = said(VERSION, &[("kept", "a"), ("gone", "b"), ("again", "c")]);
        let same = now(&[("kept", "a"), ("gone", "b"), ("again", "c")]);
        let other = now(&[("kept", "a"), ("again", "d"), ("new", "e")]);
        assert_eq!(difference(&old, &same, 1, Count::Due), None);
        let expected = json!({ "unplugged": { "gone": null, "again": "d", "new": "e" } });
        assert_eq!(difference(&old, &other, 1, Count::Due), Some(expected));
        assert_eq!(difference(&old, &same, 2, Count::Due), Some(json!({ "warm": 2 })));
    }

    #[test]
    fn how_many_are_wired_is_told_with_other_news_or_when_it_is_due_and_that_none_is_at_once() {
        let old = said(VERSION, &[("gone", "b")]);
        assert_eq!(difference(&old, &now(&[("gone", "b")]), 2, Count::Later), None);
        let expected = json!({ "unplugged": { "gone": null }, "warm": 2 });
        assert_eq!(difference(&old, &now(&[]), 2, Count::Later), Some(expected));
        assert_eq!(difference(&old, &now(&[("gone", "b")]), 0, Count::Later), Some(json!({ "warm": 0 })));
    }

    #[test]
    fn a_new_daemon_says_that_it_is_there() {
        let expected = json!({ "daemon": VERSION, "unplugged": {} });
        assert_eq!(difference(&said("older", &[]), &now(&[]), 1, Count::Later), Some(expected));
    }

    #[test]
    fn a_link_of_which_nobody_knows_whose_it_is_counts_by_its_vlan_id() {
        let cases = include_str!("../../kuryr-api/testdata/vif_ovo_and_cni_results.json");
        let cases: Vec<Value> = serde_json::from_str(cases).unwrap();
        let vif = |name| {
            let case = cases.iter().find(|case| case["name"] == name).unwrap();
            serde_json::from_value::<Vif>(case["vif"].clone()).unwrap()
        };
        let (Vif::VlanNested(nested), other) = (vif("VIFVlanNested"), vif("VIFOpenVSwitch")) else {
            panic!()
        };
        let by_port = Plugged { ports: [nested.base.id.clone()].into(), vlans: BTreeSet::new() };
        let by_vlan = Plugged { ports: BTreeSet::new(), vlans: [nested.vlan_id].into() };
        let elsewhere = Plugged { ports: ["x".to_owned()].into(), vlans: [nested.vlan_id + 1].into() };
        let nested = Vif::VlanNested(nested);
        assert!(by_port.has(&nested) && by_vlan.has(&nested) && !elsewhere.has(&nested));
        assert!(!by_vlan.has(&other) && !Plugged::default().has(&other));
    }
}
