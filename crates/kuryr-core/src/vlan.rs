//! Which VLAN ids of a trunk are free. Every trunk has all of them to itself.

use kuryr_api::vif::VLAN_IDS;
use std::collections::BTreeSet;

/// The ids that are not taken, the lowest first: which port has which is the same after any restart, and a trunk's flows stay few.
pub fn free(taken: &BTreeSet<u16>) -> impl Iterator<Item = u16> {
    VLAN_IDS.filter(|id| !taken.contains(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A pod comes, or the pod with the so many-th port goes.
    #[derive(Clone, Debug)]
    enum Step {
        Come,
        Go(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![3 => Just(Step::Come), 2 => any::<usize>().prop_map(Step::Go)];
        proptest::collection::vec(step, 0..200)
    }

    proptest! {
        #[test]
        fn no_id_is_handed_out_twice_and_none_is_lost(
            foreign in proptest::collection::btree_set(VLAN_IDS, 0..40),
            steps in steps(),
        ) {
            let (mut taken, mut held) = (foreign.clone(), Vec::new());
            for step in steps {
                match step {
                    Step::Come => {
                        let id = free(&taken).next().unwrap();
                        prop_assert!(VLAN_IDS.contains(&id) && taken.insert(id));
                        prop_assert!((1..id).all(|lower| taken.contains(&lower)), "not the lowest");
                        held.push(id);
                    }
                    Step::Go(at) if !held.is_empty() => {
                        taken.remove(&held.swap_remove(at % held.len()));
                    }
                    Step::Go(_) => {}
                }
            }
            prop_assert_eq!(free(&taken).count() + taken.len(), 4094);
        }
    }

    #[test]
    fn a_full_trunk_has_none() {
        let all: BTreeSet<u16> = VLAN_IDS.collect();
        assert_eq!((all.len(), free(&all).next()), (4094, None));
        let one_left: BTreeSet<u16> = VLAN_IDS.filter(|id| *id != 4094).collect();
        assert_eq!(free(&one_left).collect::<Vec<_>>(), [4094]);
    }
}
