//! Which of several processes works: the one that holds a Lease of the Kubernetes API.
//!
//! ```text
//!              0 s      asked      8 s                      12 s
//!   leader      ├─ renewal ─┴─ … ───┤ its permit ends: no write leaves it any more
//!   standby        ├─ sees the renewal ─────────────────────────┤ may take the lease, if it saw no other
//! ```
//!
//! The rules are those of the programs of Kubernetes itself. Nobody compares clocks of two machines: a standby counts from
//! the moment at which it saw the record change, by its own clock. A leader counts from before it asked for a renewal.
//! What is added is the [`Permit`], without which a leader that was held still does not notice that it is none any more.

use crate::fence::{Clock, Fenced, Permit};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, ObjectMeta, PostParams};
use std::time::Duration;
use thiserror::Error;
use tokio::time::{sleep, timeout};

#[cfg(test)]
mod tests;

/// How long what lasts. Between `permit` and `lease` lies the time in which nobody writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// A record that nobody saw change for this long is free.
    pub lease: Duration,
    /// After asking for a renewal that succeeded, a leader writes for this long.
    pub permit: Duration,
    /// How often a leader renews.
    pub renewal: Duration,
    /// How often a standby looks, and a leader tries again that could not renew.
    pub look: Duration,
    /// What one request to the API server may take.
    pub request: Duration,
}

/// The lease, and who asks for it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Who we are. No other process may ever call itself so, not even a later life of this one.
    pub identity: String,
    /// How long what lasts.
    pub times: Times,
    /// By which clock.
    pub clock: Clock,
}

/// One who wants to lead.
pub struct Elector {
    api: Api<Lease>,
    settings: Settings,
    seen: Option<Seen>,
    /// The lease as our last write left it.
    held: Option<Lease>,
}

/// The record as it was when it last changed.
struct Seen {
    spec: LeaseSpec,
    at: Duration,
}

/// Why a leader is none any more.
#[derive(Debug, Error)]
pub enum Lost {
    /// Another has the lease.
    #[error("{holder} took the lease")]
    Taken {
        /// Who.
        holder: String,
    },
    /// Nobody has it.
    #[error("the lease was deleted, or emptied by hand")]
    Gone,
    /// It could not be renewed in time, or the process was held still.
    #[error("the lease was not renewed in time")]
    Late(#[source] Option<Error>),
}

/// Why the lease could not be read or written.
#[derive(Debug, Error)]
pub enum Error {
    /// The API server did not do it.
    #[error("failed to {action} Lease {namespace}/{name}")]
    Send {
        /// Verb.
        action: &'static str,
        /// Namespace.
        namespace: String,
        /// Name.
        name: String,
        /// What happened.
        #[source]
        source: Box<kube::Error>,
    },
    /// It did not answer.
    #[error("no answer in time to {action} Lease {namespace}/{name}")]
    Timeout {
        /// Verb.
        action: &'static str,
        /// Namespace.
        namespace: String,
        /// Name.
        name: String,
    },
}

/// What a standby hears of.
#[derive(Debug)]
pub enum Waiting<'a> {
    /// Someone else leads.
    For(&'a str),
    /// The lease can't be read or written.
    Trouble(&'a Error),
}

impl Default for Times {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(12),
            permit: Duration::from_secs(8),
            renewal: Duration::from_secs(2),
            look: Duration::from_secs(1),
            request: Duration::from_secs(3),
        }
    }
}

impl Elector {
    /// One who asks by `client`, which must not be under a permit.
    pub fn new(client: kube::Client, settings: Settings) -> Self {
        Self { api: Api::namespaced(client, &settings.namespace), settings, seen: None, held: None }
    }

