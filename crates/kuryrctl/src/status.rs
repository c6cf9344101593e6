//! `kuryrctl status`: how Kuryr does on a cluster, on one screen.
//!
//! ```text
//! observe   the cluster -> Facts        each either seen, or why not
//! judge     Facts -> Report             pure
//! render    Report -> text; JSON is the Report itself
//! ```

mod facts;
mod judge;
mod metrics;
mod observe;
mod render;
mod services;

use std::{io::Write, process::ExitCode};

use anyhow::Result;
use clap::{Args, ValueEnum};
use k8s_openapi::jiff::Timestamp;

use crate::connect::{self, Cluster};

/// Exit code if something is wrong.
const WRONG: u8 = 1;
/// Exit code if nothing is known to be wrong, but not everything could be seen.
const UNKNOWN: u8 = 2;

/// Where to look, and how to tell.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    cluster: Cluster,
    /// Namespace that Kuryr runs in
    #[arg(long, value_name = "NAME", default_value = "kube-system", help_heading = "Kubernetes")]
    namespace: String,
    /// Where the metrics of the controller that works are, if it is no pod or the API server does not reach it:
    /// `http://HOST:9654/metrics`
    #[arg(long, value_name = "URL")]
    metrics: Option<String>,
    /// How to write the result
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One screen for people
    Text,
    /// For programs
    Json,
}

/// Looks, judges, and tells.
pub(crate) fn run(options: &Options, out: &mut impl Write) -> Result<ExitCode> {
    let facts = connect::block_on(async {
        let client = options.cluster.client().await?;
        Ok(observe::observe(&client, &options.namespace, options.metrics.as_deref()).await)
    })?;
    let report = judge::judge(facts, Timestamp::now());
    match options.output {
        Format::Text => render::text(&report, out)?,
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, &report)?;
            writeln!(out)?;
        }
    }
    Ok(ExitCode::from(match (report.wrong.is_empty(), report.unknown.is_empty()) {
        (false, _) => WRONG,
        (true, false) => UNKNOWN,
        (true, true) => 0,
    }))
}
