//! The kubelet's `PodResources` API: which devices it has given to which pod. One call of gRPC over a unix socket, which is one request of
//! HTTP/2 each way around one message.
//!
//! The kubelet serves it to root alone, in `pod-resources/kubelet.sock` below its root.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use http::{HeaderMap, Request, header};
use http_body_util::{BodyExt, Collected, Full, Limited};
use hyper::{body::Bytes, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use kuryr_k8s::Key;
use prost::Message;
use tokio::{net::UnixStream, task::JoinSet, time::timeout};

/// The kubelet answers from memory.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// A node of 500 pods with devices has about a tenth of this to tell.
const LARGEST_ANSWER: usize = 16 << 20;
/// Nothing stands before a message but whether it is compressed, and its length.
const PREFIX: usize = 5;

/// Why it is not known which devices a pod has.
#[derive(Debug, thiserror::Error)]
pub enum PodResourcesError {
    /// The kubelet is not there.
    #[error(
        "reach the kubelet's PodResources API at {}, below [sriov] kubelet_root_dir, which the daemon has to see",
        .socket.display()
    )]
    Connect {
        /// Where it was looked for.
        socket: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// It did not answer in time.
    #[error("the kubelet's PodResources API has not answered within {} s", ANSWERS_WITHIN.as_secs())]
    Silent,
    /// The connection was of no use.
    #[error("ask the kubelet's PodResources API")]
    Ask(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It answered that it would not.
    #[error("the kubelet's PodResources API refuses: {message} (gRPC status {status})")]
    Refused {
        /// gRPC's number for the reason.
        status: String,
        /// The reason.
        message: String,
    },
    /// It answered something else.
    #[error("the kubelet's PodResources API answers what it should not: {0}")]
    Answer(String),
}

/// The answer to `List`, as far as it is read.
#[derive(Clone, PartialEq, Message)]
pub struct ListPodResourcesResponse {
    /// Pods of the node.
    #[prost(message, repeated, tag = "1")]
    pub pod_resources: Vec<PodResources>,
}

/// A pod.
#[derive(Clone, PartialEq, Message)]
pub struct PodResources {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its namespace.
    #[prost(string, tag = "2")]
    pub namespace: String,
    /// Its containers.
    #[prost(message, repeated, tag = "3")]
    pub containers: Vec<ContainerResources>,
}

/// A container.
#[derive(Clone, PartialEq, Message)]
pub struct ContainerResources {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its devices.
    #[prost(message, repeated, tag = "2")]
    pub devices: Vec<ContainerDevices>,
}

/// Devices of one resource, or of one NUMA node of it.
#[derive(Clone, PartialEq, Message)]
pub struct ContainerDevices {
    /// The resource.
    #[prost(string, tag = "1")]
    pub resource_name: String,
    /// The devices, as the device plugin calls them: by their PCI addresses.
    #[prost(string, repeated, tag = "2")]
    pub device_ids: Vec<String>,
}

/// The devices of a resource that a pod has, in the order of its containers.
pub async fn devices(socket: &Path, pod: &Key, resource: &str) -> Result<Vec<String>, PodResourcesError> {
    let all = timeout(ANSWERS_WITHIN, list(socket)).await.map_err(|_| PodResourcesError::Silent)??;
    let of_pod = all
        .pod_resources
        .into_iter()
        .filter(|found| (found.namespace.as_str(), found.name.as_str()) == (pod.namespace(), pod.name()));
    let devices = of_pod.flat_map(|pod| pod.containers).flat_map(|container| container.devices);
    let wanted = devices.filter(|devices| devices.resource_name == resource);
    Ok(wanted.flat_map(|devices| devices.device_ids).collect())
}

/// Whether there is somebody to ask.
pub async fn reach(socket: &Path) -> Result<UnixStream, PodResourcesError> {
    let failed = |source| PodResourcesError::Connect { socket: socket.to_owned(), source };
    UnixStream::connect(socket).await.map_err(failed)
}

async fn list(socket: &Path) -> Result<ListPodResourcesResponse, PodResourcesError> {
    let stream = TokioIo::new(reach(socket).await?);
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.map_err(ask)?;
    let mut driving = JoinSet::new();
    driving.spawn(connection);
    let response = sender.send_request(question()?).await.map_err(ask)?;
    let (head, body) = response.into_parts();
    let body: Collected<Bytes> =
        Limited::new(body, LARGEST_ANSWER).collect().await.map_err(PodResourcesError::Ask)?;
    // A call that is refused at once has no trailers.
    granted(body.trailers().filter(|trailers| trailers.contains_key(STATUS)).unwrap_or(&head.headers))?;
    let frame = body.to_bytes();
    let message = message(&frame)?;
    ListPodResourcesResponse::decode(message).map_err(|error| PodResourcesError::Answer(error.to_string()))
}

const STATUS: &str = "grpc-status";

/// The message of the question is empty.
fn question() -> Result<Request<Full<Bytes>>, PodResourcesError> {
    Request::post("http://localhost/v1.PodResourcesLister/List")
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .body(Full::from(&[0; PREFIX][..]))
        .map_err(|error| PodResourcesError::Ask(Box::new(error)))
}

fn ask(error: hyper::Error) -> PodResourcesError {
    PodResourcesError::Ask(Box::new(error))
}

fn granted(said: &HeaderMap) -> Result<(), PodResourcesError> {
    let text = |name| said.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    match text(STATUS) {
        Some(status) if status == "0" => Ok(()),
        Some(status) => {
            Err(PodResourcesError::Refused { status, message: text("grpc-message").unwrap_or_default() })
        }
        None => Err(PodResourcesError::Answer("it is no gRPC".to_owned())),
    }
}

fn message(frame: &[u8]) -> Result<&[u8], PodResourcesError> {
    let parts = frame.split_first_chunk::<PREFIX>();
    match parts {
        Some(([0, length @ ..], message)) if u32::from_be_bytes(*length) as usize == message.len() => {
            Ok(message)
        }
        _ => Err(PodResourcesError::Answer(format!("{} bytes that are no message", frame.len()))),
    }
}
