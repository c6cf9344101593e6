//! OVSDB's notation of columns: a set of one element may be written as the element, maps and longer sets are tagged arrays.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::switch::RowId;

/// A map column as OVSDB wants it written.
pub(crate) fn map_of(entries: &BTreeMap<String, String>) -> Value {
    let pairs: Vec<Value> = entries.iter().map(|(key, value)| json!([key, value])).collect();
    json!(["map", pairs])
}

/// A reference to an existing row.
pub(crate) fn uuid_of(row: &RowId) -> Value {
    json!(["uuid", row.as_str()])
}

/// The elements of a set column, whichever way it was written.
pub(crate) fn elements(column: &Value) -> Vec<&Value> {
    match tagged(column, "set") {
        Some(Value::Array(elements)) => elements.iter().collect(),
        _ => vec![column],
    }
}

/// A map column of strings; entries of other types do not occur in the columns that are read here and are left out.
pub(crate) fn string_map(column: &Value) -> BTreeMap<String, String> {
    let Some(Value::Array(pairs)) = tagged(column, "map") else { return BTreeMap::new() };
    pairs.iter().filter_map(|pair| Some((text(pair.get(0)?)?, text(pair.get(1)?)?))).collect()
}

/// The references in a set column.
pub(crate) fn row_ids(column: &Value) -> Vec<RowId> {
    elements(column).into_iter().filter_map(row_id).collect()
}

/// The value of an optional column.
pub(crate) fn optional(column: &Value) -> Option<&Value> {
    elements(column).into_iter().next()
}

pub(crate) fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn row_id(value: &Value) -> Option<RowId> {
    tagged(value, "uuid").and_then(text).map(RowId::from)
}

fn tagged<'a>(value: &'a Value, tag: &str) -> Option<&'a Value> {
    match value.as_array()?.as_slice() {
        [Value::String(found), content] if found == tag => Some(content),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_one_may_be_written_bare() {
        assert_eq!(row_ids(&json!(["uuid", "a"])), [RowId::from("a".to_owned())]);
        assert_eq!(row_ids(&json!(["set", [["uuid", "a"], ["uuid", "b"]]])).len(), 2);
        assert_eq!(row_ids(&json!(["set", []])), []);
        assert_eq!(optional(&json!(["set", []])), None);
        assert_eq!(optional(&json!(7)), Some(&json!(7)));
    }

    #[test]
    fn a_map_is_read_as_it_is_written() {
        let map = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
        assert_eq!(string_map(&map_of(&map)), map);
        assert_eq!(string_map(&json!("nonsense")), BTreeMap::new());
    }
}
