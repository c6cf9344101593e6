//! What Kuryr's programs count, read as Prometheus reads it.

use crate::node::Node;
use crate::stage::Stage;
use anyhow::Result;
use std::collections::BTreeMap;

/// Counters by name and labels, as they stand in the text.
#[derive(Debug, Clone, Default)]
pub struct Counters(BTreeMap<String, f64>);

impl Counters {
    pub(crate) fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let pairs = lines.filter_map(|line| line.rsplit_once(' '));
        Self(pairs.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect())
    }

    /// Sum of all counters whose name and labels contain each of `words`.
    pub fn sum(&self, words: &[&str]) -> f64 {
        let fits = |name: &str| words.iter().all(|word| name.contains(word));
        self.0.iter().filter(|(name, _)| fits(name)).map(|(_, value)| value).sum()
    }

    /// The counters called `prefix…` that moved since `earlier`, and by how much.
    pub fn moved_since(&self, earlier: &Self, prefix: &str) -> BTreeMap<String, f64> {
        let before = |name: &str| earlier.0.get(name).copied().unwrap_or(0.0);
        let moved = self.0.iter().filter(|(name, value)| name.starts_with(prefix) && before(name) < **value);
        moved.map(|(name, value)| (name.clone(), value - before(name))).collect()
    }
}

impl Stage {
    /// What the controller counts.
    pub async fn controller_counters(&self) -> Result<Counters> {
        let answer = self.http.get("http://127.0.0.1:9654/metrics").send().await?.error_for_status()?;
        Ok(Counters::parse(&answer.text().await?))
    }

    /// The controller's answer to `/ready`: its status and what it says of each part.
    pub async fn controller_readiness(&self) -> Result<(u16, String)> {
        let answer = self.http.get("http://127.0.0.1:8082/ready").send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }
}

impl Node {
    /// What the node's daemon counts.
    pub async fn daemon_counters(&self) -> Result<Counters> {
        Ok(Counters::parse(&self.get("http://127.0.0.1:9655/metrics").await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_moved_is_told() {
        let text = |calls| {
            format!("# HELP a b\nrequests_total{{m=\"GET\"}} {calls}\nrequests_total{{m=\"PUT\"}} 1\n")
        };
        let (before, after) = (Counters::parse(&text(2)), Counters::parse(&text(5)));
        let moved = after.moved_since(&before, "requests");
        assert_eq!(moved, BTreeMap::from([("requests_total{m=\"GET\"}".to_owned(), 3.0)]));
        assert!((after.sum(&["requests", "GET"]) - 5.0).abs() < f64::EPSILON);
    }
}
