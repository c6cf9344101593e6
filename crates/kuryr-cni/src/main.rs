//! `kuryr-cni`: the CNI plugin that a container runtime starts. See the library for what it does.

use std::{
    io::{Read, Write},
    process::ExitCode,
};

use kuryr_cni::Outcome;

const ABOUT: &str = "kuryr-cni connects pods to OpenStack Neutron networks. It is a CNI plugin: a container runtime starts it with \
the variables CNI_COMMAND, CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME and CNI_ARGS, and the network configuration on standard input. \
It speaks CNI 0.3.0, 0.3.1, 0.4.0, 1.0.0 and 1.1.0.";

fn main() -> ExitCode {
    if std::env::var_os("CNI_COMMAND").is_none() {
        eprintln!("kuryr-cni {}\n{ABOUT}", env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    let mut input = Vec::new();
    // A half-read configuration is no JSON, which is then said.
    let _ = std::io::stdin().read_to_end(&mut input);
    let (text, code) = match kuryr_cni::run(|name| std::env::var(name).ok(), &input) {
        Outcome::Done(text) => (text, ExitCode::SUCCESS),
        Outcome::Failed(text) => (text, ExitCode::FAILURE),
    };
    match std::io::stdout().write_all(&text) {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}
