//! Joins the creates of one moment into one request.
//!
//! Neutron makes ten ports of one request in half the time of ten requests. A create therefore waits a few milliseconds for
//! company; while as many requests are under way as are worth it, all that arrive wait together for the next.

use super::{Neutron, NewPort, Port};
use crate::{Error, Result};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::{Instant, timeout_at},
};

/// How creates are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Joining {
    /// How long the first create of a request waits for others.
    pub window: Duration,
    /// The most ports of one request.
    pub most: usize,
    /// The most requests under way at the same time, however many creates wait.
    pub in_flight: usize,
}

/// Creates ports, those of one moment together. Clones share the queue.
#[derive(Debug, Clone)]
pub struct Bulk {
    queue: mpsc::UnboundedSender<Wanted>,
}

#[derive(Debug)]
struct Wanted {
    port: NewPort,
    answer: oneshot::Sender<Result<Port>>,
}

impl Default for Joining {
    fn default() -> Self {
        Self { window: Duration::from_millis(8), most: 12, in_flight: 4 }
    }
}

impl Bulk {
    /// Starts the queue. It ends when the last clone is dropped and all answers are in. Needs a tokio runtime.
    pub fn start(neutron: Neutron, joining: Joining) -> Self {
        let (queue, wanted) = mpsc::unbounded_channel();
        tokio::spawn(Queue { neutron, joining, wanted, waiting: Vec::new() }.run());
        Self { queue }
    }

    /// Creates a port, as [`Neutron::make_ports`] does.
    ///
    /// Once sent, a create is not taken back when its caller gives up: whoever looks for the port of that `device_id` later
    /// finds it.
    pub async fn create(&self, port: NewPort) -> Result<Port> {
        let (answer, made) = oneshot::channel();
        self.queue.send(Wanted { port, answer }).map_err(|_| Error::Stopped)?;
        made.await.map_err(|_| Error::Stopped)?
    }
}

struct Queue {
    neutron: Neutron,
    joining: Joining,
    wanted: mpsc::UnboundedReceiver<Wanted>,
    waiting: Vec<Wanted>,
}

impl Queue {
    async fn run(mut self) {
        let places = Arc::new(Semaphore::new(self.joining.in_flight.max(1)));
        while self.gather().await {
            let Some(place) = self.place(&places).await else { return };
            self.send(place);
        }
    }

    /// Waits until a request may start. A burst goes out in requests one after the other, so that its first pods start while Neutron
    /// is at work for the last ones; requests run side by side only where enough wait to fill them.
    async fn place(&self, places: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        let most = self.joining.in_flight.max(1);
        let at_once = (1 + self.waiting.len() / (2 * self.joining.most.max(1))).min(most);
        let idle = u32::try_from(most - at_once).unwrap_or(u32::MAX);
        let mut place = Arc::clone(places).acquire_many_owned(idle + 1).await.ok()?;
        // The others were taken only to see that they are free.
        drop(place.split(idle as usize));
        Some(place)
    }

    /// Waits for a create and its company. Tells whether there are any.
    async fn gather(&mut self) -> bool {
        if self.waiting.is_empty() {
            match self.wanted.recv().await {
                Some(first) => self.waiting.push(first),
                None => return false,
            }
            let until = Instant::now() + self.joining.window;
            while self.waiting.len() < self.joining.most {
                let Ok(Some(next)) = timeout_at(until, self.wanted.recv()).await else { break };
                self.waiting.push(next);
            }
        }
        true
    }

    fn send(&mut self, place: OwnedSemaphorePermit) {
        while let Ok(next) = self.wanted.try_recv() {
            self.waiting.push(next);
        }
        self.waiting.retain(|wanted| !wanted.answer.is_closed());
        let most = self.joining.most.clamp(1, self.waiting.len().max(1));
        let batch: Vec<_> = self.waiting.drain(..most.min(self.waiting.len())).collect();
        if !batch.is_empty() {
            tokio::spawn(answer(self.neutron.clone(), batch, place));
        }
    }
}

async fn answer(neutron: Neutron, batch: Vec<Wanted>, _place: OwnedSemaphorePermit) {
    let (ports, answers): (Vec<_>, Vec<_>) =
        batch.into_iter().map(|wanted| (wanted.port, wanted.answer)).unzip();
    for (made, answer) in neutron.make_ports(&ports).await.into_iter().zip(answers) {
        if let Err(Ok(port)) = answer.send(made) {
            tracing::debug!(port = %port.id, device = port.device_id, "made a port that nobody waits for any more");
        }
    }
}