    /// Waits until the lease is ours. `report` hears at each look what is in the way.
    pub async fn acquire(&mut self, mut report: impl FnMut(Waiting<'_>)) -> Permit {
        loop {
            match self.try_acquire().await {
                Ok(Ok(permit)) => return permit,
                Ok(Err(holder)) => report(Waiting::For(&holder)),
                Err(error) => report(Waiting::Trouble(&error)),
            }
            sleep(self.settings.times.look).await;
        }
    }

    /// Renews the lease until it is lost. The permit is over then.
    pub async fn keep(&mut self, permit: &Permit) -> Lost {
        let mut trouble = None;
        let lost = loop {
            let pause =
                if trouble.is_none() { self.settings.times.renewal } else { self.settings.times.look };
            tokio::select! {
                biased;
                () = permit.over() => break Lost::Late(trouble),
                () = sleep(pause) => {}
            }
            match permit.within(Box::pin(self.renew(permit))).await {
                Ok(Ok(Ok(()))) => trouble = None,
                Ok(Ok(Err(lost))) => break lost,
                Err(Fenced) => break Lost::Late(trouble),
                Ok(Err(error)) => {
                    tracing::warn!(error = chain(&error), left = ?permit.left(), "failed to renew the lease");
                    trouble = Some(error);
                }
            }
        };
        permit.close();
        lost
    }

    /// Gives the lease back, so that a standby takes it at its next look. Only for one who has stopped writing.
    pub async fn release(&mut self, permit: &Permit) -> Result<(), Error> {
        permit.close();
        let Some(lease) = self.read().await?.filter(|lease| self.is_ours(lease)) else { return Ok(()) };
        let spec = LeaseSpec {
            holder_identity: None,
            lease_duration_seconds: Some(1),
            renew_time: Some(now()),
            ..lease.spec.clone().unwrap_or_default()
        };
        self.write(Lease { spec: Some(spec), ..lease }).await.map(drop)
    }

    /// A permit if the lease was free, else its holder.
    async fn try_acquire(&mut self) -> Result<Result<Permit, String>, Error> {
        let current = self.read().await?;
        if let Some(holder) = current.as_ref().and_then(|lease| self.holder(lease)) {
            return Ok(Err(holder));
        }
        let asked = self.settings.clock.now();
        let written = match current {
            None => self.create().await?,
            Some(lease) => self.write(self.renewed(&lease)).await?,
        };
        let until = asked.saturating_add(self.settings.times.permit);
        self.held = written;
        if self.held.is_none() {
            return Ok(Err("someone who was faster".to_owned()));
        }
        Ok(Ok(Permit::new(self.settings.clock.clone(), until)))
    }

    async fn renew(&mut self, permit: &Permit) -> Result<Result<(), Lost>, Error> {
        let asked = self.settings.clock.now();
        // As we left it, so that one request is enough; read again when that is not so any more.
        for known in [self.held.take(), None] {
            let lease = match known {
                Some(lease) => lease,
                None => self.read().await?.unwrap_or_default(),
            };
            if !self.is_ours(&lease) {
                return Ok(Err(lost_to(lease)));
            }
            self.held = self.write(self.renewed(&lease)).await?;
            if self.held.is_some() {
                let prolonged = permit.prolong(asked.saturating_add(self.settings.times.permit));
                return Ok(prolonged.map_err(|Fenced| Lost::Late(None)));
            }
        }
        // Someone writes as we do; the next look tells whether the lease is still ours.
        Ok(Ok(()))
    }

    /// Who has the lease now, if it is not us and not free.
    fn holder(&mut self, lease: &Lease) -> Option<String> {
        let now = self.settings.clock.now();
        let spec = lease.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.clone().filter(|holder| !holder.is_empty());
        let holder = holder.filter(|holder| *holder != self.settings.identity)?;
        let promised = u64::try_from(spec.lease_duration_seconds.unwrap_or_default()).unwrap_or_default();
        let lasts = Duration::from_secs(promised).max(self.settings.times.lease);
        let at = match self.seen.take().filter(|seen| seen.spec == spec) {
            Some(seen) => seen.at,
            None => now,
        };
        self.seen = Some(Seen { spec, at });
        (now.saturating_sub(at) < lasts).then_some(holder)
    }

    fn is_ours(&self, lease: &Lease) -> bool {
        let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref());
        holder == Some(&self.settings.identity)
    }

    /// The same object, held by us as of now.
    fn renewed(&self, lease: &Lease) -> Lease {
        let old = lease.spec.clone().unwrap_or_default();
        let ours = self.is_ours(lease);
        let transitions = old.lease_transitions.unwrap_or_default().saturating_add(i32::from(!ours));
        let spec = LeaseSpec {
            acquire_time: if ours { old.acquire_time } else { Some(now()) },
            lease_transitions: Some(transitions),
            ..self.spec()
        };
        Lease { metadata: lease.metadata.clone(), spec: Some(spec) }
    }

    fn spec(&self) -> LeaseSpec {
        let seconds = i32::try_from(self.settings.times.lease.as_secs()).unwrap_or(i32::MAX);
        LeaseSpec {
            holder_identity: Some(self.settings.identity.clone()),
            lease_duration_seconds: Some(seconds),
            acquire_time: Some(now()),
            renew_time: Some(now()),
            ..LeaseSpec::default()
        }
    }

    async fn read(&self) -> Result<Option<Lease>, Error> {
        self.answer("read", self.api.get_opt(&self.settings.name)).await
    }

    async fn create(&self) -> Result<Option<Lease>, Error> {
        let metadata = ObjectMeta { name: Some(self.settings.name.clone()), ..ObjectMeta::default() };
        let lease = Lease { metadata, spec: Some(self.spec()) };
        let params = PostParams::default();
        let request = self.api.create(&params, &lease);
        self.answer("create", unless_conflict(request)).await
    }

    /// Nothing if it is not as it was when we read it.
    async fn write(&self, lease: Lease) -> Result<Option<Lease>, Error> {
        let params = PostParams::default();
        let request = self.api.replace(&self.settings.name, &params, &lease);
        self.answer("write", unless_conflict(request)).await
    }

    async fn answer<T>(
        &self,
        action: &'static str,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, Error> {
        let Settings { namespace, name, times, .. } = &self.settings;
        let (namespace, name) = (namespace.clone(), name.clone());
        match timeout(times.request, request).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(source)) => Err(Error::Send { action, namespace, name, source: Box::new(source) }),
            Err(_) => Err(Error::Timeout { action, namespace, name }),
        }
    }
}

fn lost_to(lease: Lease) -> Lost {
    match lease.spec.and_then(|spec| spec.holder_identity).filter(|holder| !holder.is_empty()) {
        Some(holder) => Lost::Taken { holder },
        None => Lost::Gone,
    }
}

async fn unless_conflict(
    request: impl Future<Output = Result<Lease, kube::Error>>,
) -> Result<Option<Lease>, kube::Error> {
    match request.await {
        Ok(lease) => Ok(Some(lease)),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(None),
        Err(error) => Err(error),
    }
}

/// For people and other programs: we ourselves never compare it with our clock.
fn now() -> MicroTime {
    MicroTime(jiff::Timestamp::now())
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
