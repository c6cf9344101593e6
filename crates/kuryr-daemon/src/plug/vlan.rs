//! A VLAN on the node's own link, whose port is the parent of a trunk: the pod's port is the subport with that VLAN id.
//!
//! The kernel has each VLAN id once on a link, in whatever namespace. A link that a dead sandbox left behind therefore stands in the way of
//! the pod that gets the id next.

use std::{sync::Arc, time::Duration};

use kuryr_api::vif::{VLAN_IDS, Vif, VlanNested};
use kuryr_k8s::{Key, slim::PortRecord};
use kuryr_net::{Found, Link, NetError, Stack, VethEnds};
use tokio::time::sleep;

use super::{Driver, Job, active, on_top::OnTop};
use crate::{failure::Failure, metrics::Step, node::Node, tag::Tag, wiring::link_name};

/// The kernel takes a namespace apart in the background, when nobody can see it any more.
const TAKEN_APART_WITHIN: Duration = Duration::from_millis(500);

const OWN: &str = "remove that link, or keep Neutron from giving the id to a subport of the trunk";
const RIVAL: &str = "that pod's KuryrPort and this one's cannot both be right, see whose it is among the trunk's subports in Neutron";
const HIDDEN: &str =
    "a link has it in a network namespace that Kuryr cannot find, look there with `ip -d link`";

/// A VLAN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vlan {
    /// The VLAN id.
    pub id: u16,
    /// The link's name while it may not yet have its own.
    pub interim: String,
}

impl Vlan {
    /// Reads a VIF.
    pub fn read(vif: &VlanNested) -> Result<Self, String> {
        if !VLAN_IDS.contains(&vif.vlan_id) {
            return Err(format!(
                "VLAN id {} is not one from {} to {}",
                vif.vlan_id,
                VLAN_IDS.start(),
                VLAN_IDS.end()
            ));
        }
        Ok(Self { id: vif.vlan_id, interim: link_name("tap", &vif.vif_name)? })
    }

    fn link(&self) -> OnTop<'_> {
        OnTop { stack: Stack::Vlan(self.id), interim: &self.interim }
    }

    fn is_it(&self, link: &Link, lower: &Link) -> bool {
        link.stacked.is_some_and(|it| it.stack == Stack::Vlan(self.id) && it.lower == lower.index)
    }

    async fn make(&self, job: Job<'_>, lower: &Link) -> Result<(), Failure> {
        match self.link().make(job, lower).await {
            Err(refused) if refused.is_there_already() => self.make_room(job, lower, refused).await?,
            made => return Ok(made?),
        }
        self.link().make(job, lower).await.map_err(|error| match error {
            again if again.is_there_already() => self.taken(lower, HIDDEN.to_owned()),
            other => other.into(),
        })
    }

    /// Removes the link that has the VLAN id, if nobody needs it.
    async fn make_room(&self, job: Job<'_>, lower: &Link, refused: NetError) -> Result<(), Failure> {
        if job.place.inside.link(job.wiring.ifname.as_str()).await?.is_some() {
            // It is the name that somebody else has in the sandbox.
            return Err(refused.into());
        }
        if let Some(link) = job.place.host.links().await?.iter().find(|link| self.is_it(link, lower)) {
            return Err(self.taken(lower, format!("the node's own link {} has it: {OWN}", link.name)));
        }
        let mut left = job.node.stacked(&job.place.sandbox.netns_path).await?;
        left.retain(|found| self.is_it(&found.link, lower));
        self.nobody_needs(&left, job, lower).await?;
        if left.is_empty() {
            sleep(TAKEN_APART_WITHIN).await;
        }
        job.node.unstack(&left).await
    }

    async fn nobody_needs(&self, left: &[Found], job: Job<'_>, lower: &Link) -> Result<(), Failure> {
        let records = job.node.records.of_whole_node().await.all();
        for Found { namespace, link } in left {
            let tag = Tag::read(link);
            if let Some(rival) = rival(&records, &job.place.sandbox.pod, self.id, tag.as_ref()) {
                return Err(self.taken(lower, format!("a link of pod {rival} has it: {RIVAL}")));
            }
            let (port, namespace) = (&job.wiring.port, namespace.name());
            tracing::info!(vlan = self.id, %port, namespace, "removing the link of a sandbox that is gone");
        }
        Ok(())
    }

    fn taken(&self, lower: &Link, reason: String) -> Failure {
        Failure::VlanTaken { id: self.id, lower: lower.name.clone(), reason }
    }
}

