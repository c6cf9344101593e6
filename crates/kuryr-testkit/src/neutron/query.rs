//! Lists as Neutron makes them: filters, fields, pages.

use super::{Object, Reply, text};
use serde_json::{Value, json};

/// Answers a list of `collection`.
pub(super) fn list<'a>(
    collection: &str,
    objects: impl Iterator<Item = &'a Object>,
    query: &[(String, String)],
) -> Reply {
    let mut objects: Vec<_> = objects.filter(|object| passes(object, query)).collect();
    objects.sort_by_key(|object| text(object, "id"));
    if let Some(marker) = value(query, "marker") {
        match objects.iter().position(|object| object["id"] == marker) {
            Some(at) => drop(objects.drain(..=at)),
            None => return not_found(collection.trim_end_matches('s'), marker),
        }
    }
    let limit: usize = value(query, "limit").and_then(|limit| limit.parse().ok()).unwrap_or(0);
    let full = limit > 0 && objects.len() >= limit;
    if full {
        objects.truncate(limit);
    }
    let shown: Vec<_> = objects.iter().map(|object| project(object, query)).collect();
    let mut body = json!({ collection: shown });
    if full {
        // The real one announces a next page whenever this one is full, even if nothing is left for it.
        let last = objects.last().map_or("", |object| text(object, "id"));
        body[format!("{collection}_links")] =
            json!([{ "rel": "next", "href": format!("http://elsewhere/?marker={last}") }]);
    }
    Reply::ok(body)
}

/// Answers a request for one object.
pub(super) fn show<'a>(kind: &str, mut objects: impl Iterator<Item = &'a Object>, id: &str) -> Reply {
    match objects.find(|object| object["id"] == id) {
        Some(object) => Reply::ok(json!({ kind: object })),
        None => not_found(kind, id),
    }
}

pub(super) fn not_found(kind: &str, id: &str) -> Reply {
    let (name, message) = match kind {
        "network" => ("NetworkNotFound", format!("Network {id} could not be found.")),
        "subnet" => ("SubnetNotFound", format!("Subnet {id} could not be found.")),
        "security_group" => ("SecurityGroupNotFound", format!("Security group {id} does not exist")),
        "security_group_rule" => {
            ("SecurityGroupRuleNotFound", format!("Security group rule {id} does not exist"))
        }
        "trunk" => ("TrunkNotFound", format!("Trunk {id} could not be found.")),
        "address_group" => ("AddressGroupNotFound", format!("Address group {id} could not be found.")),
        "floatingip" => ("FloatingIPNotFound", format!("Floating IP {id} could not be found")),
        _ => ("PortNotFound", format!("Port {id} could not be found.")),
    };
    Reply::neutron_error(404, name, &message)
}

/// Values of one parameter are alternatives; different parameters must all be met; `tags` asks for all of its tags, `not-tags` for those
/// that lack one of them.
fn passes(object: &Object, query: &[(String, String)]) -> bool {
    let filters = query.iter().filter(|(name, _)| !matches!(name.as_str(), "fields" | "limit" | "marker"));
    filters.clone().all(|(name, value)| match name.as_str() {
        "tags" => has_tags(object, value),
        "not-tags" => !has_tags(object, value),
        _ => filters.clone().any(|(other, value)| {
            other == name
                && if name == "fixed_ips" {
                    has_address(object, value)
                } else {
                    is_same(text(object, name), value)
                }
        }),
    })
}

/// `ip_address=192.0.2.1`
fn has_address(object: &Object, wanted: &str) -> bool {
    let (field, value) = wanted.split_once('=').unwrap_or_default();
    let addresses = object.get("fixed_ips").and_then(Value::as_array);
    addresses.into_iter().flatten().any(|fixed| fixed[field] == value)
}

/// As the real one's database compares: case and spaces at the end are overlooked.
fn is_same(one: &str, other: &str) -> bool {
    one.trim_end_matches(' ').eq_ignore_ascii_case(other.trim_end_matches(' '))
}

fn has_tags(object: &Object, wanted: &str) -> bool {
    let tags = object.get("tags").and_then(Value::as_array);
    wanted.split(',').all(|tag| tags.is_some_and(|tags| tags.iter().any(|had| had == tag)))
}

fn project(object: &Object, query: &[(String, String)]) -> Object {
    let fields: Vec<_> = query.iter().filter(|(name, _)| name == "fields").map(|(_, field)| field).collect();
    if fields.is_empty() {
        return object.clone();
    }
    object
        .iter()
        .filter(|(name, _)| fields.contains(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn value<'a>(query: &'a [(String, String)], name: &str) -> Option<&'a str> {
    query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}
