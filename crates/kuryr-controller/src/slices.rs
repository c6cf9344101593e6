//! Which EndpointSlices a Service has. They name it by a label.

use kuryr_k8s::Key;
use kuryr_k8s::cache::Change;
use kuryr_k8s::slim::EndpointSlice;
use parking_lot::RwLock;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Names of slices by the Services that they are of. Clones share it.
#[derive(Clone, Default)]
pub struct SlicesOf(Arc<RwLock<HashMap<Key, BTreeSet<Key>>>>);

impl SlicesOf {
    /// The names of a Service's slices.
    pub fn of(&self, service: &Key) -> Vec<Key> {
        self.0.read().get(service).into_iter().flatten().cloned().collect()
    }

    /// Keeps up with a change of a slice. Returns the Services whose endpoints it changed.
    pub fn follow(&self, change: &Change<EndpointSlice>) -> Vec<Key> {
        let (before, after) = match change {
            Change::Set { old, new } => (old.as_deref().and_then(service), service(new)),
            Change::Gone(old) => (service(old), None),
        };
        let mut index = self.0.write();
        if before != after
            && let Some(before) = &before
            && let Some(slices) = index.get_mut(before)
        {
            slices.remove(change.key());
            if slices.is_empty() {
                index.remove(before);
            }
        }
        if let Some(after) = &after {
            index.entry(after.clone()).or_default().insert(change.key().clone());
        }
        let both: BTreeSet<_> = before.into_iter().chain(after).collect();
        both.into_iter().collect()
    }
}

fn service(slice: &EndpointSlice) -> Option<Key> {
    (!slice.service.is_empty()).then(|| Key::new(slice.key.namespace(), &slice.service))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(name: &str, service: &str) -> Arc<EndpointSlice> {
        Arc::new(EndpointSlice {
            key: Key::new("n", name),
            uid: "".into(),
            resource_version: "".into(),
            service: service.into(),
            ports: Box::default(),
            endpoints: Box::default(),
        })
    }

    #[test]
    fn a_slice_moves_from_one_service_to_another_and_both_are_told() {
        let (index, key) = (SlicesOf::default(), |name: &str| Key::new("n", name));
        let first = Change::Set { old: None, new: slice("s", "a") };
        assert_eq!(index.follow(&first), [key("a")]);
        let moved = Change::Set { old: Some(slice("s", "a")), new: slice("s", "b") };
        assert_eq!(index.follow(&moved), [key("a"), key("b")]);
        assert_eq!((index.of(&key("a")), index.of(&key("b"))), (vec![], vec![key("s")]));
        assert_eq!(index.follow(&Change::Gone(slice("s", "b"))), [key("b")]);
        assert_eq!(index.of(&key("b")), []);
    }

    #[test]
    fn a_slice_of_nobody_concerns_nobody() {
        let index = SlicesOf::default();
        assert_eq!(index.follow(&Change::Set { old: None, new: slice("s", "") }), []);
    }
}
