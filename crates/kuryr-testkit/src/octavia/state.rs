//! What the fake keeps, and what it is at work with.

use super::{Answer, Kind, Object, Provider, fault, immutable, text};
use crate::{neutron::FakeNeutron, reply::Reply};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// How long the real one's work with OVN takes at least, or nearly.
const PACE: Duration = Duration::from_millis(150);

#[derive(Debug)]
pub(super) struct State {
    pub(super) neutron: FakeNeutron,
    pub(super) project: String,
    pub(super) default_provider: Provider,
    pub(super) pace: Duration,
    pub(super) paused: bool,
    pub(super) quotas: BTreeMap<(String, Kind), i64>,
    objects: BTreeMap<Kind, BTreeMap<String, Object>>,
    /// By the load balancers that it is about.
    work: BTreeMap<String, Vec<Work>>,
    pub(super) overtaken: u64,
    next: u64,
}

/// What has been begun at a load balancer.
#[derive(Debug)]
struct Work {
    until: Instant,
    ends: Vec<(Kind, String, End)>,
}

/// What becomes of an object.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    Active,
    Error,
    Gone,
}

impl State {
    pub(super) fn new(neutron: FakeNeutron, project: &str) -> Self {
        Self {
            neutron,
            project: project.to_owned(),
            default_provider: Provider::Ovn,
            pace: PACE,
            paused: false,
            quotas: BTreeMap::new(),
            objects: Kind::ALL.map(|kind| (kind, BTreeMap::new())).into(),
            work: BTreeMap::new(),
            overtaken: 0,
            next: 0,
        }
    }

    /// Ends what has taken long enough.
    pub(super) fn settle(&mut self) {
        if self.paused {
            return;
        }
        let now = Instant::now();
        let mut done: Vec<_> =
            self.work.values_mut().flat_map(|works| works.extract_if(.., |work| work.until <= now)).collect();
        self.work.retain(|_, works| !works.is_empty());
        done.sort_by_key(|work| work.until);
        for (kind, id, end) in done.into_iter().flat_map(|work| work.ends) {
            match end {
                End::Active => self.set_status(kind, &id, "ACTIVE"),
                End::Error => self.set_status(kind, &id, "ERROR"),
                End::Gone => self.remove(kind, &id),
            };
        }
    }

    /// Begins to change a load balancer, which is immutable until `ends` come about.
    pub(super) fn change(&mut self, balancer: &str, ends: Vec<(Kind, String, End)>) {
        self.set_status(Kind::LoadBalancer, balancer, "PENDING_UPDATE");
        let whole = (Kind::LoadBalancer, balancer.to_owned(), End::Active);
        self.begin(balancer, ends.into_iter().chain([whole]).collect());
    }

    /// Begins work of which the load balancer's own end is a part.
    pub(super) fn begin(&mut self, balancer: &str, ends: Vec<(Kind, String, End)>) {
        self.begin_steps(balancer, vec![ends]);
    }

    /// Begins work that is done in steps, each with ends of its own.
    pub(super) fn begin_steps(&mut self, balancer: &str, steps: Vec<Vec<(Kind, String, End)>>) {
        let works = self.work.entry(balancer.to_owned()).or_default();
        self.overtaken += u64::from(!works.is_empty());
        let mut until = Instant::now();
        for ends in steps {
            until += self.pace;
            works.push(Work { until, ends });
        }
    }

    pub(super) fn all(&self, kind: Kind) -> impl Iterator<Item = (&String, &Object)> {
        self.objects.get(&kind).into_iter().flatten()
    }

    pub(super) fn get(&self, kind: Kind, id: &str) -> Result<&Object, Reply> {
        let found = self.objects.get(&kind).and_then(|objects| objects.get(id));
        found.ok_or_else(|| fault(404, &format!("{} {id} not found.", kind.spoken())))
    }

    pub(super) fn show(&self, kind: Kind, id: &str, status: u16) -> Answer {
        Ok(Reply::new(status, json!({ kind.one(): self.shown(kind, self.get(kind, id)?) })))
    }

    /// An object with what it tells of others.
    pub(super) fn shown(&self, kind: Kind, object: &Object) -> Object {
        let mut shown = object.clone();
        let id = text(object, "id");
        let ids_of = |other: Kind| {
            let hanging = self.all(other).filter(|(_, one)| match kind {
                Kind::LoadBalancer => self.balancer_of(other, one) == id,
                _ => pool_of(other, one) == id,
            });
            hanging.map(|(id, _)| json!({ "id": id })).collect::<Value>()
        };
        match kind {
            Kind::LoadBalancer => {
                shown.insert("listeners".into(), ids_of(Kind::Listener));
                shown.insert("pools".into(), ids_of(Kind::Pool));
            }
            Kind::Pool => {
                shown.insert("members".into(), ids_of(Kind::Member));
                shown.insert("healthmonitor_id".into(), ids_of(Kind::HealthMonitor)[0]["id"].clone());
            }
            Kind::Member => drop(shown.remove("pool_id")),
            Kind::Listener | Kind::HealthMonitor => {}
        }
        shown
    }

