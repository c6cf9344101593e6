//! Waits until Octavia is done with load balancers: one list for all that wait.

use super::Services;
use super::steps::disbelieve;
use futures::future::try_join_all;
use kuryr_api::LoadBalancerId;
use kuryr_core::service::{Site, State};
use kuryr_k8s::Key;
use kuryr_openstack::Kind;
use kuryr_openstack::octavia::{LoadBalancer, LoadBalancerFilter, Status};
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How often Octavia is asked while any load balancer waits. With OVN a change takes 0.2 to 1 s.
const PERIOD: Duration = Duration::from_millis(150);
/// How often where nothing has moved for a while: an amphora takes a minute.
const SLOW: Duration = Duration::from_secs(2);
/// After so long without news it is asked slowly.
const A_WHILE: Duration = Duration::from_secs(10);
/// So many are asked for one by one.
const FEW: usize = 6;

/// For so long a load balancer that we deleted is not believed to be ACTIVE.
const LAST_WORDS: Duration = Duration::from_mins(1);

/// The load balancers that wait, and for whom.
#[derive(Default)]
pub struct Settling {
    waiting: Mutex<HashMap<LoadBalancerId, Waiting>>,
    wake: Notify,
}

#[derive(Clone)]
struct Waiting {
    key: Key,
    since: Instant,
}

impl Settling {
    /// Looks at `key` again once Octavia is done with one of `balancers`.
    pub fn wait_for(&self, key: &Key, balancers: &[LoadBalancerId]) {
        let mut waiting = self.waiting.lock();
        for id in balancers {
            let new = || Waiting { key: key.clone(), since: Instant::now() };
            waiting.entry(id.clone()).or_insert_with(new).key = key.clone();
        }
        self.wake();
    }

    /// There is something to ask for.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.lock().len()
    }

    /// The longest wait.
    pub fn longest(&self) -> Option<Duration> {
        self.waiting.lock().values().map(|one| one.since.elapsed()).max()
    }

    fn pause(&self, asking: Duration) -> Duration {
        let newest = self.waiting.lock().values().map(|one| one.since.elapsed()).min();
        let period = if newest.is_none_or(|waited| waited < A_WHILE) { PERIOD } else { SLOW };
        // A list of thousands costs Octavia time: it is not asked for more than a third of it.
        period.max(asking * 2)
    }
}

/// Runs until it is dropped.
pub async fn run(services: &Services) {
    let mut asking = Duration::ZERO;
    loop {
        if services.settling.len() == 0 && services.turns.is_none_kept() {
            services.settling.wake.notified().await;
            continue;
        }
        tokio::time::sleep(services.settling.pause(asking)).await;
        services.turns.end_old();
        let started = Instant::now();
        ask(services).await;
        asking = started.elapsed();
    }
}

async fn ask(services: &Services) {
    let Some(site) = services.site() else { return };
    let waiting: Vec<_> =
        services.settling.waiting.lock().iter().map(|(id, one)| (id.clone(), one.clone())).collect();
    let asked = Instant::now();
    let ids = waiting.iter().map(|(id, _)| id.clone()).chain(services.turns.kept()).collect();
    let found = match read(services, &site, ids).await {
        Ok(found) => found,
        Err(error) => {
            return tracing::warn!(error = error.chain(), "failed to ask what Octavia is done with");
        }
    };
    let found: HashMap<_, _> = found.iter().map(|one| (&one.id, one)).collect();
    let is_at_rest = |one: &LoadBalancer| {
        matches!(one.provisioning_status, Status::Active | Status::Error | Status::Deleted)
    };
    services.turns.end(asked, |id| found.get(id).is_none_or(|one| is_at_rest(one)));
    for (id, Waiting { key, since }) in waiting {
        if is_done(services, &id, found.get(&id).copied(), since) {
            services.settling.waiting.lock().remove(&id);
            services.queue.add(key);
        }
    }
}

/// Load balancers of these ids, as far as Octavia is believed.
async fn read(
    services: &Services,
    site: &Site,
    ids: BTreeSet<LoadBalancerId>,
) -> kuryr_openstack::Result<Vec<LoadBalancer>> {
    let mut found = find(services, site, &ids).await?;
    disbelieve(services, &mut found).await?;
    Ok(found)
}

/// A list of hundreds costs Octavia more than a few that are asked for by themselves.
async fn find(
    services: &Services,
    site: &Site,
    ids: &BTreeSet<LoadBalancerId>,
) -> kuryr_openstack::Result<Vec<LoadBalancer>> {
    if ids.len() > FEW {
        let project = services.one_project(site);
        let filter = LoadBalancerFilter { project, ..LoadBalancerFilter::default() };
        let mut found = services.octavia.load_balancers(&filter).await?;
        found.retain(|one| ids.contains(&one.id));
        return Ok(found);
    }
    let one = async |id| match services.octavia.load_balancer(id).await {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    Ok(try_join_all(ids.iter().map(one)).await?.into_iter().flatten().collect())
}

/// Keeps what is known of one up to date, and tells whether it is worth a look.
fn is_done(services: &Services, id: &LoadBalancerId, found: Option<&LoadBalancer>, since: Instant) -> bool {
    let balancers = &services.balancers;
    let status = found.map(|one| &one.provisioning_status);
    match heard(status, balancers.is_deleting(id), since.elapsed(), services.defaults.patience) {
        Heard::NotYet => return false,
        Heard::TooLong => {}
        Heard::Gone => services.forget(id),
        Heard::Done(state) => {
            balancers.set_state(id, state);
            // What others deleted is noticed for nothing while we change something ourselves.
            let is_as_known =
                found.is_some_and(|found| balancers.has_just(id, &found.listeners, &found.pools));
            if state == State::Error || !is_as_known {
                balancers.doubt(id);
            }
        }
    }
    true
}

/// What Octavia's word about a load balancer means that is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    NotYet,
    TooLong,
    Done(State),
    Gone,
}

/// While a provider deletes a load balancer, a change of its members that is still in its queue makes it ACTIVE for a moment. Who
/// believes that and deletes it once more makes it come back in ERROR after it was gone.
fn heard(status: Option<&Status>, is_deleting: bool, waited: Duration, patience: Duration) -> Heard {
    match status {
        None | Some(Status::Deleted) => Heard::Gone,
        Some(Status::Active) if is_deleting && waited < LAST_WORDS => Heard::NotYet,
        Some(Status::Active) => Heard::Done(State::Active),
        Some(Status::Error) => Heard::Done(State::Error),
        Some(_) if waited > patience => Heard::TooLong,
        Some(_) => Heard::NotYet,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_mins(5);

    #[test]
    fn a_load_balancer_that_is_deleted_is_not_taken_for_active_at_once() {
        let active = |is_deleting, seconds| {
            heard(Some(&Status::Active), is_deleting, Duration::from_secs(seconds), PATIENCE)
        };
        assert_eq!(active(true, 1), Heard::NotYet);
        assert_eq!(active(false, 1), Heard::Done(State::Active));
        assert_eq!(active(true, 61), Heard::Done(State::Active), "the deletion was lost");
        assert_eq!(heard(None, true, Duration::ZERO, PATIENCE), Heard::Gone);
    }

    #[test]
    fn what_takes_too_long_is_looked_at() {
        let pending =
            |seconds| heard(Some(&Status::PendingUpdate), false, Duration::from_secs(seconds), PATIENCE);
        assert_eq!((pending(299), pending(301)), (Heard::NotYet, Heard::TooLong));
    }
}
