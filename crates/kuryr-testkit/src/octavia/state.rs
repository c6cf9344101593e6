//! What the fake keeps, and what it does with it.

use super::{Object, fault};
use crate::reply::Reply;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

type Answer = Result<Value, Reply>;

/// A load balancer is immutable for so long after each change. The real one's with OVN are for 200 to 500 ms.
const PACE: Duration = Duration::from_millis(150);

#[derive(Debug)]
pub(super) struct State {
    project: String,
    /// By their ids, as their kinds' lists are called.
    objects: BTreeMap<&'static str, BTreeMap<String, Object>>,
    /// Members by their pools.
    members: BTreeMap<String, Vec<Object>>,
    /// Load balancers that it is at work with, and until when.
    busy: BTreeMap<String, Instant>,
    next: u64,
}

const BALANCERS: &str = "loadbalancers";
const LISTENERS: &str = "listeners";
const POOLS: &str = "pools";

impl State {
    pub(super) fn new(project: &str) -> Self {
        Self {
            project: project.to_owned(),
            objects: [BALANCERS, LISTENERS, POOLS].map(|kind| (kind, BTreeMap::new())).into(),
            members: BTreeMap::new(),
            busy: BTreeMap::new(),
            next: 0,
        }
    }

    /// Ends what has taken long enough.
    pub(super) fn settle(&mut self) {
        let now = Instant::now();
        let done: Vec<_> =
            self.busy.iter().filter(|(_, until)| **until <= now).map(|(id, _)| id.clone()).collect();
        for id in done {
            self.busy.remove(&id);
            let balancers = self.objects.entry(BALANCERS).or_default();
            let Some(balancer) = balancers.get_mut(&id) else { continue };
            if balancer["provisioning_status"] == "PENDING_DELETE" {
                balancers.remove(&id);
                self.forget(&id);
            } else {
                balancer.insert("provisioning_status".into(), "ACTIVE".into());
            }
        }
    }

    pub(super) fn list(&self, kind: &str, filters: &[(String, String)]) -> Answer {
        let (kind, objects) = self.objects.get_key_value(kind).ok_or_else(super::no_such_path)?;
        let fits = |object: &&Object| {
            filters.iter().all(|(name, value)| match name.as_str() {
                "limit" | "marker" => true,
                "tags" => value.split(',').all(|tag| has_tag(object, tag)),
                "loadbalancer_id" => balancer_of(object) == Some(value.as_str()),
                _ => object.get(name).and_then(Value::as_str) == Some(value),
            })
        };
        let shown = |(id, object): (&String, &Object)| self.shown(kind, id, object);
        Ok(json!({ *kind: objects.iter().filter(|(_, one)| fits(one)).map(shown).collect::<Vec<_>>() }))
    }

    pub(super) fn balancer(&self, id: &str) -> Answer {
        let found = self.objects[BALANCERS].get(id).ok_or_else(|| not_found("Load Balancer", id))?;
        Ok(json!({ "loadbalancer": self.shown(BALANCERS, id, found) }))
    }

    /// A load balancer tells what hangs on it.
    fn shown(&self, kind: &str, id: &str, object: &Object) -> Object {
        let mut shown = object.clone();
        for hanging in [LISTENERS, POOLS].into_iter().filter(|_| kind == BALANCERS) {
            let its = self.objects[hanging].iter().filter(|(_, one)| balancer_of(one) == Some(id));
            shown.insert(hanging.into(), its.map(|(id, _)| json!({ "id": id })).collect());
        }
        shown
    }

    pub(super) fn create(&mut self, kind: &str, body: &Object) -> Answer {
        let asked = |name: &str| body.get(name).and_then(Value::as_object).cloned().unwrap_or_default();
        match kind {
            BALANCERS => Ok(self.create_balancer(asked("loadbalancer"))),
            LISTENERS => self.create_listener(asked("listener")),
            POOLS => self.create_pool(asked("pool")),
            _ => Err(super::no_such_path()),
        }
    }

    fn create_balancer(&mut self, mut new: Object) -> Value {
        let id = self.new_id();
        let subnet = new.get("vip_subnet_id").cloned().unwrap_or_default();
        for (name, value) in [
            ("project_id", json!(self.project)),
            ("vip_address", json!(format!("10.96.{}.{}", self.next >> 8 & 255, self.next & 255))),
            ("vip_port_id", json!(format!("vip-of-{id}"))),
            ("vip_subnet_id", subnet),
            ("provider", json!("ovn")),
            ("tags", json!([])),
        ] {
            new.entry(name).or_insert(value);
        }
        self.keep(BALANCERS, &id, new, "PENDING_CREATE");
        self.at_work(&id);
        json!({ "loadbalancer": self.objects[BALANCERS][&id] })
    }

