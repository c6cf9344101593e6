//! Takes up what an earlier life of the daemon, or of the node, left behind.
//!
//! A port whose link is gone is of no use to anybody: the link lives exactly as long as the sandbox's namespace. Such ports stay in
//! OVSDB after a restart of the node, and when a sandbox ended while the daemon was not there.
//!
//! On a VM it is the other way round: there a link may stay whose port is gone, and keep its VLAN id from the next pod. A program in user
//! space has no link: what is its goes when its pod and its record are gone.

use std::{sync::Arc, time::Duration};

use kuryr_cni::{Command, ContainerId};
use kuryr_k8s::{
    Key,
    slim::{Pod, PortRecord},
};
use kuryr_net::Netlink;
use tokio::time::sleep;

use crate::{
    failure::{Chain, Failure},
    kind::Kind,
    ledger::Held,
    mark::Mark,
    node::Node,
    sriov::taken::Taken,
    tag::Tag,
};

/// Looking costs a list of links. DEL does the work in time; this is for what went past it.
const PAUSE: Duration = Duration::from_mins(5);
/// Pods go in crowds, most of them with their sandboxes.
const SOON: Duration = Duration::from_secs(2);

/// Sweeps now and then, for ever.
pub async fn run(node: &Node) {
    loop {
        if node.own.known().await == Kind::OpenVSwitch {
            node.ovsdb.wait_for(|switch| switch.is_up().then_some(())).await;
        }
        node.records.ports.complete().await;
        node.records.pods.complete().await;
        match node.sweep().await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "removed what was left behind"),
            Err(failure) => {
                tracing::warn!(error = %Chain(&failure), "could not look for what was left behind");
            }
        }
        node.rest().await;
    }
}

impl Node {
    /// Until the next sweep. The VLAN id of a pod that went without its sandbox, by force, is soon another one's: its link has to go.
    async fn rest(&self) {
        let pause = sleep(PAUSE);
        if self.own.kind() != Some(Kind::Nested) {
            return pause.await;
        }
        let before: Vec<_> = self.records.ports.all().iter().map(|record| record.key.clone()).collect();
        let ports = &self.records.ports;
        let one_went =
            ports.wait_for(|ports| before.iter().any(|key| ports.get(key).is_none()).then_some(()));
        tokio::select! {
            () = pause => {}
            () = one_went => sleep(SOON).await,
        }
    }

    /// Removes what nobody needs. Tells how much there was.
    pub async fn sweep(&self) -> Result<usize, Failure> {
        let functions = self.sweep_functions().await?;
        let devices = self.sweep_devices().await?;
        let others = match self.own.kind() {
            Some(Kind::Nested) => self.sweep_links().await?,
            Some(Kind::Sriov) => 0,
            _ => self.sweep_ports().await?,
        };
        Ok(functions + devices + others)
    }

    /// Gives virtual functions back whose port is of no KuryrPort of this node, and whose pod is not there either.
    async fn sweep_functions(&self) -> Result<usize, Failure> {
        let is_left = |held: &Held<Taken>| {
            let (records, pods) = (self.records.ports.all(), self.records.pods.all());
            is_dead(&held.taken.port, Some(&held.taken.pod_uid), &records, &pods)
        };
        self.free_in_turn(is_left).await
    }

    /// Gives back devices whose port is of no KuryrPort of this node, and whose pod is not there either.
    async fn sweep_devices(&self) -> Result<usize, Failure> {
        let mut held = self.plug.devices.ledger.all()?;
        // Looked at after the devices: one is taken when its record is there.
        let (records, pods) = (self.records.ports.all(), self.records.pods.all());
        held.retain(|held| is_dead(&held.taken.whose.port, Some(&held.taken.whose.pod_uid), &records, &pods));
        let count = held.len();
        self.release_devices(held).await.map(|()| count)
    }

    /// Removes links whose port is of no KuryrPort of this node, and whose pod is not there either.
    async fn sweep_links(&self) -> Result<usize, Failure> {
        let mut links = self.stacked("").await?;
        // Looked at after the links: a link is made when its record is there, so that a new one's is.
        let (records, pods) = (self.records.ports.all(), self.records.pods.all());
        links.retain(|found| {
            let tag = Tag::read(&found.link);
            tag.is_some_and(|tag| is_dead(&tag.port, Some(&tag.pod_uid), &records, &pods))
        });
        for found in &links {
            tracing::info!(
                link = found.link.name,
                namespace = found.namespace.name(),
                whose = found.link.alias,
                "left behind"
            );
        }
        self.unstack(&links).await?;
        Ok(links.len())
    }

