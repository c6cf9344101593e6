//! The one way to OpenStack: it signs in, finds the service, keeps the pace, and repeats what may be repeated.

use crate::{
    Answer, Call, Endpoints, Error, Gate, Kind, Limits, Observer, Result, Retry, Service, Tls, TlsError,
    Trust, Ungated, Unobserved,
    limit::Limiter,
    tls::Needed,
    token::{Token, Tokens},
    transport::Transport,
};
use kuryr_api::{
    cloud::{Auth, CloudAccess},
    ids::ProjectId,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// What a session needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Keystone's address, with or without `/v3`.
    pub auth_url: String,
    /// Who we are.
    pub auth: Auth,
    /// Which of a service's addresses to use.
    pub endpoints: Endpoints,
    /// Whom to trust.
    pub tls: Tls,
    /// How much to ask at once.
    pub limits: Limits,
    /// How stubborn to be.
    pub retry: Retry,
    /// How long to wait.
    pub timeouts: Timeouts,
}

/// How long to wait for OpenStack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Duration,
    /// For the complete answer to one request.
    pub request: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), request: Duration::from_mins(1) }
    }
}

/// Who has a say in each request, and who hears of it.
#[derive(Clone)]
pub struct Hooks {
    /// Is told of each request.
    pub observer: Arc<dyn Observer>,
    /// Is asked before each that changes something.
    pub gate: Arc<dyn Gate>,
}

impl Default for Hooks {
    fn default() -> Self {
        Self { observer: Arc::new(Unobserved), gate: Arc::new(Ungated) }
    }
}

/// A session cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// `auth_url` or an endpoint override is not an HTTP address.
    #[error("{url:?} is not an http or https address")]
    ParseUrl {
        /// The text.
        url: String,
    },
    /// The certificates are not usable.
    #[error("cannot set up TLS")]
    SetUpTls(#[from] TlsError),
    /// The HTTP client refuses to start.
    #[error("cannot set up the HTTP client")]
    BuildClient(#[source] reqwest::Error),
}

/// An authenticated way to all services. Clones share everything.
///
/// The process must have installed a `rustls` crypto provider before it opens a session.
#[derive(Debug, Clone)]
pub struct Session {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    endpoints: Endpoints,
    retry: Retry,
    transport: Arc<Transport>,
    tokens: Arc<Tokens>,
}

/// An idle connection is kept this long. Longer than the pauses between the steps of one pod, shorter than what
/// load balancers usually allow.
const IDLE: Duration = Duration::from_secs(30);

impl Settings {
    /// The usual settings for this cloud and user.
    pub fn new(auth_url: impl Into<String>, auth: Auth) -> Self {
        Self {
            auth_url: auth_url.into(),
            auth,
            endpoints: Endpoints::default(),
            tls: Tls::default(),
            limits: Limits::default(),
            retry: Retry::default(),
            timeouts: Timeouts::default(),
        }
    }
}

impl From<&CloudAccess> for Settings {
    fn from(access: &CloudAccess) -> Self {
        let mut settings = Self::new(access.auth_url.clone(), access.auth.clone());
        settings.endpoints = Endpoints {
            region: access.region_name.clone(),
            interface: access.interface,
            overrides: overrides(access),
        };
        settings.tls.trust = match (&access.cafile, access.insecure) {
            (_, true) => Trust::Anyone,
            (Some(path), false) => Trust::File(path.clone()),
            (None, false) => Trust::System,
        };
        settings.timeouts.request = access.timeout.unwrap_or(settings.timeouts.request);
        settings
    }
}

fn overrides(access: &CloudAccess) -> BTreeMap<Service, String> {
    let network = access.network_endpoint_override.clone();
    let load_balancer = access.load_balancer_endpoint_override.clone();
    let named = [(Service::Network, network), (Service::LoadBalancer, load_balancer)];
    named.into_iter().filter_map(|(service, url)| Some((service, url?))).collect()
}

impl Session {
    /// Prepares a session; the first call signs in.
    pub fn open(settings: Settings) -> Result<Self, OpenError> {
        Self::open_with(settings, Hooks::default())
    }

    /// Prepares a session with hooks.
    pub fn open_with(settings: Settings, hooks: Hooks) -> Result<Self, OpenError> {
        let http = client(&settings)?;
        let Settings { auth_url, auth, endpoints, limits, retry, timeouts, .. } = settings;
        let Hooks { observer, gate } = hooks;
        let transport =
            Transport { http, limiter: Limiter::new(limits), observer, gate, deadline: timeouts.request };
        let transport = Arc::new(transport);
        let auth_url = Service::Identity.versioned(&auth_url);
        let tokens = Tokens::new(auth_url, auth, retry, Arc::clone(&transport));
        Ok(Self { shared: Arc::new(Shared { endpoints, retry, transport, tokens }) })
    }

    /// Makes a call, repeating it as far as it allows.
    pub async fn call(&self, call: &Call) -> Result<Answer> {
        let mut retries = self.shared.retry.begin(call.repeat);
        let mut renewed = false;
        loop {
            let token = self.shared.tokens.get().await?;
            let error = match self.send(call, &token).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            // A token can end early (revoked, Keystone's keys lost): a new one is worth one try.
            if error.kind() == Kind::Unauthorized && !renewed {
                self.shared.tokens.discard(&token);
                renewed = true;
                continue;
            }
            let Some(pause) = retries.pause_after(&error) else { return Err(error) };
            tracing::debug!(call = %call.target, %error, ?pause, "will repeat an OpenStack call");
            tokio::time::sleep(pause).await;
        }
    }

    /// The project that the session works in.
    pub async fn project(&self) -> Result<Option<ProjectId>> {
        Ok(self.shared.tokens.get().await?.project.clone())
    }

    /// Signs in anew, whatever the current token: tells whether Keystone works and takes our credentials.
    pub async fn check(&self) -> Result<()> {
        self.shared.tokens.check().await
    }

    async fn send(&self, call: &Call, token: &Token) -> Result<Answer> {
        let base = self.endpoint(call.target.service, token)?;
        self.shared.transport.send(call, &base, Some(&token.value)).await
    }

    fn endpoint(&self, service: Service, token: &Token) -> Result<String> {
        let wanted = &self.shared.endpoints;
        if let Some(url) = wanted.overrides.get(&service) {
            return Ok(service.versioned(url));
        }
        token.catalog.find(service, wanted).ok_or_else(|| Error::FindEndpoint {
            service,
            interface: wanted.interface,
            region: wanted.region.clone(),
        })
    }
}

fn client(settings: &Settings) -> Result<reqwest::Client, OpenError> {
    let urls = std::iter::once(&settings.auth_url).chain(settings.endpoints.overrides.values());
    let schemes = urls.map(|url| scheme(url)).collect::<Result<Vec<_>, _>>()?;
    let needed = if schemes.iter().any(|scheme| scheme == "https") { Needed::Yes } else { Needed::Perhaps };
    let client = reqwest::Client::builder()
        .user_agent(concat!("kuryr/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(settings.timeouts.connect)
        .pool_idle_timeout(IDLE)
        .tcp_keepalive(IDLE)
        .redirect(reqwest::redirect::Policy::none());
    settings.tls.apply(client, needed)?.build().map_err(OpenError::BuildClient)
}

fn scheme(url: &str) -> Result<String, OpenError> {
    match reqwest::Url::parse(url) {
        Ok(parsed) if matches!(parsed.scheme(), "http" | "https") => Ok(parsed.scheme().to_owned()),
        _ => Err(OpenError::ParseUrl { url: url.to_owned() }),
    }
}
