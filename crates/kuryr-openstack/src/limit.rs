//! How much we ask of OpenStack at once: a cap on open requests, and a pace that gives way when the server pushes back.
//!
//! The pace follows the rule that keeps TCP stable: halved when the server says 429 or 503, raised by a small step with
//! every other answer.

use parking_lot::Mutex;
use std::time::Duration;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, sleep_until},
};

/// The most that we ask of OpenStack.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Requests open at the same time.
    pub concurrency: usize,
    /// Requests started a second, while the server takes it.
    pub rate: f64,
    /// Requests started a second at the least, however hard the server pushes back.
    pub floor: f64,
    /// Requests that may start at once after a pause.
    pub burst: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { concurrency: 16, rate: 50.0, floor: 1.0, burst: 25 }
    }
}

/// A push-back within this time of the last one is about the same congestion.
const ROUND: Duration = Duration::from_secs(1);

/// Part of the full rate that one good answer gives back.
const STEP: f64 = 0.02;

#[derive(Debug)]
pub(crate) struct Limiter {
    open: Semaphore,
    pace: Mutex<Pace>,
}

#[derive(Debug)]
struct Pace {
    limits: Limits,
    rate: f64,
    next: Instant,
    slowed: Option<Instant>,
}

impl Limiter {
    pub(crate) fn new(limits: Limits) -> Self {
        let pace = Pace { limits, rate: limits.rate, next: Instant::now(), slowed: None };
        Self { open: Semaphore::new(limits.concurrency.max(1)), pace: Mutex::new(pace) }
    }

    /// Waits for a place and a turn. The place is held until the permit is dropped.
    pub(crate) async fn enter(&self) -> SemaphorePermit<'_> {
        let permit = self.open.acquire().await.expect("this semaphore is never closed");
        let turn = self.pace.lock().book(Instant::now());
        sleep_until(turn).await;
        permit
    }

    /// The server answered as if all were well.
    pub(crate) fn went_well(&self) {
        self.pace.lock().speed_up();
    }

    /// The server said 429 or 503.
    pub(crate) fn pushed_back(&self) {
        self.pace.lock().slow_down(Instant::now());
    }
}

impl Pace {
    /// When the next request may start: slots of `1 / rate`, of which `burst` may have been saved up.
    fn book(&mut self, now: Instant) -> Instant {
        let slot = Duration::from_secs_f64(1.0 / self.rate);
        let saved = slot * self.limits.burst.saturating_sub(1);
        let turn = now.checked_sub(saved).map_or(self.next, |earliest| self.next.max(earliest));
        self.next = turn + slot;
        turn
    }

    fn speed_up(&mut self) {
        self.rate = (self.rate + STEP * self.limits.rate).min(self.limits.rate);
    }

    fn slow_down(&mut self, now: Instant) {
        if self.slowed.is_none_or(|slowed| now.duration_since(slowed) >= ROUND) {
            self.slowed = Some(now);
            self.rate = (self.rate / 2.0).max(self.limits.floor).min(self.limits.rate);
            // What was saved up at the faster pace would be the very burst that the server cannot take.
            self.next = self.next.max(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(rate: f64, burst: u32, concurrency: usize) -> Limiter {
        Limiter::new(Limits { concurrency, rate, floor: 1.0, burst })
    }

    async fn time_of(limiter: &Limiter, requests: u32) -> Duration {
        let start = Instant::now();
        for _ in 0..requests {
            drop(limiter.enter().await);
        }
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_and_then_the_pace_holds() {
        let limiter = limiter(10.0, 5, 100);
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(time_of(&limiter, 5).await < Duration::from_millis(2));
        let ten_more = time_of(&limiter, 10).await;
        assert!((950..=1050).contains(&ten_more.as_millis()), "{ten_more:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn push_back_halves_the_pace_once_a_round_and_good_answers_restore_it() {
        let limiter = limiter(8.0, 1, 100);
        for _ in 0..20 {
            limiter.pushed_back();
        }
        assert!((limiter.pace.lock().rate - 4.0).abs() < 0.01);
        for _ in 0..10 {
            tokio::time::sleep(ROUND).await;
            limiter.pushed_back();
        }
        assert!((limiter.pace.lock().rate - 1.0).abs() < 0.01, "not below the floor");
        for _ in 0..100 {
            limiter.went_well();
        }
        assert!((limiter.pace.lock().rate - 8.0).abs() < 0.01, "not above the limit");
    }

    #[tokio::test(start_paused = true)]
    async fn only_so_many_are_open_at_once() {
        let limiter = limiter(1000.0, 1000, 2);
        let (first, _second) = (limiter.enter().await, limiter.enter().await);
        let third = tokio::time::timeout(Duration::from_secs(5), limiter.enter());
        assert!(third.await.is_err());
        drop(first);
        drop(limiter.enter().await);
    }
}