    /// Removes ports whose link is gone.
    async fn sweep_ports(&self) -> Result<usize, Failure> {
        let host = self.host.netlink().await?;
        // Without the bridge's own link this is not the namespace that Open vSwitch is in, and all links would seem to be gone.
        if host.link(&self.plug.bridge).await?.is_none() {
            return Ok(0);
        }
        let mut removed = 0;
        for mark in self.marks().await? {
            if self.is_lost(&mark, &host).await? && self.remove_dead(&mark, &host).await? {
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Whether nobody can use a port any more.
    async fn is_lost(&self, mark: &Mark, host: &Netlink) -> Result<bool, Failure> {
        if let Some(tap) = mark.tap() {
            return Ok(host.link(&tap).await?.is_none());
        }
        self.plug.sockets.renew(mark);
        let (records, pods) = (self.records.ports.all(), self.records.pods.all());
        Ok(is_dead(&mark.port, mark.pod_uid.as_deref(), &records, &pods))
    }

    /// In the pod's turn, and only if nothing has changed meanwhile.
    async fn remove_dead(&self, mark: &Mark, host: &Netlink) -> Result<bool, Failure> {
        let pod = mark.pod.as_deref().and_then(|pod| pod.split_once('/')).unwrap_or_default();
        let key = Key::new(pod.0, pod.1);
        let _turn = match mark.sandbox.clone().or_else(nobody) {
            Some(sandbox) => Some(self.turns.take(&key, Command::Gc, &sandbox).await),
            None => None,
        };
        if !self.marks().await?.contains(mark) || !self.is_lost(mark, host).await? {
            return Ok(false);
        }
        if self.records.pods.get(&key).is_some_and(|pod| mark.pod_uid.as_deref() == Some(&*pod.uid)) {
            tracing::warn!(pod = %key, port = mark.port, "the link of a pod of this node is gone");
        }
        self.unplug_all(std::slice::from_ref(mark)).await?;
        Ok(true)
    }
}

/// A port of the Python Kuryr has no sandbox's name; it still has to wait for its turn.
fn nobody() -> Option<ContainerId> {
    "0".parse().ok()
}

fn is_dead(port: &str, pod_uid: Option<&str>, records: &[Arc<PortRecord>], pods: &[Arc<Pod>]) -> bool {
    let has_port =
        |record: &Arc<PortRecord>| record.content.vifs().any(|(_, entry)| entry.vif.base().id == port);
    !records.iter().any(has_port) && !pods.iter().any(|pod| Some(&*pod.uid) == pod_uid)
}

#[cfg(test)]
mod tests {
    use kuryr_k8s::slim::Slim;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_link_is_needed_as_long_as_its_port_or_its_pod_is_there() {
        let cases = include_str!("../../kuryr-api/testdata/vif_ovo_and_cni_results.json");
        let cases: Vec<Value> = serde_json::from_str(cases).unwrap();
        let vif = &cases.iter().find(|case| case["name"] == "VIFVlanNested").unwrap()["vif"];
        let port = vif["versioned_object.data"]["id"].as_str().unwrap();
        let wire = json!({"metadata": {"name": "p", "namespace": "n"}, "status": {"vifs": {"eth0": {"default": true, "vif": vif}}}});
        let records = [Arc::new(PortRecord::trim(serde_json::from_value(wire).unwrap()))];
        let wire = json!({"metadata": {"name": "p", "namespace": "n", "uid": "here"}, "spec": {"nodeName": "node1"}});
        let pods = [Arc::new(Pod::trim(serde_json::from_value(wire).unwrap()))];
        for (port, uid, dead) in [(port, "gone", false), ("gone", "here", false), ("gone", "gone", true)] {
            assert_eq!(is_dead(port, Some(uid), &records, &pods), dead, "{port} {uid}");
        }
        assert!(is_dead("gone", None, &records, &pods) && !is_dead(port, None, &records, &pods));
    }
}
