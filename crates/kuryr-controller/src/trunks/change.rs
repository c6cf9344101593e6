//! Changes what a trunk carries: all that is wanted at one moment in one request, one request at a time.

use super::{Trunks, find};
use crate::line::{self, Line};
use kuryr_api::{PortId, TrunkId};
use kuryr_core::pod::Attachment;
use kuryr_core::vlan;
use kuryr_openstack::neutron::{Neutron, Standstill, Subport};
use kuryr_openstack::{Effect, Error as CallError, Kind};
use std::sync::Arc;
use thiserror::Error;

/// The most ports of one request: OVN's driver takes them one after the other, and the trunk is locked meanwhile.
const MOST: usize = 12;
/// How often a VLAN id may turn out to be somebody else's before the caller is told.
const TRIES: usize = 3;

/// Why a trunk was not changed.
#[derive(Clone, Debug, Error)]
pub enum Error {
    /// Neutron did not do it.
    #[error(transparent)]
    Call(#[from] CallError),
    /// All VLAN ids are taken.
    #[error("trunk {0} carries as many ports as there are VLAN ids")]
    Full(TrunkId),
}

impl Error {
    /// Somebody has the VLAN id, or the port.
    fn is_in_use(&self) -> bool {
        matches!(self, Self::Call(error) if error.kind() == Kind::Conflict && Standstill::of(error).is_none())
    }

    /// The others that were wanted with one may do without it.
    fn may_be_of_one(&self) -> bool {
        match self {
            Self::Full(_) => true,
            Self::Call(error) => match Standstill::of(error) {
                Some(why) => why == Standstill::Mtu,
                None => matches!(error.kind(), Kind::Conflict | Kind::NotFound | Kind::Invalid | Kind::Fault),
            },
        }
    }
}

/// What is wanted of a trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Add,
    Remove,
}

pub(super) struct Wanted {
    verb: Verb,
    port: PortId,
}

impl Trunks {
    /// Lets a trunk carry a port, by the lowest VLAN id that is free. One that it carries already stays as it is.
    pub async fn attach(&self, neutron: &Neutron, trunk: &TrunkId, port: &PortId) -> Result<(), Error> {
        self.change(neutron, trunk, Verb::Add, port).await
    }

    /// Takes a port off a trunk; one that is not on it is fine.
    pub async fn detach(&self, neutron: &Neutron, trunk: &TrunkId, port: &PortId) -> Result<(), Error> {
        self.change(neutron, trunk, Verb::Remove, port).await
    }

    /// Takes a port off its trunk and puts it there again, by the same VLAN id: what helps where OVN has not noticed it.
    pub async fn attach_again(
        &self,
        neutron: &Neutron,
        port: &PortId,
        place: &Attachment,
    ) -> Result<(), Error> {
        let line = self.line(&place.trunk);
        let _turn = line.turn().await;
        if self.place(port).as_ref() != Some(place) {
            return Ok(());
        }
        neutron.remove_subports(&place.trunk, std::slice::from_ref(port)).await?;
        self.unlearn(std::slice::from_ref(port));
        let again = Subport::vlan(port.clone(), place.vlan);
        match neutron.add_subports(&place.trunk, &[again]).await {
            Ok(now) => self.learn(&[now]),
            Err(error) => {
                find::refresh(self, neutron, &place.trunk).await?;
                return Err(error.into());
            }
        }
        Ok(())
    }

    async fn change(
        &self,
        neutron: &Neutron,
        trunk: &TrunkId,
        verb: Verb,
        port: &PortId,
    ) -> Result<(), Error> {
        let line = self.line(trunk);
        let mut place = line.join(Wanted { verb, port: port.clone() });
        let _turn = line.turn().await;
        loop {
            if let Some(outcome) = place.outcome() {
                return outcome;
            }
            let Some(batch) = line.next(of_one_kind) else { return Err(CallError::Stopped.into()) };
            self.carry_out(neutron, trunk, batch).await;
        }
    }

