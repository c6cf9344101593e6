//! Keystone tokens: got once for everybody, renewed before they expire or when a service rejects them.

use crate::{Call, Error, Repeat, Result, Retry, Service, auth, catalog::Catalog, transport::Transport};
use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use http::Method;
use kuryr_api::cloud::Auth;
use kuryr_api::ids::ProjectId;
use parking_lot::Mutex;
use serde::Deserialize;
use std::{fmt, sync::Arc, time::Duration};
use tokio::time::Instant;

/// A token, and what Keystone said with it.
pub(crate) struct Token {
    pub(crate) value: String,
    pub(crate) catalog: Catalog,
    pub(crate) project: Option<ProjectId>,
    renew_from: Instant,
    expires: Instant,
}

/// The current token. All who need a new one at the same time wait for the same sign-in.
#[derive(Debug)]
pub(crate) struct Tokens {
    auth_url: String,
    auth: Auth,
    retry: Retry,
    transport: Arc<Transport>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    current: Option<Arc<Token>>,
    renewal: Option<Renewal>,
}

type Renewal = Shared<BoxFuture<'static, Result<Arc<Token>>>>;

/// Part of a token's life after which it is renewed in the background.
const RENEW_AFTER: f64 = 0.8;

/// A token this near its end may expire on its way, or while the service calls others with it.
const MARGIN: Duration = Duration::from_secs(10);

impl Tokens {
    pub(crate) fn new(auth_url: String, auth: Auth, retry: Retry, transport: Arc<Transport>) -> Arc<Self> {
        Arc::new(Self { auth_url, auth, retry, transport, state: Mutex::default() })
    }

    /// A token that is good now.
    pub(crate) async fn get(self: &Arc<Self>) -> Result<Arc<Token>> {
        let renewal = {
            let mut state = self.state.lock();
            match state.current.clone() {
                Some(token) if token.fresh_at(Instant::now()) => return Ok(token),
                Some(token) if token.usable_at(Instant::now()) => {
                    drop(self.renewal(&mut state));
                    return Ok(token);
                }
                _ => self.renewal(&mut state),
            }
        };
        renewal.await
    }

    /// Signs in, whatever the current token.
    pub(crate) async fn check(self: &Arc<Self>) -> Result<()> {
        let renewal = self.renewal(&mut self.state.lock());
        renewal.await.map(drop)
    }

    /// Says that a service did not accept `token`.
    pub(crate) fn discard(&self, token: &Arc<Token>) {
        let mut state = self.state.lock();
        if state.current.as_ref().is_some_and(|current| Arc::ptr_eq(current, token)) {
            state.current = None;
        }
    }

    /// The sign-in that is under way, or a new one. It runs by itself, so that a caller who gives up harms no other.
    fn renewal(self: &Arc<Self>, state: &mut State) -> Renewal {
        match &state.renewal {
            Some(renewal) if renewal.peek().is_none() => renewal.clone(),
            _ => {
                let tokens = Arc::clone(self);
                let task = tokio::spawn(async move { tokens.renew().await });
                let renewal = task.map(|done| done.unwrap_or(Err(Error::Stopped))).boxed().shared();
                state.renewal.insert(renewal).clone()
            }
        }
    }

    async fn renew(&self) -> Result<Arc<Token>> {
        let token = self.sign_in().await.map(Arc::new);
        let mut state = self.state.lock();
        state.renewal = None;
        match &token {
            Ok(token) => state.current = Some(Arc::clone(token)),
            Err(error) => tracing::warn!(error = error.chain(), "cannot sign in to OpenStack"),
        }
        token
    }

    async fn sign_in(&self) -> Result<Token> {
        let mut retries = self.retry.begin(Repeat::Always);
        loop {
            match self.try_sign_in().await {
                Ok(token) => return Ok(token),
                Err(error) => match retries.pause_after(&error) {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => return Err(Error::SignIn { source: Arc::new(error) }),
                },
            }
        }
    }

    async fn try_sign_in(&self) -> Result<Token> {
        let call = Call::new(Service::Identity, Method::POST, "/auth/tokens", "/auth/tokens".into());
        let answer =
            self.transport.send(&call.json(&auth::request(&self.auth))?, &self.auth_url, None).await?;
        let value = answer.headers.get("x-subject-token").and_then(|value| value.to_str().ok());
        let value = value.ok_or(Error::ReadToken { missing: "token" })?.to_owned();
        let Body { token } = answer.json()?;
        Ok(Token::new(value, token, Instant::now()))
    }
}

impl Token {
    fn new(value: String, said: Said, now: Instant) -> Self {
        let life = said.life();
        Self {
            value,
            catalog: said.catalog,
            project: said.project.map(|project| project.id),
            renew_from: now + life.mul_f64(RENEW_AFTER),
            expires: now + life.saturating_sub(MARGIN),
        }
    }

    fn fresh_at(&self, now: Instant) -> bool {
        now < self.renew_from.min(self.expires)
    }

    fn usable_at(&self, now: Instant) -> bool {
        now < self.expires
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("project", &self.project).finish_non_exhaustive()
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("current", &self.current).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Body {
    token: Said,
}

#[derive(Deserialize)]
struct Said {
    issued_at: Option<jiff::Timestamp>,
    expires_at: Option<jiff::Timestamp>,
    #[serde(default)]
    catalog: Catalog,
    project: Option<Project>,
}

#[derive(Deserialize)]
struct Project {
    id: ProjectId,
}

/// Assumed where Keystone does not tell.
const USUAL_LIFE: Duration = Duration::from_hours(1);

impl Said {
    /// By Keystone's own clock, so that ours need not agree with it. (A token that was got by another token was issued
    /// at the time of this answer, too.)
    fn life(&self) -> Duration {
        match (self.issued_at, self.expires_at) {
            (Some(from), Some(to)) => to.duration_since(from).try_into().unwrap_or(Duration::ZERO),
            _ => USUAL_LIFE,
        }
    }
}
