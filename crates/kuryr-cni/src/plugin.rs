//! What the plugin does: reads the call, asks the daemon, says what to print.

use std::{
    io,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    daemon::{self, Answer, DEFAULT_SOCKET},
    error::{CniError, Code},
    request::{Command, Request},
    version::VersionInfo,
};

/// The kubelet gives a runtime two minutes, and the runtime needs some of them for itself. The daemon answers earlier of its own
/// accord; this is for one that hangs.
const PATIENCE: Duration = Duration::from_secs(115);

/// What to print on standard output, and how to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The call was carried out.
    Done(Vec<u8>),
    /// It was not; what is printed is an error.
    Failed(Vec<u8>),
}

/// Carries out one call by asking the daemon.
pub fn run(variable: impl Fn(&str) -> Option<String>, input: &[u8]) -> Outcome {
    run_by(variable, input, pass_on)
}

/// Carries out one call: reads it, has `work` do what it wants, and says what to print.
pub fn run_by(
    variable: impl Fn(&str) -> Option<String>,
    input: &[u8],
    work: impl FnOnce(&Request) -> Result<Outcome, CniError>,
) -> Outcome {
    let config = serde_json::from_slice::<Value>(input).map_err(|error| {
        CniError::new(Code::Decoding, format!("the configuration on standard input is not JSON: {error}"))
    });
    if variable("CNI_COMMAND").as_deref() == Some("VERSION") {
        let asked = config.ok().and_then(|config| config["cniVersion"].as_str().map(str::to_owned));
        return Outcome::Done(print(&VersionInfo::asked_in(asked.as_deref())));
    }
    let version = config.as_ref().ok().and_then(|config| config["cniVersion"].as_str()).map(str::to_owned);
    let outcome =
        config.and_then(|config| Request::read(variable, config)).and_then(|request| work(&request));
    match outcome {
        Ok(outcome) => outcome,
        Err(error) => Outcome::Failed(print(&CniError { cni_version: version, ..error })),
    }
}

fn pass_on(request: &Request) -> Result<Outcome, CniError> {
    let socket = Path::new(request.config["kuryr_socket"].as_str().unwrap_or(DEFAULT_SOCKET));
    match daemon::ask(socket, &print(request), Instant::now() + PATIENCE) {
        Ok(Answer { status: 200, body }) => Ok(Outcome::Done(body)),
        Ok(Answer { body, .. }) if is_error(&body) => Ok(Outcome::Failed(body)),
        Ok(Answer { status, body }) => {
            let message = format!("kuryr-daemon answered with HTTP status {status}");
            Err(CniError::new(Code::Io, message).with_details(String::from_utf8_lossy(&body)))
        }
        // The link went with its namespace, and the daemon looks for ports of gone links when it starts: nothing is left to do,
        // and a node that was restarted must not wait for the daemon to forget its old sandboxes.
        Err(_) if request.command == Command::Del && is_gone(request.netns.as_deref()) => {
            Ok(Outcome::Done(Vec::new()))
        }
        Err(error) => Err(unreachable(request.command, socket, &error)),
    }
}

fn is_error(body: &[u8]) -> bool {
    serde_json::from_slice::<CniError>(body).is_ok()
}

fn is_gone(netns: Option<&str>) -> bool {
    netns.is_none_or(|path| matches!(Path::new(path).try_exists(), Ok(false)))
}

fn unreachable(command: Command, socket: &Path, error: &io::Error) -> CniError {
    let code = if command == Command::Status { Code::NotAvailable } else { Code::TryAgainLater };
    let message = match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            format!(
                "kuryr-daemon did not answer within {} s: see its log and its health on port 8090",
                PATIENCE.as_secs()
            )
        }
        io::ErrorKind::PermissionDenied => format!("{} may be used by root only", socket.display()),
        _ => format!(
            "kuryr-daemon cannot be reached at {}: is its pod (kuryr-cni) running on this node?",
            socket.display()
        ),
    };
    CniError::new(code, message).with_details(error.to_string())
}

/// Serializing what this library defines cannot fail; an empty answer would be seen as an error by the runtime.
fn print<T: serde::Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
