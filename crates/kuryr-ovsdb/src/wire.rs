//! The JSON-RPC messages of OVSDB: those that we send, and what may come back.

use serde_json::{Value, json};

/// The database on every Open vSwitch node.
const DATABASE: &str = "Open_vSwitch";

/// A request's number on its connection.
pub(crate) type RequestId = u64;

/// A message of the server.
#[derive(Debug, PartialEq)]
pub(crate) enum Incoming {
    /// The answer to one of our requests; `Err` is JSON-RPC's error member.
    Reply(RequestId, Result<Value, Value>),
    /// The server asks whether we are alive: this is the answer to send.
    Echo(Value),
    /// Rows that changed, by table.
    Update(Value),
    /// Something that this client did not ask for and need not understand.
    Other,
}

impl Incoming {
    /// Tells what a message is.
    pub(crate) fn read(mut message: Value) -> Self {
        match message["method"].as_str() {
            Some("echo") => Self::Echo(json!({
                "id": message["id"].take(), "result": message["params"].take(), "error": null
            })),
            Some("update") => Self::Update(message["params"][1].take()),
            Some(_) => Self::Other,
            None => Self::reply(message),
        }
    }

    fn reply(mut message: Value) -> Self {
        let Some(id) = message["id"].as_u64() else { return Self::Other };
        match message["error"].take() {
            Value::Null => Self::Reply(id, Ok(message["result"].take())),
            error => Self::Reply(id, Err(error)),
        }
    }
}

/// A request to carry out operations as one transaction.
pub(crate) fn transact(id: RequestId, operations: Vec<Value>) -> Value {
    let params: Vec<Value> = std::iter::once(json!(DATABASE)).chain(operations).collect();
    json!({"id": id, "method": "transact", "params": params})
}

/// A request that the server answers at once.
pub(crate) fn echo(id: RequestId) -> Value {
    json!({"id": id, "method": "echo", "params": []})
}

/// A request for the present content of the columns that [`crate::Switch`] holds, and for every later change.
pub(crate) fn monitor(id: RequestId) -> Value {
    json!({"id": id, "method": "monitor", "params": [DATABASE, null, {
        "Open_vSwitch": [{"columns": ["external_ids", "next_cfg", "cur_cfg"]}],
        "Bridge": [{"columns": ["name", "ports"]}],
        "Port": [{"columns": ["name", "interfaces"]}],
        "Interface": [{"columns": ["name", "type", "external_ids", "ofport", "error"]}],
    }]})
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tells_messages_apart() {
        let cases = [
            (json!({"id": 3, "result": [{}], "error": null}), Incoming::Reply(3, Ok(json!([{}])))),
            (json!({"id": 3, "result": null, "error": "no"}), Incoming::Reply(3, Err(json!("no")))),
            (
                json!({"id": "echo", "method": "echo", "params": ["x"]}),
                Incoming::Echo(json!({"id": "echo", "result": ["x"], "error": null})),
            ),
            (
                json!({"id": null, "method": "update", "params": [null, {"T": {}}]}),
                Incoming::Update(json!({"T": {}})),
            ),
            (json!({"id": null, "method": "locked", "params": ["l"]}), Incoming::Other),
            (json!({"id": "x", "result": 1, "error": null}), Incoming::Other),
        ];
        for (message, expected) in cases {
            assert_eq!(Incoming::read(message.clone()), expected, "{message}");
        }
    }

    proptest! {
        #[test]
        fn no_object_makes_it_panic(method in prop::option::of(any::<String>()), id in any::<u64>(), depth in 0u8..3) {
            let params = match depth { 0 => json!(null), 1 => json!([]), _ => json!([[1]]) };
            let read = Incoming::read(json!({"id": id, "method": method, "params": params}));
            prop_assert!(method.is_some() || matches!(read, Incoming::Reply(found, _) if found == id));
        }
    }
}
