//! `kuryr-daemon`: see the library.

use std::process::ExitCode;

use clap::Parser;
use kuryr_daemon::{cli::Cli, run};

fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    let settings = match cli.settings()? {
        Ok(settings) => settings,
        Err(code) => return Ok(code),
    };
    // Only fails if a provider was chosen already, which then serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(run::run(settings))?;
    Ok(ExitCode::SUCCESS)
}
