//! The load balancers that exist in Octavia, as far as they concern us: listed at start, then known from our own calls. What a
//! failed call leaves unclear is doubted, and read again before anything is decided from it.

use kuryr_api::{ListenerId, LoadBalancerId, MemberId, PoolId};
use kuryr_core::service::{Balancer, Member, Ownership, Socket, State};
use parking_lot::RwLock;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The members of a pool.
pub struct Members {
    /// Their ids.
    pub ids: BTreeSet<MemberId>,
    /// What is said of them.
    pub sockets: BTreeMap<Socket, Member>,
}

/// Ids of the members of pools, as they were read.
pub type MemberIds = HashMap<PoolId, BTreeSet<MemberId>>;

/// The load balancers that exist.
#[derive(Default)]
pub struct Balancers {
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    by_id: HashMap<LoadBalancerId, Entry>,
    by_name: HashMap<String, BTreeSet<LoadBalancerId>>,
    by_vip: HashMap<IpAddr, BTreeSet<LoadBalancerId>>,
    /// Those that changed while a list was under way, which its answer may not show as they are.
    fresh: Option<HashSet<LoadBalancerId>>,
}

#[derive(Clone)]
struct Entry {
    balancer: Arc<Balancer>,
    trust: Trust,
    /// Since when Octavia is at work with it.
    busy_since: Option<Instant>,
    members: MemberIds,
}

/// Whether what we know of a load balancer is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It is.
    Certain,
    /// Somebody, or a call whose end we don't know, may have changed it.
    Doubted,
}

/// A load balancer as Octavia shows it.
pub struct Read {
    /// All of it.
    pub balancer: Balancer,
    /// Whether it stands still.
    pub trust: Trust,
    /// Its members' ids.
    pub members: MemberIds,
}

impl Balancers {
    /// Those that are called `name`, have one of `vips`, or are `recorded`.
    pub fn of(&self, name: &str, vips: &[IpAddr], recorded: Option<&LoadBalancerId>) -> Vec<Arc<Balancer>> {
        let known = self.known.read();
        let at = vips.iter().filter_map(|vip| known.by_vip.get(vip)).flatten();
        let named = known.by_name.get(name).into_iter().flatten();
        let ids: BTreeSet<_> = named.chain(at).chain(recorded).collect();
        ids.into_iter().filter_map(|id| Some(known.by_id.get(id)?.balancer.clone())).collect()
    }

    /// Which of these are doubted. No call of ours tells what became of a stranger's.
    pub fn doubted(&self, of: &[Arc<Balancer>]) -> Vec<LoadBalancerId> {
        let known = self.known.read();
        let is_doubted =
            |id: &LoadBalancerId| known.by_id.get(id).is_some_and(|one| one.trust == Trust::Doubted);
        let is_strangers = |one: &Balancer| one.ownership == Ownership::Foreign;
        let doubted = of.iter().filter(|one| is_strangers(one) || is_doubted(&one.id));
        doubted.map(|one| one.id.clone()).collect()
    }

    /// For how long Octavia has been at work with one.
    pub fn busy_for(&self, id: &LoadBalancerId) -> Option<Duration> {
        Some(self.known.read().by_id.get(id)?.busy_since?.elapsed())
    }

    /// Whether one is being deleted.
    pub fn is_deleting(&self, id: &LoadBalancerId) -> bool {
        self.known.read().by_id.get(id).is_some_and(|one| one.balancer.state == State::Deleting)
    }

    /// Whether OVN's provider makes one.
    pub fn is_ovns(&self, id: &LoadBalancerId) -> bool {
        self.known.read().by_id.get(id).is_some_and(|one| one.balancer.is_ovns())
    }

    /// Names of all.
    pub fn names(&self) -> Vec<String> {
        self.known.read().by_name.keys().cloned().collect()
    }

    /// All of them, in no order.
    pub fn all(&self) -> Vec<Arc<Balancer>> {
        self.known.read().by_id.values().map(|entry| entry.balancer.clone()).collect()
    }

    /// Number of all.
    pub fn len(&self) -> usize {
        self.known.read().by_id.len()
    }

    /// The members of a pool, if their ids are known.
    pub fn members(&self, balancer: &LoadBalancerId, pool: &PoolId) -> Option<Members> {
        let known = self.known.read();
        let entry = known.by_id.get(balancer)?;
        let sockets = entry.balancer.pools.get(pool)?.members.clone();
        Some(Members { ids: entry.members.get(pool)?.clone(), sockets })
    }

    /// The members of a pool as we know them.
    pub fn sockets(&self, balancer: &LoadBalancerId, pool: &PoolId) -> BTreeMap<Socket, Member> {
        let known = self.known.read();
        let pool = known.by_id.get(balancer).and_then(|entry| entry.balancer.pools.get(pool));
        pool.map(|pool| pool.members.clone()).unwrap_or_default()
    }