    fn create_listener(&mut self, mut new: Object) -> Answer {
        let balancer = text(&new, "loadbalancer_id");
        self.mutable(&balancer)?;
        refuse_ranges(&new)?;
        let same = |one: &Object| {
            balancer_of(one) == Some(&balancer)
                && one["protocol_port"] == new["protocol_port"]
                && one["protocol"] == new["protocol"]
        };
        if self.objects[LISTENERS].values().any(same) {
            let port = &new["protocol_port"];
            let why = format!("Another Listener on this Load Balancer is already using protocol_port {port}");
            return Err(fault(409, &why));
        }
        let id = self.new_id();
        new.remove("loadbalancer_id");
        new.insert("loadbalancers".into(), json!([{ "id": balancer }]));
        for (name, value) in [
            ("default_pool_id", Value::Null),
            ("timeout_client_data", json!(50_000)),
            ("timeout_member_data", json!(50_000)),
            ("allowed_cidrs", Value::Null),
        ] {
            new.entry(name).or_insert(value);
        }
        self.keep(LISTENERS, &id, new, "ACTIVE");
        self.change(&balancer);
        Ok(json!({ "listener": self.objects[LISTENERS][&id] }))
    }

    fn create_pool(&mut self, mut new: Object) -> Answer {
        let listener = text(&new, "listener_id");
        let Some(found) = self.objects[LISTENERS].get(&listener) else {
            return Err(not_found("Listener", &listener));
        };
        let balancer = balancer_of(found).unwrap_or_default().to_owned();
        let has_pool = !found["default_pool_id"].is_null();
        self.mutable(&balancer)?;
        refuse_spreading(&new)?;
        if has_pool {
            return Err(fault(409, &format!("Listener {listener} already has a default pool")));
        }
        let id = self.new_id();
        new.remove("listener_id");
        new.insert("listeners".into(), json!([{ "id": listener }]));
        new.insert("loadbalancers".into(), json!([{ "id": balancer }]));
        new.entry("session_persistence").or_insert(Value::Null);
        self.keep(POOLS, &id, new, "ACTIVE");
        if let Some(listener) = self.objects.get_mut(LISTENERS).and_then(|all| all.get_mut(&listener)) {
            listener.insert("default_pool_id".into(), json!(id));
        }
        self.change(&balancer);
        Ok(json!({ "pool": self.objects[POOLS][&id] }))
    }

    pub(super) fn update(&mut self, kind: &str, id: &str, body: &Object) -> Answer {
        let (kind, one, name) = match kind {
            BALANCERS => (BALANCERS, "loadbalancer", "Load Balancer"),
            LISTENERS => (LISTENERS, "listener", "Listener"),
            POOLS => (POOLS, "pool", "Pool"),
            _ => return Err(super::no_such_path()),
        };
        let Some(object) = self.objects[kind].get(id) else { return Err(not_found(name, id)) };
        let balancer = balancer_of(object).unwrap_or(id).to_owned();
        self.mutable(&balancer)?;
        let asked = body.get(one).and_then(Value::as_object).cloned().unwrap_or_default();
        refuse_ranges(&asked)?;
        let protocol = self.objects[kind][id].get("protocol").cloned();
        refuse_spreading(
            &protocol.map(|is| ("protocol".to_owned(), is)).into_iter().chain(asked.clone()).collect(),
        )?;
        if let Some(object) = self.objects.get_mut(kind).and_then(|all| all.get_mut(id)) {
            object.extend(asked);
        }
        self.change(&balancer);
        Ok(json!({ one: self.objects[kind][id] }))
    }

    pub(super) fn delete(&mut self, kind: &str, id: &str, query: Option<&str>) -> Answer {
        let found = self.objects.get(kind).and_then(|all| all.get(id));
        let Some(found) = found else { return Err(not_found("Resource", id)) };
        let balancer = balancer_of(found).unwrap_or(id).to_owned();
        self.mutable(&balancer)?;
        if kind != BALANCERS {
            self.objects.get_mut(kind).and_then(|all| all.remove(id));
            for listener in self.objects.get_mut(LISTENERS).into_iter().flat_map(BTreeMap::values_mut) {
                if listener["default_pool_id"] == id {
                    listener.insert("default_pool_id".into(), Value::Null);
                }
            }
            self.members.remove(id);
            self.change(&balancer);
            return Ok(Value::Null);
        }
        let is_bare =
            self.objects.values().flat_map(BTreeMap::values).all(|one| balancer_of(one) != Some(&balancer));
        if !is_bare && !query.unwrap_or_default().contains("cascade=true") {
            return Err(fault(
                400,
                &format!("Validation failure: Cannot delete Load Balancer {id} - it has children"),
            ));
        }
        self.set_status(id, "PENDING_DELETE");
        self.at_work(id);
        Ok(Value::Null)
    }

    pub(super) fn members(&self, pool: &str) -> Answer {
        if !self.objects[POOLS].contains_key(pool) {
            return Err(not_found("Pool", pool));
        }
        Ok(json!({ "members": self.members.get(pool).cloned().unwrap_or_default() }))
    }

