//! An HTTP reverse proxy that spoils things: it stands between a program and a server and refuses, delays, answers in the
//! server's place, or hangs up after the server has acted.
//!
//! Which request meets which fault depends on the plan's seed and the request's number only, so a run can be repeated as far
//! as its requests come in the same order. The server must speak plain HTTP/1.1; bodies pass as streams.

use crate::fault::percentile;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{
    Method, Request, Response, StatusCode, Uri, body::Bytes, body::Incoming, header, service::service_fn,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
};

/// What can be done to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// The connection is closed before anything is forwarded.
    Refuse,
    /// It is forwarded after [`Plan::delay`].
    Delay,
    /// It is answered 409.
    Conflict,
    /// It is answered 429, with `Retry-After: 1`.
    TooManyRequests,
    /// It is answered 500.
    ServerError,
    /// It is answered 503.
    Unavailable,
    /// It is forwarded and answered, but the answer is thrown away with the connection.
    CutAfterwards,
    /// It is forwarded and answered; soon after that the connection goes.
    KillIdle,
}

/// How often each fault is to occur, in percent of the requests. One request meets at most one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What chance depends on.
    pub seed: u64,
    /// The faults and their percentages, tried in this order.
    pub percent: Vec<(Fault, u8)>,
    /// How long [`Fault::Delay`] holds a request up.
    pub delay: Duration,
    /// The proxy becomes harmless after so many faults.
    pub most: Option<u64>,
}

/// A running proxy. It ends with this value.
#[derive(Debug)]
pub struct Faulty {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    to: String,
    plan: Mutex<Plan>,
    requests: AtomicU64,
    done: Mutex<BTreeMap<Fault, u64>>,
    writes: Mutex<Vec<String>>,
    answers: Mutex<BTreeMap<String, (StatusCode, String)>>,
    client: Client<HttpConnector, Incoming>,
}

type Body = BoxBody<Bytes, hyper::Error>;

/// Why a connection ends without an answer.
#[derive(Debug, thiserror::Error)]
enum HangUp {
    #[error("the plan says so")]
    Planned,
    #[error("the server behind cannot be reached")]
    Forward(#[from] hyper_util::client::legacy::Error),
    #[error("the answer of the server behind is broken")]
    ReadAnswer(#[from] hyper::Error),
}

/// From the end of an answer to the end of its connection.
const IDLE_BEFORE_KILL: Duration = Duration::from_millis(20);

impl Fault {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Refuse,
        Self::Delay,
        Self::Conflict,
        Self::TooManyRequests,
        Self::ServerError,
        Self::Unavailable,
        Self::CutAfterwards,
        Self::KillIdle,
    ];

    /// The answer that is given in the server's place.
    fn answer(self) -> Option<StatusCode> {
        match self {
            Self::Conflict => Some(StatusCode::CONFLICT),
            Self::TooManyRequests => Some(StatusCode::TOO_MANY_REQUESTS),
            Self::ServerError => Some(StatusCode::INTERNAL_SERVER_ERROR),
            Self::Unavailable => Some(StatusCode::SERVICE_UNAVAILABLE),
            Self::Refuse | Self::Delay | Self::CutAfterwards | Self::KillIdle => None,
        }
    }
}

impl Plan {
    /// No faults.
    pub fn harmless() -> Self {
        Self { seed: 0, percent: Vec::new(), delay: Duration::from_secs(1), most: None }
    }

    /// `percent` of the requests meet a fault, each kind about as often as the others.
    pub fn evenly(percent: u8, seed: u64) -> Self {
        let kinds = Fault::ALL.len();
        // Shares of the whole: what does not divide evenly goes to the first kinds.
        let share = |at: usize| (usize::from(percent) + kinds - 1 - at) / kinds;
        let shares =
            Fault::ALL.iter().enumerate().map(|(at, fault)| (*fault, u8::try_from(share(at)).unwrap_or(100)));
        Self { seed, percent: shares.collect(), ..Self::harmless() }
    }

    /// The next `times` requests meet `fault`.
    pub fn next(fault: Fault, times: u64) -> Self {
        Self { percent: vec![(fault, 100)], most: Some(times), ..Self::harmless() }
    }

    /// What the request of this number meets. The kinds share one throw, so that their percentages add up.
    fn fault_of(&self, number: u64) -> Option<Fault> {
        let throw = percentile(self.seed, number);
        let mut below = 0_u8;
        self.percent.iter().find_map(|(fault, percent)| {
            below = below.saturating_add(*percent);
            (throw < below).then_some(*fault)
        })
    }
}

impl Faulty {
    /// Starts a proxy for the server at `to` (`http://127.0.0.1:9696`) on a port of its own.
    pub async fn start(to: &str, plan: Plan) -> io::Result<Self> {
        Self::listen((Ipv4Addr::LOCALHOST, 0).into(), to, plan).await
    }

