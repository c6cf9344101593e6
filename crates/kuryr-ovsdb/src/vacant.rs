//! Ports that are there before the link that they are for, and after it.
//!
//! ```text
//!            add_vacant            occupy                     del_port
//!   (nothing) ────────► vacant ◄──────────────► occupied ────────────► (nothing)
//!                  type: patch     vacate      type: "", the link
//!                  to nobody                   of the port's name
//! ```
//!
//! A vacant port is a patch port whose peer is nobody: ovs-vswitchd gives it a number, ovn-controller claims it and puts its flows in
//! place, and Neutron calls it ACTIVE. When a link of its name is there, a change of the type puts the link behind the same number: no
//! flow changes, and OVN does not notice. The other way round the same.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    client::{Ovsdb, OvsdbError, Refusal},
    ports::NewPort,
    switch::{Interface, RowId},
    value::{map_of, uuid_of},
};

/// The type of port that needs no link.
const PATCH: &str = "patch";
/// The peer of all vacant ports. There is no such port.
const NOBODY: &str = "kuryr-nobody";

impl Interface {
    /// Whether it waits for its link.
    pub fn is_vacant(&self) -> bool {
        self.kind == PATCH
    }
}

impl Ovsdb {
    /// Adds a port that has no link yet. One of that name that is there already is refused.
    pub async fn add_vacant(&self, port: &NewPort<'_>) -> Result<(), OvsdbError> {
        let interface = json!({"name": port.name, "type": PATCH, "options": no_peer(),
                               "external_ids": map_of(&port.external_ids)});
        self.insert(port, &interface).await
    }

    /// Puts the link of its name behind a vacant port, and writes these `external_ids` beside it. [`Self::carried_out`] says when
    /// ovs-vswitchd has opened it.
    pub async fn occupy(&self, name: &str, ids: &BTreeMap<String, String>) -> Result<(), OvsdbError> {
        let keys: Vec<&str> = ids.keys().map(String::as_str).collect();
        self.retype(name, "", &json!(["map", []]), &keys, ids).await
    }

    /// Takes the link of a port away, which may be gone already, and the `external_ids` of the keys `without`; writes those `with`.
    pub async fn vacate(
        &self,
        name: &str,
        without: &[&str],
        with: &BTreeMap<String, String>,
    ) -> Result<(), OvsdbError> {
        self.retype(name, PATCH, &no_peer(), without, with).await
    }

    /// Writes `external_ids` beside the ports of these names that are there.
    pub async fn write_beside(
        &self,
        names: &[&str],
        ids: &BTreeMap<String, String>,
    ) -> Result<(), OvsdbError> {
        let write = |name: &&str| {
            json!({"op": "mutate", "table": "Interface", "where": [["name", "==", name]],
                   "mutations": [["external_ids", "insert", map_of(ids)]]})
        };
        self.transact(names.iter().map(write).collect()).await.map(drop)
    }

    async fn retype(
        &self,
        name: &str,
        kind: &str,
        options: &Value,
        without: &[&str],
        with: &BTreeMap<String, String>,
    ) -> Result<(), OvsdbError> {
        let row = self.look(|switch| switch.interface_row(name).cloned());
        let row = row.ok_or_else(|| missing(name))?;
        let this = |row: &RowId| json!([["_uuid", "==", uuid_of(row)]]);
        let operations = vec![
            json!({"op": "comment", "comment": format!("kuryr-daemon: type of {name}: {kind:?}")}),
            json!({"op": "update", "table": "Interface", "where": this(&row),
                   "row": {"type": kind, "options": options}}),
            json!({"op": "mutate", "table": "Interface", "where": this(&row),
                   "mutations": [["external_ids", "delete", ["set", without]], ["external_ids", "insert", map_of(with)]]}),
        ];
        let results = self.change_port(name, operations).await?;
        match results.get(1).and_then(|result| result["count"].as_u64()) {
            Some(1) => Ok(()),
            _ => Err(missing(name)),
        }
    }
}

fn no_peer() -> Value {
    json!(["map", [["peer", NOBODY]]])
}

fn missing(name: &str) -> OvsdbError {
    OvsdbError::Refused(Refusal { error: "no such row".to_owned(), details: format!("Interface {name}") })
}
