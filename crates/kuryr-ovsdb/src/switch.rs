//! The part of the node's OVSDB that this project looks at, kept in step by a monitor.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use serde_json::Value;

use crate::value::{elements, optional, row_ids, string_map, text};

/// The key that ovn-controller sets on an interface once the flows of its port are in place.
const OVN_INSTALLED: &str = "ovn-installed";

/// A row's UUID.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowId(String);

/// Whether the database is in reach. While it is not, the rest of a [`Switch`] is what it said last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// Never connected so far.
    Connecting,
    /// Connected, and the rows are as the server has them.
    Up,
    /// The connection was lost or refused, with the reason.
    Down(String),
}

/// A row of `Interface`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interface {
    /// The network device's name.
    pub name: String,
    /// What kind of device ovs-vswitchd makes for it; empty: none, it takes the link of that name.
    pub kind: String,
    /// What its owner and ovn-controller wrote about it.
    pub external_ids: BTreeMap<String, String>,
    /// The `OpenFlow` port, once ovs-vswitchd has opened the device; negative when it could not.
    pub ofport: Option<i64>,
    /// Why ovs-vswitchd could not open the device.
    pub error: Option<String>,
}

/// A row of `Port`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Port {
    /// The port's name; with one interface the same as the interface's.
    pub name: String,
    /// Its interfaces: one, if it is no bond.
    pub interfaces: Vec<RowId>,
}

/// A row of `Bridge`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bridge {
    /// The bridge's name.
    pub name: String,
    /// Its ports.
    pub ports: Vec<RowId>,
}

/// The one row of `Open_vSwitch`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Root {
    /// The node's settings; OVN's are among them.
    pub external_ids: BTreeMap<String, String>,
    /// Counts the changes that somebody asked ovs-vswitchd to confirm.
    pub next_cfg: i64,
    /// The last of them that ovs-vswitchd has carried out.
    pub cur_cfg: i64,
}

/// What OVSDB says about the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switch {
    link: Link,
    root: Option<Root>,
    bridges: HashMap<RowId, Bridge>,
    ports: HashMap<RowId, Port>,
    interfaces: HashMap<RowId, Interface>,
}

/// One kind of row: how it is read from a monitor's columns.
trait Row: Sized {
    fn read(columns: &Value) -> Self;
}

impl Switch {
    pub(crate) fn new() -> Self {
        Self {
            link: Link::Connecting,
            root: None,
            bridges: HashMap::new(),
            ports: HashMap::new(),
            interfaces: HashMap::new(),
        }
    }

    /// Whether what this value says is current.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Whether what this value says is current, as a plain answer.
    pub fn is_up(&self) -> bool {
        self.link == Link::Up
    }

    /// The node's settings, once they were read.
    pub fn root(&self) -> Option<&Root> {
        self.root.as_ref()
    }

    /// Whether the node is an OVN chassis, so that `ovn-installed` will appear on wired interfaces.
    pub fn runs_ovn(&self) -> bool {
        self.root.as_ref().is_some_and(|root| root.external_ids.contains_key("ovn-remote"))
    }

    /// The last change that somebody asked ovs-vswitchd to confirm.
    pub fn asked(&self) -> i64 {
        self.root.as_ref().map_or(0, |root| root.next_cfg)
    }

    /// The last of them that it has carried out.
    pub fn carried_out(&self) -> i64 {
        self.root.as_ref().map_or(-1, |root| root.cur_cfg)
    }

    /// The bridge of that name.
    pub fn bridge(&self, name: &str) -> Option<&Bridge> {
        self.bridges.values().find(|bridge| bridge.name == name)
    }

    /// The port of that name, with its row.
    pub fn port(&self, name: &str) -> Option<(&RowId, &Port)> {
        self.ports.iter().find(|(_, port)| port.name == name)
    }

    /// The bridge that a port is on, with its row.
    pub fn bridge_of(&self, port: &RowId) -> Option<(&RowId, &Bridge)> {
        self.bridges.iter().find(|(_, bridge)| bridge.ports.contains(port))
    }

    /// The interface of that name.
    pub fn interface(&self, name: &str) -> Option<&Interface> {
        self.interfaces.values().find(|interface| interface.name == name)
    }

    /// The row of the interface of that name.
    pub(crate) fn interface_row(&self, name: &str) -> Option<&RowId> {
        let mut rows = self.interfaces.iter();
        rows.find(|(_, interface)| interface.name == name).map(|(row, _)| row)
    }

    /// All interfaces, in no order.
    pub fn interfaces(&self) -> impl Iterator<Item = &Interface> {
        self.interfaces.values()
    }

    pub(crate) fn set_link(&mut self, link: Link) {
        self.link = link;
    }

    /// Takes the reply of a monitor request: everything that was known before is forgotten.
    pub(crate) fn reset(&mut self, content: &Value) {
        *self = Self { link: Link::Up, ..Self::new() };
        self.update(content);
    }

    /// Takes changed rows.
    pub(crate) fn update(&mut self, changes: &Value) {
        apply(&mut self.bridges, &changes["Bridge"]);
        apply(&mut self.ports, &changes["Port"]);
        apply(&mut self.interfaces, &changes["Interface"]);
        let mut roots = changes["Open_vSwitch"].as_object().into_iter().flat_map(|rows| rows.values());
        if let Some(columns) = roots.find_map(|change| change.get("new")) {
            self.root = Some(Root::read(columns));
        }
    }
}

