//! Runs other programs: the lab's own command, kubectl, tools on a node.

use anyhow::{Context, Result, bail, ensure};
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// No command of a test takes longer; one that hangs is ended.
const LONGEST: &str = "150";

/// A program that cargo built beside this test.
pub fn built(name: &str) -> Result<PathBuf> {
    let here = env::current_exe()?;
    let path = here.parent().and_then(Path::parent).context("a test lies in a folder")?.join(name);
    ensure!(path.exists(), "there is no {}: cargo build -p {name}", path.display());
    Ok(path)
}

/// Runs a program to its end and returns what it printed. What it said on standard error is in the error.
pub(crate) async fn run(words: Vec<OsString>) -> Result<String> {
    let shown = words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    let work = move || Command::new("timeout").arg(LONGEST).args(words).stdin(Stdio::null()).output();
    let output =
        tokio::task::spawn_blocking(work).await?.with_context(|| format!("failed to start {shown}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if !output.status.success() {
        bail!("{shown} failed ({}): {} {}", output.status, text(&output.stdout), text(&output.stderr));
    }
    Ok(text(&output.stdout))
}
