//! How often a KuryrNode is written: what its daemon waits for soon, what nobody waits for more seldom.

use kuryr_api::node::KuryrNodeSpec;
use kuryr_k8s::Key;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// A KuryrNode is written at most so often.
const PORTS_EVERY: Duration = Duration::from_secs(1);
/// The same, where only counts changed, as they do with each pod.
const COUNTS_EVERY: Duration = Duration::from_secs(5);

/// What is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// There is no KuryrNode yet, or its daemon is to keep other ports wired.
    Ports,
    /// Other counts.
    Counts,
}

impl News {
    /// What `new` has that `old` has not, if anything.
    pub fn of(old: Option<&KuryrNodeSpec>, new: &KuryrNodeSpec) -> Option<Self> {
        match old {
            Some(old) if old == new => None,
            Some(old) if old.ports == new.ports => Some(Self::Counts),
            _ => Some(Self::Ports),
        }
    }

    fn pause(self) -> Duration {
        match self {
            Self::Ports => PORTS_EVERY,
            Self::Counts => COUNTS_EVERY,
        }
    }
}

/// When KuryrNodes were last written.
#[derive(Default)]
pub struct Pace(Mutex<HashMap<Key, Instant>>);

impl Pace {
    /// Whether the KuryrNode of `node` may be written now, and if so it counts as written. Else when.
    pub fn allows(&self, node: &Key, news: News) -> Result<(), Duration> {
        let mut written = self.0.lock();
        let next = written.get(node).map(|last| *last + news.pause());
        let now = Instant::now();
        if let Some(next) = next.filter(|next| *next > now) {
            return Err(next - now);
        }
        written.insert(node.clone(), now);
        Ok(())
    }

    /// A node is gone.
    pub fn forget(&self, node: &Key) {
        self.0.lock().remove(node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kuryr_api::node::KeptPort;

    #[test]
    fn news_are_what_differs() {
        let old = KuryrNodeSpec { pods: 1, ..KuryrNodeSpec::default() };
        let counts = KuryrNodeSpec { pods: 2, ..old.clone() };
        let ports = KuryrNodeSpec { ports: [("p".to_owned(), KeptPort::default())].into(), ..counts.clone() };
        let of = |new| News::of(Some(&old), new);
        assert_eq!([of(&old), of(&counts), of(&ports)], [None, Some(News::Counts), Some(News::Ports)]);
        assert_eq!(News::of(None, &old), Some(News::Ports));
    }

    #[tokio::test(start_paused = true)]
    async fn counts_wait_longer_than_ports_and_no_node_for_another() {
        let (pace, [a, b]) = (Pace::default(), ["a", "b"].map(|node| Key::new("", node)));
        assert_eq!([&a, &b].map(|node| pace.allows(node, News::Counts)), [Ok(()), Ok(())]);
        tokio::time::advance(PORTS_EVERY).await;
        assert_eq!(pace.allows(&a, News::Counts), Err(Duration::from_secs(4)));
        assert_eq!(pace.allows(&a, News::Ports), Ok(()));
        pace.forget(&b);
        assert_eq!(pace.allows(&b, News::Counts), Ok(()));
    }
}
