//! Waiting for what is to become true, with a deadline and the last reason why it was not.

use anyhow::{Context, Result};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often it is looked at.
pub(crate) const PERIOD: Duration = Duration::from_millis(150);
/// A deadline says how long a thing takes on a machine that does nothing else; this is how much slower one may be before it counts
/// as broken. It costs time only where a test fails.
pub(crate) const PATIENCE: u32 = 3;

/// So many seconds.
pub const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Looks again and again until `look` succeeds. Its last error is the reason when the time is over, `within` and the patience for a
/// slow machine.
pub async fn until<T>(what: &str, within: Duration, mut look: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let within = within * PATIENCE;
    let deadline = Instant::now() + within;
    loop {
        match look().await {
            Ok(found) => return Ok(found),
            Err(reason) if Instant::now() >= deadline => {
                return Err(reason).with_context(|| format!("{what}: not within {within:?}"));
            }
            Err(_) => sleep(PERIOD).await,
        }
    }
}
