//! When a failed request is sent again, and how long after.

use crate::{Class, Effect, Error, Kind};
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use http::{HeaderMap, header::RETRY_AFTER};
use std::time::Duration;

/// How stubborn a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// How often a request is sent again after the first time.
    pub times: usize,
    /// The pause before the first repetition; each further one doubles it. All are spread at random.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
    /// The longest `Retry-After` that a call waits for by itself. One that is longer is the caller's to wait for.
    pub patience: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            times: 4,
            first: Duration::from_millis(250),
            longest: Duration::from_secs(5),
            patience: Duration::from_secs(10),
        }
    }
}

/// Whether a request may be repeated when it may already have taken effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// It may: doing it twice is doing it once.
    Always,
    /// Only when the server certainly did not act.
    IfWithoutEffect,
}

#[derive(Debug)]
pub(crate) struct Retries {
    policy: Retry,
    repeat: Repeat,
    pauses: ExponentialBackoff,
    denied: u32,
}

/// Neutron denies requests by chance while another of its threads loads the policy, so one denial is no denial.
const CHANCE_DENIALS: u32 = 1;

impl Retry {
    pub(crate) fn begin(self, repeat: Repeat) -> Retries {
        let pauses = ExponentialBuilder::new()
            .with_min_delay(self.first)
            .with_max_delay(self.longest)
            .with_max_times(self.times)
            .with_jitter()
            .build();
        Retries { policy: self, repeat, pauses, denied: 0 }
    }
}

impl Retries {
    /// How long to wait before the request is sent again; nothing if the failure is for the caller.
    pub(crate) fn pause_after(&mut self, error: &Error) -> Option<Duration> {
        if !self.may_repeat(error) {
            return None;
        }
        let pause = self.pauses.next()?;
        match error.retry_after() {
            Some(asked) if asked > self.policy.patience => None,
            Some(asked) => Some(asked.max(pause)),
            None => Some(pause),
        }
    }

    fn may_repeat(&mut self, error: &Error) -> bool {
        match error.kind() {
            Kind::Conflict | Kind::InUse | Kind::Stale | Kind::Fenced => false,
            Kind::Forbidden => {
                self.denied += 1;
                self.denied <= CHANCE_DENIALS
            }
            _ => {
                error.class() == Class::Retry
                    && (self.repeat == Repeat::Always || error.effect() == Effect::None)
            }
        }
    }
}

/// `Retry-After` in either of its forms.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match value.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => until(value),
    }
}

fn until(date: &str) -> Option<Duration> {
    let date = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
    Some(date.duration_since(jiff::Timestamp::now()).try_into().unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Refusal, Service, Target};
    use http::{Method, StatusCode};
    use std::sync::Arc;

    fn refusal(status: u16, retry_after: Option<u64>) -> Error {
        let call = Target { service: Service::Network, method: Method::GET, path: "/ports".into() };
        let status = StatusCode::from_u16(status).unwrap();
        Error::Refused(Arc::new(Refusal::read(call, status, None, retry_after.map(Duration::from_secs), b"")))
    }

    fn asked(value: &str) -> Option<Duration> {
        retry_after(&HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]))
    }

    #[test]
    fn a_call_gives_up_after_so_many_times() {
        let mut retries = Retry::default().begin(Repeat::Always);
        let pauses = std::iter::from_fn(|| retries.pause_after(&refusal(500, None))).count();
        assert_eq!(pauses, Retry::default().times);
    }

    #[test]
    fn what_may_have_taken_effect_is_not_sent_again_unless_that_is_harmless() {
        let pause =
            |status, repeat| Retry::default().begin(repeat).pause_after(&refusal(status, None)).is_some();
        for (status, always, without_effect) in [
            (500, true, false),
            (504, true, false),
            (503, true, true),
            (429, true, true),
            (409, false, false),
        ] {
            assert_eq!(pause(status, Repeat::Always), always, "{status}");
            assert_eq!(pause(status, Repeat::IfWithoutEffect), without_effect, "{status}");
        }
    }

    #[test]
    fn a_denial_is_questioned_once() {
        let mut retries = Retry::default().begin(Repeat::IfWithoutEffect);
        assert!(retries.pause_after(&refusal(403, None)).is_some());
        assert!(retries.pause_after(&refusal(403, None)).is_none());
    }

    #[test]
    fn the_server_is_waited_for_within_reason() {
        let pause =
            |seconds| Retry::default().begin(Repeat::Always).pause_after(&refusal(429, Some(seconds)));
        assert_eq!(pause(7), Some(Duration::from_secs(7)));
        assert_eq!(pause(3600), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(asked("17"), Some(Duration::from_secs(17)));
        assert_eq!(asked("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert!(asked("Wed, 21 Oct 2099 07:28:00 GMT").unwrap() > Duration::from_secs(1_000_000));
        assert_eq!(asked("soon"), None);
    }
}
