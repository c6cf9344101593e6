//! What has to be known of all nodes together to tell how many pods fit on one: what the quota leaves, and when to look again.

use kuryr_k8s::Key;
use kuryr_openstack::Kind;
use kuryr_openstack::neutron::Quota;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// A node whose port or trunk was not found is looked for again after this time, or when a pod of its is.
const SOUGHT_FOR: Duration = Duration::from_mins(1);

/// What is known.
#[derive(Default)]
pub struct Capacity {
    /// Told when anything changed that may change what fits.
    pub changed: Notify,
    quota: Mutex<Option<Left>>,
    sought: Mutex<HashMap<Key, Instant>>,
}

/// What the quota left when it was read, and how many ports were known then.
#[derive(Clone, Copy)]
struct Left {
    free: Option<u64>,
    ports: usize,
}

impl Capacity {
    /// The quota of ports was read, when so many ports were known.
    pub fn know(&self, quota: &Quota, ports: usize) {
        *self.quota.lock() = Some(Left { free: quota.free(), ports });
        self.changed.notify_one();
    }

    /// A port could not be made for this reason, when so many ports were known.
    pub fn note_failure(&self, why: Kind, ports: usize) {
        if why == Kind::OverQuota {
            *self.quota.lock() = Some(Left { free: Some(0), ports });
            self.changed.notify_one();
        }
    }

    /// How many more ports the project may have, now that so many are known; none: as many as it likes, as far as is known.
    pub fn left(&self, ports: usize) -> Option<usize> {
        let Left { free, ports: then } = (*self.quota.lock())?;
        let free = usize::try_from(free?).unwrap_or(usize::MAX);
        Some(free.saturating_add(then).saturating_sub(ports))
    }

    /// Whether a node whose port is not known is to be looked for now.
    pub fn seeks(&self, node: &Key) -> bool {
        let mut sought = self.sought.lock();
        let is_due = sought.get(node).is_none_or(|last| last.elapsed() >= SOUGHT_FOR);
        if is_due {
            sought.insert(node.clone(), Instant::now());
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_that_come_and_go_count_until_the_quota_is_read_again() {
        let capacity = Capacity::default();
        assert_eq!(capacity.left(7), None);
        capacity.know(&Quota { limit: 20, used: 10, reserved: 0 }, 8);
        assert_eq!([8, 10, 3, 30].map(|ports| capacity.left(ports)), [Some(10), Some(8), Some(15), Some(0)]);
        capacity.note_failure(Kind::NoFreeAddress, 12);
        assert_eq!(capacity.left(12), Some(6));
        capacity.note_failure(Kind::OverQuota, 12);
        assert_eq!([12, 11].map(|ports| capacity.left(ports)), [Some(0), Some(1)]);
        capacity.know(&Quota { limit: -1, used: 10, reserved: 0 }, 8);
        assert_eq!(capacity.left(8), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_is_not_found_is_looked_for_now_and_then() {
        let (capacity, node) = (Capacity::default(), Key::new("", "vm1"));
        assert!(capacity.seeks(&node) && !capacity.seeks(&node));
        tokio::time::advance(SOUGHT_FOR).await;
        assert!(capacity.seeks(&node));
    }
}
