//! Observe, plan, apply: one file for each kind, and what they share.

pub(crate) mod error;
pub(crate) mod pod;
pub(crate) mod translate;

use std::time::Duration;

/// When to look at a name again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// When something changes.
    OnChange,
    /// After a pause that grows with each time, though nothing went wrong here.
    Later,
    /// At this time at the latest: what we wrote should have been seen by then.
    Within(Duration),
}
