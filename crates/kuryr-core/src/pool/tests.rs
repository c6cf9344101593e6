//! The planner's figures as a table, and its promises as properties of a node whose pods come and go.

use super::*;
use proptest::prelude::*;

const IDLE: Duration = Duration::from_mins(10);

fn sizing(min: usize, max: usize, batch: usize) -> Sizing {
    Sizing {
        min,
        max: NonZeroUsize::new(max),
        batch: NonZeroUsize::new(batch).unwrap(),
        free_percent: 50,
        idle: IDLE,
    }
}

fn free(count: usize, idle: Duration) -> Vec<Free> {
    (0..count).map(|id| Free { id: format!("{id:03}").into(), idle, fitness: Fitness::Fit }).collect()
}

fn seen(pods: usize, free: Vec<Free>) -> Observed {
    let (supply, arrivals, order) = (Supply::Enough, Arrivals::Calm, Order::None);
    Observed { node: Node::Serves, pods, waiting: 0, free, returning: 0, supply, arrivals, order }
}

fn made(actions: &[Action]) -> usize {
    actions.iter().map(|action| if let Action::Make(count) = action { *count } else { 0 }).sum()
}

fn given_back(actions: &[Action]) -> usize {
    actions.iter().filter(|action| matches!(action, Action::GiveBack(_))).count()
}

#[test]
fn the_target_grows_by_batches_with_the_pods() {
    let usual = sizing(5, 0, 10);
    let targets: Vec<_> = [0, 1, 5, 6, 15, 16, 100].map(|pods| usual.target(pods)).into();
    assert_eq!(targets, [10, 9, 5, 14, 5, 14, 10]);
}

#[test]
fn the_limits_are_of_free_ports() {
    assert_eq!(sizing(8, 0, 10).target(5), 8);
    assert_eq!(sizing(5, 6, 10).target(6), 6);
    assert_eq!(sizing(0, 0, 1).target(7), 1);
}

#[test]
fn pods_that_wait_take_what_is_free_first() {
    let waiting = Observed { waiting: 4, ..seen(5, free(6, IDLE)) };
    assert_eq!(plan(&sizing(5, 0, 10), &waiting), [Action::Make(3)]);
}

#[test]
fn a_pool_grows_after_a_burst_and_in_it_only_when_it_is_needed() {
    let burst = |pods, left| Observed { arrivals: Arrivals::Burst, ..seen(pods, free(left, IDLE)) };
    assert_eq!(plan(&sizing(5, 0, 10), &burst(6, 7)), []);
    assert_eq!(plan(&sizing(5, 0, 10), &burst(6, 6)), [Action::Make(8)]);
    assert_eq!(plan(&sizing(5, 0, 10), &seen(6, free(7, IDLE))), [Action::Make(7)]);
}

#[test]
fn what_comes_back_is_not_made_anew() {
    let returning = Observed { returning: 4, ..seen(0, free(6, IDLE)) };
    assert_eq!(plan(&sizing(5, 0, 10), &returning), []);
}

#[test]
fn a_surplus_goes_slowly_and_only_what_is_idle() {
    let mut free = free(20, IDLE);
    free.iter_mut().take(17).for_each(|port| port.idle = Duration::ZERO);
    let actions = plan(&sizing(5, 0, 10), &seen(0, free));
    let idle = ["017", "018", "019"].map(|id| Action::GiveBack(id.into()));
    assert_eq!(actions, idle);
    let actions = plan(&sizing(5, 0, 10), &seen(0, super::tests::free(40, IDLE)));
    assert_eq!(given_back(&actions), 5);
}

#[test]
fn what_no_pod_can_have_goes_at_once_and_is_replaced() {
    let mut free = free(10, Duration::ZERO);
    free[3].fitness = Fitness::Unfit;
    let actions = plan(&sizing(5, 0, 10), &seen(0, free));
    assert_eq!(actions, [Action::GiveBack("003".into()), Action::Make(1)]);
}

#[test]
fn nothing_is_kept_for_a_node_that_is_gone() {
    let gone = Observed { node: Node::Gone, ..seen(3, free(4, Duration::ZERO)) };
    assert_eq!(given_back(&plan(&sizing(5, 0, 10), &gone)), 4);
    assert_eq!(made(&plan(&sizing(5, 0, 10), &gone)), 0);
}

