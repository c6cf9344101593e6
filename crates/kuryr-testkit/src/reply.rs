//! What the fakes share: a reply, a server for it, and a count of what was asked.

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, Method, Response, Uri},
};
use parking_lot::Mutex;
use serde_json::Value;
use std::{collections::BTreeMap, future::Future, io, net::SocketAddr, sync::Arc};
use tokio::{net::TcpListener, task::JoinHandle};

/// A status, a JSON body and a few headers.
#[derive(Debug, Clone)]
pub struct Reply {
    status: u16,
    body: Option<Value>,
    headers: Vec<(&'static str, String)>,
}

/// How often each route was asked, as `METHOD /path/{id}`. Clones share the numbers.
#[derive(Debug, Clone, Default)]
pub struct Counts(Arc<Mutex<BTreeMap<String, u64>>>);

/// How many requests were open at the same time, of each route and of all. Clones share the numbers.
#[derive(Debug, Clone, Default)]
pub struct Crowd(Arc<Mutex<BTreeMap<String, Open>>>);

#[derive(Debug, Default)]
struct Open {
    now: usize,
    most: usize,
}

/// A request that is open, until it is dropped.
pub(crate) struct Inside {
    crowd: Crowd,
    route: String,
}

/// A server on the loopback that ends with this value.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Reply {
    /// A reply with a body.
    pub fn new(status: u16, body: Value) -> Self {
        Self { status, body: Some(body), headers: Vec::new() }
    }

    /// 200 with a body.
    pub fn ok(body: Value) -> Self {
        Self::new(200, body)
    }

    /// 202.
    pub(crate) fn accepted() -> Self {
        Self { status: 202, body: None, headers: Vec::new() }
    }

    /// 204.
    pub fn no_content() -> Self {
        Self { status: 204, body: None, headers: Vec::new() }
    }

    /// An error as Neutron writes it.
    pub fn neutron_error(status: u16, name: &str, message: &str) -> Self {
        let error = serde_json::json!({ "type": name, "message": message, "detail": "" });
        Self::new(status, serde_json::json!({ "NeutronError": error }))
    }

    /// Neutron's message, if this is an error of its.
    pub(crate) fn neutron_message(&self) -> Option<&str> {
        self.body.as_ref()?["NeutronError"]["message"].as_str()
    }

    /// The status.
    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    fn into_response(self) -> Response<Body> {
        let mut response = Response::builder().status(self.status).header("content-type", "application/json");
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        let body = self.body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        response.body(body).expect("a fake's reply has valid headers")
    }
}

impl Counts {
    pub(crate) fn add(&self, route: &str) {
        *self.0.lock().entry(route.to_owned()).or_default() += 1;
    }

    /// How often `route` was asked.
    pub fn of(&self, route: &str) -> u64 {
        self.0.lock().get(route).copied().unwrap_or_default()
    }

    /// All numbers.
    pub fn all(&self) -> BTreeMap<String, u64> {
        self.0.lock().clone()
    }

    /// Begins anew.
    pub fn reset(&self) {
        self.0.lock().clear();
    }
}

impl Crowd {
    /// What all routes are called together.
    pub const ALL: &'static str = "*";

    pub(crate) fn enter(&self, route: &str) -> Inside {
        let mut open = self.0.lock();
        for name in [route, Self::ALL] {
            let open = open.entry(name.to_owned()).or_default();
            open.now += 1;
            open.most = open.most.max(open.now);
        }
        Inside { crowd: self.clone(), route: route.to_owned() }
    }

    /// The most of `route` that were open at once.
    pub fn most(&self, route: &str) -> usize {
        self.0.lock().get(route).map_or(0, |open| open.most)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let mut open = self.crowd.0.lock();
        for name in [self.route.as_str(), Crowd::ALL] {
            if let Some(open) = open.get_mut(name) {
                open.now -= 1;
            }
        }
    }
}

impl Server {
    /// Serves `answer` on a port of its own.
    pub(crate) async fn start<F, A>(answer: F) -> io::Result<Self>
    where
        F: Fn(Method, Uri, HeaderMap, Bytes) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Reply> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let handler = move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
            // A real server does not notice that its client is gone: what it has begun it finishes.
            let answer = tokio::spawn(answer(method, uri, headers, body));
            async move { answer.await.unwrap_or_else(|_| Reply::no_content()).into_response() }
        };
        let router: Router = Router::new().fallback(handler);
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "a fake server has ended");
            }
        });
        Ok(Self { address, task })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The name that counts and planned failures know a request by.
pub(crate) fn route(method: &Method, path: &[&str]) -> String {
    let shown: Vec<_> =
        path.iter().enumerate().map(|(at, segment)| if at == 1 { "{id}" } else { *segment }).collect();
    format!("{method} /{}", shown.join("/"))
}

pub(crate) fn segments(path: &str) -> Vec<String> {
    path.split('/').filter(|segment| !segment.is_empty()).map(decode).collect()
}

/// The parameters of a query, decoded, in their order.
pub(crate) fn parameters(uri: &Uri) -> Vec<(String, String)> {
    let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let halves = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    halves.map(|(name, value)| (decode(name), decode(value))).collect()
}

/// Undoes `%xx` and `+`.
fn decode(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => hex(bytes.next()) * 16 + hex(bytes.next()),
            byte => byte,
        });
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn hex(digit: Option<u8>) -> u8 {
    let digit = digit.and_then(|digit| char::from(digit).to_digit(16));
    digit.and_then(|digit| digit.try_into().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded() {
        let uri: Uri = "/ports?tags=a%2Cb&binding%3Ahost_id=n+1&x".parse().unwrap();
        let pairs = [("tags", "a,b"), ("binding:host_id", "n 1"), ("x", "")];
        assert_eq!(parameters(&uri), pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
