//! kuryrctl: generates what an installation needs and explains its state. Under the names of older programs it does as they did, and
//! as `kuryr-k8s-controller` it is the controller: the two have most of their code in common, so that their image holds it once.

mod check;
mod cli;
mod config;
mod connect;
mod crds;
mod describe;
mod generate;
mod openstack;
mod policy;
mod pools;
mod sanity;
mod status;
mod uninstall;
mod upgrade;
mod yaml;

use std::{env, io, path::Path, process::ExitCode};

use clap::Parser;

fn main() -> ExitCode {
    let called = env::args_os().next().unwrap_or_default();
    let name = Path::new(&called).file_name().and_then(|name| name.to_str()).unwrap_or("kuryrctl");
    let (out, err) = (&mut io::stdout(), &mut io::stderr());
    let done = match name {
        "kuryr-k8s-controller" => kuryr_controller::run(&Parser::parse()),
        "kuryr-k8s-sanity" => sanity::run(&Parser::parse(), err),
        "kuryr-k8s-status" | "kuryr-status" => upgrade::run(&Parser::parse(), out, err),
        _ => cli::run(Parser::parse(), out),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}
