//! What becomes of a create whose answer is lost: nobody knows whether it made something, so that is looked for.

use crate::{Error, Kind, Result};
use std::time::Duration;

/// After a lost answer what was asked for is looked for at once and, since the server may still be at work, again after these
/// pauses.
const LOOK_AGAIN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];

/// A server that has answered for itself is no longer at work.
pub(super) fn pauses_after(error: &Error) -> &'static [Duration] {
    match error.kind() {
        Kind::Fault | Kind::Unreadable => &[],
        _ => &LOOK_AGAIN,
    }
}

/// Finds what a create made whose answer is lost; `lost` is the error if it made nothing, or nobody can tell.
pub(super) async fn look_for<T, F>(what: &str, lost: Error, find: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<Option<T>>>,
{
    let mut pauses = pauses_after(&lost).iter();
    loop {
        match find().await {
            Ok(Some(made)) => return Ok(made),
            Ok(None) => {}
            Err(unseen) => {
                let error = unseen.chain();
                tracing::warn!(error, what, "cannot tell what a lost request has made");
                return Err(lost);
            }
        }
        let Some(pause) = pauses.next() else { return Err(lost) };
        tokio::time::sleep(*pause).await;
    }
}