    fn line(&self, trunk: &TrunkId) -> Arc<Line<Wanted, Error>> {
        self.changes.lock().entry(trunk.clone()).or_default().clone()
    }

    async fn carry_out(&self, neutron: &Neutron, trunk: &TrunkId, batch: Vec<line::Wanted<Wanted, Error>>) {
        let ports: Vec<PortId> = batch.iter().map(|wanted| wanted.what.port.clone()).collect();
        let adds = batch.iter().all(|wanted| wanted.what.verb == Verb::Add);
        let outcomes = if adds {
            self.add(neutron, trunk, &ports).await
        } else {
            let outcome = self.remove(neutron, trunk, &ports).await;
            ports.iter().map(|_| outcome.clone()).collect()
        };
        batch.into_iter().zip(outcomes).for_each(|(wanted, outcome)| wanted.answer(outcome));
    }

    async fn remove(&self, neutron: &Neutron, trunk: &TrunkId, ports: &[PortId]) -> Result<(), Error> {
        neutron.remove_subports(trunk, ports).await?;
        self.unlearn(ports);
        tracing::info!(%trunk, ports = ports.len(), "took ports off a trunk");
        Ok(())
    }

    /// All in one request; where Neutron refuses that, each by itself.
    async fn add(&self, neutron: &Neutron, trunk: &TrunkId, ports: &[PortId]) -> Vec<Result<(), Error>> {
        match self.add_together(neutron, trunk, ports).await {
            Err(error) if error.may_be_of_one() => {}
            outcome => return ports.iter().map(|_| outcome.clone()).collect(),
        }
        let mut outcomes = Vec::new();
        for port in ports {
            outcomes.push(self.add_alone(neutron, trunk, port).await);
        }
        outcomes
    }

    async fn add_alone(&self, neutron: &Neutron, trunk: &TrunkId, port: &PortId) -> Result<(), Error> {
        let mut outcome = Err(Error::Full(trunk.clone()));
        for _ in 0..TRIES {
            outcome = self.add_together(neutron, trunk, std::slice::from_ref(port)).await;
            if !outcome.as_ref().is_err_and(Error::is_in_use) {
                break;
            }
        }
        outcome
    }

    /// Adds those that are not there yet. What Neutron contradicts is learned.
    async fn add_together(&self, neutron: &Neutron, trunk: &TrunkId, ports: &[PortId]) -> Result<(), Error> {
        let is_there = |port: &PortId| self.place(port).is_some_and(|place| place.trunk == *trunk);
        let missing: Vec<_> = ports.iter().filter(|port| !is_there(port)).cloned().collect();
        if missing.is_empty() {
            return Ok(());
        }
        let taken = self.taken(trunk);
        let ids: Vec<u16> = vlan::free(&taken).take(missing.len()).collect();
        if ids.len() < missing.len() {
            return Err(Error::Full(trunk.clone()));
        }
        let wanted: Vec<_> =
            missing.iter().cloned().zip(ids).map(|(port, id)| Subport::vlan(port, id)).collect();
        match neutron.add_subports(trunk, &wanted).await {
            Ok(now) => {
                tracing::info!(%trunk, ports = wanted.len(), "put ports on a trunk");
                self.learn(&[now]);
                Ok(())
            }
            Err(error) => {
                let is_news = error.effect() == Effect::Unknown
                    || matches!(error.kind(), Kind::Conflict | Kind::NotFound);
                if is_news {
                    find::refresh(self, neutron, trunk).await?;
                }
                if missing.iter().all(is_there) { Ok(()) } else { Err(error.into()) }
            }
        }
    }
}

/// As much of one kind as was asked for in a row.
fn of_one_kind(waiting: &[line::Wanted<Wanted, Error>]) -> usize {
    let first = waiting.first().map(|wanted| wanted.what.verb);
    waiting.iter().take(MOST).take_while(|wanted| Some(wanted.what.verb) == first).count()
}
