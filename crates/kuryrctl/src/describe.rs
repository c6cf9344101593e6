//! `kuryrctl describe service`: one Service on one screen: what Kubernetes wants, what OpenStack has, and what Kuryr would do next.
//!
//! ```text
//! observe   Kubernetes, then OpenStack by the controller's own code -> Facts     each either seen, or why not
//! judge     Facts, and the planner's word -> Report                              pure
//! render    Report -> text; JSON is the Report itself
//! ```

mod facts;
mod judge;
mod observe;
mod render;
mod report;
#[cfg(test)]
mod tests;
mod words;

use std::{io::Write, process::ExitCode};

use anyhow::Result;
use clap::{Args, ValueEnum};
use kuryr_k8s::Key;

use crate::{
    cli::Sources,
    connect::{self, Cluster},
};

/// Exit code if something is wrong, or not done yet.
const UNDONE: u8 = 1;
/// Exit code if nothing is known to be wrong, but not everything could be seen.
const UNKNOWN: u8 = 2;

/// Which Service, where to look, and how to tell.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// The Service: NAMESPACE/NAME, or NAME
    #[arg(value_name = "SERVICE")]
    name: String,
    /// Its namespace, if the name does not say it
    #[arg(short, long, value_name = "NAME", default_value = "default")]
    namespace: String,
    #[command(flatten)]
    cluster: Cluster,
    #[command(flatten)]
    sources: Sources,
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

/// Looks, asks the planner, and tells.
pub(crate) fn service(options: &Options, out: &mut impl Write) -> Result<ExitCode> {
    let (namespace, name) = options.name.split_once('/').unwrap_or((&options.namespace, &options.name));
    let key = Key::new(namespace, name);
    let facts = connect::block_on(async {
        let client = options.cluster.client().await?;
        Ok(observe::observe(&client, &options.sources, key).await)
    })?;
    let report = judge::judge(&facts);
    match options.output {
        Format::Text => render::text(&report, out)?,
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, &report)?;
            writeln!(out)?;
        }
    }
    Ok(ExitCode::from(match (report.is_done(), report.unknown.is_empty()) {
        (false, _) => UNDONE,
        (true, false) => UNKNOWN,
        (true, true) => 0,
    }))
}
