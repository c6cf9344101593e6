//! Changes what a port may send from: all that is wanted at one moment in one request, one request at a time.
//!
//! A request names the revision that it was made from. Where somebody else was faster (another controller, a person) Neutron refuses it,
//! and it is made anew from what there is then: nobody's pairs are lost.

use super::{Pairs, Seen, exact};
use crate::line::{self, Line};
use kuryr_api::PortId;
use kuryr_core::carrier::{Parent, Sharing};
use kuryr_core::pairs::{self, Pair};
use kuryr_core::port::Port;
use kuryr_openstack::neutron::{AddressPair, Neutron, PortUpdate};
use kuryr_openstack::{Effect, Error, Kind, Result};
use std::sync::Arc;

/// What is wanted of a port.
#[derive(Clone)]
pub(super) struct Wanted {
    verb: Verb,
    pairs: Vec<Pair>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Add(Sharing),
    Remove,
}

impl Pairs {
    /// Lets a virtual machine's port send from the addresses of a pod's. What it may already stays as it is.
    pub async fn attach(&self, neutron: &Neutron, parent: &Parent, port: &Port) -> Result<()> {
        let pairs = pairs::of(port, parent).collect();
        self.change(neutron, &parent.port, Wanted { verb: Verb::Add(parent.sharing), pairs }).await
    }

    /// It may not any more. What it may not is fine.
    pub async fn detach(&self, neutron: &Neutron, parent: &Parent, port: &Port) -> Result<()> {
        self.remove(neutron, &parent.port, pairs::of(port, parent).collect()).await
    }

    pub(super) async fn remove(&self, neutron: &Neutron, parent: &PortId, pairs: Vec<Pair>) -> Result<()> {
        self.change(neutron, parent, Wanted { verb: Verb::Remove, pairs }).await
    }

    async fn change(&self, neutron: &Neutron, parent: &PortId, wanted: Wanted) -> Result<()> {
        let line = self.line(parent);
        let mut place = line.join(wanted);
        let _turn = line.turn().await;
        loop {
            if let Some(outcome) = place.outcome() {
                return outcome;
            }
            let Some(batch) = line.next(<[_]>::len) else { return Err(Error::Stopped) };
            self.carry_out(neutron, parent, batch).await;
        }
    }

    fn line(&self, parent: &PortId) -> Arc<Line<Wanted, Error>> {
        self.changes.lock().entry(parent.clone()).or_default().clone()
    }

    /// All in one request; where Neutron refuses that, each by itself.
    async fn carry_out(&self, neutron: &Neutron, parent: &PortId, batch: Vec<line::Wanted<Wanted, Error>>) {
        let (refused, batch): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|one| self.is_refused(parent, &one.what));
        for one in refused {
            let why = self.refusal(parent).unwrap_or(Error::Stopped);
            one.answer(Err(why));
        }
        let all: Vec<_> = batch.iter().map(|one| one.what.clone()).collect();
        match self.put(neutron, parent, &all).await {
            Err(error) if all.len() > 1 && is_refusal(&error) => {
                for one in batch {
                    let outcome = self.put_alone(neutron, parent, &one.what).await;
                    one.answer(outcome);
                }
            }
            outcome => {
                if let (Err(error), [alone]) = (&outcome, all.as_slice()) {
                    self.note(parent, alone, error);
                }
                batch.into_iter().for_each(|one| one.answer(outcome.clone()));
            }
        }
    }

    async fn put_alone(&self, neutron: &Neutron, parent: &PortId, wanted: &Wanted) -> Result<()> {
        if self.is_refused(parent, wanted) {
            return Err(self.refusal(parent).unwrap_or(Error::Stopped));
        }
        let outcome = self.put(neutron, parent, std::slice::from_ref(wanted)).await;
        outcome.inspect_err(|error| self.note(parent, wanted, error))
    }

    fn is_refused(&self, parent: &PortId, wanted: &Wanted) -> bool {
        wanted.verb != Verb::Remove && self.refusal(parent).is_some()
    }

    /// What Neutron refuses one pod it refuses the next.
    fn note(&self, parent: &PortId, wanted: &Wanted, error: &Error) {
        if wanted.verb != Verb::Remove && is_refusal(error) {
            self.note_refused(parent, error);
        }
    }

    async fn put(&self, neutron: &Neutron, parent: &PortId, batch: &[Wanted]) -> Result<()> {
        let mut failed = 0;
        loop {
            let seen = match self.seen(parent) {
                Some(seen) => seen,
                None => match self.read(neutron, parent).await {
                    Err(error) if error.kind() == Kind::NotFound => return gone(batch, error),
                    read => read?,
                },
            };
            let Some(now) = changed(&seen, batch) else { return Ok(()) };
            let update = PortUpdate { allowed_address_pairs: Some(now), ..PortUpdate::default() };
            let error = match neutron.update_port_at(parent, &update, seen.revision).await {
                Ok(port) => {
                    tracing::info!(%parent, pairs = port.allowed_address_pairs.len(), "changed what a node's port may send from");
                    self.learn(&port);
                    if batch.iter().any(|wanted| wanted.verb == Verb::Remove) {
                        self.forgive(parent);
                    }
                    return Ok(());
                }
                Err(error) => error,
            };
            match error.kind() {
                Kind::NotFound => {
                    self.forget(parent);
                    return gone(batch, error);
                }
                Kind::Stale => {}
                _ if error.effect() == Effect::Unknown => {}
                _ => return Err(error),
            }
            self.read(neutron, parent).await?;
            failed += 1;
            if failed >= self.attempts.get() {
                return Err(error);
            }
        }
    }

    async fn read(&self, neutron: &Neutron, parent: &PortId) -> Result<Arc<Seen>> {
        let read = neutron.port(parent).await;
        if read.as_ref().is_err_and(|error| error.kind() == Kind::NotFound) {
            self.forget(parent);
        }
        Ok(self.learn(&read?))
    }
}

/// A port that is gone sends from nowhere.
fn gone(batch: &[Wanted], error: Error) -> Result<()> {
    if batch.iter().all(|wanted| wanted.verb == Verb::Remove) { Ok(()) } else { Err(error) }
}

/// The same request fails for a while, whoever asks.
fn is_refusal(error: &Error) -> bool {
    matches!(error.kind(), Kind::Invalid | Kind::OverQuota | Kind::Forbidden | Kind::Conflict)
}

/// The pairs that there are to be, if they are others than there are. Those of others stay as they are shown.
fn changed(seen: &Seen, batch: &[Wanted]) -> Option<Vec<AddressPair>> {
    let mut now = seen.shown.clone();
    for wanted in batch {
        for pair in &wanted.pairs {
            let is_it = |one: &AddressPair| {
                exact(one, &seen.mac)
                    .is_some_and(|one| one.address == pair.address && pairs::is_same(&one.mac, &pair.mac))
            };
            match wanted.verb {
                Verb::Remove => now.retain(|one| !is_it(one)),
                Verb::Add(_) if now.iter().any(is_it) => {}
                Verb::Add(sharing) => now.push(AddressPair {
                    ip_address: pair.address.to_string(),
                    mac_address: (sharing == Sharing::Macvlan).then(|| pair.mac.clone()),
                }),
            }
        }
    }
    (now != seen.shown).then_some(now)
}
