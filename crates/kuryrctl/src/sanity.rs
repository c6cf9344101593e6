//! `kuryr-k8s-sanity`: this program under an old name, with the flags and exit codes that scripts know.
//!
//! Exit code 0: all that was asked for is in order, or nothing was asked for. 1: something is not, or there is no configuration.

use std::{io::Write, process::ExitCode};

use anyhow::Result;
use clap::{ArgAction, Parser};

use crate::{check, cli::Sources};

/// Checks the sizes of pools in kuryr.conf. Without a flag nothing is checked. `kuryrctl check` checks this and much more.
#[derive(Debug, Parser)]
#[expect(clippy::struct_excessive_bools, reason = "they are the flags of a command line")]
#[command(name = "kuryr-k8s-sanity", version, max_term_width = 100)]
pub(crate) struct Sanity {
    #[command(flatten)]
    sources: Sources,
    /// Check that a pool's maximum is at least its minimum; a maximum of 0 is none
    #[arg(long = "vif_pool_min_max", alias = "vif-pool-min-max")]
    min_max: bool,
    /// Check that a pool's batch is at least its minimum
    #[arg(long = "vif_pool_min_batch", alias = "vif-pool-min-batch")]
    min_batch: bool,
    /// Check that a pool's maximum is at least its batch; a maximum of 0 is none
    #[arg(long = "vif_pool_max_batch", alias = "vif-pool-max-batch")]
    max_batch: bool,
    /// Call what is wrong an error instead of a warning
    #[arg(long = "sanity_check_error", alias = "sanity-check-error")]
    as_error: bool,
    /// Accepted, without effect: there is nothing more to tell
    #[arg(short, long, action = ArgAction::SetTrue)]
    debug: bool,
}

/// Checks what is asked for and writes what is wrong to `err`.
pub(crate) fn run(options: &Sanity, err: &mut impl Write) -> Result<ExitCode> {
    let level = if options.as_error { "ERROR" } else { "WARNING" };
    let asked = [options.min_max, options.min_batch, options.max_batch];
    let wrong = check::configured_pool_sizes(&options.sources.sources())?;
    let mut code = ExitCode::SUCCESS;
    for what in asked.into_iter().zip(wrong).filter_map(|(asked, wrong)| wrong.filter(|_| asked)) {
        writeln!(err, "{level}: {what}")?;
        code = ExitCode::FAILURE;
    }
    Ok(code)
}
