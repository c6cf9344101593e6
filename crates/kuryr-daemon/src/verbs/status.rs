//! STATUS: whether ADD could be served now.

use kuryr_k8s::Sync;
use kuryr_ovsdb::{Link, Switch};

use crate::{
    failure::{Failure, Reach},
    kind::Kind,
    node::Node,
};

impl Node {
    /// Fails with what keeps pods from being connected.
    pub async fn status(&self) -> Result<(), Failure> {
        let (backend, reach) = match self.own.kind() {
            Some(Kind::OpenVSwitch) => (self.switch_trouble(), Reach::AllPods),
            Some(Kind::Nested) => (self.lower_trouble().await, Reach::NewPods),
            Some(Kind::Sriov) => (self.functions_trouble().await, Reach::NewPods),
            // Then the API server has not told of the Node, which is said below.
            None => (None, Reach::NewPods),
        };
        let reach = if backend.is_some() { reach } else { Reach::NewPods };
        let reasons: Vec<String> = backend.into_iter().chain(self.api_trouble()).collect();
        if reasons.is_empty() { Ok(()) } else { Err(Failure::Unavailable { reasons, reach }) }
    }

    /// What is wrong with Open vSwitch, if anything is.
    pub fn switch_trouble(&self) -> Option<String> {
        self.ovsdb.look(|switch| trouble(switch, &self.plug.bridge))
    }

    /// What keeps the API server from telling what the daemon needs to know, if anything does. A node with an Open vSwitch needs to
    /// know nothing of its Node.
    pub fn api_trouble(&self) -> Option<String> {
        let needs_node = self.own.kind() != Some(Kind::OpenVSwitch);
        self.records_trouble().or_else(|| self.own.trouble().filter(|_| needs_node))
    }

    /// What keeps records from arriving, if anything does.
    pub fn records_trouble(&self) -> Option<String> {
        let states = [("KuryrPorts", self.records.ports.sync()), ("Pods", self.records.pods.sync())];
        states.iter().find_map(|(kind, sync)| match &*sync.borrow() {
            Sync::Following => None,
            Sync::Starting => Some(format!("the list of {kind} is not complete yet")),
            Sync::Behind(reason) | Sync::Failing(reason) => {
                Some(format!("the API server does not tell of {kind}: {reason}"))
            }
        })
    }
}

fn trouble(switch: &Switch, bridge: &str) -> Option<String> {
    match switch.link() {
        Link::Connecting => Some("not connected to OVSDB yet".to_owned()),
        Link::Down(reason) => Some(format!("OVSDB is out of reach: {reason}")),
        Link::Up if switch.bridge(bridge).is_none() => Some(format!("there is no bridge {bridge}")),
        Link::Up => None,
    }
}
