//! How the fake Neutron keeps address groups: what is there can't be added, what isn't can't be removed.

use super::{
    Checked, Object, State, bad_request, query,
    security_groups::{check_lengths, revise, rules},
    seed, text,
};
use crate::reply::Reply;
use ipnet::IpNet;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What the server lets a request set.
const SETTABLE: [&str; 4] = ["name", "description", "project_id", "addresses"];

impl State {
    pub(super) fn create_address_group(&mut self, body: &Value) -> Reply {
        let asked = body["address_group"].as_object().cloned().unwrap_or_default();
        self.make_address_group(&asked).map_or_else(
            |refusal| refusal,
            |made| {
                let id = text(&made, "id").to_owned();
                self.address_groups.insert(id, made.clone());
                Reply::new(201, json!({ "address_group": made }))
            },
        )
    }

    pub(super) fn delete_address_group(&mut self, id: &str) -> Reply {
        if self.groups.iter().flat_map(rules).any(|rule| rule["remote_address_group_id"] == id) {
            let why = format!("Address group {id} is in use on one or more security group rules.");
            return Reply::neutron_error(409, "AddressGroupInUse", &why);
        }
        match self.address_groups.remove(id) {
            Some(_) => Reply::no_content(),
            None => query::not_found("address_group", id),
        }
    }

    pub(super) fn add_addresses(&mut self, id: &str, body: &Value) -> Reply {
        self.change_addresses(id, body, |held, asked| {
            let there: Vec<_> = held.intersection(asked).map(ToString::to_string).collect();
            if there.is_empty() {
                return Ok(held.union(asked).copied().collect());
            }
            let why = format!("Addresses {there:?} already exist in the address group {id}.");
            Err(Reply::neutron_error(400, "AddressesAlreadyExist", &why))
        })
    }

    pub(super) fn remove_addresses(&mut self, id: &str, body: &Value) -> Reply {
        self.change_addresses(id, body, |held, asked| {
            let missing: Vec<_> = asked.difference(held).map(ToString::to_string).collect();
            if missing.is_empty() {
                return Ok(held.difference(asked).copied().collect());
            }
            let why = format!("Addresses {missing:?} not found in the address group {id}.");
            Err(Reply::neutron_error(404, "AddressesNotFound", &why))
        })
    }

    fn make_address_group(&mut self, asked: &Object) -> Checked<Object> {
        if let Some(name) = asked.keys().find(|name| !SETTABLE.contains(&name.as_str())) {
            return Err(bad_request(&format!("Unrecognized attribute(s) '{name}'")));
        }
        check_lengths(asked, &["name"])?;
        // The API has room for more than the database.
        if check_lengths(asked, &["description"]).is_err() {
            let why = "Request Failed: internal server error while processing your request.";
            return Err(Reply::neutron_error(500, "HTTPInternalServerError", why));
        }
        let addresses = read(asked.get("addresses").unwrap_or(&Value::Null))?;
        let (project, id) = (self.project_of(asked), self.new_id());
        let mut made = seed::address_group(&project, &id, text(asked, "name"), text(asked, "description"));
        made.insert("addresses".into(), shown(&addresses));
        Ok(made)
    }

    fn change_addresses(
        &mut self,
        id: &str,
        body: &Value,
        change: impl FnOnce(&BTreeSet<IpNet>, &BTreeSet<IpNet>) -> Checked<BTreeSet<IpNet>>,
    ) -> Reply {
        let Some(group) = self.address_groups.get_mut(id) else {
            return query::not_found("address_group", id);
        };
        let held = read(&group["addresses"]);
        let changed = held.and_then(|held| change(&held, &read(&body["addresses"])?));
        match changed {
            Ok(addresses) => {
                group.insert("addresses".into(), shown(&addresses));
                revise(group);
                Reply::ok(json!({ "address_group": group }))
            }
            Err(refusal) => refusal,
        }
    }
}

/// Prefixes as the server keeps them: without bits beyond the prefix.
fn read(addresses: &Value) -> Checked<BTreeSet<IpNet>> {
    let texts = addresses.as_array().into_iter().flatten().map(|one| one.as_str().unwrap_or_default());
    let prefixes = texts.map(|text| {
        let prefix = text.parse::<IpNet>();
        prefix.map(|prefix| prefix.trunc()).map_err(|_| {
            bad_request(&format!("Invalid input for addresses. Reason: '{text}' is not a valid IP subnet."))
        })
    });
    prefixes.collect()
}

fn shown(addresses: &BTreeSet<IpNet>) -> Value {
    addresses.iter().map(ToString::to_string).collect()
}
