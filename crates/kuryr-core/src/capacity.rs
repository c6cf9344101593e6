//! How many pods fit on a node that is a virtual machine, as the scheduler counts.
//!
//! ```text
//!   the scheduler:   room      =  capacity  -  what the pods on the node ask for
//!   therefore:       capacity  =  ports of pods that ask for them  +  ports that more pods could have
//! ```
//!
//! What others take (pods that do not ask, subports that are not ours) is in neither sum, so that it is no room. A pod that asks moves from
//! one to the other when it gets its port: nothing has to be written then.

use kuryr_api::vif::VLAN_IDS;

/// The most ports that a node carries.
pub const MOST: usize = (*VLAN_IDS.end() - *VLAN_IDS.start()) as usize + 1;

/// What there is on one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// What the pods ask for that have their ports.
    pub held: usize,
    /// Ports that are on the node and that no pod has.
    pub ready: usize,
    /// All ports that the node carries, whoever has them.
    pub carried: usize,
    /// How many more ports the project may have; none: as many as it likes.
    pub quota: Option<usize>,
}

impl Observed {
    /// How many more pods could have a port.
    pub fn free(&self) -> usize {
        let places = MOST.saturating_sub(self.carried);
        self.ready + self.quota.map_or(places, |quota| places.min(quota))
    }

    /// How many pods that ask for a port may be on the node in all.
    pub fn capacity(&self) -> usize {
        self.held + self.free()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_least_of_what_there_is_counts() {
        let cases = [
            ("an empty trunk", Observed::default(), 4094),
            ("others' subports", Observed { carried: 94, ..Observed::default() }, 4000),
            ("a pod that asks", Observed { carried: 1, held: 1, ..Observed::default() }, 4094),
            ("a pod that does not", Observed { carried: 1, ..Observed::default() }, 4093),
            ("a quota", Observed { quota: Some(7), ..Observed::default() }, 7),
            (
                "a quota that is used up",
                Observed { held: 3, carried: 3, quota: Some(0), ..Observed::default() },
                3,
            ),
            (
                "ports that are ready",
                Observed { ready: 5, carried: 5, quota: Some(0), ..Observed::default() },
                5,
            ),
            ("a full trunk", Observed { held: 4, carried: 4094, ..Observed::default() }, 4),
        ];
        for (name, seen, expected) in cases {
            assert_eq!(seen.capacity(), expected, "{name}");
        }
    }

    /// What happens on a node.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        /// The scheduler puts a pod there that asks, if there is room.
        Asking,
        /// A pod comes that does not ask.
        Silent,
        /// Somebody else takes a place.
        Other,
        /// A port is made ready.
        Ready,
        /// The pod that waits for longest is given its port, if there is one.
        Serve,
        /// A pod that asked goes.
        Go,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => Just(Step::Asking),
            1 => Just(Step::Silent),
            1 => Just(Step::Other),
            1 => Just(Step::Ready),
            3 => Just(Step::Serve),
            1 => Just(Step::Go),
        ];
        proptest::collection::vec(step, 0..120)
    }

    fn take(seen: &mut Observed) -> bool {
        if seen.free() == 0 {
            return false;
        }
        if seen.ready > 0 {
            seen.ready -= 1;
        } else {
            seen.carried += 1;
            seen.quota = seen.quota.map(|quota| quota - 1);
        }
        true
    }

    proptest! {
        /// As long as nobody else takes places, whom the scheduler lets in gets a port; and it turns nobody away for whom there is one.
        #[test]
        fn the_schedulers_room_is_what_is_free(
            quota in proptest::option::of(0..20usize),
            carried in prop_oneof![Just(0), 4080..=4094usize],
            steps in steps(),
        ) {
            let mut seen = Observed { carried, quota, ..Observed::default() };
            let mut waiting = 0;
            for step in steps {
                let room = |seen: &Observed| (seen.capacity()).checked_sub(seen.held + waiting);
                match step {
                    Step::Asking => {
                        let free = seen.free().checked_sub(waiting);
                        prop_assert_eq!(room(&seen), free);
                        waiting += usize::from(free.is_some_and(|free| free > 0));
                    }
                    // These take what the scheduler does not know of: they are not to take what it has given away.
                    Step::Silent | Step::Other if seen.free() > waiting => {
                        let before = seen.capacity();
                        prop_assert!(take(&mut seen));
                        prop_assert_eq!(seen.capacity(), before - 1);
                    }
                    Step::Ready if seen.free() > seen.ready => {
                        let before = seen.capacity();
                        seen.carried += 1;
                        seen.quota = seen.quota.map(|quota| quota - 1);
                        seen.ready += 1;
                        prop_assert_eq!(seen.capacity(), before, "a port that is ready is room as before");
                    }
                    Step::Serve if waiting > 0 => {
                        let before = seen.capacity();
                        prop_assert!(take(&mut seen), "a pod was let in and has no port");
                        (waiting, seen.held) = (waiting - 1, seen.held + 1);
                        prop_assert_eq!(seen.capacity(), before, "nothing is to be written");
                    }
                    Step::Go if seen.held > 0 => {
                        let before = seen.capacity();
                        (seen.held, seen.carried) = (seen.held - 1, seen.carried - 1);
                        seen.quota = seen.quota.map(|quota| quota + 1);
                        prop_assert!(seen.capacity() <= before);
                    }
                    _ => {}
                }
            }
        }
    }
}
