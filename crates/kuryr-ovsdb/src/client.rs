//! The handle that the rest of a program holds.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

use crate::{
    confirm::Changes,
    endpoint::Endpoint,
    session::{self, Command},
    switch::Switch,
};

/// Requests that may wait for the session task; more than a node has pods starting at once.
const QUEUE: usize = 256;
/// A local ovsdb-server answers in a millisecond; one that takes this long is stuck.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A connection to an OVSDB server that restores itself. Clones share it; it ends with the last of them.
#[derive(Debug, Clone)]
pub struct Ovsdb {
    commands: mpsc::Sender<Command>,
    switch: watch::Receiver<Switch>,
    pub(crate) changes: Changes,
    pub(crate) endpoint: Endpoint,
}

/// A request was not carried out, or it is not known whether it was.
#[derive(Debug, thiserror::Error)]
pub enum OvsdbError {
    /// There is no connection, for the reason given.
    #[error("OVSDB is out of reach: {0}")]
    Unreachable(String),
    /// The connection broke before the answer came: the request may or may not have been carried out.
    #[error("the connection to OVSDB broke before the answer came")]
    Lost,
    /// The server did not answer in time.
    #[error("OVSDB did not answer within {} s", ANSWER_WITHIN.as_secs())]
    Slow,
    /// The server did not understand the request.
    #[error("OVSDB rejected the request: {0}")]
    Rejected(Value),
    /// The transaction was aborted.
    #[error("OVSDB refused the change")]
    Refused(#[source] Refusal),
    /// There is no such bridge.
    #[error("there is no bridge {0} in OVSDB")]
    NoBridge(String),
}

/// Why a transaction was aborted.
#[derive(Debug, thiserror::Error)]
#[error("{error} ({details})")]
pub struct Refusal {
    /// OVSDB's word for it, such as `constraint violation`.
    pub error: String,
    /// The explanation.
    pub details: String,
}

impl Ovsdb {
    /// Begins to connect, in a task of the current runtime, and goes on for as long as a clone of the handle lives.
    pub fn connect(endpoint: Endpoint) -> Self {
        Self::connect_after(endpoint, std::future::ready(()))
    }

    /// The same, but connects to nobody before `wanted` is done: there may be no server.
    pub fn connect_after(endpoint: Endpoint, wanted: impl Future<Output = ()> + Send + 'static) -> Self {
        let (commands, receiver) = mpsc::channel(QUEUE);
        let (sender, switch) = watch::channel(Switch::new());
        let server = endpoint.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = wanted => session::run(server, receiver, sender).await,
                () = sender.closed() => {}
            }
        });
        Self { commands, switch, changes: Changes::default(), endpoint }
    }

    /// What the database says, now and as it changes.
    pub fn switch(&self) -> watch::Receiver<Switch> {
        self.switch.clone()
    }

    /// Looks once at what the database says. Must not be called while another such look is still going on in the same task.
    pub fn look<T>(&self, question: impl FnOnce(&Switch) -> T) -> T {
        question(&self.switch.borrow())
    }

    /// Waits until the database says something. It may wait for ever: the caller has the deadline.
    pub async fn wait_for<T>(&self, mut answer: impl FnMut(&Switch) -> Option<T>) -> T {
        let mut switch = self.switch.clone();
        let mut found = None;
        let seen = switch.wait_for(|switch| {
            found = answer(switch);
            found.is_some()
        });
        if seen.await.is_err() {
            // Only when the session task is gone, that is when the runtime is ending.
            std::future::pending::<()>().await;
        }
        match found {
            Some(found) => found,
            None => std::future::pending().await,
        }
    }

    /// Carries out operations as one transaction, all or nothing, and gives their results in order.
    pub async fn transact(&self, operations: Vec<Value>) -> Result<Vec<Value>, OvsdbError> {
        let count = operations.len();
        let (answer, reply) = oneshot::channel();
        let asking = async {
            let sent = self.commands.send(Command { operations, answer }).await;
            sent.map_err(|_| OvsdbError::Lost)?;
            reply.await.unwrap_or(Err(OvsdbError::Lost))
        };
        let results = timeout(ANSWER_WITHIN, asking).await.unwrap_or(Err(OvsdbError::Slow))?;
        outcome(results, count)
    }
}

impl OvsdbError {
    /// Whether the same request may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Lost | Self::Slow | Self::NoBridge(_) => true,
            Self::Rejected(_) => false,
            // The row that was there, or was not, when the transaction was composed: the next look at the database is newer.
            Self::Refused(refusal) => refusal.error != "syntax error" && refusal.error != "unknown column",
        }
    }
}

/// A transaction can succeed as a request and carry an error for one operation, or after the last for the commit.
fn outcome(results: Value, count: usize) -> Result<Vec<Value>, OvsdbError> {
    let Value::Array(mut results) = results else { return Err(OvsdbError::Rejected(results)) };
    if let Some(refused) = results.iter().find(|result| result.get("error").is_some()) {
        let word = |key: &str| refused[key].as_str().unwrap_or_default().to_owned();
        return Err(OvsdbError::Refused(Refusal { error: word("error"), details: word("details") }));
    }
    if results.len() < count {
        return Err(OvsdbError::Rejected(json!(results)));
    }
    results.truncate(count);
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_among_the_results_is_found() {
        assert_eq!(outcome(json!([{"count": 1}, {}]), 2).unwrap(), [json!({"count": 1}), json!({})]);
        let commit =
            outcome(json!([{}, {}, {"error": "constraint violation", "details": "name"}]), 2).unwrap_err();
        assert!(
            matches!(&commit, OvsdbError::Refused(refusal) if refusal.details == "name")
                && commit.is_transient()
        );
        let aborted = outcome(json!([{}, {"error": "syntax error"}, null]), 3).unwrap_err();
        assert!(!aborted.is_transient());
        assert!(matches!(outcome(json!([{}]), 2), Err(OvsdbError::Rejected(_))));
        assert!(matches!(outcome(json!("x"), 2), Err(OvsdbError::Rejected(_))));
    }
}