    /// Keeps a new object, which is being made.
    pub(super) fn keep(&mut self, kind: Kind, id: &str, mut object: Object) {
        for (name, value) in [
            ("id", json!(id)),
            ("provisioning_status", json!("PENDING_CREATE")),
            ("operating_status", json!("ONLINE")),
        ] {
            object.insert(name.into(), value);
        }
        for (name, value) in [("name", json!("")), ("admin_state_up", json!(true)), ("tags", json!([]))] {
            object.entry(name).or_insert(value);
        }
        self.objects.entry(kind).or_default().insert(id.to_owned(), object);
    }

    pub(super) fn object_mut(&mut self, kind: Kind, id: &str) -> Option<&mut Object> {
        self.objects.get_mut(&kind)?.get_mut(id)
    }

    /// Begins to change an object with what is asked. What becomes of it is the caller's to say.
    pub(super) fn patch(&mut self, kind: Kind, id: &str, asked: &Object) {
        if let Some(object) = self.object_mut(kind, id) {
            object.extend(asked.clone());
        }
        self.set_status(kind, id, "PENDING_UPDATE");
    }

    pub(super) fn set_status(&mut self, kind: Kind, id: &str, status: &str) -> bool {
        let object = self.object_mut(kind, id);
        object.map(|object| object.insert("provisioning_status".into(), status.into())).is_some()
    }

    /// Sets a status that what is under way does not end.
    pub(super) fn force_status(&mut self, kind: Kind, id: &str, status: &str) -> bool {
        let works = self.work.values_mut().flatten();
        works.for_each(|work| work.ends.retain(|(_, other, _)| other != id));
        self.set_status(kind, id, status)
    }

    /// Removes an object and what hangs on it.
    pub(super) fn remove(&mut self, kind: Kind, id: &str) -> bool {
        let Some(gone) = self.objects.get_mut(&kind).and_then(|objects| objects.remove(id)) else {
            return false;
        };
        match kind {
            Kind::LoadBalancer => {
                self.neutron.remove_vip(text(&gone, "vip_port_id"));
                self.work.remove(id);
                for child in [Kind::Listener, Kind::Pool] {
                    self.remove_where(child, |one| balancer_named(one) == id);
                }
            }
            Kind::Listener => self.forget_listener(id),
            Kind::Pool => {
                let lead_there = |one: &&mut Object| one["default_pool_id"] == id;
                let listeners = self.objects.entry(Kind::Listener).or_default().values_mut();
                listeners.filter(lead_there).for_each(|one| {
                    one.insert("default_pool_id".into(), Value::Null);
                });
                for child in [Kind::Member, Kind::HealthMonitor] {
                    self.remove_where(child, |one| pool_of(child, one) == id);
                }
            }
            Kind::Member | Kind::HealthMonitor => {}
        }
        true
    }

    fn remove_where(&mut self, kind: Kind, goes: impl Fn(&Object) -> bool) {
        let going = self.all(kind).filter(|(_, one)| goes(one)).map(|(id, _)| id.clone());
        for id in going.collect::<Vec<_>>() {
            self.remove(kind, &id);
        }
    }

    fn forget_listener(&mut self, listener: &str) {
        for pool in self.objects.entry(Kind::Pool).or_default().values_mut() {
            if let Some(listeners) = pool.get_mut("listeners").and_then(Value::as_array_mut) {
                listeners.retain(|one| one["id"] != listener);
            }
        }
    }

    /// The load balancer that an object hangs on, or is.
    pub(super) fn balancer_of(&self, kind: Kind, object: &Object) -> String {
        match kind {
            Kind::LoadBalancer => text(object, "id").to_owned(),
            Kind::Listener | Kind::Pool => balancer_named(object).to_owned(),
            Kind::Member | Kind::HealthMonitor => {
                let pool = self.get(Kind::Pool, pool_of(kind, object));
                pool.map(|pool| balancer_named(pool).to_owned()).unwrap_or_default()
            }
        }
    }

    /// The provider of a load balancer.
    pub(super) fn provider_of(&self, balancer: &str) -> Provider {
        let balancer = self.get(Kind::LoadBalancer, balancer).ok();
        balancer
            .and_then(|balancer| Provider::named(text(balancer, "provider")))
            .unwrap_or(self.default_provider)
    }

    /// Octavia takes changes of ACTIVE objects only.
    pub(super) fn check_active(&self, kind: Kind, id: &str) -> Result<(), Reply> {
        let active = self.get(kind, id)?["provisioning_status"] == "ACTIVE";
        active.then_some(()).ok_or_else(|| immutable(kind, id))
    }

    pub(super) fn new_id(&mut self) -> String {
        self.next += 1;
        format!("00000000-0000-4000-8000-{:012x}", self.next)
    }
}

/// The pool that an object hangs on.
pub(super) fn pool_of(kind: Kind, object: &Object) -> &str {
    match kind {
        Kind::Member => text(object, "pool_id"),
        Kind::HealthMonitor => object["pools"][0]["id"].as_str().unwrap_or_default(),
        Kind::LoadBalancer | Kind::Listener | Kind::Pool => "",
    }
}

fn balancer_named(object: &Object) -> &str {
    object["loadbalancers"][0]["id"].as_str().unwrap_or_default()
}
