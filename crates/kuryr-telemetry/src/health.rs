//! Health by component: each part of the process reports what it can do now, and only now.
//!
//! Nothing is counted and nothing is remembered: a component that works again is healthy again.

use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

/// Which question a component's state answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A bad state makes `/ready` fail: the process can't do its work now, a restart would not help.
    Ready,
    /// A bad state makes `/alive` fail as well: only a restart helps.
    Alive,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Good,
    Resting(String),
    Missing(String),
    Bad(String),
}

/// The health of a process. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Health {
    components: Arc<RwLock<BTreeMap<&'static str, (Probe, State)>>>,
}

/// The voice of one component.
#[derive(Clone, Debug)]
pub struct Component {
    health: Health,
    name: &'static str,
}

/// What a probe answers: the verdict, and a line for each component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// How the process does.
    pub verdict: Verdict,
    /// `ok`, `not ok`, or what is missing; then each component's state.
    pub text: String,
}

/// How a process does, as far as a probe asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every component that the probe looks at is good.
    Good,
    /// Something that has to be there before the work begins is not there yet.
    Missing,
    /// A component can't do its work.
    Bad,
}

impl Health {
    /// Registers a component. It counts as bad, "starting", until it says otherwise.
    pub fn component(&self, name: &'static str, probe: Probe) -> Component {
        let initial = match probe {
            Probe::Ready => State::Bad("starting".to_owned()),
            Probe::Alive => State::Good,
        };
        self.components.write().insert(name, (probe, initial));
        Component { health: self.clone(), name }
    }

    /// The answer to `probe` at this moment.
    pub fn report(&self, probe: Probe) -> Report {
        let components = self.components.read();
        let mut text = String::new();
        for (name, (_, state)) in components.iter() {
            let _ = match state {
                State::Good => writeln!(text, "{name}: ok"),
                State::Resting(what) | State::Missing(what) | State::Bad(what) => {
                    writeln!(text, "{name}: {what}")
                }
            };
        }
        let counts = |kind: Probe| probe == Probe::Ready || kind == Probe::Alive;
        let states: Vec<_> =
            components.values().filter(|(kind, _)| counts(*kind)).map(|(_, state)| state).collect();
        let missing = states.iter().find_map(|state| match state {
            State::Missing(what) => Some(what.as_str()),
            _ => None,
        });
        let (verdict, first) = match missing {
            Some(what) => (Verdict::Missing, what),
            None if states.iter().any(|state| matches!(state, State::Bad(_))) => (Verdict::Bad, "not ok"),
            None => (Verdict::Good, "ok"),
        };
        Report { verdict, text: format!("{first}\n{text}") }
    }
}

impl Component {
    /// The component can do its work.
    pub fn good(&self) {
        self.set(State::Good);
    }

    /// The component has no work now, and that is as it should be; `what` tells the operator.
    pub fn resting(&self, what: impl Into<String>) {
        self.set(State::Resting(what.into()));
    }

    /// What has to be there before the component's work begins is not there yet; `what` is for whoever waits for it.
    pub fn missing(&self, what: impl Into<String>) {
        self.set(State::Missing(what.into()));
    }

    /// The component can't do its work; `why` is for the operator who reads the probe's answer.
    pub fn bad(&self, why: impl Into<String>) {
        self.set(State::Bad(why.into()));
    }

    fn set(&self, state: State) {
        let mut components = self.health.components.write();
        let Some((_, current)) = components.get_mut(self.name) else { return };
        if *current == state {
            return;
        }
        match &state {
            State::Good => tracing::info!(component = self.name, "healthy"),
            State::Resting(what) => tracing::info!(component = self.name, what, "resting"),
            State::Missing(what) => tracing::info!(component = self.name, what, "not there yet"),
            State::Bad(why) => tracing::warn!(component = self.name, why, "not healthy"),
        }
        *current = state;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_not_ready_before_it_says_so() {
        let health = Health::default();
        let caches = health.component("caches", Probe::Ready);
        assert_eq!(health.report(Probe::Ready).verdict, Verdict::Bad);
        assert_eq!(health.report(Probe::Alive).verdict, Verdict::Good);
        caches.good();
        assert_eq!(
            health.report(Probe::Ready),
            Report { verdict: Verdict::Good, text: "ok\ncaches: ok\n".into() }
        );
    }

    #[test]
    fn health_turns_bad_and_good_again_and_names_the_reason() {
        let health = Health::default();
        let ovsdb = health.component("ovsdb", Probe::Ready);
        let main = health.component("main", Probe::Alive);
        ovsdb.good();
        ovsdb.bad("connection refused");
        assert_eq!(
            health.report(Probe::Ready),
            Report { verdict: Verdict::Bad, text: "not ok\nmain: ok\novsdb: connection refused\n".into() }
        );
        assert_eq!(health.report(Probe::Alive).verdict, Verdict::Good);
        ovsdb.good();
        main.bad("stuck");
        assert_eq!(health.report(Probe::Alive).verdict, Verdict::Bad);
        assert_eq!(health.report(Probe::Ready).verdict, Verdict::Bad);
    }

    #[test]
    fn what_rests_is_healthy_and_says_so() {
        let health = Health::default();
        let leader = health.component("leader", Probe::Ready);
        leader.resting("standby, x leads");
        let report = health.report(Probe::Ready);
        assert_eq!(report, Report { verdict: Verdict::Good, text: "ok\nleader: standby, x leads\n".into() });
    }

    #[test]
    fn what_is_missing_is_told_first_whatever_else_is_bad() {
        let health = Health::default();
        let pools = health.component("pools", Probe::Ready);
        let openstack = health.component("openstack", Probe::Ready);
        pools.missing("Ports not loaded.");
        let text = "Ports not loaded.\nopenstack: starting\npools: Ports not loaded.\n".to_owned();
        assert_eq!(health.report(Probe::Ready), Report { verdict: Verdict::Missing, text });
        assert_eq!(health.report(Probe::Alive).verdict, Verdict::Good);
        pools.good();
        assert_eq!(health.report(Probe::Ready).verdict, Verdict::Bad);
        openstack.good();
        assert_eq!(health.report(Probe::Ready).verdict, Verdict::Good);
    }
}
