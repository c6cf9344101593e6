//! Which names to look at. Each is looked at by one task at a time; a name that is added while it is looked at is looked at
//! once more. A name whose look failed comes again later, the later the more often it failed.
//!
//! ```text
//!            add, add_after                    next
//!   nothing ───────────────► waiting (until) ───────► running ── done ──► nothing
//!                                  ▲                     │ add
//!                                  └──── done ── running, and again
//! ```

use crate::metrics::Gauge;
use parking_lot::Mutex;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::Hash;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// First pause after a failure.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause: what stood in the way may be gone, and a pod should start soon after.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Names to look at.
pub struct Queue<K> {
    state: Mutex<State<K>>,
    wake: Notify,
    depth: Gauge,
}

struct State<K> {
    slots: HashMap<K, Slot>,
    due: BinaryHeap<Reverse<(Instant, K)>>,
    failures: HashMap<K, u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Waiting(Instant),
    Running,
    RunningAndAgain(Instant),
}

impl<K: Clone + Eq + Hash + Ord> Queue<K> {
    /// An empty queue; `depth` shows how many names wait.
    pub fn new(depth: Gauge) -> Self {
        let state = State { slots: HashMap::new(), due: BinaryHeap::new(), failures: HashMap::new() };
        Self { state: Mutex::new(state), wake: Notify::new(), depth }
    }

    /// Looks at `key` as soon as possible.
    pub fn add(&self, key: K) {
        self.add_at(key, Instant::now());
    }

    /// Looks at `key` after `pause`, or earlier if it is added again.
    pub fn add_after(&self, key: K, pause: Duration) {
        self.add_at(key, Instant::now() + pause);
    }

    /// Looks at `key` again after a pause that grows with each failure. Returns the pause.
    pub fn add_failed(&self, key: K) -> Duration {
        let pause = {
            let mut state = self.state.lock();
            let failures = state.failures.entry(key.clone()).or_default();
            *failures = failures.saturating_add(1);
            pause_after(*failures)
        };
        self.add_after(key, pause);
        pause
    }

    /// A look at `key` went well: the next failure pauses as the first did.
    pub fn forgive(&self, key: &K) {
        self.state.lock().failures.remove(key);
    }

    /// How many looks at `key` failed in a row.
    pub fn failures(&self, key: &K) -> u32 {
        self.state.lock().failures.get(key).copied().unwrap_or_default()
    }

    /// The next name that is due. It counts as running until [`Queue::done`].
    pub async fn next(&self) -> K {
        loop {
            let woken = self.wake.notified();
            match self.pop() {
                Ok(key) => return key,
                Err(None) => woken.await,
                Err(Some(due)) => {
                    let _ = tokio::time::timeout_at(due, woken).await;
                }
            }
        }
    }

    /// `key` has been looked at.
    pub fn done(&self, key: &K) {
        let mut state = self.state.lock();
        if let Some(Slot::RunningAndAgain(due)) = state.slots.remove(key) {
            state.wait(key.clone(), due);
            self.wake.notify_one();
        }
        self.depth.set(state.depth());
    }

    fn add_at(&self, key: K, due: Instant) {
        let mut state = self.state.lock();
        match state.slots.get(&key).copied() {
            Some(Slot::Waiting(earlier) | Slot::RunningAndAgain(earlier)) if earlier <= due => return,
            Some(Slot::Running | Slot::RunningAndAgain(_)) => {
                state.slots.insert(key, Slot::RunningAndAgain(due));
            }
            Some(Slot::Waiting(_)) | None => state.wait(key, due),
        }
        self.depth.set(state.depth());
        self.wake.notify_one();
    }

    /// A name that is due, or when the next one will be.
    fn pop(&self) -> Result<K, Option<Instant>> {
        let mut state = self.state.lock();
        loop {
            let Some(Reverse((due, key))) = state.due.peek().cloned() else { return Err(None) };
            // An entry whose name was added again for an earlier time, or was taken, is stale.
            let current = state.slots.get(&key) == Some(&Slot::Waiting(due));
            if current && due > Instant::now() {
                return Err(Some(due));
            }
            state.due.pop();
            if current {
                state.slots.insert(key.clone(), Slot::Running);
                self.depth.set(state.depth());
                return Ok(key);
            }
        }
    }
}

impl<K: Clone + Eq + Hash + Ord> State<K> {
    fn wait(&mut self, key: K, due: Instant) {
        self.slots.insert(key.clone(), Slot::Waiting(due));
        self.due.push(Reverse((due, key)));
    }

    fn depth(&self) -> i64 {
        i64::try_from(self.slots.len()).unwrap_or(i64::MAX)
    }
}

/// Doubles from [`FIRST_PAUSE`] to [`LONGEST_PAUSE`], and spreads names that failed together by up to a half.
fn pause_after(failures: u32) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(8));
    doubled.min(LONGEST_PAUSE).mul_f64(jitter())
}

/// Between 0.5 and 1, different for each call: the standard library's hasher is seeded at random.
pub fn jitter() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    let bits = RandomState::new().hash_one(()) >> 40;
    #[expect(clippy::cast_precision_loss, reason = "24 bits fit into the mantissa")]
    let fraction = bits as f64 / f64::from(1_u32 << 24);
    0.5 + fraction / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    fn queue() -> Queue<&'static str> {
        Queue::new(Gauge::default())
    }

    async fn idle(queue: &Queue<&'static str>, time: Duration) -> bool {
        timeout(time, queue.next()).await.is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_is_looked_at_once_however_often_it_is_added() {
        let queue = queue();
        queue.add("a");
        queue.add("a");
        assert_eq!(queue.next().await, "a");
        queue.done(&"a");
        assert!(idle(&queue, Duration::from_mins(1)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_added_while_it_runs_is_looked_at_again_after_and_not_beside() {
        let queue = queue();
        queue.add("a");
        assert_eq!(queue.next().await, "a");
        queue.add("a");
        assert!(idle(&queue, Duration::from_mins(1)).await);
        queue.done(&"a");
        assert_eq!(queue.next().await, "a");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_kept_unless_the_name_is_added_again() {
        let queue = queue();
        queue.add_after("a", Duration::from_secs(5));
        assert!(idle(&queue, Duration::from_secs(4)).await);
        assert_eq!(queue.next().await, "a");
        queue.done(&"a");
        queue.add_after("b", Duration::from_secs(50));
        queue.add("b");
        assert_eq!(timeout(Duration::from_millis(1), queue.next()).await, Ok("b"));
        queue.done(&"b");
        assert!(idle(&queue, Duration::from_mins(1)).await, "the stale entry came up");
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_to_a_limit_and_start_anew_after_success() {
        let queue = queue();
        let pauses: Vec<_> = (0..12).map(|_| queue.add_failed("a")).collect();
        assert!(pauses[0] <= FIRST_PAUSE && pauses[0] >= FIRST_PAUSE / 2);
        assert!(pauses.iter().all(|pause| *pause <= LONGEST_PAUSE));
        assert!(pauses[11] >= LONGEST_PAUSE / 2);
        queue.forgive(&"a");
        assert!(queue.add_failed("a") <= FIRST_PAUSE);
    }
}
