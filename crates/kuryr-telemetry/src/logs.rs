//! Logs: `tracing` to standard error, as text or as JSON.
//!
//! Levels come from `[DEFAULT] debug` or, finer, from the environment variable `RUST_LOG`.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::{MakeWriter, writer::MakeWriterExt as _};

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// Decisions and troubles.
    #[default]
    Info,
    /// Also each request.
    Debug,
}

/// Where log lines go.
#[derive(Debug)]
pub enum Output {
    /// Standard error.
    Stderr,
    /// A file, opened for appending by the caller.
    File(std::fs::File),
    /// Such a file, and standard error.
    Both(std::fs::File),
}

/// Starts logging. Call once, first thing in `main`; a second call is ignored.
pub fn init(format: Format, level: Level, output: Output) {
    match output {
        Output::Stderr => start(format, level, std::io::stderr, std::io::stderr().is_terminal()),
        Output::File(file) => start(format, level, std::sync::Mutex::new(file), false),
        Output::Both(file) => start(format, level, std::sync::Mutex::new(file).and(std::io::stderr), false),
    }
}

fn start<W>(format: Format, level: Level, writer: W, colour: bool)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter(level)).with_writer(writer).with_ansi(colour);
    let started = match format {
        Format::Text => lines.try_init(),
        Format::Json => lines.json().flatten_event(true).try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging was started already");
    }
}

/// The clients below us are quiet unless asked for by `RUST_LOG`: their lines name no Kubernetes object.
fn filter(level: Level) -> EnvFilter {
    let fallback = match level {
        Level::Info => "info,kube=warn,hyper=warn,tower=warn,reqwest=warn",
        Level::Debug => "debug,hyper=info,tower=info,reqwest=info,h2=info,rustls=info",
    };
    EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(fallback))
}
