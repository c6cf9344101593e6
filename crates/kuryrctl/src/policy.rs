//! `kuryrctl policy`: what network policies do to one pod, to one connection, and whether Neutron holds what they want.
//!
//! ```text
//! observe            Kubernetes, then Neutron by the controller's own code -> Facts     Neutron either seen, or why not
//! explain            Facts, a pod -> its isolation, groups, rules                       pure
//! trace, verify      Facts, two ends -> a verdict, and Neutron's and OVN's beside it    pure, but for ovn-trace
//! audit              Facts -> every difference                                          pure
//! ```

mod audit;
mod explain;
mod facts;
mod observe;
mod ovn;
#[cfg(test)]
mod tests;
mod trace;
mod verify;
mod words;

use std::{io::Write, process::ExitCode};

use anyhow::{Context, Result};
use clap::{Args, Subcommand, ValueEnum};
use kuryr_core::policy::model::Name;
use serde::Serialize;

use self::facts::Facts;
use crate::{
    cli::Sources,
    connect::{self, Cluster},
};

/// Exit code if nobody can tell, so that 1 is left to say no.
const UNKNOWN: u8 = 2;

/// What to ask.
#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Explain one pod: what isolates it, which security groups its port should carry, which rules reach it
    ///
    /// Without OpenStack it tells what Kubernetes says.
    ///
    /// Exit code 0: the pod's port carries what it should. 1: it carries other groups, or is not there yet. 2: not everything could be seen.
    Explain(explain::Options),
    /// Tell whether a connection is allowed, and by which rule of which policy
    ///
    /// Both ends have a say: what goes out of the one, and what comes in at the other, for each family of addresses that both
    /// have. To reach a Service, its address has to be allowed and every endpoint that it leads to.
    ///
    /// Exit code 0: allowed. 1: denied. 2: nobody can tell, or --verify found that Neutron or OVN does otherwise.
    Trace(Box<trace::Options>),
    /// Compare all that policies want with what Neutron has: groups, rules, addresses, ports of pods
    ///
    /// What is just being changed is told as a difference too: ask again.
    ///
    /// Exit code 0: all is as it should be. 1: there are differences. 2: nobody can tell.
    Audit(audit::Options),
}

/// Where to look, and how to tell.
#[derive(Debug, Clone, Args)]
pub(crate) struct Common {
    #[command(flatten)]
    sources: Sources,
    /// How to write the result
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
    // Its help heading holds for what follows.
    #[command(flatten)]
    cluster: Cluster,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

/// Asks, and tells. An error is no answer: its exit code is none of the answers'.
pub(crate) fn run(command: &Policy, out: &mut impl Write, err: &mut impl Write) -> Result<ExitCode> {
    let code = match command {
        Policy::Explain(options) => explain::run(options, out),
        Policy::Trace(options) => trace::run(options, out),
        Policy::Audit(options) => audit::run(options, out),
    };
    Ok(ExitCode::from(match code {
        Ok(code) => code,
        Err(error) => {
            writeln!(err, "kuryrctl: {error:#}")?;
            UNKNOWN
        }
    }))
}

impl Common {
    fn observe(&self) -> Result<Facts> {
        connect::block_on(async {
            let client = self.cluster.client().await?;
            observe::observe(&client, &self.sources).await
        })
    }

    /// Writes what is told: a report as JSON, or its text.
    fn tell<R: Serialize, W: Write>(
        &self,
        report: &R,
        out: &mut W,
        text: impl FnOnce(&R, &mut W) -> Result<()>,
    ) -> Result<()> {
        match self.output {
            Format::Text => text(report, out),
            Format::Json => {
                serde_json::to_writer_pretty(&mut *out, report)?;
                Ok(writeln!(out)?)
            }
        }
    }
}

/// `NAMESPACE/NAME`.
fn name(text: &str) -> Result<Name> {
    let parts = text.split_once('/').filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty());
    let (namespace, name) = parts.with_context(|| format!("`{text}` is not NAMESPACE/NAME"))?;
    Ok(Name::new(namespace, name))
}
