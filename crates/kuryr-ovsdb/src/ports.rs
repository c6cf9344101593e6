//! Adding ports to a bridge and taking them away.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    client::{Ovsdb, OvsdbError},
    switch::{RowId, Switch},
    value::{map_of, uuid_of},
};

/// Long enough for a loaded ovs-vswitchd; after it a port is used all the same, since only a rare race makes the wait necessary.
const SETTLE_WITHIN: Duration = Duration::from_secs(5);

/// A port to be added.
#[derive(Debug, Clone)]
pub struct NewPort<'a> {
    /// The bridge, which must exist.
    pub bridge: &'a str,
    /// The network device, which becomes the name of port and interface.
    pub name: &'a str,
    /// What is behind it.
    pub device: Device<'a>,
    /// What OVN and we need to know about it.
    pub external_ids: BTreeMap<String, String>,
}

/// What is behind a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device<'a> {
    /// A link of the host that has the port's name.
    Link,
    /// A vhost-user socket that ovs-vswitchd makes and listens at, under the port's name in its own folder (`dpdkvhostuser`).
    VhostServer {
        /// The MTU.
        mtu: u32,
    },
    /// A vhost-user socket that somebody else listens at (`dpdkvhostuserclient`).
    VhostClient {
        /// The MTU.
        mtu: u32,
        /// The socket.
        socket: &'a str,
    },
}

/// What a removal found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// The port was there.
    Port,
    /// There was no such port.
    Nothing,
}

impl Ovsdb {
    /// Makes a bridge with a datapath in user space, unless there is one of that name; that one stays as it is.
    pub async fn add_userspace_bridge(&self, name: &str) -> Result<(), OvsdbError> {
        if self.look(|switch| switch.bridge(name).is_some()) {
            return Ok(());
        }
        match self.transact(new_bridge(name)).await {
            // Somebody was quicker, and names are unique.
            Err(OvsdbError::Refused(_)) if self.look(|switch| switch.bridge(name).is_some()) => Ok(()),
            made => made.map(drop),
        }
    }

    /// Adds a port, in one transaction. A port of that name that is there already is replaced.
    pub async fn add_port(&self, port: &NewPort<'_>) -> Result<(), OvsdbError> {
        self.del_port(port.name).await?;
        self.settle(port.name).await;
        self.insert(port, &interface(port)).await
    }

    /// Adds a port with this row of `Interface`.
    pub(crate) async fn insert(&self, port: &NewPort<'_>, interface: &Value) -> Result<(), OvsdbError> {
        let results = self.transact(insertion(port, interface)).await?;
        match results.last().and_then(|result| result["count"].as_u64()) {
            Some(1) => Ok(()),
            // Nothing refers to the new rows then, and OVSDB has dropped them at once.
            _ => Err(OvsdbError::NoBridge(port.bridge.to_owned())),
        }
    }

    /// Removes the port of that name from whatever bridge it is on.
    pub async fn del_port(&self, name: &str) -> Result<Removed, OvsdbError> {
        let Some((port, bridge)) = self.look(|switch| placed(switch, name)) else {
            return Ok(Removed::Nothing);
        };
        let operations = vec![
            json!({"op": "mutate", "table": "Bridge", "where": [["_uuid", "==", uuid_of(&bridge)]],
                   "mutations": [["ports", "delete", uuid_of(&port)]]}),
            json!({"op": "comment", "comment": format!("kuryr-daemon: del-port {name}")}),
        ];
        self.change_port(name, operations).await?;
        Ok(Removed::Port)
    }

    /// Waits, within limits, until ovs-vswitchd has carried out the last change of a port.
    ///
    /// A device that is removed and made anew under the same name before ovs-vswitchd has looked is taken for the old one: it would
    /// go on reading from a socket of a device that is no more.
    pub async fn settle(&self, name: &str) {
        if timeout(SETTLE_WITHIN, self.carried_out(name)).await.is_err() {
            tracing::warn!(port = name, "ovs-vswitchd is behind with its configuration");
        }
    }
}

fn placed(switch: &Switch, name: &str) -> Option<(RowId, RowId)> {
    let (port, _) = switch.port(name)?;
    let (bridge, _) = switch.bridge_of(port)?;
    Some((port.clone(), bridge.clone()))
}

fn new_bridge(name: &str) -> Vec<Value> {
    vec![
        json!({"op": "comment", "comment": format!("kuryr-daemon: add-br {name}")}),
        json!({"op": "insert", "table": "Interface", "uuid-name": "interface", "row": {"name": name, "type": "internal"}}),
        json!({"op": "insert", "table": "Port", "uuid-name": "port",
               "row": {"name": name, "interfaces": ["named-uuid", "interface"]}}),
        json!({"op": "insert", "table": "Bridge", "uuid-name": "bridge",
               "row": {"name": name, "datapath_type": "netdev", "ports": ["named-uuid", "port"]}}),
        json!({"op": "mutate", "table": "Open_vSwitch", "where": [],
               "mutations": [["bridges", "insert", ["named-uuid", "bridge"]]]}),
    ]
}

fn interface(port: &NewPort<'_>) -> Value {
    let mut row = json!({"name": port.name, "external_ids": map_of(&port.external_ids)});
    match port.device {
        Device::Link => {}
        Device::VhostServer { mtu } => {
            row["type"] = json!("dpdkvhostuser");
            row["mtu_request"] = json!(mtu);
        }
        Device::VhostClient { mtu, socket } => {
            row["type"] = json!("dpdkvhostuserclient");
            row["mtu_request"] = json!(mtu);
            row["options"] = json!(["map", [["vhost-server-path", socket]]]);
        }
    }
    row
}

fn insertion(port: &NewPort<'_>, interface: &Value) -> Vec<Value> {
    vec![
        json!({"op": "comment", "comment": format!("kuryr-daemon: add-port {} {}", port.bridge, port.name)}),
        json!({"op": "insert", "table": "Interface", "uuid-name": "interface", "row": interface}),
        json!({"op": "insert", "table": "Port", "uuid-name": "port",
               "row": {"name": port.name, "interfaces": ["named-uuid", "interface"]}}),
        json!({"op": "mutate", "table": "Bridge", "where": [["name", "==", port.bridge]],
               "mutations": [["ports", "insert", ["named-uuid", "port"]]]}),
    ]
}
