//! `kuryrctl check`: what stands in the way of Kuryr, in its configuration, in OpenStack, in Kubernetes and on this host.
//!
//! ```text
//! observe  configuration, OpenStack, Kubernetes, this host -> Facts       each either seen, or why not
//! rules    Facts -> findings, or why they can't be told                   pure, one small function each
//! render   table, JSON
//! ```
//!
//! A fact that could not be seen costs the checks that need it, and no other. Nothing is changed anywhere.

mod facts;
mod finding;
mod observe;
mod render;
mod rules;

use std::{collections::BTreeSet, io::Write, process::ExitCode};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use ipnet::IpNet;
use kube::Client;
use kuryr_config::Sources;

use self::{
    facts::{Facts, State},
    finding::{Area, Gap},
    render::{Checked, Report, Summary},
    rules::{CHECKS, Check},
};
use crate::{cli, connect};

/// Exit code of an installation with problems.
const PROBLEMS: u8 = 1;
/// Exit code if there is no problem, but not everything could be checked.
const UNKNOWN: u8 = 2;

/// What to check, and by which ways.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    sources: cli::Sources,
    #[command(flatten)]
    cluster: connect::Cluster,
    /// Namespace that Kuryr is installed in
    #[arg(
        long,
        value_name = "NAME",
        env = "POD_NAMESPACE",
        default_value = "kube-system",
        help_heading = "Kubernetes"
    )]
    namespace: String,
    /// What the API server gives cluster IPs from (--service-cluster-ip-range), where the cluster is older than 1.33 and does
    /// not tell; comma-separated
    #[arg(long, value_name = "RANGE", value_delimiter = ',', help_heading = "Kubernetes")]
    service_range: Vec<IpNet>,
    /// Check only this; comma-separated
    #[arg(long, value_name = "AREA", value_delimiter = ',')]
    only: Vec<Area>,
    /// What this host is to run; comma-separated [default: both if it is a node of the cluster, else nothing]
    #[arg(long, value_name = "ROLE", value_delimiter = ',')]
    here: Vec<Role>,
    /// How to write the result
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

/// What a host runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Role {
    /// The controller
    Controller,
    /// Pods, and so a daemon
    Node,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table for people
    Text,
    /// For programs
    Json,
}

impl Role {
    fn program(self) -> &'static str {
        match self {
            Self::Controller => "kuryr-k8s-controller",
            Self::Node => "kuryr-daemon",
        }
    }
}

/// Looks, judges, and tells.
pub(crate) fn run(options: &Options, out: &mut impl Write) -> Result<ExitCode> {
    let areas: BTreeSet<Area> = match options.only.as_slice() {
        [] => Area::value_variants().iter().copied().collect(),
        some => some.iter().copied().collect(),
    };
    let facts = connect::block_on(async { Ok(observe::observe(options, &areas).await) })?;
    let report = judge(&facts, CHECKS.iter().filter(|check| areas.contains(&check.area)));
    match options.output {
        Format::Text => report.text(out)?,
        Format::Json => report.json(out)?,
    }
    Ok(ExitCode::from(code(report.summary)))
}

/// What is wrong with the sizes of pools: maximum and minimum, minimum and batch, maximum and batch.
pub(crate) fn configured_pool_sizes(sources: &Sources) -> Result<[Option<String>; 3]> {
    match observe::config::Read::new(sources).into_facts() {
        facts::Config::Read(settings) => Ok(rules::pool_sizes(&settings.pool)),
        facts::Config::Unreadable(problems) => bail!("cannot use the configuration: {}", problems.join("; ")),
    }
}

/// Those of our custom resource definitions that the cluster does not have as this program knows them.
pub(crate) async fn other_definitions(client: &Client) -> Result<Vec<String>> {
    match observe::cluster::definitions(client).await {
        Ok(found) => {
            let others = found.into_iter().filter(|definition| definition.state != State::Same);
            Ok(others.map(|definition| definition.name).collect())
        }
        Err(Gap::Unknown(why) | Gap::Skipped(why)) => bail!(why),
    }
}

fn judge<'a>(facts: &Facts, checks: impl Iterator<Item = &'a Check>) -> Report {
    Report::new(checks.map(|check| Checked::new(check, (check.verdict)(facts))).collect())
}

fn code(summary: Summary) -> u8 {
    match summary {
        Summary { problems: 1.., .. } => PROBLEMS,
        Summary { unknown: 1.., .. } => UNKNOWN,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_go_before_gaps_and_warnings_are_no_failure() {
        let summary = |problems, warnings, unknown| code(Summary { problems, warnings, unknown });
        assert_eq!(summary(0, 3, 0), 0);
        assert_eq!(summary(0, 0, 1), 2);
        assert_eq!(summary(1, 0, 1), 1);
    }
}