    /// Those that are among the old ones, by address and port, keep their ids.
    pub(super) fn set_members(&mut self, pool: &str, body: &Object) -> Answer {
        let Some(found) = self.objects[POOLS].get(pool) else { return Err(not_found("Pool", pool)) };
        let balancer = balancer_of(found).unwrap_or_default().to_owned();
        self.mutable(&balancer)?;
        let old = self.members.remove(pool).unwrap_or_default();
        let asked = body.get("members").and_then(Value::as_array).into_iter().flatten();
        let mut members = Vec::new();
        for member in asked.filter_map(Value::as_object) {
            let same = |one: &&Object| {
                one["address"] == member["address"] && one["protocol_port"] == member["protocol_port"]
            };
            let kept = old.iter().find(same).map(|one| one["id"].clone());
            let id = kept.unwrap_or_else(|| json!(self.new_id()));
            let mut member = member.clone();
            member.insert("id".into(), id);
            member.insert("provisioning_status".into(), "ACTIVE".into());
            members.push(member);
        }
        self.members.insert(pool.to_owned(), members);
        self.change(&balancer);
        Ok(Value::Null)
    }

    pub(super) fn fail_over(&self, id: &str) -> Answer {
        if !self.objects[BALANCERS].contains_key(id) {
            return Err(not_found("Load Balancer", id));
        }
        Err(unsupported("OVN provider does not support loadbalancer failover"))
    }

    /// Octavia takes changes of ACTIVE load balancers only.
    fn mutable(&self, balancer: &str) -> Result<(), Reply> {
        let Some(found) = self.objects[BALANCERS].get(balancer) else {
            return Err(not_found("Load Balancer", balancer));
        };
        if found["provisioning_status"] != "ACTIVE" {
            return Err(fault(409, &format!("Load Balancer {balancer} is immutable and cannot be updated.")));
        }
        Ok(())
    }

    fn change(&mut self, balancer: &str) {
        self.set_status(balancer, "PENDING_UPDATE");
        self.at_work(balancer);
    }

    fn set_status(&mut self, balancer: &str, status: &str) {
        if let Some(balancer) = self.objects.get_mut(BALANCERS).and_then(|all| all.get_mut(balancer)) {
            balancer.insert("provisioning_status".into(), status.into());
        }
    }

    fn at_work(&mut self, balancer: &str) {
        self.busy.insert(balancer.to_owned(), Instant::now() + PACE);
    }

    fn keep(&mut self, kind: &'static str, id: &str, mut object: Object, status: &str) {
        object.insert("id".into(), id.into());
        object.insert("provisioning_status".into(), status.into());
        self.objects.entry(kind).or_default().insert(id.to_owned(), object);
    }

    /// What hung on a load balancer that is gone.
    fn forget(&mut self, balancer: &str) {
        for kind in [LISTENERS, POOLS] {
            let objects = self.objects.entry(kind).or_default();
            objects.retain(|_, one| balancer_of(one) != Some(balancer));
        }
        let pools = &self.objects[POOLS];
        self.members.retain(|pool, _| pools.contains_key(pool));
    }

    fn new_id(&mut self) -> String {
        self.next += 1;
        format!("00000000-0000-4000-8000-{:012x}", self.next)
    }
}

fn text(object: &Object, name: &str) -> String {
    object.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn has_tag(object: &Object, tag: &str) -> bool {
    object.get("tags").and_then(Value::as_array).is_some_and(|tags| tags.iter().any(|one| one == tag))
}

/// The load balancer that an object hangs on.
fn balancer_of(object: &Object) -> Option<&str> {
    object.get("loadbalancers")?.as_array()?.first()?.get("id")?.as_str()
}

/// What OVN's provider has not.
fn refuse_ranges(asked: &Object) -> Result<(), Reply> {
    match asked.get("allowed_cidrs") {
        None | Some(Value::Null) => Ok(()),
        Some(_) => Err(unsupported("OVN provider does not support allowed_cidrs option")),
    }
}

fn refuse_spreading(asked: &Object) -> Result<(), Reply> {
    let timeout = asked.get("session_persistence").and_then(|how| how.get("persistence_timeout"));
    if timeout.is_some_and(|timeout| !timeout.is_null()) && asked.get("protocol").is_none_or(|is| is != "UDP")
    {
        let why = "Validation failure: persistence_timeout and persistence_granularity is only for UDP protocol pools.";
        return Err(fault(400, why));
    }
    match asked.get("lb_algorithm").and_then(Value::as_str) {
        None | Some("SOURCE_IP_PORT" | "SOURCE_IP") => Ok(()),
        Some(other) => Err(unsupported(&format!("OVN provider does not support {other} algorithm"))),
    }
}

fn unsupported(why: &str) -> Reply {
    fault(501, &format!("Provider 'ovn' does not support a requested option: {why}"))
}

fn not_found(kind: &str, id: &str) -> Reply {
    fault(404, &format!("{kind} {id} not found."))
}