    /// Starts a proxy at `address`.
    pub async fn listen(address: SocketAddr, to: &str, plan: Plan) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            to: to.trim_end_matches('/').to_owned(),
            plan: Mutex::new(plan),
            requests: AtomicU64::new(0),
            done: Mutex::default(),
            writes: Mutex::default(),
            answers: Mutex::default(),
            client: Client::builder(TokioExecutor::new()).build_http(),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, task })
    }

    /// Where the proxy listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address to call in place of the server's.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Follows another plan from now on. The count of faults begins anew.
    pub fn set_plan(&self, plan: Plan) {
        *self.shared.plan.lock() = plan;
        self.shared.done.lock().clear();
    }

    /// Answers what asks for this path with this status and JSON from now on, in the server's place: a server that lacks
    /// something, or has more.
    pub fn answer_for(&self, path: &str, status: StatusCode, json: impl Into<String>) {
        self.shared.answers.lock().insert(path.to_owned(), (status, json.into()));
    }

    /// How many requests have come.
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// Everything that came and was to change something, as `POST /v2.0/ports`, in the order of coming.
    pub fn writes(&self) -> Vec<String> {
        self.shared.writes.lock().clone()
    }

    /// What the present plan has done.
    pub fn done(&self) -> BTreeMap<Fault, u64> {
        self.shared.done.lock().clone()
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(serve(stream, Arc::clone(&shared)))),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Serves one connection until either side, or the plan, ends it.
async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let kill = Arc::new(Notify::new());
    let service = service_fn(|request| answer(Arc::clone(&shared), Arc::clone(&kill), request));
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        ended = connection => if let Err(error) = ended { tracing::debug!(%error, "a connection ended early") },
        () = kill.notified() => {}
    }
}

async fn answer(
    shared: Arc<Shared>,
    kill: Arc<Notify>,
    request: Request<Incoming>,
) -> Result<Response<Body>, HangUp> {
    shared.note(&request);
    let fault = shared.next_fault();
    match fault {
        Some(Fault::Refuse) => return Err(HangUp::Planned),
        Some(Fault::Delay) => {
            let delay = shared.plan.lock().delay;
            tokio::time::sleep(delay).await;
        }
        _ => {}
    }
    if let Some(status) = fault.and_then(Fault::answer) {
        return Ok(refusal(status));
    }
    if let Some((status, json)) = shared.answers.lock().get(request.uri().path()) {
        return Ok(instead(*status, json.clone()));
    }
    let answer = shared.forward(request).await?;
    match fault {
        Some(Fault::CutAfterwards) => {
            answer.into_body().collect().await?;
            Err(HangUp::Planned)
        }
        Some(Fault::KillIdle) => {
            tokio::spawn(async move {
                tokio::time::sleep(IDLE_BEFORE_KILL).await;
                kill.notify_one();
            });
            Ok(answer)
        }
        _ => Ok(answer),
    }
}

impl Shared {
    fn note(&self, request: &Request<Incoming>) {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            self.writes.lock().push(format!("{} {}", request.method(), request.uri().path()));
        }
    }

    fn next_fault(&self) -> Option<Fault> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let plan = self.plan.lock();
        let mut done = self.done.lock();
        if plan.most.is_some_and(|most| done.values().sum::<u64>() >= most) {
            return None;
        }
        let fault = plan.fault_of(number)?;
        *done.entry(fault).or_default() += 1;
        Some(fault)
    }

    async fn forward(&self, mut request: Request<Incoming>) -> Result<Response<Body>, HangUp> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let Ok(uri) = format!("{}{path}", self.to).parse::<Uri>() else { return Err(HangUp::Planned) };
        *request.uri_mut() = uri;
        request.headers_mut().remove(header::HOST);
        request.headers_mut().remove(header::CONNECTION);
        let mut answer = self.client.request(request).await?;
        answer.headers_mut().remove(header::CONNECTION);
        Ok(answer.map(BodyExt::boxed))
    }
}

fn refusal(status: StatusCode) -> Response<Body> {
    let name = status.canonical_reason().unwrap_or_default().replace(' ', "");
    let body = format!(
        r#"{{"NeutronError": {{"type": "{name}", "message": "injected by the proxy", "detail": ""}}}}"#
    );
    let mut answer = instead(status, body);
    if status == StatusCode::TOO_MANY_REQUESTS {
        answer.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    }
    answer
}

fn instead(status: StatusCode, json: String) -> Response<Body> {
    let mut answer = Response::new(Full::from(json).map_err(|never| match never {}).boxed());
    *answer.status_mut() = status;
    let kind = header::HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up() {
        let plan = Plan::evenly(10, 3);
        assert_eq!(plan.percent.iter().map(|(_, percent)| u32::from(*percent)).sum::<u32>(), 10);
        let faults = (0..10_000).filter(|number| plan.fault_of(*number).is_some()).count();
        assert!((900..1100).contains(&faults), "{faults}");
        assert!(Fault::ALL.iter().all(|fault| (0..10_000).any(|n| plan.fault_of(n) == Some(*fault))));
    }

    #[test]
    fn a_seed_repeats_itself() {
        let faults =
            |seed| (0..200).map(|number| Plan::evenly(30, seed).fault_of(number)).collect::<Vec<_>>();
        assert_eq!(faults(5), faults(5));
        assert_ne!(faults(5), faults(6));
    }
}