impl Interface {
    /// An entry of `external_ids`.
    pub fn id(&self, key: &str) -> Option<&str> {
        self.external_ids.get(key).map(String::as_str)
    }

    /// Whether ovn-controller says that the port's flows are in place.
    pub fn is_installed(&self) -> bool {
        self.id(OVN_INSTALLED) == Some("true")
    }
}

impl RowId {
    /// The UUID as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for RowId {
    fn from(uuid: String) -> Self {
        Self(uuid)
    }
}

impl fmt::Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Row for Interface {
    fn read(columns: &Value) -> Self {
        Self {
            name: name(columns),
            kind: text(&columns["type"]).unwrap_or_default(),
            external_ids: string_map(&columns["external_ids"]),
            ofport: optional(&columns["ofport"]).and_then(Value::as_i64),
            error: optional(&columns["error"]).and_then(text).filter(|error| !error.is_empty()),
        }
    }
}

impl Row for Port {
    fn read(columns: &Value) -> Self {
        Self { name: name(columns), interfaces: row_ids(&columns["interfaces"]) }
    }
}

impl Row for Bridge {
    fn read(columns: &Value) -> Self {
        Self { name: name(columns), ports: row_ids(&columns["ports"]) }
    }
}

impl Row for Root {
    fn read(columns: &Value) -> Self {
        let number =
            |column: &Value| elements(column).first().and_then(|value| value.as_i64()).unwrap_or_default();
        Self {
            external_ids: string_map(&columns["external_ids"]),
            next_cfg: number(&columns["next_cfg"]),
            cur_cfg: number(&columns["cur_cfg"]),
        }
    }
}

fn name(columns: &Value) -> String {
    text(&columns["name"]).unwrap_or_default()
}

/// A monitor's update of a row has all monitored columns in `new`, and no `new` when the row is gone.
fn apply<R: Row>(rows: &mut HashMap<RowId, R>, changes: &Value) {
    for (id, change) in changes.as_object().into_iter().flatten() {
        let id = RowId::from(id.clone());
        match change.get("new") {
            Some(columns) => rows.insert(id, R::read(columns)),
            None => rows.remove(&id),
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn content() -> Value {
        json!({
            "Open_vSwitch": {"r": {"new": {"external_ids": ["map", [["ovn-remote", "tcp:1:2"]]], "next_cfg": 3, "cur_cfg": 2}}},
            "Bridge": {"b": {"new": {"name": "br-int", "ports": ["uuid", "p"]}}},
            "Port": {"p": {"new": {"name": "tap1", "interfaces": ["uuid", "i"]}}},
            "Interface": {"i": {"new": {"name": "tap1", "external_ids": ["map", []], "ofport": ["set", []], "error": ["set", []]}}},
        })
    }

    #[test]
    fn answers_from_a_monitors_reply() {
        let mut switch = Switch::new();
        switch.reset(&content());
        assert!(switch.is_up() && switch.runs_ovn() && switch.carried_out() < switch.asked());
        let (port, _) = switch.port("tap1").unwrap();
        assert_eq!(switch.bridge_of(port).unwrap().1.name, "br-int");
        assert_eq!(switch.interface("tap1").unwrap().ofport, None);
    }

    #[test]
    fn follows_changes_and_removals() {
        let mut switch = Switch::new();
        switch.reset(&content());
        switch.update(&json!({"Interface": {"i": {"old": {}, "new": {
            "name": "tap1", "external_ids": ["map", [["ovn-installed", "true"]]], "ofport": 7, "error": ["set", []]}}}}));
        assert!(switch.interface("tap1").unwrap().is_installed());
        switch.update(&json!({"Interface": {"i": {"old": {}}}, "Port": {"p": {"old": {}}}}));
        assert!(switch.interface("tap1").is_none() && switch.port("tap1").is_none());
    }

    #[test]
    fn a_new_connection_forgets_the_old_rows() {
        let mut switch = Switch::new();
        switch.reset(&content());
        switch.set_link(Link::Down("gone".into()));
        assert!(switch.port("tap1").is_some(), "what was known last stays readable");
        switch.reset(&json!({}));
        assert!(switch.is_up() && switch.port("tap1").is_none());
    }

    proptest! {
        #[test]
        fn odd_columns_do_not_panic(column in prop::sample::select(vec![
            json!(null), json!(1), json!("x"), json!([]), json!(["set"]), json!(["map", [[]]]), json!(["map", [1]]),
            json!(["uuid", 1]), json!({"a": 1}), json!(["set", [["uuid"]]]), json!(["map", {"a": 1}])])) {
            let row = json!({"r": {"new": {"name": column, "ports": column, "interfaces": column,
                "external_ids": column, "ofport": column, "error": column, "next_cfg": column, "cur_cfg": column}}});
            let mut switch = Switch::new();
            switch.reset(&json!({"Open_vSwitch": row, "Bridge": row, "Port": row, "Interface": row}));
            prop_assert_eq!(switch.interfaces().count(), 1);
        }
    }
}
