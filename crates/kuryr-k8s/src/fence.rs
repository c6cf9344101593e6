//! The right to write, for a limited time: a process that was held still past the end of its lease must not write when it
//! goes on, whatever it was about to do.
//!
//! Each term of a leader has a [`Permit`] of its own. It is asked just before a request is sent, and again each time that the
//! request's future is polled; renewals of the lease prolong it, and once over it never comes back. Work of an earlier
//! term that is still under way can therefore do no harm in a later one.

use http::{Method, Request};
use kube::client::Body;
use nix::time::{ClockId, clock_gettime};
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::timeout;

/// Time since some moment in the past. It must go on while the process or the machine sleeps.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Duration + Send + Sync>);

/// The right to write until a moment that renewals put off. Clones share it.
#[derive(Clone)]
pub struct Permit {
    clock: Clock,
    until: Arc<watch::Sender<Duration>>,
}

/// A request was not sent, or given up, because the right to write is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("this process is not the leader any more, so that it may not write")]
pub struct Fenced;

impl Clock {
    /// A clock of one's own, for tests.
    pub fn new(read: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// The time now.
    pub fn now(&self) -> Duration {
        (self.0)()
    }
}

impl Default for Clock {
    /// The time since the machine started, sleep included.
    fn default() -> Self {
        // Without a clock nothing may be trusted to be in time: everything is over.
        Self::new(|| clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::MAX, Duration::from))
    }
}

impl Permit {
    /// A permit until `until` by `clock`.
    pub fn new(clock: Clock, until: Duration) -> Self {
        Self { clock, until: Arc::new(watch::Sender::new(until)) }
    }

    /// How long writing is still allowed; nothing once it is over.
    pub fn left(&self) -> Option<Duration> {
        let until = *self.until.borrow();
        until.checked_sub(self.clock.now()).filter(|left| !left.is_zero())
    }

    /// Ends it now.
    pub fn close(&self) {
        self.until.send_replace(Duration::ZERO);
    }

    /// Resolves when it is over.
    pub async fn over(&self) {
        let mut news = self.until.subscribe();
        while let Some(left) = self.left() {
            // The sender lives as long as `self`.
            let _ = timeout(left, news.changed()).await;
        }
    }

    /// Puts its end off. What is over stays over.
    pub(crate) fn prolong(&self, until: Duration) -> Result<(), Fenced> {
        let now = self.clock.now();
        let prolonged = self.until.send_if_modified(|current| {
            let alive = now < *current;
            *current = if alive { until.max(*current) } else { *current };
            alive
        });
        if prolonged { Ok(()) } else { Err(Fenced) }
    }

    /// Works while the permit lasts. Work that is unfinished when it ends is dropped.
    pub async fn within<T>(&self, work: impl Future<Output = T>) -> Result<T, Fenced> {
        let mut work = pin!(work);
        loop {
            let left = self.left().ok_or(Fenced)?;
            // Asked at each poll as well: after a long sleep timers fire too late.
            let asking = poll_fn(|context| match self.left() {
                Some(_) => work.as_mut().poll(context).map(Ok),
                None => Poll::Ready(Err(Fenced)),
            });
            if let Ok(result) = timeout(left, asking).await {
                return result;
            }
        }
    }

    /// A client whose writes need this permit. It reads as before.
    pub fn guard(&self, client: &kube::Client) -> kube::Client {
        let (permit, inner) = (self.clone(), client.clone());
        let service = tower::service_fn(move |request: Request<Body>| {
            let (permit, inner) = (permit.clone(), inner.clone());
            async move {
                if matches!(*request.method(), Method::GET | Method::HEAD) {
                    return inner.send(request).await;
                }
                match permit.within(inner.send(request)).await {
                    Ok(answer) => answer,
                    Err(fenced) => Err(kube::Error::Service(Box::new(fenced))),
                }
            }
        });
        kube::Client::new(service, client.default_namespace())
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("left", &self.left()).finish()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}
