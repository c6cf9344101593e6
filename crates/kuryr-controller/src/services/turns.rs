//! Who may have Octavia change something now. OVN's provider answers a call at once and does the work afterwards, in Octavia's own
//! process; for each it asks the driver agent, over a socket whose queue holds five. With more at work it is refused there, or
//! waits for longer than it can, and leaves the load balancer PENDING for good. A turn with OVN therefore lasts until the work is
//! done; with machines, which take minutes and keep nobody waiting, until the call is answered.

use kuryr_api::LoadBalancerId;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// How many may be at it.
const TURNS: usize = 5;
/// A load balancer that is PENDING for longer may be so for good, and keeps nobody else waiting.
const LONGEST: Duration = Duration::from_secs(30);

/// Those who may, and those who wait.
pub struct Turns {
    free: Arc<Semaphore>,
    kept: Mutex<HashMap<LoadBalancerId, Kept>>,
}

/// One's turn. It ends with this value, unless it is kept.
pub struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
}

struct Kept {
    _turn: Turn,
    since: Instant,
}

impl Default for Turns {
    fn default() -> Self {
        Self { free: Arc::new(Semaphore::new(TURNS)), kept: Mutex::default() }
    }
}

impl Turns {
    /// Waits for a turn.
    pub async fn take(&self) -> Turn {
        // Never closed, so that there always comes a turn.
        Turn { _permit: self.free.clone().acquire_owned().await.ok() }
    }

    /// A turn lasts until Octavia is done with this load balancer.
    pub fn keep(&self, id: &LoadBalancerId, turn: Turn) {
        self.kept.lock().insert(id.clone(), Kept { _turn: turn, since: Instant::now() });
    }

    /// The load balancers that Octavia is at work with.
    pub fn kept(&self) -> Vec<LoadBalancerId> {
        self.kept.lock().keys().cloned().collect()
    }

    /// Whether Octavia is at work with none.
    pub fn is_none_kept(&self) -> bool {
        self.kept.lock().is_empty()
    }

    /// Ends turns of load balancers that were at rest when Octavia was asked, at `asked`. Those of a later call go on.
    pub fn end(&self, asked: Instant, is_at_rest: impl Fn(&LoadBalancerId) -> bool) {
        self.kept.lock().retain(|id, kept| kept.since >= asked || !is_at_rest(id));
    }

    /// Ends turns that last too long.
    pub fn end_old(&self) {
        self.kept.lock().retain(|_, kept| kept.since.elapsed() < LONGEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn id(number: usize) -> LoadBalancerId {
        format!("balancer-{number}").into()
    }

    async fn all_taken() -> Turns {
        let turns = Turns::default();
        for number in 0..TURNS {
            turns.keep(&id(number), turns.take().await);
        }
        turns
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_comes_when_octavia_is_done_with_another() {
        let turns = all_taken().await;
        assert!(turns.take().now_or_never().is_none(), "all are taken");
        tokio::time::advance(Duration::from_secs(1)).await;
        turns.end(Instant::now(), |one| *one == id(1));
        let turn = turns.take().now_or_never().expect("one has ended");
        assert!(turns.take().now_or_never().is_none(), "only one has");
        drop(turn);
        assert!(turns.take().now_or_never().is_some(), "a call that failed ends its turn");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_older_than_a_call_does_not_end_its_turn() {
        let asked = Instant::now();
        let turns = all_taken().await;
        turns.end(asked, |_| true);
        assert_eq!(turns.kept().len(), TURNS);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_pending_for_good_keeps_nobody_waiting() {
        let turns = all_taken().await;
        turns.end_old();
        assert!(turns.take().now_or_never().is_none(), "they have just begun");
        tokio::time::advance(LONGEST).await;
        turns.end_old();
        assert!(turns.is_none_kept() && turns.take().now_or_never().is_some());
    }
}
