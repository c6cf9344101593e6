//! Which pods are on which node.

use crate::context::Context;
use crate::pools::Pools;
use kuryr_k8s::Key;
use kuryr_k8s::slim::Phase;
use std::collections::{HashMap, HashSet};

#[derive(Default)]
pub(super) struct PodsOfNodes {
    nodes: HashMap<Key, HashSet<Key>>,
    node_of: HashMap<Key, Key>,
}

/// Pods of a node that its pool is for.
pub struct Counted {
    /// They have a port.
    pub served: usize,
    /// They need one.
    pub waiting: usize,
}

impl PodsOfNodes {
    /// The pods on a node.
    pub(super) fn on(&self, node: &Key) -> Vec<Key> {
        self.nodes.get(node).into_iter().flatten().cloned().collect()
    }

    /// A pod is on `node` now. Returns the nodes for which something changed.
    pub(super) fn place(&mut self, pod: &Key, node: Option<Key>) -> Vec<Key> {
        let before = match &node {
            Some(node) => self.node_of.insert(pod.clone(), node.clone()),
            None => self.node_of.remove(pod),
        };
        if before == node {
            return Vec::new();
        }
        if let Some(before) = &before
            && let Some(pods) = self.nodes.get_mut(before)
        {
            pods.remove(pod);
            if pods.is_empty() {
                self.nodes.remove(before);
            }
        }
        if let Some(node) = &node {
            self.nodes.entry(node.clone()).or_default().insert(pod.clone());
        }
        before.into_iter().chain(node).collect()
    }
}

/// The pods on a node that have a port or need one.
pub fn count(context: &Context, pools: &Pools, node: &Key) -> Counted {
    let pods = pools.pods_on(node);
    let known = pods.iter().filter_map(|pod| context.caches.pods.get(pod));
    let (served, others): (Vec<_>, Vec<_>) =
        known.partition(|pod| !context.ports.of(&pod.key, Some(&*pod.uid)).is_empty());
    // One that runs without a port has a network of somebody else's.
    let waiting = others.iter().filter(|pod| pod.phase == Phase::Pending && !pod.deleting).count();
    Counted { served: served.len(), waiting }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_that_moves_is_on_one_node() {
        let [pod, one, other] = ["pod", "one", "other"].map(|name| Key::new("", name));
        let mut pods = PodsOfNodes::default();
        assert_eq!(pods.place(&pod, Some(one.clone())), std::slice::from_ref(&one));
        assert_eq!(pods.place(&pod, Some(one.clone())), []);
        assert_eq!(pods.place(&pod, Some(other.clone())), [one.clone(), other.clone()]);
        assert!(!pods.nodes.contains_key(&one));
        assert_eq!(pods.place(&pod, None), [other]);
        assert_eq!(pods.place(&pod, None), []);
        assert!(pods.nodes.is_empty() && pods.node_of.is_empty());
    }
}
