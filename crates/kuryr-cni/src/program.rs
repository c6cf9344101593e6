//! What every plugin's main does: environment and standard input in, a result or an error on standard output.

use std::{
    io::{Read, Write},
    process::ExitCode,
};

use crate::Outcome;

/// Runs a plugin as a runtime starts it, on this process's environment and streams. Without `CNI_COMMAND`, which is a person who
/// tries it, says `about` on standard error.
pub fn main(about: &str, plugin: impl FnOnce(fn(&str) -> Option<String>, &[u8]) -> Outcome) -> ExitCode {
    if std::env::var_os("CNI_COMMAND").is_none() {
        eprintln!("{about}");
        return ExitCode::SUCCESS;
    }
    let mut input = Vec::new();
    // A half-read configuration is no JSON, which is then said.
    let _ = std::io::stdin().read_to_end(&mut input);
    let (text, code) = match plugin(|name| std::env::var(name).ok(), &input) {
        Outcome::Done(text) => (text, ExitCode::SUCCESS),
        Outcome::Failed(text) => (text, ExitCode::FAILURE),
    };
    match std::io::stdout().write_all(&text) {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}
