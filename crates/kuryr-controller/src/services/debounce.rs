//! Names whose changes come in crowds: each is passed on once, when it has been quiet for a moment.

use kuryr_k8s::Key;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A name that did not change for so long is passed on.
const QUIET: Duration = Duration::from_millis(120);
/// One that never gets quiet is passed on after this time.
const LONGEST: Duration = Duration::from_secs(1);

/// Names that wait until they are quiet. Clones share it.
#[derive(Clone, Default)]
pub struct Debounce(Arc<Mutex<HashMap<Key, Wait>>>);

#[derive(Clone, Copy)]
struct Wait {
    first: Instant,
    last: Instant,
}

impl Debounce {
    /// `key` changed. `pass_on` is called with it once it is quiet. Needs a tokio runtime.
    pub fn add(&self, key: &Key, pass_on: impl FnOnce(Key) + Send + 'static) {
        let now = Instant::now();
        let mut waiting = self.0.lock();
        if let Some(wait) = waiting.get_mut(key) {
            wait.last = now;
            return;
        }
        waiting.insert(key.clone(), Wait { first: now, last: now });
        drop(waiting);
        let (all, key) = (self.clone(), key.clone());
        tokio::spawn(async move {
            all.quiet(&key).await;
            pass_on(key);
        });
    }

    async fn quiet(&self, key: &Key) {
        loop {
            let due = {
                let mut waiting = self.0.lock();
                let Some(wait) = waiting.get(key).copied() else { return };
                let due = (wait.last + QUIET).min(wait.first + LONGEST);
                if due <= Instant::now() {
                    waiting.remove(key);
                    return;
                }
                due
            };
            tokio::time::sleep_until(due).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    async fn changes(number: u32, pause: Duration) -> usize {
        let (debounce, passed) = (Debounce::default(), Arc::new(AtomicUsize::new(0)));
        for _ in 0..number {
            let passed = passed.clone();
            debounce.add(&Key::new("n", "s"), move |_| {
                passed.fetch_add(1, Ordering::Relaxed);
            });
            tokio::time::sleep(pause).await;
        }
        tokio::time::sleep(LONGEST).await;
        passed.load(Ordering::Relaxed)
    }

    #[tokio::test(start_paused = true)]
    async fn ten_changes_within_a_second_are_one() {
        assert_eq!(changes(10, Duration::from_millis(95)).await, 1);
        assert_eq!(changes(1, Duration::ZERO).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_never_gets_quiet_is_passed_on_each_second() {
        assert_eq!(changes(30, Duration::from_millis(100)).await, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn changes_with_time_between_them_are_passed_on_each() {
        assert_eq!(changes(3, Duration::from_millis(500)).await, 3);
    }
}
