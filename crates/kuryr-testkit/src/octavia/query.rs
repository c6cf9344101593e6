//! Lists as Octavia makes them: strict with what it may be asked, and one value of each.

use super::{Answer, Kind, Object, State, fault, state::pool_of};
use crate::reply::Reply;
use serde_json::{Value, json};

/// What every list can be asked for.
const COMMON: [&str; 10] = [
    "id",
    "name",
    "description",
    "project_id",
    "provisioning_status",
    "operating_status",
    "tags",
    "fields",
    "limit",
    "marker",
];

/// And what some can.
fn own(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::LoadBalancer => &["vip_address", "vip_port_id", "vip_subnet_id", "provider"],
        Kind::Listener => &["loadbalancer_id", "protocol", "protocol_port", "default_pool_id"],
        Kind::Pool => &["loadbalancer_id", "protocol", "lb_algorithm"],
        Kind::Member => &["address", "protocol_port", "subnet_id"],
        Kind::HealthMonitor => &["pool_id", "type"],
    }
}

impl State {
    pub(super) fn list(&self, kind: Kind, query: &[(String, String)]) -> Answer {
        self.list_of(kind, self.all(kind).map(|(_, object)| object), query)
    }

    pub(super) fn list_members(&self, pool: &str, query: &[(String, String)]) -> Answer {
        self.get(Kind::Pool, pool)?;
        self.list_of(Kind::Member, self.members_of(pool).map(|(_, object)| object), query)
    }

    fn list_of<'a>(
        &self,
        kind: Kind,
        objects: impl Iterator<Item = &'a Object>,
        query: &[(String, String)],
    ) -> Answer {
        check(kind, query)?;
        let fits = |object: &&Object| query.iter().all(|(name, value)| self.fits(kind, object, name, value));
        let fields: Vec<_> =
            query.iter().filter(|(name, _)| name == "fields").map(|(_, field)| field).collect();
        let shown = objects.filter(fits).map(|object| {
            let mut shown = self.shown(kind, object);
            shown.retain(|name, _| fields.is_empty() || fields.contains(&name));
            shown
        });
        Ok(Reply::ok(json!({ kind.list(): shown.collect::<Vec<_>>(), format!("{}_links", kind.list()): [] })))
    }

    fn fits(&self, kind: Kind, object: &Object, name: &str, value: &str) -> bool {
        match name {
            "limit" | "marker" | "fields" => true,
            "tags" => value.split(',').all(|tag| has_tag(object, tag)),
            "loadbalancer_id" => self.balancer_of(kind, object) == value,
            "pool_id" => pool_of(kind, object) == value,
            _ => object
                .get(name)
                .is_some_and(|is| is.as_str().map_or_else(|| is.to_string(), str::to_owned) == value),
        }
    }
}

fn check(kind: Kind, query: &[(String, String)]) -> Result<(), Reply> {
    let known = |name: &str| COMMON.contains(&name) || own(kind).contains(&name);
    if query.iter().any(|(name, _)| !known(name)) {
        return Err(fault(400, "One or more arguments are either duplicate or invalid"));
    }
    let often = |name: &str| query.iter().filter(|(other, _)| other == name).count() > 1;
    if query.iter().any(|(name, _)| !matches!(name.as_str(), "fields" | "tags") && often(name)) {
        return Err(fault(500, "(MySQLdb.OperationalError) Illegal parameter data types varchar and row"));
    }
    Ok(())
}

fn has_tag(object: &Object, tag: &str) -> bool {
    object.get("tags").and_then(Value::as_array).is_some_and(|tags| tags.iter().any(|one| one == tag))
}
