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
    /// Every component that the probe looks at is good.
    pub healthy: bool,
    /// `ok`, or what is wrong, then each component's state.
    pub text: String,
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
        let mut healthy = true;
        for (name, (kind, state)) in components.iter() {
            let counts = probe == Probe::Ready || *kind == Probe::Alive;
            healthy &= !counts || !matches!(state, State::Bad(_));
            let _ = match state {
                State::Good => writeln!(text, "{name}: ok"),
                State::Resting(what) | State::Bad(what) => writeln!(text, "{name}: {what}"),
            };
        }
        let verdict = if healthy { "ok" } else { "not ok" };
        Report { healthy, text: format!("{verdict}\n{text}") }
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
        assert!(!health.report(Probe::Ready).healthy);
        assert!(health.report(Probe::Alive).healthy);
        caches.good();
        assert_eq!(health.report(Probe::Ready), Report { healthy: true, text: "ok\ncaches: ok\n".into() });
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
            Report { healthy: false, text: "not ok\nmain: ok\novsdb: connection refused\n".into() }
        );
        assert!(health.report(Probe::Alive).healthy);
        ovsdb.good();
        main.bad("stuck");
        assert!(!health.report(Probe::Alive).healthy);
        assert!(!health.report(Probe::Ready).healthy);
    }

    #[test]
    fn what_rests_is_healthy_and_says_so() {
        let health = Health::default();
        let leader = health.component("leader", Probe::Ready);
        leader.resting("standby, x leads");
        let report = health.report(Probe::Ready);
        assert_eq!(report, Report { healthy: true, text: "ok\nleader: standby, x leads\n".into() });
    }
}
