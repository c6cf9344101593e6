//! The objects, and a log of what became of them.

use super::path::{Query, Target};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Where an object stands: resource, namespace, name.
type Place = (String, String, String);

#[derive(Debug, Default)]
pub(super) struct Store {
    objects: BTreeMap<Place, Value>,
    log: Vec<Change>,
    revision: u64,
    compacted: u64,
    uids: u64,
    /// Uids of what has gone, for the garbage collector.
    gone: Vec<Value>,
}

/// Something that happened to an object.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub revision: u64,
    pub resource: String,
    pub kind: &'static str,
    pub object: Value,
}

/// A request that is not done.
#[derive(Debug)]
pub(super) struct Refused {
    pub status: u16,
    pub reason: &'static str,
    pub message: String,
}

impl Refused {
    pub(super) fn new(status: u16, reason: &'static str, message: &str) -> Self {
        Self { status, reason, message: message.to_owned() }
    }

    pub(super) fn not_found(target: &Target) -> Self {
        let name = target.name.as_deref().unwrap_or_default();
        Self::new(404, "NotFound", &format!("{} \"{name}\" not found", target.resource))
    }

    fn conflict(message: &str) -> Self {
        Self::new(409, "Conflict", message)
    }
}

impl Store {
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) fn get(&self, target: &Target) -> Option<&Value> {
        self.objects.get(&place(target)?)
    }

    pub(super) fn all(&self, resource: &str) -> Vec<Value> {
        let of = self.objects.iter().filter(|((kind, _, _), _)| kind == resource);
        of.map(|(_, object)| object.clone()).collect()
    }

    pub(super) fn list(&self, target: &Target, query: &Query) -> Value {
        let items = self.all(&target.resource).into_iter().filter(|object| selects(target, query, object));
        json!({
            "kind": "List", "apiVersion": target.api_version,
            "metadata": { "resourceVersion": self.revision.to_string() },
            "items": items.collect::<Vec<_>>(),
        })
    }

    pub(super) fn compact(&mut self) {
        self.log.clear();
        self.compacted = self.revision;
    }

    /// Changes after `revision`; `None` if they are forgotten.
    pub(super) fn since(&self, revision: u64) -> Option<Vec<Change>> {
        if revision < self.compacted {
            return None;
        }
        Some(self.log.iter().filter(|change| change.revision > revision).cloned().collect())
    }

    pub(super) fn create(&mut self, target: &Target, mut object: Value) -> Result<Value, Refused> {
        self.namespace_is_open(&target.namespace)?;
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let place = (target.resource.clone(), target.namespace.clone(), name);
        if self.objects.contains_key(&place) {
            return Err(Refused::new(409, "AlreadyExists", "already exists"));
        }
        self.uids += 1;
        let meta = metadata(&mut object);
        meta.entry("uid").or_insert_with(|| json!(format!("uid-{}", self.uids)));
        meta.entry("creationTimestamp").or_insert_with(|| json!("2026-01-01T00:00:00Z"));
        if !target.namespace.is_empty() {
            meta.insert("namespace".into(), json!(target.namespace));
        }
        Ok(self.put(place, "ADDED", object))
    }

    pub(super) fn patch(&mut self, target: &Target, patch: &Value) -> Result<Value, Refused> {
        let place = place(target).ok_or_else(|| Refused::not_found(target))?;
        let mut object = self.objects.get(&place).cloned().ok_or_else(|| Refused::not_found(target))?;
        for field in ["uid", "resourceVersion"] {
            let wanted = &patch["metadata"][field];
            if !wanted.is_null() && *wanted != object["metadata"][field] {
                return Err(Refused::conflict(&format!("{field} is not as the patch wants it")));
            }
        }
        merge(&mut object, patch);
        drop_finalizers(&mut object);
        if is_done(&object) {
            return Ok(self.remove(&place, object));
        }
        Ok(self.put(place, "MODIFIED", object))
    }

    /// Puts another object in its place, if the version is the one that the writer read.
    pub(super) fn replace(&mut self, target: &Target, mut object: Value) -> Result<Value, Refused> {
        let place = place(target).ok_or_else(|| Refused::not_found(target))?;
        let old = self.objects.get(&place).ok_or_else(|| Refused::not_found(target))?;
        let wanted = &object["metadata"]["resourceVersion"];
        if !wanted.is_null() && *wanted != old["metadata"]["resourceVersion"] {
            return Err(Refused::conflict("the object has been modified"));
        }
        let uid = old["metadata"]["uid"].clone();
        metadata(&mut object).insert("uid".into(), uid);
        Ok(self.put(place, "MODIFIED", object))
    }

    pub(super) fn delete(&mut self, target: &Target, uid: Option<&str>) -> Result<Value, Refused> {
        let place = place(target).ok_or_else(|| Refused::not_found(target))?;
        let mut object = self.objects.get(&place).cloned().ok_or_else(|| Refused::not_found(target))?;
        if uid.is_some_and(|uid| object["metadata"]["uid"] != uid) {
            return Err(Refused::conflict("the uid is another"));
        }
        let marked = !object["metadata"]["deletionTimestamp"].is_null();
        metadata(&mut object).entry("deletionTimestamp").or_insert_with(|| json!("2026-01-01T00:00:00Z"));
        if is_done(&object) {
            self.remove(&place, object);
            return Ok(json!({ "kind": "Status", "apiVersion": "v1", "status": "Success", "metadata": {} }));
        }
        Ok(if marked { object } else { self.put(place, "MODIFIED", object) })
    }

    fn namespace_is_open(&self, namespace: &str) -> Result<(), Refused> {
        let place = ("namespaces".to_owned(), String::new(), namespace.to_owned());
        match self.objects.get(&place) {
            Some(object) if !object["metadata"]["deletionTimestamp"].is_null() => Err(Refused::new(
                403,
                "Forbidden",
                "unable to create new content because it is being terminated",
            )),
            _ => Ok(()),
        }
    }

    fn put(&mut self, place: Place, kind: &'static str, mut object: Value) -> Value {
        self.revision += 1;
        metadata(&mut object).insert("resourceVersion".into(), json!(self.revision.to_string()));
        self.note(&place, kind, &object);
        self.objects.insert(place, object.clone());
        object
    }

    fn remove(&mut self, place: &Place, mut object: Value) -> Value {
        self.revision += 1;
        metadata(&mut object).insert("resourceVersion".into(), json!(self.revision.to_string()));
        self.objects.remove(place);
        self.note(place, "DELETED", &object);
        self.gone.push(object["metadata"]["uid"].clone());
        object
    }

    fn note(&mut self, place: &Place, kind: &'static str, object: &Value) {
        let change =
            Change { revision: self.revision, resource: place.0.clone(), kind, object: object.clone() };
        self.log.push(change);
    }

    /// Uids of what has gone since the last call.
    pub(super) fn take_gone(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.gone)
    }

    /// What the garbage collector of the controller manager does once it has seen that an owner is gone.
    pub(super) fn collect_dependents(&mut self, owner: &Value) {
        let belongs = |object: &Value| {
            let owners = object["metadata"]["ownerReferences"].as_array();
            owners.is_some_and(|owners| owners.iter().any(|reference| reference["uid"] == *owner))
        };
        let places: Vec<Place> = self
            .objects
            .iter()
            .filter(|(_, object)| belongs(object))
            .map(|(place, _)| place.clone())
            .collect();
        for (resource, namespace, name) in places {
            let target = Target { api_version: String::new(), resource, namespace, name: Some(name) };
            // It was there a moment ago, and has no precondition.
            let _ = self.delete(&target, None);
        }
    }
}

