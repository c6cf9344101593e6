//! Writes to the record of a Service's load balancer, and to the Service.

use super::Seen;
use crate::context::Context;
use crate::reconcile::error::Error;
use crate::reconcile::{Outcome, noted};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::ObjectMeta;
use kuryr_api::{KuryrLoadBalancer, names};
use kuryr_core::service::RecordContent;
use kuryr_k8s::Key;
use kuryr_k8s::records::{self, Written};
use kuryr_k8s::slim;
use serde_json::{Map, Value, json};
use std::net::IpAddr;

pub(super) async fn create_record(
    context: &Context,
    key: &Key,
    seen: &Seen,
    should: RecordContent,
) -> Result<Outcome, Error> {
    let Some((service, _)) = &seen.service else { return Ok(Outcome::Same) };
    context.metrics.wrote("create_kuryrloadbalancer");
    let owner = OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Service".to_owned(),
        name: key.name().to_owned(),
        uid: service.uid.to_string(),
        ..OwnerReference::default()
    };
    let record = KuryrLoadBalancer {
        metadata: ObjectMeta {
            name: Some(key.name().to_owned()),
            namespace: Some(key.namespace().to_owned()),
            finalizers: Some(vec![names::KURYRLOADBALANCER_FINALIZER.to_owned()]),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: should.spec,
        status: Some(should.status),
    };
    match records::create(&context.client, key, &record).await {
        // The namespace's end takes the Service with it: its next change brings it here again.
        Err(records::Error::NamespaceTerminating { .. }) => Ok(Outcome::Later),
        written => Ok(noted(written?, |record| context.caches.balancers.note(record))),
    }
}

pub(super) async fn update_record(
    context: &Context,
    key: &Key,
    seen: &Seen,
    should: &RecordContent,
) -> Result<Outcome, Error> {
    let Some(record) = &seen.record else { return Ok(Outcome::Same) };
    // It is first told of once it is complete.
    if record.status.loadbalancer.is_none()
        && should.status.loadbalancer.is_some()
        && let Some((service, _)) = &seen.service
        && let Some(created) = service.created
    {
        context.metrics.services.made(jiff::Timestamp::now().duration_since(created));
    }
    context.metrics.wrote("update_kuryrloadbalancer");
    let patch = json!({
        "spec": difference(&json!(record.spec), &json!(should.spec)),
        "status": difference(&json!(record.status), &json!(should.status)),
    });
    let written = records::update::<KuryrLoadBalancer>(&context.client, key, &record.uid, patch).await?;
    Ok(noted(written, |record| context.caches.balancers.note(record)))
}

/// A merge patch from one object to another: what is the same is left out, what is not there any more is null.
fn difference(is: &Value, should: &Value) -> Value {
    let empty = Map::new();
    let (is, should) = (is.as_object().unwrap_or(&empty), should.as_object().unwrap_or(&empty));
    let gone = is.keys().filter(|name| !should.contains_key(*name)).map(|name| (name.clone(), Value::Null));
    let other = should.iter().filter(|(name, value)| is.get(*name) != Some(value));
    gone.chain(other.map(|(name, value)| (name.clone(), value.clone()))).collect::<Map<_, _>>().into()
}

pub(super) async fn delete_record(context: &Context, key: &Key, seen: &Seen) -> Result<Outcome, Error> {
    let Some(record) = &seen.record else { return Ok(Outcome::Same) };
    context.metrics.wrote("delete_kuryrloadbalancer");
    match records::delete::<KuryrLoadBalancer>(&context.client, key, &record.uid).await? {
        Written::Done(Some(deleting)) => context.caches.balancers.note(deleting),
        Written::Done(None) => context.caches.balancers.note_gone(record),
        Written::Outdated => return Ok(Outcome::Unseen),
    }
    Ok(Outcome::Visible)
}

pub(super) async fn release_record(context: &Context, key: &Key, seen: &Seen) -> Result<Outcome, Error> {
    let Some(record) = &seen.record else { return Ok(Outcome::Same) };
    context.metrics.wrote("release_kuryrloadbalancer");
    let others = &record.other_finalizers;
    records::release::<KuryrLoadBalancer>(&context.client, key, &record.uid, others).await?;
    if !others.is_empty() {
        return Ok(Outcome::Unseen);
    }
    context.caches.balancers.note_gone(record);
    Ok(Outcome::Visible)
}

/// Without our finalizer a Service that is being deleted is gone, unless others hold it too.
fn released_service(context: &Context, before: &slim::Service, after: slim::Service) {
    if before.deleting && !after.held.by_others {
        context.caches.services.note_gone(before);
    } else {
        context.caches.services.note(after);
    }
}

pub(super) async fn hold_service(context: &Context, key: &Key, seen: &Seen) -> Result<Outcome, Error> {
    let Some((service, _)) = &seen.service else { return Ok(Outcome::Same) };
    context.metrics.wrote("hold_service");
    let written = records::hold_service(&context.client, key, &service.uid).await?;
    Ok(noted(written, |service| context.caches.services.note(service)))
}

pub(super) async fn release_service(context: &Context, key: &Key, seen: &Seen) -> Result<Outcome, Error> {
    let Some((service, _)) = &seen.service else { return Ok(Outcome::Same) };
    context.metrics.wrote("release_service");
    let written = records::release_service(&context.client, key, &service.uid).await?;
    Ok(noted(written, |released| released_service(context, service, released)))
}

pub(super) async fn set_ingress(
    context: &Context,
    key: &Key,
    seen: &Seen,
    ingress: &[IpAddr],
) -> Result<Outcome, Error> {
    let Some((service, _)) = &seen.service else { return Ok(Outcome::Same) };
    context.metrics.wrote("set_service_ingress");
    let written = records::set_ingress(&context.client, key, &service.uid, ingress).await?;
    Ok(noted(written, |service| context.caches.services.note(service)))
}
