//! `kuryr-k8s-controller`: see the library's documentation.

use clap::Parser;
use kuryr_controller::{Args, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(code) => code,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
