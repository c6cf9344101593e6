//! GC: removes what belongs to sandboxes that the runtime does not know any more.

use std::collections::HashSet;

use kuryr_cni::{Command, Request};
use kuryr_k8s::Key;

use crate::{failure::Failure, kind::Kind, node::Node};

impl Node {
    /// Collects garbage. Ports without a sandbox's name are the Python Kuryr's, which no runtime can list, and stay.
    pub async fn gc(&self, request: &Request) -> Result<(), Failure> {
        let attachments = request.valid_attachments()?;
        let known: HashSet<&str> =
            attachments.iter().map(|attachment| attachment.container_id.as_str()).collect();
        let freed = self.free_unknown_functions(&known).await;
        let released = self.release_devices_of_unknown(&known).await;
        let unplugged = match self.own.kind() {
            Some(Kind::Nested) => self.unstack_unknown(&known).await,
            Some(Kind::Sriov) => Ok(()),
            None | Some(Kind::OpenVSwitch) => self.unplug_unknown(&known).await,
        };
        Failure::of_all([freed, released, unplugged].into_iter().filter_map(Result::err).collect())
    }

    async fn unplug_unknown(&self, known: &HashSet<&str>) -> Result<(), Failure> {
        let mut failures = Vec::new();
        for mark in self.marks().await? {
            let Some(sandbox) = mark.sandbox.clone().filter(|sandbox| !known.contains(sandbox.as_str()))
            else {
                continue;
            };
            let pod = mark.pod.as_deref().and_then(|pod| pod.split_once('/')).unwrap_or_default();
            let _turn = self.turns.take(&Key::new(pod.0, pod.1), Command::Gc, &sandbox).await;
            // While it waited for its turn, the port may have been taken over by a newer sandbox.
            let still = self.marks().await?.contains(&mark);
            if still && let Err(failure) = self.unplug_all(std::slice::from_ref(&mark)).await {
                failures.push(failure);
            }
        }
        Failure::of_all(failures)
    }
}
