//! When OVN's provider is really done with a change of members.
//!
//! It takes such a change apart: the members that are new, those that stay and those that go are a step each, and Octavia calls the
//! load balancer ACTIVE after the first. The next call is then done beside the later steps, and their ends make Octavia say ACTIVE
//! once more, in the middle of it. Seen: a listener that was not in OVN yet got a pool, and never forwarded anything, while
//! Octavia called all of it ACTIVE for good.
//!
//! So after such a change ACTIVE is not believed at once, and for a while only if nothing that hangs on the load balancer is
//! PENDING.

use super::Services;
use futures::future::try_join_all;
use kuryr_api::LoadBalancerId;
use kuryr_core::service::{Member, Socket};
use kuryr_openstack::Kind;
use kuryr_openstack::octavia::{LoadBalancer, Status};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use tokio::time::Instant;

/// ACTIVE is not believed for so long. A step takes 50 to 500 ms, and that of those who stay can't be seen.
const HOLD: Duration = Duration::from_millis(500);
/// For so long all that hangs on a load balancer is looked at.
const WATCH: Duration = Duration::from_secs(10);
/// A change that never came to an end is forgotten.
const FORGET: Duration = Duration::from_mins(10);

/// The load balancers whose members are being changed in steps, or were a moment ago.
#[derive(Default)]
pub struct Steps {
    known: Mutex<HashMap<LoadBalancerId, Change>>,
}

#[derive(Clone, Copy)]
struct Change {
    began: Instant,
    /// When Octavia said ACTIVE first.
    active: Option<Instant>,
}

/// What ACTIVE means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// What it says.
    Good,
    /// Nothing yet.
    Early,
    /// What it says, if nothing that hangs on the load balancer is PENDING.
    Unsure,
}

impl Steps {
    /// The members of a pool are being changed.
    pub fn begin(&self, id: &LoadBalancerId, old: &BTreeMap<Socket, Member>, new: &BTreeMap<Socket, Member>) {
        let (comes, stays) =
            (new.keys().any(|one| !old.contains_key(one)), new.keys().any(|one| old.contains_key(one)));
        let goes = old.keys().any(|one| !new.contains_key(one));
        let mut known = self.known.lock();
        known.retain(|_, change| change.began.elapsed() < FORGET);
        if u8::from(comes) + u8::from(stays) + u8::from(goes) > 1 {
            known.insert(id.clone(), Change { began: Instant::now(), active: None });
        }
    }

    /// Octavia says that this one is ACTIVE.
    fn hear(&self, id: &LoadBalancerId) -> Word {
        let mut known = self.known.lock();
        let Some(change) = known.get_mut(id) else { return Word::Good };
        let waited = change.active.get_or_insert_with(Instant::now).elapsed();
        if waited >= WATCH {
            known.remove(id);
            return Word::Good;
        }
        if waited < HOLD { Word::Early } else { Word::Unsure }
    }
}

/// Shows those as PENDING that are not done yet, whatever Octavia says.
pub async fn disbelieve(services: &Services, found: &mut [LoadBalancer]) -> kuryr_openstack::Result<()> {
    let is_done = async |one: &LoadBalancer| match services.steps.hear(&one.id) {
        Word::Good => Ok(true),
        Word::Early => Ok(false),
        Word::Unsure => match services.octavia.statuses(&one.id).await {
            Ok(tree) => Ok(!tree.is_pending()),
            Err(error) if error.kind() == Kind::NotFound => Ok(true),
            Err(error) => Err(error),
        },
    };
    let active = found.iter_mut().filter(|one| one.provisioning_status == Status::Active);
    let look = async |one: &mut LoadBalancer| {
        if !is_done(one).await? {
            one.provisioning_status = Status::PendingUpdate;
        }
        Ok(())
    };
    try_join_all(active.map(look)).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn members(last: impl IntoIterator<Item = u8>) -> BTreeMap<Socket, Member> {
        let socket = |last| Socket { address: IpAddr::from([10, 1, 0, last]), port: 8080 };
        last.into_iter().map(|last| (socket(last), Member { name: String::new(), subnet: None })).collect()
    }

    async fn words(old: &[u8], new: &[u8]) -> [Word; 4] {
        let (steps, id) = (Steps::default(), LoadBalancerId::from("balancer".to_owned()));
        steps.begin(&id, &members(old.iter().copied()), &members(new.iter().copied()));
        tokio::time::advance(Duration::from_mins(1)).await;
        let mut words = [steps.hear(&id); 4];
        for (word, pause) in words.iter_mut().skip(1).zip([HOLD / 2, HOLD / 2, WATCH]) {
            tokio::time::advance(pause).await;
            *word = steps.hear(&id);
        }
        words
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_in_steps_is_done_later_than_octavia_says() {
        let late = [Word::Early, Word::Early, Word::Unsure, Word::Good];
        for (old, new) in [(&[1][..], &[1, 2][..]), (&[1, 2], &[2]), (&[1], &[2])] {
            assert_eq!(words(old, new).await, late, "{old:?} -> {new:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_in_one_step_is_done_when_octavia_says_so() {
        for (old, new) in [(&[][..], &[1, 2][..]), (&[1, 2], &[]), (&[1], &[1])] {
            assert_eq!(words(old, new).await, [Word::Good; 4], "{old:?} -> {new:?}");
        }
    }
}
