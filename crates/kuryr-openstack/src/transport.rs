//! One HTTP request: its turn, its deadline, its answer, and who is told about it.

use crate::{
    Effect, Error, Finished, Gate, Kind, Observer, Refusal, Result, Service, Target, gate,
    limit::Limiter,
    retry::{Repeat, retry_after},
};
use http::{HeaderMap, Method, StatusCode};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

/// A call, before anything is known of addresses and tokens.
#[derive(Debug, Clone)]
pub struct Call {
    pub(crate) target: Target,
    pub(crate) route: &'static str,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) extra_time: Duration,
    pub(crate) repeat: Repeat,
}

/// A good answer.
#[derive(Debug)]
pub struct Answer {
    target: Target,
    /// The HTTP status.
    pub status: StatusCode,
    /// The answer's headers.
    pub headers: HeaderMap,
    body: Vec<u8>,
}

/// Sends requests, whomever they are for.
pub(crate) struct Transport {
    pub(crate) http: reqwest::Client,
    pub(crate) limiter: Limiter,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) gate: Arc<dyn Gate>,
    pub(crate) deadline: Duration,
}

impl Call {
    /// A call of `path` below the service's versioned endpoint. `route` is the path with placeholders, for the metrics.
    pub fn new(service: Service, method: Method, route: &'static str, path: String) -> Self {
        let repeat = if method == Method::POST { Repeat::IfWithoutEffect } else { Repeat::Always };
        Self {
            target: Target { service, method, path },
            route,
            query: Vec::new(),
            headers: HeaderMap::new(),
            body: None,
            extra_time: Duration::ZERO,
            repeat,
        }
    }

    /// Adds a parameter to the query.
    #[must_use]
    pub fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    /// Sets the body.
    pub fn json(mut self, body: &impl Serialize) -> Result<Self> {
        let body = serde_json::to_vec(body)
            .map_err(|source| Error::Encode { call: self.target.clone(), source: Arc::new(source) })?;
        self.body = Some(body);
        Ok(self)
    }

    /// Allows more time than a request usually has, for one that asks for much at once.
    #[must_use]
    pub fn extra_time(mut self, time: Duration) -> Self {
        self.extra_time = time;
        self
    }

    /// Says whether the call may be repeated. By default all but POST may.
    #[must_use]
    pub fn repeat(mut self, repeat: Repeat) -> Self {
        self.repeat = repeat;
        self
    }
}

impl Answer {
    /// The body as `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body)
            .map_err(|source| Error::Decode { call: self.target.clone(), source: Arc::new(source) })
    }
}

impl Transport {
    /// Sends `call` to `base`, once.
    pub(crate) async fn send(&self, call: &Call, base: &str, token: Option<&str>) -> Result<Answer> {
        let request = self.request(call, base, token)?;
        let _place = self.limiter.enter().await;
        let fenced = |effect| Error::Fenced { call: call.target.clone(), effect };
        if !gate::changes(call.target.service, &call.target.method) {
            return self.accounted(call, self.exchange(call, request)).await;
        }
        if self.gate.left().is_none() {
            return Err(fenced(Effect::None));
        }
        let gated = async {
            let answer = gate::within(self.gate.as_ref(), self.exchange(call, request)).await;
            answer.unwrap_or_else(|| Err(fenced(Effect::Unknown)))
        };
        self.accounted(call, gated).await
    }

    async fn accounted(&self, call: &Call, exchange: impl Future<Output = Result<Answer>>) -> Result<Answer> {
        let start = Instant::now();
        let answer = exchange.await;
        self.account(call, &answer, start.elapsed());
        answer
    }

    fn request(&self, call: &Call, base: &str, token: Option<&str>) -> Result<reqwest::Request> {
        let encode = |source: Arc<dyn std::error::Error + Send + Sync>| Error::Encode {
            call: call.target.clone(),
            source,
        };
        let mut url = reqwest::Url::parse(&format!("{base}{}", call.target.path))
            .map_err(|source| encode(Arc::new(source)))?;
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        let mut request = self
            .http
            .request(call.target.method.clone(), url)
            .headers(call.headers.clone())
            .header(http::header::ACCEPT, "application/json")
            .timeout(self.deadline + call.extra_time);
        if let Some(token) = token {
            let mut value = http::HeaderValue::from_str(token).map_err(|source| encode(Arc::new(source)))?;
            value.set_sensitive(true);
            request = request.header("x-auth-token", value);
        }
        if let Some(body) = &call.body {
            request = request.header(http::header::CONTENT_TYPE, "application/json").body(body.clone());
        }
        request.build().map_err(|source| encode(Arc::new(source)))
    }

    async fn exchange(&self, call: &Call, request: reqwest::Request) -> Result<Answer> {
        let failed = |source: reqwest::Error| Error::Exchange {
            call: call.target.clone(),
            kind: kind_of(&source),
            // The address may hold what nobody's log should, and the call says enough.
            source: Arc::new(source.without_url()),
        };
        let response = self.http.execute(request).await.map_err(failed)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.map_err(failed)?;
        if status.is_success() {
            return Ok(Answer { target: call.target.clone(), status, headers, body: body.into() });
        }
        let (id, wait) = (request_id(&headers), retry_after(&headers));
        Err(Error::Refused(Arc::new(Refusal::read(call.target.clone(), status, id, wait, &body))))
    }

    fn account(&self, call: &Call, answer: &Result<Answer>, took: Duration) {
        match answer {
            Err(error) if pushes_back(error) => self.limiter.pushed_back(),
            Err(Error::Exchange { .. } | Error::Fenced { .. }) => {}
            _ => self.limiter.went_well(),
        }
        let outcome = match answer {
            Ok(answer) => Ok(answer.status),
            Err(error) => error.refusal().map(|refusal| refusal.status).ok_or_else(|| error.kind()),
        };
        let Target { service, method, path } = &call.target;
        self.observer.finished(&Finished { service: *service, method, route: call.route, outcome, took });
        let id = match answer {
            Ok(answer) => request_id(&answer.headers),
            Err(error) => error.request_id().map(Into::into),
        };
        tracing::debug!(
            %service, %method, path, outcome = ?outcome, request_id = id.as_deref(), ms = took.as_millis(), "OpenStack call"
        );
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("limiter", &self.limiter).finish_non_exhaustive()
    }
}

fn request_id(headers: &HeaderMap) -> Option<String> {
    Some(headers.get("x-openstack-request-id")?.to_str().ok()?.to_owned())
}

fn kind_of(error: &reqwest::Error) -> Kind {
    match error {
        error if error.is_connect() => Kind::Unreachable,
        error if error.is_timeout() => Kind::TimedOut,
        _ => Kind::Interrupted,
    }
}

fn pushes_back(error: &Error) -> bool {
    let status = error.refusal().map(|refusal| refusal.status);
    matches!(status, Some(StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE))
}
