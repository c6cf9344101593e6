//! kuryrctl: generates what an installation needs and explains its state.

mod cli;
mod config;
mod connect;
mod crds;
mod generate;
mod openstack;
mod status;
mod yaml;

use std::{io, process::ExitCode};

use clap::Parser;

fn main() -> ExitCode {
    match cli::run(cli::Cli::parse(), &mut io::stdout().lock()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("kuryrctl: {error:#}");
            ExitCode::FAILURE
        }
    }
}
