//! Packets: pods ask each other, and Services, who they are.

use crate::pod::RunningPod;
use crate::stage::Stage;
use crate::wait::{seconds, until};
use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

/// So often a Service is asked, each time from another port. Of three members that are picked by chance one stays unseen once in a
/// thousand times, and is then asked for again.
const TRIES: u32 = 20;
/// A question without an answer is given up after 5 s. All that are answered take less than one.
const PATIENCE: &str = "8";

/// How a pod asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Protocol {
    /// HTTP.
    Tcp,
    /// A datagram and its answer.
    Udp,
}

/// What came back.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Dialled {
    /// Answers.
    #[serde(default)]
    pub responses: Vec<String>,
    /// Why others did not come.
    #[serde(default)]
    pub errors: Vec<String>,
}

impl Protocol {
    fn as_dialled(self) -> &'static str {
        match self {
            Self::Tcp => "http",
            Self::Udp => "udp",
        }
    }
}

impl Dialled {
    /// The answers, each once, if all questions were answered.
    pub fn all(self) -> Result<BTreeSet<String>> {
        ensure!(self.errors.is_empty(), "of {} questions {:?}", TRIES, self.errors);
        Ok(self.responses.into_iter().collect())
    }
}

impl Stage {
    /// Has a serving pod ask `host`, which may be a name, and hands over what came back.
    pub async fn dial(
        &self,
        from: &RunningPod,
        (host, port): (&str, u16),
        protocol: Protocol,
        request: &str,
        tries: u32,
    ) -> Result<Dialled> {
        let protocol = protocol.as_dialled();
        let query =
            format!("dial?host={host}&port={port}&protocol={protocol}&request={request}&tries={tries}");
        let answer = self.node(&from.node)?.get_within(PATIENCE, &from.url(from.v4, &query)).await?;
        Ok(serde_json::from_value(serde_json::from_str::<Value>(&answer)?)?)
    }

    /// Sees that `from` gets an answer from `to` at `address`, and from nobody else.
    pub async fn reaches(
        &self,
        from: &RunningPod,
        to: &RunningPod,
        address: IpAddr,
        protocol: Protocol,
    ) -> Result<()> {
        let port = match protocol {
            Protocol::Tcp => 8080,
            Protocol::Udp => 8081,
        };
        let what = format!("{} reaches {} at {address} by {protocol:?}", from.name, to.name);
        until(&what, seconds(10), async || {
            let dialled = self.dial(from, (&address.to_string(), port), protocol, "hostname", 1).await?;
            ensure!(dialled.responses == [to.name.as_str()], "the answer is {dialled:?}");
            Ok(())
        })
        .await
    }

    /// Sees that each of `by`, and nobody else, answers `from` at a Service's port.
    pub async fn answered_by(
        &self,
        from: &RunningPod,
        at: SocketAddr,
        protocol: Protocol,
        by: &[&RunningPod],
    ) -> Result<()> {
        let expected: BTreeSet<_> = by.iter().map(|pod| pod.name.clone()).collect();
        until(
            &format!("{expected:?} answer {} at {at} by {protocol:?}", from.name),
            seconds(20),
            async || {
                let answered = self.who_answers(from, at, protocol).await?;
                ensure!(answered == expected, "{answered:?} do");
                Ok(())
            },
        )
        .await
    }

    /// The names of all pods that answer `from` at a Service's port.
    pub async fn who_answers(
        &self,
        from: &RunningPod,
        at: SocketAddr,
        protocol: Protocol,
    ) -> Result<BTreeSet<String>> {
        self.dial(from, (&at.ip().to_string(), at.port()), protocol, "hostname", TRIES).await?.all()
    }

    /// The clients' addresses as those who answer `from` at a Service's port see them.
    pub async fn clients_seen(&self, from: &RunningPod, at: SocketAddr) -> Result<BTreeSet<IpAddr>> {
        let host = at.ip().to_string();
        let dialled = self.dial(from, (&host, at.port()), Protocol::Tcp, "clientip", TRIES).await?;
        dialled.all()?.iter().map(|seen| Ok(seen.parse::<SocketAddr>()?.ip())).collect()
    }

    /// Sees that nobody answers `from` there any more.
    pub async fn unanswered(&self, from: &RunningPod, at: SocketAddr, protocol: Protocol) -> Result<()> {
        until(&format!("nobody answers {} at {at} by {protocol:?}", from.name), seconds(20), async || {
            let dialled = self.dial(from, (&at.ip().to_string(), at.port()), protocol, "hostname", 1).await?;
            ensure!(dialled.responses.is_empty() && !dialled.errors.is_empty(), "the answer is {dialled:?}");
            Ok(())
        })
        .await
    }
}