#[test]
fn a_pool_never_starves_a_pod() {
    let short = |supply| Observed { supply, ..seen(0, free(4, Duration::ZERO)) };
    assert_eq!(plan(&sizing(5, 0, 10), &short(Supply::UsedUp)), []);
    assert_eq!(given_back(&plan(&sizing(5, 0, 10), &short(Supply::Needed))), 4);
    let busy = Observed { waiting: 3, ..short(Supply::Needed) };
    assert_eq!(given_back(&plan(&sizing(5, 0, 10), &busy)), 1);
}

#[test]
fn what_was_filled_stays_and_what_was_emptied_goes_at_once() {
    let usual = sizing(5, 0, 10);
    let ordered = |order, free| Observed { order, ..seen(0, free) };
    assert_eq!(plan(&usual, &ordered(Order::Keep, free(40, IDLE))), []);
    assert_eq!(plan(&usual, &ordered(Order::Keep, free(4, IDLE))), [Action::Make(6)]);
    let emptied = ordered(Order::Empty, free(40, Duration::ZERO));
    assert_eq!((given_back(&plan(&usual, &emptied)), emptied.target(&usual)), (40, 0));
    assert_eq!(plan(&usual, &ordered(Order::Empty, vec![])), []);
    // A pod that waits finds one even then.
    let busy = Observed { waiting: 3, ..emptied };
    assert_eq!(given_back(&plan(&usual, &busy)), 37);
}

#[test]
fn what_was_filled_goes_for_a_pod_elsewhere() {
    let filled = Observed { order: Order::Keep, supply: Supply::Needed, ..seen(0, free(4, Duration::ZERO)) };
    assert_eq!(given_back(&plan(&sizing(5, 0, 10), &filled)), 4);
}

/// A node whose pods take and leave ports as they do in a cluster.
#[derive(Clone, Debug, Default)]
struct World {
    pods: usize,
    free: usize,
    made: usize,
    order: Order,
}

impl World {
    /// Pods come and go; those that come take what is free.
    fn turn_to(&mut self, pods: usize) {
        let come = pods.saturating_sub(self.pods);
        self.free = self.free.saturating_sub(come);
        self.pods = pods;
    }

    fn plan(&self, sizing: &Sizing) -> Vec<Action> {
        plan(sizing, &Observed { order: self.order, ..seen(self.pods, free(self.free, IDLE)) })
    }

    /// Looks until nothing is planned, each look long after the one before.
    fn settle(&mut self, sizing: &Sizing) {
        for _ in 0..200 {
            let actions = self.plan(sizing);
            if actions.is_empty() {
                return;
            }
            assert!(made(&actions) == 0 || given_back(&actions) == 0, "made and given back: {actions:?}");
            self.free = self.free + made(&actions) - given_back(&actions);
            self.made += made(&actions);
        }
        panic!("never rests: {self:?}");
    }
}

/// Nodes that share what there is: a quota, or the addresses of a subnet.
#[derive(Clone, Debug)]
struct Cloud {
    room: usize,
    nodes: Vec<World>,
    /// Pods of each node that have a port.
    served: Vec<usize>,
}

impl Cloud {
    fn used(&self) -> usize {
        self.served.iter().sum::<usize>() + self.nodes.iter().map(|node| node.free).sum::<usize>()
    }

    /// Pods come and go; the ports of those that go are free.
    fn turn_to(&mut self, pods: &[usize]) {
        for ((node, served), pods) in self.nodes.iter_mut().zip(&mut self.served).zip(pods) {
            let gone = served.saturating_sub(*pods);
            *served -= gone;
            node.free += gone;
            node.pods = *pods;
        }
    }

    /// Pods take what is free on their node, or have a port made where there is room.
    fn serve(&mut self) -> usize {
        let mut waiting = 0;
        for at in 0..self.nodes.len() {
            let needed = self.nodes[at].pods - self.served[at];
            let taken = needed.min(self.nodes[at].free);
            self.nodes[at].free -= taken;
            self.served[at] += taken;
            let made = (needed - taken).min(self.room - self.used());
            self.served[at] += made;
            waiting += needed - taken - made;
        }
        waiting
    }

