//! `kuryrctl config`: the sample file, the reference, and the check of a file.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anyhow::Result;
use kuryr_config::{ConfigError, Loaded, docs, options::schema};

use crate::cli::Sources;

/// What the programs exit with when they cannot start with their configuration.
const BAD_CONFIGURATION: u8 = 2;

pub(crate) fn sample(out: &mut impl Write) -> io::Result<()> {
    out.write_all(docs::sample(&schema()).as_bytes())
}

pub(crate) fn docs(out: &mut impl Write) -> io::Result<()> {
    out.write_all(docs::reference(&schema()).as_bytes())
}

pub(crate) fn check(sources: &Sources, out: &mut impl Write) -> Result<ExitCode> {
    match kuryr_config::load(&sources.sources()) {
        Ok(loaded) => {
            good(&loaded, out)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            bad(&error, out)?;
            Ok(ExitCode::from(BAD_CONFIGURATION))
        }
    }
}

fn good(loaded: &Loaded, out: &mut impl Write) -> io::Result<()> {
    for file in &loaded.files_read {
        writeln!(out, "read {}", file.display())?;
    }
    if loaded.files_read.is_empty() {
        writeln!(out, "no file was found; every option has its default, but for what the environment sets")?;
    }
    for warning in &loaded.warnings {
        writeln!(out, "warning: {warning}")?;
    }
    writeln!(out, "good, {}", counted(loaded.warnings.len(), "warning"))
}

fn bad(error: &ConfigError, out: &mut impl Write) -> io::Result<()> {
    for problem in &error.problems {
        writeln!(out, "error: {problem}")?;
    }
    writeln!(out, "bad, {}", counted(error.problems.len(), "error"))
}

fn counted(count: usize, what: &str) -> String {
    match count {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        many => format!("{many} {what}s"),
    }
}
