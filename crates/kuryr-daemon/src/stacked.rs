//! Links of pods that are on top of the node's own link: which there are, and taking them away.
//!
//! They are in the pods' namespaces, and nothing tells of them where the node's own link is. Whose one is stands on it ([`Tag`]).

use std::collections::HashSet;

use kuryr_net::{Found, NetNs};

use crate::{
    failure::{Chain, Failure},
    kind::Kind,
    metrics::Step,
    node::Node,
    sandbox::Sandbox,
    tag::Tag,
    turns::Turn,
    wiring::Wiring,
};

impl Node {
    /// Those of all namespaces that can be found, those beside a sandbox's file (which may be empty) among them.
    pub async fn stacked(&self, beside: &str) -> Result<Vec<Found>, Failure> {
        let (paths, beside) = (self.netns.clone(), beside.to_owned());
        // All processes are asked for theirs, which takes its time.
        let namespaces = self.in_background(move || paths.all(&beside)).await?;
        Ok(self.host.stacked_in(&namespaces).await?)
    }

    /// Those in a sandbox's namespace that are its own, by their tag or because they have one of these names.
    pub async fn stacked_of(
        &self,
        sandbox: &Sandbox,
        namespace: &NetNs,
        names: &[&str],
    ) -> Result<Vec<Found>, Failure> {
        let mut found = self.host.stacked_in(std::slice::from_ref(namespace)).await?;
        found.retain(|found| {
            let tagged = Tag::read(&found.link).is_some_and(|tag| tag.sandbox == sandbox.id);
            tagged || names.contains(&found.link.name.as_str())
        });
        Ok(found)
    }

    /// Those that a call to take a sandbox away has to remove. Where all pods are ports of Open vSwitch nobody looks.
    pub async fn stacked_to_go(
        &self,
        sandbox: &Sandbox,
        namespace: Option<&NetNs>,
    ) -> Result<Vec<Found>, Failure> {
        match namespace {
            Some(namespace) if self.own.kind() != Some(Kind::OpenVSwitch) => {
                self.stacked_of(sandbox, namespace, &[sandbox.ifname.as_str()]).await
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Removes the links of a port that are not in this sandbox.
    pub async fn unstack_elsewhere(&self, wiring: &Wiring, sandbox: &Sandbox) -> Result<(), Failure> {
        let mut links = self.stacked(&sandbox.netns_path).await?;
        links.retain(|found| {
            let tag = Tag::read(&found.link);
            tag.is_some_and(|tag| tag.port == wiring.port.as_str() && tag.sandbox != sandbox.id)
        });
        for found in &links {
            tracing::info!(port = %wiring.port, namespace = found.namespace.name(), "removing the link of an earlier sandbox");
        }
        self.unstack(&links).await
    }

    /// Removes links, all that can be.
    pub async fn unstack(&self, links: &[Found]) -> Result<(), Failure> {
        let mut failures = Vec::new();
        for found in links {
            if let Err(failure) = self.metrics.time(Step::RemoveLink, remove(found)).await {
                failures.push(failure);
            }
        }
        Failure::of_all(failures)
    }

    /// Removes links without anybody waiting for it, as [`Node::unlink_later`] does.
    pub fn unstack_later(&self, links: Vec<Found>, turn: Turn) {
        if links.is_empty() {
            return;
        }
        let metrics = self.metrics.clone();
        self.afterwards.spawn(async move {
            for found in &links {
                let (link, namespace) = (&found.link.name, found.namespace.name());
                match metrics.time(Step::RemoveLink, remove(found)).await {
                    Ok(()) => tracing::info!(link, namespace, "unplugged"),
                    Err(error) => tracing::warn!(link, namespace, error = %Chain(&error), "could not unplug"),
                }
            }
            drop(turn);
        });
    }

    /// Removes links of sandboxes that are not among these. What has no tag is the Python Kuryr's, or not Kuryr's at all, and stays.
    pub async fn unstack_unknown(&self, known: &HashSet<&str>) -> Result<(), Failure> {
        let mut links = self.stacked("").await?;
        // A newer sandbox has another namespace, with a link of its own: nobody has to wait for a turn.
        links.retain(|found| Tag::read(&found.link).is_some_and(|tag| !known.contains(tag.sandbox.as_str())));
        self.unstack(&links).await
    }
}

async fn remove(found: &Found) -> Result<(), Failure> {
    found.namespace.netlink().await?.delete_link(&found.link.name).await?;
    Ok(())
}
