//! `kuryr-daemon`: see the library. Where a container runtime starts it, it is the plugin of a node without daemon.

use std::{env, process::ExitCode};

use clap::Parser;
use kuryr_daemon::{cli::Cli, run, standalone};

const PLUGIN: &str = concat!(
    "kuryr-cni ",
    env!("CARGO_PKG_VERSION"),
    " without daemon: a CNI plugin, which a container runtime starts"
);

/// As many as calls that a kubelet makes at once, not as processors: each waits for the kernel now and then, which starts a thread in a
/// pod's namespace, reads its `/proc`, or opens its file while others change theirs.
const WORKERS: usize = 8;

fn main() -> anyhow::Result<ExitCode> {
    // Every runtime says by this what the plugin is to do (CNI specification, section 2).
    if env::var_os("CNI_COMMAND").is_some() {
        return Ok(kuryr_cni::program::main(PLUGIN, |variables, input| standalone::run(variables, input)));
    }
    let cli = Cli::parse();
    let settings = match cli.settings()? {
        Ok(settings) => settings,
        Err(code) => return Ok(code),
    };
    // Only fails if a provider was chosen already, which then serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
    runtime.block_on(run::run(settings))?;
    Ok(ExitCode::SUCCESS)
}