    /// Whether just these listeners and pools hang on one, as far as we know.
    pub fn has_just(&self, id: &LoadBalancerId, listeners: &[ListenerId], pools: &[PoolId]) -> bool {
        let known = self.known.read();
        known.by_id.get(id).is_some_and(|entry| {
            let (listeners, pools): (BTreeSet<_>, BTreeSet<_>) =
                (listeners.iter().collect(), pools.iter().collect());
            entry.balancer.listeners.keys().eq(listeners) && entry.balancer.pools.keys().eq(pools)
        })
    }

    /// One as Octavia shows it now.
    pub fn insert(&self, read: Read) {
        let mut known = self.known.write();
        known.touch(&read.balancer.id);
        known.insert(read);
    }

    /// One as our own call changed it: Octavia is at work with it from now on.
    pub fn change(&self, id: &LoadBalancerId, how: impl FnOnce(&mut Balancer)) {
        let mut known = self.known.write();
        known.touch(id);
        if let Some(entry) = known.by_id.get_mut(id) {
            let balancer = Arc::make_mut(&mut entry.balancer);
            balancer.state = State::Pending;
            how(balancer);
            entry.busy_since = Some(Instant::now());
        }
    }

    /// The members of a pool as our own call changed them, with ids that we don't know.
    pub fn set_members(&self, id: &LoadBalancerId, pool: &PoolId, members: BTreeMap<Socket, Member>) {
        if let Some(entry) = self.known.write().by_id.get_mut(id) {
            entry.members.remove(pool);
        }
        self.change(id, |balancer| {
            if let Some(pool) = balancer.pools.get_mut(pool) {
                pool.members = members;
            }
        });
    }

    /// What Octavia does with one.
    pub fn set_state(&self, id: &LoadBalancerId, state: State) {
        let mut known = self.known.write();
        known.touch(id);
        let Some(entry) = known.by_id.get_mut(id) else { return };
        if entry.balancer.state != state {
            Arc::make_mut(&mut entry.balancer).state = state;
        }
        let is_busy = matches!(state, State::Pending | State::Overdue | State::Deleting);
        entry.busy_since = entry.busy_since.filter(|_| is_busy).or_else(|| is_busy.then(Instant::now));
    }

    /// It is read again before anything is decided from it.
    pub fn doubt(&self, id: &LoadBalancerId) {
        if let Some(entry) = self.known.write().by_id.get_mut(id) {
            entry.trust = Trust::Doubted;
        }
    }

    /// One that is gone.
    pub fn remove(&self, id: &LoadBalancerId) -> Option<Arc<Balancer>> {
        let mut known = self.known.write();
        known.touch(id);
        known.remove(id)
    }

    /// A list begins: from now on, what changes is remembered.
    pub fn begin_list(&self) {
        self.known.write().fresh = Some(HashSet::new());
    }

    /// The answer of a list.
    pub fn end_list(&self, listed: Vec<Read>) {
        let mut known = self.known.write();
        let fresh = known.fresh.take().unwrap_or_default();
        let shown: HashSet<LoadBalancerId> = listed.iter().map(|read| read.balancer.id.clone()).collect();
        let is_gone = |id: &&LoadBalancerId| !shown.contains(*id) && !fresh.contains(*id);
        let gone: Vec<_> = known.by_id.keys().filter(is_gone).cloned().collect();
        gone.iter().for_each(|id| drop(known.remove(id)));
        listed
            .into_iter()
            .filter(|read| !fresh.contains(&read.balancer.id))
            .for_each(|read| known.insert(read));
    }
}

impl Known {
    fn touch(&mut self, id: &LoadBalancerId) {
        if let Some(fresh) = &mut self.fresh {
            fresh.insert(id.clone());
        }
    }

    fn insert(&mut self, read: Read) {
        let Read { balancer, trust, members } = read;
        let since = self.by_id.get(&balancer.id).and_then(|entry| entry.busy_since);
        drop(self.remove(&balancer.id));
        self.by_name.entry(balancer.name.clone()).or_default().insert(balancer.id.clone());
        self.by_vip.entry(balancer.vip).or_default().insert(balancer.id.clone());
        let is_busy = matches!(balancer.state, State::Pending | State::Deleting);
        let busy_since = is_busy.then(|| since.unwrap_or_else(Instant::now));
        let entry = Entry { balancer: Arc::new(balancer), trust, busy_since, members };
        self.by_id.insert(entry.balancer.id.clone(), entry);
    }

    fn remove(&mut self, id: &LoadBalancerId) -> Option<Arc<Balancer>> {
        let balancer = self.by_id.remove(id)?.balancer;
        drop_from(&mut self.by_name, &balancer.name, id);
        drop_from(&mut self.by_vip, &balancer.vip, id);
        Some(balancer)
    }
}

fn drop_from<K: std::hash::Hash + Eq>(
    index: &mut HashMap<K, BTreeSet<LoadBalancerId>>,
    key: &K,
    id: &LoadBalancerId,
) {
    if let Some(ids) = index.get_mut(key) {
        ids.remove(id);
        if ids.is_empty() {
            index.remove(key);
        }
    }
}

/// Nothing is known of its members yet, since it has none.
impl From<Balancer> for Read {
    fn from(balancer: Balancer) -> Self {
        Self { balancer, trust: Trust::Certain, members: MemberIds::new() }
    }
}
