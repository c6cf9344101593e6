//! Observe, plan, apply: one file for each kind, and what they share.

pub(crate) mod capacity;
pub(crate) mod error;
pub(crate) mod peer;
pub(crate) mod pod;
pub(crate) mod policy;
pub(crate) mod pool;
pub(crate) mod service;
pub(crate) mod translate;

use crate::context::Context;
use kuryr_core::news;
use kuryr_k8s::Key;
use kuryr_k8s::events::{About, Kind, News};
use kuryr_k8s::records::Written;
use std::time::Duration;

/// More rounds than any plan needs that only touches OpenStack.
const ROUNDS: usize = 6;
/// The watch shows our own writes in milliseconds; after this time it is not relied on.
const SEEN_WITHIN: Duration = Duration::from_secs(15);

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

impl Next {
    /// The earlier of two.
    fn or_sooner(self, other: Self) -> Self {
        match (self, other) {
            (Self::Within(one), Self::Within(other)) => Self::Within(one.min(other)),
            (Self::OnChange, next) | (next, Self::OnChange) => next,
            (Self::Later, _) | (_, Self::Later) => Self::Later,
        }
    }
}

/// How an action leaves the world.
enum Outcome {
    /// As the next look will see it.
    Visible,
    /// Other than the caches show: the watch tells when they do.
    Unseen,
    /// Nothing changed.
    Same,
    /// Nothing more can be done now.
    Later,
}

/// What we wrote is shown by `note` before the watch brings it: the next look must not decide from what was before.
fn noted<T>(written: Written<T>, note: impl FnOnce(T)) -> Outcome {
    match written {
        Written::Done(object) => {
            note(object);
            Outcome::Visible
        }
        Written::Outdated => Outcome::Unseen,
    }
}

/// What an object's owner should know, as Events have it.
fn event(news: news::News) -> News {
    let kind = match news.kind {
        news::Kind::Normal => Kind::Normal,
        news::Kind::Warning => Kind::Warning,
    };
    News { kind, reason: news.reason, message: news.message }
}

/// Tells the owner of a pod.
async fn tell_pod(context: &Context, key: &Key, uid: &str, news: news::News) {
    let about = About { kind: "Pod", key: key.clone(), uid: uid.to_owned() };
    context.events.tell(about, event(news)).await;
}