    /// Looks at all nodes, long after each other, until nothing changes any more.
    fn settle(&mut self, sizing: &Sizing) {
        for _ in 0..400 {
            let waiting = self.serve();
            let is_full = self.used() == self.room;
            let supply = match (is_full, waiting) {
                (false, _) => Supply::Enough,
                (true, 0) => Supply::UsedUp,
                (true, _) => Supply::Needed,
            };
            let mut has_changed = false;
            for at in 0..self.nodes.len() {
                let (pods, waiting) = (self.nodes[at].pods, self.nodes[at].pods - self.served[at]);
                let idle = free(self.nodes[at].free, IDLE);
                let actions = plan(sizing, &Observed { waiting, supply, ..seen(pods, idle) });
                // Neutron makes all of a request, or as many as there is room for.
                let room = self.room - self.used();
                let change = (made(&actions).min(room), given_back(&actions));
                self.nodes[at].free = self.nodes[at].free + change.0 - change.1;
                has_changed |= change != (0, 0);
            }
            if !has_changed {
                return;
            }
        }
        panic!("never rests: {self:?}");
    }
}

fn sizings() -> impl Strategy<Value = Sizing> {
    (0..12usize, 0..40usize, 1..16usize, 0..=100usize)
        .prop_map(|(min, max, batch, free_percent)| Sizing { free_percent, ..sizing(min, max, batch) })
}

proptest! {
    #[test]
    fn any_sequence_of_pods_leads_to_the_size_of_its_last_state(
        sizing in sizings(),
        steps in proptest::collection::vec((0..120usize, any::<bool>()), 1..20),
    ) {
        let mut world = World::default();
        for (pods, is_quiet) in &steps {
            world.turn_to(*pods);
            if *is_quiet {
                world.settle(&sizing);
            }
        }
        world.settle(&sizing);
        prop_assert_eq!(world.free, sizing.target(world.pods));
    }

    #[test]
    fn orders_that_count_no_more_leave_no_trace(
        sizing in sizings(),
        steps in proptest::collection::vec((0..60usize, 0..3usize, 0..30usize), 1..12),
    ) {
        let mut world = World::default();
        for (pods, order, filled) in steps {
            world.turn_to(pods);
            world.order = [Order::None, Order::Keep, Order::Empty][order];
            if world.order == Order::Keep {
                world.free += filled;
            }
            let before = world.free;
            world.settle(&sizing);
            prop_assert!(world.order != Order::Keep || world.free >= before, "what was filled went");
            prop_assert!(world.order != Order::Empty || world.free == 0, "what was emptied is not empty");
        }
        world.order = Order::None;
        world.settle(&sizing);
        prop_assert_eq!(world.free, sizing.target(world.pods));
    }

    #[test]
    fn a_size_that_was_reached_stays(sizing in sizings(), pods in 0..120usize) {
        let mut world = World { pods, ..World::default() };
        world.settle(&sizing);
        prop_assert_eq!(world.plan(&sizing), vec![]);
    }

    #[test]
    fn the_target_is_within_its_limits_and_less_than_two_batches(sizing in sizings(), pods in 0..500usize) {
        let target = sizing.target(pods);
        let batch = sizing.batch.get();
        prop_assert!(sizing.max.is_none_or(|max| target <= max.get()));
        prop_assert!(target <= sizing.min.max(2 * batch));
        prop_assert!(target >= sizing.min.min(sizing.max.map_or(usize::MAX, NonZeroUsize::get)));
    }

    #[test]
    fn one_look_makes_a_batch_at_most(sizing in sizings(), pods in 0..500usize, waiting in 0..500usize) {
        let seen = Observed { waiting, ..seen(pods, vec![]) };
        prop_assert!(made(&plan(&sizing, &seen)) <= sizing.batch.get());
    }

    #[test]
    fn pods_get_what_a_cloud_has_whatever_pools_hold(
        sizing in sizings(),
        room in 1..60usize,
        steps in proptest::collection::vec(proptest::collection::vec(0..40usize, 3), 1..8),
    ) {
        let mut cloud = Cloud { room, nodes: vec![World::default(); 3], served: vec![0; 3] };
        for pods in steps {
            cloud.turn_to(&pods);
            cloud.settle(&sizing);
            prop_assert!(cloud.used() <= room, "more than there is: {cloud:?}");
            let wanted: usize = pods.iter().sum();
            prop_assert_eq!(cloud.served.iter().sum::<usize>(), wanted.min(room), "{:?}", cloud);
        }
    }
}
