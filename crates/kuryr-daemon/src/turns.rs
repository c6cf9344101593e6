//! One call at a time for each pod, and no waiting for calls that have become pointless.
//!
//! Calls of one pod never overlap. One that waits for its record, or for the backend, gives way: DEL of the same sandbox and ADD of a
//! newer one cancel it.

use std::{collections::HashMap, sync::Arc};

use kuryr_cni::{Command, ContainerId};
use kuryr_k8s::Key;
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedMutexGuard};
use tokio_util::sync::CancellationToken;

type Right = Arc<tokio::sync::Mutex<()>>;

/// Who may work on which pod.
#[derive(Debug, Clone, Default)]
pub struct Turns {
    table: Arc<Mutex<Table>>,
    ended: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Table {
    pods: HashMap<Key, Pod>,
    last: u64,
}

/// The right to work on a pod, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    _right: OwnedMutexGuard<()>,
    _seat: Seat,
    /// Cancelled when a newer call makes this one pointless.
    pub superseded: CancellationToken,
}

#[derive(Debug, Default)]
struct Pod {
    right: Right,
    /// The calls that work or wait.
    calls: Vec<Call>,
}

#[derive(Debug)]
struct Call {
    number: u64,
    command: Command,
    sandbox: ContainerId,
    token: CancellationToken,
}

/// A call's place among those of its pod.
#[derive(Debug)]
struct Seat {
    key: Key,
    number: u64,
    table: Arc<Mutex<Table>>,
    ended: Arc<Notify>,
}

impl Turns {
    /// Waits for the turn of a call.
    pub async fn take(&self, key: &Key, command: Command, sandbox: &ContainerId) -> Turn {
        let (seat, right, superseded) = self.sit_down(key, command, sandbox);
        Turn { _right: right.lock_owned().await, _seat: seat, superseded }
    }

    /// Whether a call works on a pod, or waits to.
    pub fn are_taken(&self, key: &Key) -> bool {
        self.table.lock().pods.contains_key(key)
    }

    /// Waits until a call has ended since the last such wait. There must be one waiter only.
    pub async fn call_ended(&self) {
        self.ended.notified().await;
    }

    fn sit_down(
        &self,
        key: &Key,
        command: Command,
        sandbox: &ContainerId,
    ) -> (Seat, Right, CancellationToken) {
        let mut table = self.table.lock();
        table.last += 1;
        let number = table.last;
        let pod = table.pods.entry(key.clone()).or_default();
        pod.calls
            .iter()
            .filter(|older| older.is_pointless_after(command, sandbox))
            .for_each(|older| older.token.cancel());
        let token = CancellationToken::new();
        pod.calls.push(Call { number, command, sandbox: sandbox.clone(), token: token.clone() });
        let seat =
            Seat { key: key.clone(), number, table: Arc::clone(&self.table), ended: Arc::clone(&self.ended) };
        (seat, Arc::clone(&pod.right), token)
    }
}

impl Call {
    fn is_pointless_after(&self, command: Command, sandbox: &ContainerId) -> bool {
        let same = self.sandbox == *sandbox;
        self.command == Command::Add
            && matches!((command, same), (Command::Del, true) | (Command::Add, false))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut table = self.table.lock();
        let Some(pod) = table.pods.get_mut(&self.key) else { return };
        pod.calls.retain(|call| call.number != self.number);
        if pod.calls.is_empty() {
            table.pods.remove(&self.key);
        }
        self.ended.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    fn key() -> Key {
        Key::new("default", "web-0")
    }

    fn sandbox(id: &str) -> ContainerId {
        id.parse().unwrap()
    }

    async fn soon<T>(future: impl Future<Output = T>) -> Option<T> {
        timeout(Duration::from_millis(50), future).await.ok()
    }

    #[tokio::test]
    async fn calls_of_one_pod_do_not_overlap_and_those_of_others_do() {
        let turns = Turns::default();
        let first = turns.take(&key(), Command::Del, &sandbox("a")).await;
        assert!(soon(turns.take(&key(), Command::Add, &sandbox("b"))).await.is_none());
        assert!(soon(turns.take(&Key::new("default", "web-1"), Command::Add, &sandbox("b"))).await.is_some());
        drop(first);
        assert!(soon(turns.take(&key(), Command::Add, &sandbox("b"))).await.is_some());
    }

    #[tokio::test]
    async fn an_add_gives_way_to_its_own_del_and_to_the_add_of_a_newer_sandbox() {
        let turns = Turns::default();
        for (newer, id) in [(Command::Del, "a"), (Command::Add, "b")] {
            let add = turns.take(&key(), Command::Add, &sandbox("a")).await;
            let (key, sandbox) = (key(), sandbox(id));
            let waiting = turns.take(&key, newer, &sandbox);
            let giving_way = async move {
                add.superseded.cancelled().await;
                drop(add);
            };
            assert!(soon(async { tokio::join!(waiting, giving_way) }).await.is_some(), "{newer} {id}");
        }
    }

    #[tokio::test]
    async fn nothing_else_makes_a_call_give_way() {
        let turns = Turns::default();
        for (older, newer, id) in [
            (Command::Add, Command::Del, "b"),
            (Command::Add, Command::Add, "a"),
            (Command::Del, Command::Add, "b"),
        ] {
            let first = turns.take(&key(), older, &sandbox("a")).await;
            assert!(soon(turns.take(&key(), newer, &sandbox(id))).await.is_none());
            assert!(!first.superseded.is_cancelled(), "{older} before {newer} {id}");
        }
    }

    #[tokio::test]
    async fn nothing_is_remembered_of_pods_without_calls() {
        let turns = Turns::default();
        let first = turns.take(&key(), Command::Add, &sandbox("a")).await;
        let _ = soon(turns.take(&key(), Command::Del, &sandbox("a"))).await;
        assert!(turns.are_taken(&key()));
        drop(first);
        assert!(!turns.are_taken(&key()));
        assert!(turns.table.lock().pods.is_empty());
    }
}
