//! Probers: programs of ours that stand in the networks of pods, answer there, and ask each other when they are told to.
//!
//! They are told through pipes, past the pods' network: no policy of a test can come between a test and its probers.
//!
//! ```text
//!   test ── a line: all probes of a round ──► prober ══ the pod's network ══► other probers
//!        ◄── a line for each outcome ────────
//! ```

use crate::command;
use crate::packets::Protocol;
use crate::pod::RunningPod;
use crate::stage::Stage;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// Where a prober answers, over TCP and UDP.
pub const PROBED_PORTS: [u16; 2] = [80, 81];
/// What gets no answer in this time gets none. A SYN that is lost comes again only after a second.
pub const PROBED_WITHIN: Duration = Duration::from_millis(700);

/// Whom to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Probe {
    /// Where.
    pub at: SocketAddr,
    /// How.
    pub protocol: Protocol,
}

/// What came of a probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Its place in the round.
    pub probe: usize,
    /// The name that the one there gave, or why there was none.
    pub answer: Result<String, String>,
}

/// A prober in the network of a pod. It ends when this is dropped, since nobody talks to it any more.
pub struct Prober {
    name: String,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    _program: Child,
}

impl Stage {
    /// Puts a prober into the network of a pod, where it answers with the pod's path.
    pub async fn prober(&self, pod: &RunningPod) -> Result<Prober> {
        let words: [OsString; 2] = [command::built("prober")?.into(), pod.path().into()];
        let words = self.node(&pod.node)?.words_in_pod(pod, &words).await?;
        let (first, others) = words.split_first().context("no words")?;
        let mut program = Command::new(first)
            .args(others)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("failed to start a prober in {}", pod.path()))?;
        let input = program.stdin.take().context("it has no input")?;
        let output = program.stdout.take().context("it has no output")?;
        let output = BufReader::new(output).lines();
        let mut prober = Prober { name: pod.path(), input, output, _program: program };
        // It says so when it answers.
        prober.line().await?;
        Ok(prober)
    }
}

impl Prober {
    /// Asks all of them at once, and tells what came of each.
    pub async fn ask(&mut self, probes: &[Probe]) -> Result<Vec<Outcome>> {
        let round = serde_json::to_string(probes)? + "\n";
        self.input
            .write_all(round.as_bytes())
            .await
            .with_context(|| format!("{} hears nothing", self.name))?;
        let mut outcomes = Vec::new();
        for _ in probes {
            outcomes.push(serde_json::from_str::<Outcome>(&self.line().await?)?);
        }
        outcomes.sort_by_key(|outcome| outcome.probe);
        Ok(outcomes)
    }

    async fn line(&mut self) -> Result<String> {
        self.output.next_line().await?.with_context(|| format!("the prober in {} ended", self.name))
    }
}
