//! `kuryr-k8s-status`: this program under an old name, with the commands and exit codes that scripts know.

use std::{io::Write, process::ExitCode};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, api::ListParams};
use serde_json::Value;

use crate::{check, connect};

/// Exit code if a check could not be made.
const FAILED: u8 = 255;
/// Where a Kuryr before Wallaby recorded a pod's interfaces.
const ANNOTATION: &str = "openstack.org/kuryr-vif";
/// Pods asked for in one page.
const PAGE: u32 = 500;

/// Tells whether a cluster can be upgraded to this version.
#[derive(Debug, Parser)]
#[command(name = "kuryr-k8s-status", version, max_term_width = 100)]
pub(crate) struct Status {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Checks before and after an upgrade
    #[command(subcommand)]
    Upgrade(Upgrade),
    /// Write this program's version
    Version,
}

#[derive(Debug, Subcommand)]
enum Upgrade {
    /// Check whether this version can take over.
    ///
    /// Exit code 0: it can. 1: there is something to look into. 2: there is something to do first. 255: it could not be found out.
    Check(connect::Cluster),
    /// Accepted for old scripts; there is nothing to do
    UpdateAnnotations,
    /// Accepted for old scripts; there is nothing to do
    DowngradeAnnotations,
}

/// What a check says, in the order of badness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Success,
    Warning,
    Failure,
}

struct Checked {
    name: &'static str,
    outcome: Outcome,
    details: String,
}

/// How a pod's annotation is found.
#[derive(Debug, PartialEq, Eq)]
enum Annotation {
    Current,
    Old,
    Malformed,
}

/// Does what the command line asks for.
pub(crate) fn run(options: &Status, out: &mut impl Write, err: &mut impl Write) -> Result<ExitCode> {
    match &options.command {
        Command::Version => writeln!(out, "{}", env!("CARGO_PKG_VERSION"))?,
        Command::Upgrade(Upgrade::Check(cluster)) => match connect::block_on(checked(cluster)) {
            Ok(checks) => return table(&checks, out),
            Err(error) => {
                writeln!(err, "kuryr-k8s-status: {error:#}")?;
                return Ok(ExitCode::from(FAILED));
            }
        },
        Command::Upgrade(Upgrade::UpdateAnnotations | Upgrade::DowngradeAnnotations) => {
            writeln!(
                out,
                "nothing to do: pods have no annotation of Kuryr's; their interfaces are in KuryrPorts"
            )?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn checked(cluster: &connect::Cluster) -> Result<Vec<Checked>> {
    let client = cluster.client().await?;
    Ok(vec![annotations(&client).await?, definitions(&client).await?])
}

async fn annotations(client: &Client) -> Result<Checked> {
    let api = Api::<Pod>::all(client.clone());
    let mut params = ListParams::default().limit(PAGE);
    let (mut old, mut malformed) = (0, 0);
    loop {
        let page = api.list_metadata(&params).await.context("cannot list pods")?;
        let annotated =
            page.items.iter().filter_map(|pod| pod.metadata.annotations.as_ref()?.get(ANNOTATION));
        for annotation in annotated.map(|text| read(text)) {
            old += usize::from(annotation == Annotation::Old);
            malformed += usize::from(annotation == Annotation::Malformed);
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(summed(old, malformed)),
        }
    }
}

fn read(text: &str) -> Annotation {
    let Ok(Value::Object(object)) = serde_json::from_str(text) else { return Annotation::Malformed };
    match object.get("versioned_object.name").and_then(Value::as_str) {
        Some("PodState") => Annotation::Current,
        _ => Annotation::Old,
    }
}

fn summed(old: usize, malformed: usize) -> Checked {
    let (outcome, details) = match (old, malformed) {
        (0, 0) => (Outcome::Success, "All annotations are updated.".to_owned()),
        (0, _) => (
            Outcome::Warning,
            format!(
                "{malformed} pods have an unreadable annotation {ANNOTATION}. It is ignored; look at these pods."
            ),
        ),
        _ => (
            Outcome::Failure,
            format!(
                "{old} pods have an annotation {ANNOTATION} of an old format. Upgrade to Kuryr-Kubernetes 5 first, which turns \
                 them into KuryrPorts, or delete these pods."
            ),
        ),
    };
    Checked { name: "Pod annotations", outcome, details }
}

async fn definitions(client: &Client) -> Result<Checked> {
    let others = check::other_definitions(client).await?;
    let name = "Custom resource definitions";
    if others.is_empty() {
        return Ok(Checked {
            name,
            outcome: Outcome::Success,
            details: "They are those of this version.".to_owned(),
        });
    }
    let details = format!(
        "{} differ from this version's, or are missing: kuryrctl crds | kubectl apply --server-side --force-conflicts -f -",
        others.join(", ")
    );
    Ok(Checked { name, outcome: Outcome::Warning, details })
}

/// As the original writes it.
fn table(checks: &[Checked], out: &mut impl Write) -> Result<ExitCode> {
    let lines: Vec<[String; 3]> = checks
        .iter()
        .map(|Checked { name, outcome, details }| {
            [format!("Check: {name}"), format!("Result: {outcome:?}"), format!("Details: {details}")]
        })
        .collect();
    let title = "Upgrade Check Results";
    let width = lines.iter().flatten().map(|line| line.chars().count()).fold(title.len(), usize::max);
    let rule = format!("+-{}-+", "-".repeat(width));
    writeln!(out, "{rule}\n| {title:<width$} |\n{rule}")?;
    for group in &lines {
        group.iter().try_for_each(|line| writeln!(out, "| {line:<width$} |"))?;
        writeln!(out, "{rule}")?;
    }
    let worst = checks.iter().map(|check| check.outcome).max().unwrap_or(Outcome::Success);
    Ok(ExitCode::from(worst as u8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_are_told_apart() {
        assert_eq!(read(r#"{"versioned_object.name": "PodState"}"#), Annotation::Current);
        assert_eq!(read(r#"{"versioned_object.name": "VIFOpenVSwitch"}"#), Annotation::Old);
        assert_eq!(read(r#"{"eth0": {}}"#), Annotation::Old);
        assert_eq!(read("nonsense"), Annotation::Malformed);
    }

    #[test]
    fn old_ones_block_and_unreadable_ones_do_not() {
        let outcome = |old, malformed| summed(old, malformed).outcome;
        assert_eq!(outcome(0, 0), Outcome::Success);
        assert_eq!(outcome(0, 1), Outcome::Warning);
        assert_eq!(outcome(1, 1), Outcome::Failure);
    }

    #[test]
    fn the_table_is_a_box() {
        let mut out = Vec::new();
        table(&[summed(0, 0)], &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "+---------------------------------------+\n\
             | Upgrade Check Results                 |\n\
             +---------------------------------------+\n\
             | Check: Pod annotations                |\n\
             | Result: Success                       |\n\
             | Details: All annotations are updated. |\n\
             +---------------------------------------+\n"
        );
    }
}
