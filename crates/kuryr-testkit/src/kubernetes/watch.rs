//! A WATCH: changes after a version, one JSON object a line.

use super::Shared;
use super::path::{Query, Target};
use super::store::{Change, selects};
use axum::body::Bytes;
use futures::Stream;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::sync::watch::Receiver;

struct Open {
    shared: Arc<Shared>,
    news: Receiver<u64>,
    target: Target,
    query: Query,
    seen: u64,
    lines: VecDeque<Value>,
    over: bool,
}

/// The lines of a watch. It ends when its version is forgotten.
pub(super) fn lines(
    shared: Arc<Shared>,
    news: Receiver<u64>,
    target: Target,
    query: Query,
) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
    let seen = query.get("resourceVersion").and_then(|version| version.parse().ok()).unwrap_or(0);
    let open = Open { shared, news, target, query, seen, lines: VecDeque::new(), over: false };
    futures::stream::unfold(open, |mut open| async move {
        let line = open.next().await?;
        Some((Ok(Bytes::from(format!("{line}\n"))), open))
    })
}

impl Open {
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Some(line);
            }
            if self.over {
                return None;
            }
            self.read();
            if self.lines.is_empty() {
                self.news.changed().await.ok()?;
            }
        }
    }

    fn read(&mut self) {
        let (changes, now) = {
            let store = self.shared.store.lock();
            (store.since(self.seen), store.revision())
        };
        let Some(changes) = changes else {
            let status = json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": "too old resource version", "reason": "Expired", "code": 410,
            });
            self.lines.push_back(json!({ "type": "ERROR", "object": status }));
            self.over = true;
            return;
        };
        self.seen = now;
        let mine = |change: &Change| {
            change.resource == self.target.resource && selects(&self.target, &self.query, &change.object)
        };
        let mine = changes.into_iter().filter(mine);
        self.lines.extend(mine.map(|change| json!({ "type": change.kind, "object": change.object })));
    }
}
