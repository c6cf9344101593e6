//! Those who want a change of one thing in Neutron that takes one at a time: what is wanted at one moment goes together.
//!
//! Who wants a change queues up. The first whose turn it is takes along what the others want, who find it done when their turn comes.

use parking_lot::Mutex;
use tokio::sync::{MutexGuard, oneshot};

/// Those who want a change.
pub struct Line<W, E> {
    waiting: Mutex<Vec<Wanted<W, E>>>,
    turn: tokio::sync::Mutex<()>,
}

/// What one of them wants.
pub struct Wanted<W, E> {
    /// What it is.
    pub what: W,
    answer: oneshot::Sender<Result<(), E>>,
}

/// The place of one of them in the line.
pub struct Place<E>(oneshot::Receiver<Result<(), E>>);

impl<W, E> Default for Line<W, E> {
    fn default() -> Self {
        Self { waiting: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }
}

impl<W, E> Line<W, E> {
    /// Queues up.
    pub fn join(&self, what: W) -> Place<E> {
        let (answer, done) = oneshot::channel();
        self.waiting.lock().push(Wanted { what, answer });
        Place(done)
    }

    /// Waits for one's turn.
    pub async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Takes so many of those in front along. Nothing: whoever had the turn before and was stopped in it took them along, and nobody
    /// answers any more.
    pub fn next(&self, how_many: impl FnOnce(&[Wanted<W, E>]) -> usize) -> Option<Vec<Wanted<W, E>>> {
        let mut waiting = self.waiting.lock();
        let count = how_many(&waiting).min(waiting.len());
        (count > 0).then(|| waiting.drain(..count).collect())
    }
}

impl<W, E> Wanted<W, E> {
    /// Tells what became of it. Who does not wait any more looks for himself when he comes again.
    pub fn answer(self, outcome: Result<(), E>) {
        let _ = self.answer.send(outcome);
    }
}

impl<E> Place<E> {
    /// What became of what was wanted, if it was somebody's turn already.
    pub fn outcome(&mut self) -> Option<Result<(), E>> {
        self.0.try_recv().ok()
    }
}
