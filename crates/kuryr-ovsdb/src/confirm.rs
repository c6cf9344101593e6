//! Changes of ports, and when ovs-vswitchd has carried them out.
//!
//! ovs-vswitchd carries out changes together, tens of milliseconds apart when many pods start, and confirms them by one number that
//! grows. To wait for a port is to wait for the number of its own last change, and for nobody else's.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::{
    client::{Ovsdb, OvsdbError},
    switch::Switch,
};

/// By which numbers ovs-vswitchd will confirm changes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Changes {
    of_ports: Arc<Mutex<HashMap<String, Number>>>,
    /// What was asked of it before this client was there, by whomever.
    before: Arc<OnceCell<i64>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    Known(i64),
    /// The answer with the number was lost, or has not come.
    Unknown,
}

impl Ovsdb {
    /// Carries out operations that change the port of this name as one transaction.
    pub(crate) async fn change_port(
        &self,
        name: &str,
        mut operations: Vec<Value>,
    ) -> Result<Vec<Value>, OvsdbError> {
        operations.push(json!({"op": "mutate", "table": "Open_vSwitch", "where": [],
                               "mutations": [["next_cfg", "+=", 1]]}));
        operations
            .push(json!({"op": "select", "table": "Open_vSwitch", "where": [], "columns": ["next_cfg"]}));
        self.changes.note(name, Number::Unknown);
        let mut results = self.transact(operations).await?;
        let number = results.pop().and_then(|result| result["rows"][0]["next_cfg"].as_i64());
        self.changes.forget_until(self.look(Switch::carried_out));
        self.changes.note(name, number.map_or(Number::Unknown, Number::Known));
        results.pop();
        Ok(results)
    }

    /// Waits until ovs-vswitchd has carried out the last change of the port of this name. It may wait for ever: the caller has the
    /// deadline.
    pub async fn carried_out(&self, name: &str) {
        let number = match self.changes.number(name) {
            Some(Number::Known(number)) => number,
            Some(Number::Unknown) => self.look(Switch::asked),
            None => self.asked_before().await,
        };
        self.wait_for(|switch| has_come_to(switch, number).then_some(())).await;
    }

    /// Whether ovs-vswitchd has carried out the last change of the port of this name.
    pub fn has_carried_out(&self, name: &str) -> bool {
        self.look(|switch| match self.changes.number(name) {
            Some(Number::Known(number)) => has_come_to(switch, number),
            Some(Number::Unknown) => has_come_to(switch, switch.asked()),
            None => true,
        })
    }

    async fn asked_before(&self) -> i64 {
        let asked = || self.wait_for(|switch| switch.is_up().then(|| switch.asked()));
        *self.changes.before.get_or_init(asked).await
    }
}

impl Changes {
    fn number(&self, name: &str) -> Option<Number> {
        self.of_ports.lock().get(name).copied()
    }

    fn note(&self, name: &str, number: Number) {
        self.of_ports.lock().insert(name.to_owned(), number);
    }

    /// Names are used once, as a rule.
    fn forget_until(&self, done: i64) {
        let is_done = |number: &Number| matches!(number, Number::Known(number) if *number <= done);
        self.of_ports.lock().retain(|_, number| !is_done(number));
    }
}

/// Less was asked than that only of a database that was made anew, and counts from the beginning: a server tells of a change before it
/// answers who made it.
fn has_come_to(switch: &Switch, number: i64) -> bool {
    switch.carried_out() >= number.min(switch.asked())
}
