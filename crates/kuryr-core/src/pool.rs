//! How many ports a node keeps ready for pods to come.
//!
//! ```text
//!   pods on the node ──► target ──┬─ more than are free ──► Make      as many as are missing, a batch at most
//!                                 └─ fewer ──────────────► GiveBack   those that lay idle long enough, a few at a time
//! ```
//!
//! The target follows the pods that are on the node now, and nothing else: neither what the pool was before nor how the pods came
//! and went. Any sequence of pods therefore ends in the size that its last state alone would have led to. An operator may fill a pool or
//! empty it; when that counts no more, its size is what it would have been.

#[cfg(test)]
mod tests;

use kuryr_api::PortId;
use std::cmp::Reverse;
use std::num::NonZeroUsize;
use std::time::Duration;

/// How large pools are, from `[vif_pool]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizing {
    /// At least as many are free (`ports_pool_min`).
    pub min: usize,
    /// At most as many are free (`ports_pool_max`).
    pub max: Option<NonZeroUsize>,
    /// A pool grows in steps of this size (`ports_pool_batch`).
    pub batch: NonZeroUsize,
    /// How much of a step is free at least, in percent (`ports_pool_free_percent`).
    pub free_percent: usize,
    /// A surplus port goes when it was idle for so long (`ports_pool_idle`).
    pub idle: Duration,
}

impl Sizing {
    /// How many ports are to be free beside those of `used` pods: `batch * ceil(free + used / batch) - used`, within the limits.
    pub fn target(&self, used: usize) -> usize {
        let batch = self.batch.get();
        let steps = (self.free_percent * batch + 100 * used).div_ceil(100 * batch);
        let free = (batch * steps).saturating_sub(used).max(self.min);
        self.max.map_or(free, |max| free.min(max.get()))
    }

    /// The same for a node as it is, with what an operator asked for.
    pub fn target_of(&self, node: Node, order: Order, used: usize) -> usize {
        if order == Order::Empty || node == Node::Gone { 0 } else { self.target(used) }
    }
}

/// What there is for pods of one node.
#[derive(Clone, Debug)]
pub struct Observed {
    /// Whether ports are kept for this node at all.
    pub node: Node,
    /// Pods on it that have a port or need one.
    pub pods: usize,
    /// Pods of them that have none yet: each will take a free one, or have one made.
    pub waiting: usize,
    /// Ports that are free.
    pub free: Vec<Free>,
    /// Ports of pods that are gone, which come back when they are unplugged.
    pub returning: usize,
    /// Whether more can be had.
    pub supply: Supply,
    /// Whether pods are coming.
    pub arrivals: Arrivals,
    /// What an operator asked for.
    pub order: Order,
}

impl Observed {
    /// How many ports are to be free.
    pub fn target(&self, sizing: &Sizing) -> usize {
        sizing.target_of(self.node, self.order, self.pods)
    }
}

/// Whether pods are coming, to whatever node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrivals {
    /// None came for a moment.
    Calm,
    /// Some have just come, and more may.
    Burst,
}

/// Whether ports are kept for a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// They are.
    Serves,
    /// It is gone, or as good as gone, or never was a machine.
    Gone,
}

/// Whether more ports can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supply {
    /// Nothing is known to stand in the way.
    Enough,
    /// A quota or a subnet is used up: what is there stays, and no more is asked for.
    UsedUp,
    /// It is used up, and a pod somewhere waits for a port: what is free is given back, so that the pod gets one.
    Needed,
}

/// What an operator asked of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Nothing that counts now.
    #[default]
    None,
    /// It was filled: what is too many stays.
    Keep,
    /// It was emptied: nothing is kept ready.
    Empty,
}

/// A free port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Free {
    /// Port.
    pub id: PortId,
    /// How long it has been free.
    pub idle: Duration,
    /// Whether a pod can have it.
    pub fitness: Fitness,
}

/// Whether a pod can have a free port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fitness {
    /// It can.
    Fit,
    /// Pods' ports are made otherwise by now, or Neutron could not bind it.
    Unfit,
}

/// One effect, idempotent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make so many ports.
    Make(usize),
    /// Delete this port, unless a pod took it meanwhile.
    GiveBack(PortId),
}

/// What to do, in this order. Empty when all is as it should be, or nothing lay idle long enough.
pub fn plan(sizing: &Sizing, seen: &Observed) -> Vec<Action> {
    let (fit, unfit): (Vec<_>, Vec<_>) = seen.free.iter().partition(|port| port.fitness == Fitness::Fit);
    let mut actions: Vec<_> = unfit.into_iter().map(give_back).collect();
    let left = (fit.len() + seen.returning).saturating_sub(seen.waiting);
    match (seen.node, seen.order, seen.supply) {
        (Node::Gone, ..) => actions.extend(fit.into_iter().map(give_back)),
        (Node::Serves, Order::Empty, _) => actions.extend(longest_idle(fit, left)),
        (Node::Serves, _, Supply::Needed) => actions.extend(longest_idle(fit, left.min(step(sizing)))),
        (Node::Serves, ..) => actions.extend(level(sizing, seen, fit, left)),
    }
    actions
}

/// Makes what is missing, or gives back what is too many. So many ports are left when all pods have theirs.
fn level(sizing: &Sizing, seen: &Observed, fit: Vec<&Free>, left: usize) -> Vec<Action> {
    let target = match seen.supply {
        Supply::Enough => seen.target(sizing),
        _ => seen.target(sizing).min(left),
    };
    // Where enough are left, requests for pods to come would only be in the way of those that have come.
    let can_wait = seen.arrivals == Arrivals::Burst && 2 * left >= target;
    if target > left && !can_wait {
        return vec![Action::Make((target - left).min(sizing.batch.get()))];
    }
    let surplus = if seen.order == Order::Keep { 0 } else { left.saturating_sub(target) };
    let idle = fit.into_iter().filter(|port| port.idle >= sizing.idle).collect();
    longest_idle(idle, surplus.min(step(sizing))).collect()
}

/// As many as go at a time.
fn step(sizing: &Sizing) -> usize {
    sizing.batch.get().div_ceil(2)
}

/// So many of them at most.
fn longest_idle(mut ports: Vec<&Free>, most: usize) -> impl Iterator<Item = Action> {
    ports.sort_by_key(|port| (Reverse(port.idle), port.id.clone()));
    ports.into_iter().take(most).map(give_back)
}

fn give_back(port: &Free) -> Action {
    Action::GiveBack(port.id.clone())
}
