//! The Python Kuryr's API, for plugins that still use it: `[cni_daemon] bind_address`.
//!
//! Kept to the byte, with its plain HTTP statuses and its header `ContentType`, except that an error is always JSON.

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use kuryr_api::vif::Vif;
use kuryr_cni::{CniError, Code, Command, Request};
use kuryr_k8s::slim::PortRecord;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    failure::Failure,
    server::{Answered, Door, any_version},
};

/// What the Python Kuryr's plugins send.
#[derive(Debug, Deserialize)]
struct Parameters {
    #[serde(rename = "CNI_IFNAME")]
    ifname: String,
    #[serde(rename = "CNI_NETNS", default)]
    netns: String,
    #[serde(rename = "CNI_CONTAINERID")]
    container_id: String,
    #[serde(rename = "CNI_ARGS")]
    args: String,
    #[serde(default)]
    config_kuryr: Value,
}

/// The body of an answer that is an error.
#[derive(Debug, Serialize)]
struct Refusal<'a> {
    code: u32,
    msg: &'a str,
    details: &'a str,
}

/// The two paths of the API.
pub fn router(door: Door) -> Router {
    Router::new()
        .route("/addNetwork", post(add_network))
        .route("/delNetwork", post(del_network))
        .with_state(door)
}

async fn add_network(State(door): State<Door>, body: axum::body::Bytes) -> Response {
    match call(&door, Command::Add, &body).await {
        Ok(Answered::Added(added)) => match default_vif(&added.record) {
            Some(vif) => respond(StatusCode::ACCEPTED, python_json(vif)),
            None => refuse(StatusCode::INTERNAL_SERVER_ERROR, 999, "Error processing request", ""),
        },
        Ok(Answered::Done) => respond(StatusCode::ACCEPTED, String::new()),
        Err(failure) => fail(&failure),
    }
}

async fn del_network(State(door): State<Door>, body: axum::body::Bytes) -> Response {
    match call(&door, Command::Del, &body).await {
        Ok(_) => respond(StatusCode::NO_CONTENT, String::new()),
        Err(failure) => fail(&failure),
    }
}

async fn call(door: &Door, command: Command, body: &[u8]) -> Result<Answered, Failure> {
    door.call(request(command, body)?).await
}

fn request(command: Command, body: &[u8]) -> Result<Request, CniError> {
    let missing = || CniError::new(Code::InvalidEnvironment, "Required CNI params missing.");
    let parameters: Parameters =
        serde_json::from_slice(body).map_err(|error| missing().with_details(error.to_string()))?;
    let variables = [
        ("CNI_COMMAND", command.to_string()),
        ("CNI_IFNAME", parameters.ifname),
        ("CNI_NETNS", parameters.netns),
        ("CNI_CONTAINERID", parameters.container_id),
        ("CNI_ARGS", parameters.args),
    ];
    let find = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone());
    Request::read(find, any_version(parameters.config_kuryr))
}

fn default_vif(record: &PortRecord) -> Option<&Vif> {
    record.content.vifs().find(|(_, entry)| entry.default).map(|(_, entry)| &entry.vif)
}

/// The statuses that the Python Kuryr's plugins know, and its codes in the body.
fn fail(failure: &Failure) -> Response {
    let error = failure.to_cni();
    match failure.code() {
        Code::InvalidEnvironment | Code::IncompatibleVersion | Code::Decoding => {
            refuse(StatusCode::BAD_REQUEST, Code::InvalidEnvironment.number(), &error.msg, &error.details)
        }
        Code::UnknownContainer => refuse(StatusCode::GONE, error.code, &error.msg, &error.details),
        Code::TryAgainLater => refuse(StatusCode::GATEWAY_TIMEOUT, error.code, &error.msg, &error.details),
        _ => refuse(StatusCode::INTERNAL_SERVER_ERROR, 999, "Error processing request", &error.msg),
    }
}

fn refuse(status: StatusCode, code: u32, message: &str, details: &str) -> Response {
    respond(status, python_json(&Refusal { code, msg: message, details }))
}

fn respond(status: StatusCode, body: String) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(HeaderName::from_static("contenttype"), HeaderValue::from_static("application/json"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    (status, headers, body).into_response()
}

/// JSON as Python's `json.dumps` writes it: a blank after colons and commas.
fn python_json(value: &impl Serialize) -> String {
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, Python);
    // What is written here are our own types with text keys, and into memory.
    let written = value.serialize(&mut serializer);
    written.ok().and_then(|()| String::from_utf8(bytes).ok()).unwrap_or_default()
}

struct Python;

impl serde_json::ser::Formatter for Python {
    fn begin_array_value<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
        writer.write_all(b": ")
    }
}

#[cfg(test)]
mod tests;