/// Whether a list or watch shows an object.
pub(super) fn selects(target: &Target, query: &Query, object: &Value) -> bool {
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
    let in_namespace = target.namespace.is_empty() || target.namespace == namespace;
    let label = |(key, value): (&str, &str)| object["metadata"]["labels"][key] == value;
    let field = |(path, value): (&str, &str)| {
        path.split('.').try_fold(object, |at, step| at.get(step)).is_some_and(|found| found == value)
    };
    let pairs = |parameter: &str| query.get(parameter).cloned().unwrap_or_default();
    in_namespace
        && pairs("labelSelector").split(',').filter_map(|pair| pair.split_once('=')).all(label)
        && pairs("fieldSelector").split(',').filter_map(|pair| pair.split_once('=')).all(field)
}

fn place(target: &Target) -> Option<Place> {
    Some((target.resource.clone(), target.namespace.clone(), target.name.clone()?))
}

fn metadata(object: &mut Value) -> &mut Map<String, Value> {
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    object["metadata"].as_object_mut().expect("made an object just now")
}

fn is_done(object: &Value) -> bool {
    let meta = &object["metadata"];
    let held = meta["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty());
    !meta["deletionTimestamp"].is_null() && !held
}

/// JSON merge patch (RFC 7386).
fn merge(object: &mut Value, patch: &Value) {
    let Some(fields) = patch.as_object() else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = json!({});
    }
    for (key, value) in fields {
        if value.is_null() {
            object.as_object_mut().expect("is one").remove(key);
        } else {
            merge(&mut object[key], value);
        }
    }
}

/// The one directive of strategic merge patches that Kuryr uses.
fn drop_finalizers(object: &mut Value) {
    let meta = metadata(object);
    let Some(Value::Array(dropped)) = meta.remove("$deleteFromPrimitiveList/finalizers") else { return };
    if let Some(Value::Array(finalizers)) = meta.get_mut("finalizers") {
        finalizers.retain(|name| !dropped.contains(name));
    }
}
