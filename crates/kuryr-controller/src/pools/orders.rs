//! What operators asked of pools, as long as it counts. It is known in this term alone: the next leader sizes pools by their pods.
//!
//! ```text
//!   fill ──► Keep ── for a while ──┐
//!                                  ├──► None
//!   empty ─► Empty ── a pod comes ─┘
//! ```

use kuryr_core::pool::Order;
use kuryr_k8s::Key;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// Orders by nodes.
#[derive(Default)]
pub(super) struct Orders(Mutex<HashMap<Key, Standing>>);

enum Standing {
    Keep(Instant),
    Empty,
}

impl Orders {
    /// What counts for a node now.
    pub(super) fn of(&self, node: &Key) -> Order {
        match self.0.lock().get(node) {
            Some(Standing::Keep(until)) if *until > Instant::now() => Order::Keep,
            Some(Standing::Empty) => Order::Empty,
            _ => Order::None,
        }
    }

    /// What is too many stays for so long.
    pub(super) fn keep(&self, node: &Key, time: Duration) {
        self.0.lock().insert(node.clone(), Standing::Keep(Instant::now() + time));
    }

    /// Nothing is kept ready until a pod comes.
    pub(super) fn empty(&self, node: &Key) {
        self.0.lock().insert(node.clone(), Standing::Empty);
    }

    /// A pod came to a node.
    pub(super) fn pod_came(&self, node: &Key) {
        let mut standing = self.0.lock();
        if matches!(standing.get(node), Some(Standing::Empty)) {
            standing.remove(node);
        }
    }

    /// A node is gone.
    pub(super) fn forget(&self, node: &Key) {
        self.0.lock().remove(node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_order_counts_for_its_time_or_until_a_pod_comes() {
        let (orders, node) = (Orders::default(), Key::new("", "node1"));
        orders.keep(&node, Duration::from_mins(10));
        orders.pod_came(&node);
        assert_eq!(orders.of(&node), Order::Keep);
        tokio::time::advance(Duration::from_mins(11)).await;
        assert_eq!(orders.of(&node), Order::None);
        orders.empty(&node);
        assert_eq!(orders.of(&node), Order::Empty);
        orders.pod_came(&node);
        assert_eq!(orders.of(&node), Order::None);
    }
}
