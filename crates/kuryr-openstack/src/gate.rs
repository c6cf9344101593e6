//! Asked before everything that changes something: whether this process may write now, and for how long.
//!
//! Whoever elects leaders hands a [`Gate`] to the session. It is asked when a request's turn has come, just before it is
//! sent, and at each step of the exchange: a process that was held still for minutes does not send what it was about to.

use http::Method;
use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};
use tokio::time::timeout;

use crate::Service;

/// Says whether requests may be sent that change something.
pub trait Gate: Send + Sync {
    /// For how long from now; nothing if not at all. Must not block.
    fn left(&self) -> Option<Duration>;
}

/// Lets everything pass.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ungated;

impl Gate for Ungated {
    fn left(&self) -> Option<Duration> {
        Some(Duration::MAX)
    }
}

/// Signing in changes nothing but Keystone's list of tokens.
pub(crate) fn changes(service: Service, method: &Method) -> bool {
    service != Service::Identity && !matches!(*method, Method::GET | Method::HEAD)
}

/// Works while the gate is open; nothing if it closes first.
pub(crate) async fn within<T>(gate: &dyn Gate, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    loop {
        let left = gate.left()?;
        // Asked at each poll as well: after a long sleep timers fire too late.
        let asking = poll_fn(|context| match gate.left() {
            Some(_) => work.as_mut().poll(context).map(Some),
            None => Poll::Ready(None),
        });
        if let Ok(result) = timeout(left, asking).await {
            return result;
        }
    }
}
