//! The task that owns the connection: connects, monitors, sends requests, hands out replies, connects again.

use std::{collections::HashMap, io, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split},
    sync::{mpsc, oneshot, watch},
    time::{Instant, interval_at, sleep, timeout},
};

use crate::{
    client::OvsdbError,
    endpoint::{Endpoint, Stream},
    frame::{FrameDecoder, FrameError},
    switch::{Link, Switch},
    wire::{self, Incoming, RequestId},
};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long connecting, the first monitor reply or one write may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// A server that is silent for one interval is asked for a sign of life, and given up after the next.
const PROBE: Duration = Duration::from_secs(10);

/// Operations to be carried out as one transaction, and where the answer goes.
pub(crate) struct Command {
    pub operations: Vec<Value>,
    pub answer: oneshot::Sender<Result<Value, OvsdbError>>,
}

/// Runs until nobody holds a client any more.
pub(crate) async fn run(
    endpoint: Endpoint,
    mut commands: mpsc::Receiver<Command>,
    switch: watch::Sender<Switch>,
) {
    let mut pause = FIRST_PAUSE;
    while !commands.is_closed() {
        let ended = match Session::open(&endpoint, &switch).await {
            Ok(session) => {
                tracing::info!(%endpoint, "connected to OVSDB");
                pause = FIRST_PAUSE;
                session.serve(&mut commands, &switch).await
            }
            Err(error) => Err(error),
        };
        let Err(error) = ended else { return };
        report(&endpoint, &switch, &error);
        refuse_for(pause, &mut commands, &error).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("connect")]
    Connect(#[source] io::Error),
    #[error("no answer within {} s", PATIENCE.as_secs())]
    TooSlow,
    #[error("read")]
    Read(#[source] io::Error),
    #[error("write")]
    Write(#[source] io::Error),
    #[error("the server closed the connection")]
    Closed,
    #[error("no sign of life from the server")]
    Silent,
    #[error("understand the server")]
    Frame(#[from] FrameError),
    #[error("the server refused to be monitored: {0}")]
    Monitor(Value),
}

struct Session {
    reader: ReadHalf<Box<dyn Stream>>,
    writer: WriteHalf<Box<dyn Stream>>,
    decoder: FrameDecoder,
    waiting: HashMap<RequestId, oneshot::Sender<Result<Value, OvsdbError>>>,
    last_id: RequestId,
}

impl Session {
    async fn open(endpoint: &Endpoint, switch: &watch::Sender<Switch>) -> Result<Self, Ended> {
        let opening = async {
            let (reader, writer) = split(endpoint.open().await.map_err(Ended::Connect)?);
            let mut session = Self {
                reader,
                writer,
                decoder: FrameDecoder::default(),
                waiting: HashMap::new(),
                last_id: 0,
            };
            session.monitor(switch).await?;
            Ok(session)
        };
        timeout(PATIENCE, opening).await.unwrap_or(Err(Ended::TooSlow))
    }

    async fn monitor(&mut self, switch: &watch::Sender<Switch>) -> Result<(), Ended> {
        let id = self.next_id();
        self.write(&wire::monitor(id)).await?;
        loop {
            match self.receive().await? {
                Incoming::Reply(found, Ok(content)) if found == id => {
                    switch.send_modify(|switch| switch.reset(&content));
                    return Ok(());
                }
                Incoming::Reply(_, Err(error)) => return Err(Ended::Monitor(error)),
                other => self.handle(other, switch).await?,
            }
        }
    }

    /// Serves until the connection ends (an error) or nobody wants it any more.
    async fn serve(
        mut self,
        commands: &mut mpsc::Receiver<Command>,
        switch: &watch::Sender<Switch>,
    ) -> Result<(), Ended> {
        let mut probe = interval_at(Instant::now() + PROBE, PROBE);
        let mut heard = true;
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.request(command).await?,
                    None => return Ok(()),
                },
                message = self.receive() => {
                    heard = true;
                    self.handle(message?, switch).await?;
                }
                _ = probe.tick() => {
                    if !std::mem::take(&mut heard) {
                        return Err(Ended::Silent);
                    }
                    let id = self.next_id();
                    self.write(&wire::echo(id)).await?;
                }
            }
        }
    }

    async fn request(&mut self, command: Command) -> Result<(), Ended> {
        let id = self.next_id();
        self.waiting.retain(|_, answer| !answer.is_closed());
        self.waiting.insert(id, command.answer);
        self.write(&wire::transact(id, command.operations)).await
    }

    async fn handle(&mut self, message: Incoming, switch: &watch::Sender<Switch>) -> Result<(), Ended> {
        match message {
            Incoming::Reply(id, result) => {
                if let Some(answer) = self.waiting.remove(&id) {
                    // Whoever asked may have given up; the answer is then of no interest.
                    let _ = answer.send(result.map_err(OvsdbError::Rejected));
                }
            }
            Incoming::Echo(answer) => self.write(&answer).await?,
            Incoming::Update(changes) => switch.send_modify(|switch| switch.update(&changes)),
            Incoming::Other => {}
        }
        Ok(())
    }

    /// The next message. Dropping this future loses nothing: bytes that were read are in the decoder.
    async fn receive(&mut self) -> Result<Incoming, Ended> {
        loop {
            if let Some(message) = self.decoder.next_message()? {
                return Ok(Incoming::read(message));
            }
            if self.reader.read_buf(self.decoder.spare()).await.map_err(Ended::Read)? == 0 {
                return Err(Ended::Closed);
            }
        }
    }

    async fn write(&mut self, message: &Value) -> Result<(), Ended> {
        let bytes = message.to_string();
        match timeout(PATIENCE, self.writer.write_all(bytes.as_bytes())).await {
            Ok(written) => written.map_err(Ended::Write),
            Err(_) => Err(Ended::TooSlow),
        }
    }

    fn next_id(&mut self) -> RequestId {
        self.last_id += 1;
        self.last_id
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for (_, answer) in self.waiting.drain() {
            let _ = answer.send(Err(OvsdbError::Lost));
        }
    }
}

fn report(endpoint: &Endpoint, switch: &watch::Sender<Switch>, error: &Ended) {
    let reason = chain(error);
    // Told once for an outage, not for each attempt.
    if !matches!(switch.borrow().link(), Link::Down(_)) {
        tracing::warn!(%endpoint, %reason, "no connection to OVSDB, trying again");
    }
    switch.send_modify(|switch| switch.set_link(Link::Down(reason)));
}

/// Waits, and fails what is asked meanwhile: whoever asks decides whether it is worth waiting.
async fn refuse_for(pause: Duration, commands: &mut mpsc::Receiver<Command>, error: &Ended) {
    let reason = chain(error);
    let refusing = async {
        while let Some(command) = commands.recv().await {
            let _ = command.answer.send(Err(OvsdbError::Unreachable(reason.clone())));
        }
    };
    tokio::select! {
        () = refusing => {}
        () = sleep(pause) => {}
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
