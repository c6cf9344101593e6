//! How the fake Neutron makes and removes security groups, and what it gives new ones to begin with.

use super::{Checked, Object, State, bad_request, query, seed, text};
use crate::reply::Reply;
use serde_json::{Value, json};

/// What the server lets a request set. Unlike ports, groups can't be tagged as they are made.
const SETTABLE: [&str; 4] = ["name", "description", "project_id", "stateful"];

const LONGEST: usize = 255;

impl State {
    pub(super) fn create_group(&mut self, body: &Value) -> Reply {
        let asked = body["security_group"].as_object().cloned().unwrap_or_default();
        self.make_group(&asked).map_or_else(
            |refusal| refusal,
            |made| {
                self.groups.push(made.clone());
                Reply::new(201, json!({ "security_group": made }))
            },
        )
    }

    pub(super) fn delete_group(&mut self, id: &str) -> Reply {
        if self.ports.values().any(|port| has_group(port, id)) {
            let why = format!("Security Group {id} in use.");
            return Reply::neutron_error(409, "SecurityGroupInUse", &why);
        }
        let before = self.groups.len();
        self.groups.retain(|group| group["id"] != id);
        if self.groups.len() == before {
            return query::not_found("security_group", id);
        }
        for group in &mut self.groups {
            remove_rules(group, |rule| rule["remote_group_id"] == id);
        }
        Reply::no_content()
    }

    /// A project gets its default group with its first port or group.
    pub(super) fn default_group(&mut self, project: &str) -> String {
        let is_it = |group: &&Object| group["name"] == "default" && group["project_id"] == project;
        if let Some(group) = self.groups.iter().find(is_it) {
            return text(group, "id").to_owned();
        }
        let id = self.new_id();
        let mut group = seed::group(project, &id, "default");
        self.open(&mut group, "egress", None);
        self.open(&mut group, "ingress", Some(&id));
        self.groups.push(group);
        id
    }

    fn make_group(&mut self, asked: &Object) -> Checked<Object> {
        if let Some(name) = asked.keys().find(|name| !SETTABLE.contains(&name.as_str())) {
            return Err(bad_request(&format!("Attribute '{name}' not allowed in POST")));
        }
        check_lengths(asked, &["name", "description"])?;
        if text(asked, "name").eq_ignore_ascii_case("default") {
            let why = "Default security group already exists.";
            return Err(Reply::neutron_error(409, "SecurityGroupDefaultAlreadyExists", why));
        }
        let project = self.project_of(asked);
        self.check_room(&project, "security_group", 1)?;
        self.default_group(&project);
        self.check_room(&project, "security_group_rule", 2)?;
        let id = self.new_id();
        let mut group = seed::group(&project, &id, text(asked, "name"));
        group.insert("description".into(), text(asked, "description").into());
        self.open(&mut group, "egress", None);
        Ok(group)
    }

    /// Lets `group` through what is to or from `remote`, if that is given, in both families.
    fn open(&mut self, group: &mut Object, direction: &str, remote: Option<&str>) {
        for family in ["IPv4", "IPv6"] {
            let rule = json!({ "direction": direction, "ethertype": family, "remote_group_id": remote,
                "project_id": group["project_id"], "security_group_id": group["id"], "description": null });
            let rule = self.complete_rule(rule.as_object().cloned().unwrap_or_default());
            add_rule(group, rule);
        }
    }
}

/// The rules of a group.
pub(super) fn rules(group: &Object) -> impl Iterator<Item = &Value> {
    group["security_group_rules"].as_array().into_iter().flatten()
}

pub(super) fn add_rule(group: &mut Object, rule: Object) {
    if let Some(rules) = group.get_mut("security_group_rules").and_then(Value::as_array_mut) {
        rules.push(Value::Object(rule));
        revise(group);
    }
}

/// Removes the rules that `is_it` points at. Tells whether there were any.
pub(super) fn remove_rules(group: &mut Object, is_it: impl Fn(&Value) -> bool) -> bool {
    let Some(rules) = group.get_mut("security_group_rules").and_then(Value::as_array_mut) else {
        return false;
    };
    let before = rules.len();
    rules.retain(|rule| !is_it(rule));
    let removed = rules.len() < before;
    if removed {
        revise(group);
    }
    removed
}

/// Refuses those of `names` that are too long.
pub(super) fn check_lengths(asked: &Object, names: &[&str]) -> Checked<()> {
    let too_long = |name: &&&str| text(asked, name).chars().count() > LONGEST;
    names.iter().find(too_long).map_or(Ok(()), |name| {
        let given = text(asked, name);
        let why = format!("Invalid input for {name}. Reason: '{given}' exceeds maximum length of {LONGEST}.");
        Err(bad_request(&why))
    })
}

pub(super) fn revise(object: &mut Object) {
    let revision = object["revision_number"].as_u64().unwrap_or_default();
    object.insert("revision_number".into(), (revision + 1).into());
}

fn has_group(port: &Object, group: &str) -> bool {
    port["security_groups"].as_array().is_some_and(|groups| groups.iter().any(|one| one == group))
}
