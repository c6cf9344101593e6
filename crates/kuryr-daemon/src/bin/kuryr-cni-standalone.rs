//! `kuryr-cni-standalone`: the CNI plugin of a node without daemon, where it is installed as `kuryr-cni`. See [`standalone`].

use std::{
    io::{Read, Write},
    process::ExitCode,
};

use kuryr_cni::Outcome;
use kuryr_daemon::standalone;

fn main() -> ExitCode {
    if std::env::var_os("CNI_COMMAND").is_none() {
        eprintln!(
            "kuryr-cni {} without daemon: a CNI plugin, which a container runtime starts",
            env!("CARGO_PKG_VERSION")
        );
        return ExitCode::SUCCESS;
    }
    let mut input = Vec::new();
    // A half-read configuration is no JSON, which is then said.
    let _ = std::io::stdin().read_to_end(&mut input);
    let (text, code) = match standalone::run(|name| std::env::var(name).ok(), &input) {
        Outcome::Done(text) => (text, ExitCode::SUCCESS),
        Outcome::Failed(text) => (text, ExitCode::FAILURE),
    };
    match std::io::stdout().write_all(&text) {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}