impl Driver for Vlan {
    async fn is_plugged(&self, job: Job<'_>) -> Result<bool, Failure> {
        self.link().is_plugged(job).await
    }

    async fn clear(&self, job: Job<'_>) -> Result<(), Failure> {
        self.link().clear(job).await
    }

    async fn connect(&self, job: Job<'_>) -> Result<Option<VethEnds>, Failure> {
        let lower = self.link().lower(job).await?;
        job.node.metrics.time(Step::Link, self.make(job, &lower)).await?;
        Ok(None)
    }

    async fn wired(&self, job: Job<'_>) -> Result<(), Failure> {
        active(job).await;
        Ok(())
    }

    fn unwired(&self, _node: &Node) -> &'static str {
        "the KuryrPort did not turn active: see the status of the port, a subport of the node's trunk, in Neutron"
    }
}

/// The other pod that is entitled to a VLAN's link: its record, which is not being deleted, names the id, or the port whose the link is.
fn rival<'a>(records: &'a [Arc<PortRecord>], pod: &Key, id: u16, tag: Option<&Tag>) -> Option<&'a Key> {
    let has_it = |vif: &Vif| match vif {
        Vif::VlanNested(vif) => vif.vlan_id == id || tag.is_some_and(|tag| tag.port == vif.base.id),
        _ => false,
    };
    let others = records.iter().filter(|record| record.key != *pod && !record.deleting);
    let mut entitled = others.filter(|record| record.content.vifs().any(|(_, entry)| has_it(&entry.vif)));
    entitled.next().map(|record| &record.key)
}

#[cfg(test)]
mod tests {
    use kuryr_k8s::slim::Slim;
    use serde_json::{Value, json};

    use super::*;

    fn record(pod: &str, id: u16, deleting: bool) -> PortRecord {
        let cases = include_str!("../../../kuryr-api/testdata/vif_ovo_and_cni_results.json");
        let cases: Vec<Value> = serde_json::from_str(cases).unwrap();
        let mut vif = cases.iter().find(|case| case["name"] == "VIFVlanNested").unwrap()["vif"].clone();
        vif["versioned_object.data"]["vlan_id"] = json!(id);
        vif["versioned_object.data"]["id"] = json!(format!("port-{pod}"));
        let mut wire = json!({
            "metadata": {"name": pod, "namespace": "default"},
            "status": {"vifs": {"eth0": {"default": true, "vif": vif}}},
        });
        if deleting {
            wire["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        PortRecord::trim(serde_json::from_value(wire).unwrap())
    }

    fn tag(port: &str) -> Tag {
        Tag { port: port.to_owned(), sandbox: "a".parse().unwrap(), pod_uid: String::new() }
    }

    #[test]
    fn a_vlan_belongs_to_the_pod_whose_record_lives() {
        let own = Key::new("default", "own");
        let records = [record("own", 101, false), record("other", 102, false), record("going", 103, true)];
        let records = records.map(Arc::new);
        let rival = |id, tag: Option<Tag>| rival(&records, &own, id, tag.as_ref()).map(ToString::to_string);
        assert_eq!(rival(101, None), None, "the pod itself");
        assert_eq!(rival(102, None).as_deref(), Some("default/other"));
        assert_eq!(rival(103, None), None, "it is being deleted");
        assert_eq!(rival(104, None), None, "of nobody");
        assert_eq!(
            rival(101, Some(tag("port-other"))).as_deref(),
            Some("default/other"),
            "it is its port's link"
        );
        assert_eq!(rival(101, Some(tag("port-own"))), None);
        assert_eq!(rival(101, Some(tag("port-gone"))), None);
    }
}
