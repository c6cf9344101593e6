//! What is asked of the pools' socket: the JSON of the Python Kuryr's pool manager.

use kuryr_api::SecurityGroupId;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::num::NonZeroUsize;

/// Ports that can be asked for at once, for each pool.
const MOST: u64 = 1000;

/// What is wrong with a request, and what to do: for whoever sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong(pub(super) String);

/// `POST /populatePool`: so many more ports for each of these nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fill {
    pub(super) nodes: Vec<String>,
    pub(super) ports: NonZeroUsize,
}

/// `POST /freePool`: give back what is free on these nodes; none: on all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Free {
    pub(super) nodes: Option<Vec<String>>,
}

/// `GET /showPool`: one pool. What a shorter key leaves out may be anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Show {
    pub(super) node: String,
    pub(super) project: Option<String>,
    pub(super) groups: Option<BTreeSet<SecurityGroupId>>,
}

impl Fill {
    pub(super) fn read(body: &[u8]) -> Result<Self, Wrong> {
        let fields = fields(body, &["trunks", "num_ports"])?;
        let nodes = trunks(&fields)?.ok_or_else(|| Wrong(format!("trunks is missing: {TRUNKS}")))?;
        let ports = match fields.get("num_ports") {
            None | Some(Value::Null) => Some(1),
            Some(number) => number.as_u64().filter(|number| *number <= MOST),
        };
        let ports = ports.and_then(|number| NonZeroUsize::new(usize::try_from(number).ok()?));
        let given = || fields.get("num_ports").map(ToString::to_string).unwrap_or_default();
        let wrong = || Wrong(format!("num_ports is {}: give a whole number from 1 to {MOST}, as 3", given()));
        Ok(Self { nodes, ports: ports.ok_or_else(wrong)? })
    }
}

impl Free {
    pub(super) fn read(body: &[u8]) -> Result<Self, Wrong> {
        Ok(Self { nodes: trunks(&fields(body, &["trunks"])?)? })
    }
}

impl Show {
    pub(super) fn read(body: &[u8]) -> Result<Self, Wrong> {
        let fields = fields(body, &["pool_key"])?;
        let key = fields.get("pool_key").ok_or_else(|| Wrong(format!("pool_key is missing: {KEY}")))?;
        let wrong = || Wrong(format!("pool_key is {key}: {KEY}"));
        let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(wrong);
        let (node, project, groups) = match key.as_array().map(Vec::as_slice) {
            Some([node]) => (node, None, None),
            Some([node, project]) => (node, Some(project), None),
            Some([node, project, groups]) => {
                (node, Some(project), Some(groups.as_array().ok_or_else(wrong)?))
            }
            _ => return Err(wrong()),
        };
        let groups = groups.map(|groups| groups.iter().map(|group| Ok(text(group)?.into())).collect());
        Ok(Self { node: text(node)?, project: project.map(text).transpose()?, groups: groups.transpose()? })
    }
}

const TRUNKS: &str = r#"give a list of names of nodes, or of their addresses, as ["node1", "10.0.4.6"]"#;
const KEY: &str =
    r#"give one that /listPools tells, as ["node1", "PROJECT", ["SECURITY GROUP"]], or its node alone"#;

/// The fields of a body; none is fine.
fn fields(body: &[u8], known: &[&str]) -> Result<Map<String, Value>, Wrong> {
    if body.trim_ascii().is_empty() {
        return Ok(Map::new());
    }
    let read = serde_json::from_slice(body);
    let read =
        read.map_err(|error| Wrong(format!("the body is no JSON ({error}): give an object, as {{}}")))?;
    let Value::Object(fields) = read else {
        return Err(Wrong(r#"the body is no JSON object: give one, as {"trunks": ["node1"]}"#.to_owned()));
    };
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        Some(strange) => Err(Wrong(format!("{strange} is not known here: give {}", known.join(", ")))),
        None => Ok(fields),
    }
}

/// The nodes that are meant. None: they are left out.
fn trunks(fields: &Map<String, Value>) -> Result<Option<Vec<String>>, Wrong> {
    let given = match fields.get("trunks") {
        None | Some(Value::Null) => return Ok(None),
        Some(given) => given,
    };
    let wrong = || Wrong(format!("trunks is {given}: {TRUNKS}"));
    let names = given.as_array().filter(|names| !names.is_empty()).ok_or_else(wrong)?;
    names
        .iter()
        .map(|name| name.as_str().map(str::to_owned).ok_or_else(wrong))
        .collect::<Result<_, _>>()
        .map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong<T: std::fmt::Debug>(read: Result<T, Wrong>) -> String {
        read.unwrap_err().0
    }

    #[test]
    fn the_python_kuryrs_requests_are_read() {
        let fill = Fill::read(br#"{"trunks": ["10.0.4.6"], "num_ports": 3}"#).unwrap();
        assert_eq!((fill.nodes, fill.ports.get()), (vec!["10.0.4.6".to_owned()], 3));
        assert_eq!(Fill::read(br#"{"trunks": ["a"]}"#).unwrap().ports.get(), 1);
        for all in [&b""[..], b"{}", br#"{"trunks": null}"#] {
            assert_eq!(Free::read(all).unwrap().nodes, None);
        }
        let show = Show::read(br#"{"pool_key": ["10.0.0.6", "p", ["b", "a"]]}"#).unwrap();
        let groups = Some(["a".into(), "b".into()].into());
        assert_eq!(show, Show { node: "10.0.0.6".into(), project: Some("p".into()), groups });
        let node = Show { node: "node1".into(), project: None, groups: None };
        assert_eq!(Show::read(br#"{"pool_key": ["node1"]}"#).unwrap(), node);
    }

    #[test]
    fn what_is_wrong_is_named_with_what_to_do() {
        for number in ["0", "-1", "1001", "1.5", "\"3\""] {
            let told = wrong(Fill::read(format!(r#"{{"trunks": ["a"], "num_ports": {number}}}"#).as_bytes()));
            assert_eq!(told, format!("num_ports is {number}: give a whole number from 1 to 1000, as 3"));
        }
        assert!(wrong(Fill::read(b"{}")).starts_with("trunks is missing: give a list of names"));
        assert!(wrong(Fill::read(br#"{"trunks": "a"}"#)).starts_with(r#"trunks is "a": give a list"#));
        assert!(wrong(Free::read(br#"{"trunks": []}"#)).starts_with("trunks is []: give a list"));
        assert!(wrong(Free::read(br#"{"trunks": [1]}"#)).starts_with("trunks is [1]: give a list"));
        assert_eq!(wrong(Free::read(br#"{"trunk": ["a"]}"#)), "trunk is not known here: give trunks");
        assert!(wrong(Free::read(b"trunks")).starts_with("the body is no JSON (expected"));
        assert!(wrong(Free::read(b"[]")).starts_with("the body is no JSON object"));
        assert!(wrong(Show::read(b"{}")).starts_with("pool_key is missing: give one that /listPools"));
        for key in ["1", "[]", "[1]", r#"["a","p","g"]"#, r#"["a","p",[1]]"#, r#"["a","p",[],1]"#] {
            let told = wrong(Show::read(format!(r#"{{"pool_key": {key}}}"#).as_bytes()));
            assert!(told.starts_with(&format!("pool_key is {key}: give one")), "{told}");
        }
    }
}
