//! Writes to our records, and to the finalizers of what they are about, each safe to repeat.

use crate::client::REQUEST_TIMEOUT;
use crate::key::Key;
use crate::slim::{self, BalancerRecord, PolicyRecord, PortRecord, ServiceWire, Slim};
use futures::TryFutureExt;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::Resource;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kuryr_api::{KuryrLoadBalancer, KuryrNetworkPolicy, KuryrPort, names};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::fmt::Debug;
use std::net::IpAddr;
use thiserror::Error;

/// What became of a write.
#[derive(Clone, Debug, PartialEq)]
pub enum Written<T = ()> {
    /// It was done; the object is so now.
    Done(T),
    /// The object is not as it was when the write was decided (gone, replaced, there already): look again.
    Outdated,
}

/// A write that failed.
#[derive(Debug, Error)]
pub enum Error {
    /// The API server refused it, and will again: no rights, or content that it does not accept.
    #[error("the API server refused to {action} {kind} {key}")]
    Refused {
        /// Verb.
        action: &'static str,
        /// Kind.
        kind: &'static str,
        /// Object.
        key: Key,
        /// The server's answer.
        #[source]
        source: Box<kube::Error>,
    },
    /// The API server was not reached, or had no time.
    #[error("failed to {action} {kind} {key}")]
    Send {
        /// Verb.
        action: &'static str,
        /// Kind.
        kind: &'static str,
        /// Object.
        key: Key,
        /// What happened.
        #[source]
        source: Box<kube::Error>,
    },
    /// The API server did not answer in time.
    #[error("no answer within {} s to {action} {kind} {key}", REQUEST_TIMEOUT.as_secs())]
    Timeout {
        /// Verb.
        action: &'static str,
        /// Kind.
        kind: &'static str,
        /// Object.
        key: Key,
    },
    /// Its namespace is being deleted: nothing can be created in it any more.
    #[error("namespace of {key} is being deleted")]
    NamespaceTerminating {
        /// Object.
        key: Key,
    },
}

/// A custom resource in which a decision is recorded.
pub trait Record:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned
{
    /// What messages call it.
    const KIND: &'static str;
    /// Our finalizer on it.
    const FINALIZER: &'static str;
    /// What is kept of it.
    type Kept: From<Self>;
}

impl Record for KuryrPort {
    const KIND: &'static str = "KuryrPort";
    const FINALIZER: &'static str = names::KURYRPORT_FINALIZER;
    type Kept = PortRecord;
}

impl Record for KuryrNetworkPolicy {
    const KIND: &'static str = "KuryrNetworkPolicy";
    const FINALIZER: &'static str = names::NETWORK_POLICY_FINALIZER;
    type Kept = PolicyRecord;
}

impl Record for KuryrLoadBalancer {
    const KIND: &'static str = "KuryrLoadBalancer";
    const FINALIZER: &'static str = names::KURYRLOADBALANCER_FINALIZER;
    type Kept = BalancerRecord;
}

/// Creates a complete record, in one request.
pub async fn create<R: Record>(
    client: &kube::Client,
    key: &Key,
    record: &R,
) -> Result<Written<R::Kept>, Error> {
    let (api, params) = (api::<R>(client, key), PostParams::default());
    let request = api.create(&params, record).map_ok(R::Kept::from);
    answer("create", R::KIND, key, request).await
}

/// Writes what is said in `patch`, a merge patch, into a record, if it is still the one with `uid`.
pub async fn update<R: Record>(
    client: &kube::Client,
    key: &Key,
    uid: &str,
    mut patch: Value,
) -> Result<Written<R::Kept>, Error> {
    patch["metadata"] = json!({ "uid": uid });
    let (api, params, patch) = (api::<R>(client, key), PatchParams::default(), Patch::Merge(patch));
    let request = api.patch(key.name(), &params, &patch).map_ok(R::Kept::from);
    answer("update", R::KIND, key, request).await
}

/// Deletes a record, if it is still the one with `uid`. Its finalizer holds it until [`release`].
/// `None`: it is gone at once, since nothing held it.
pub async fn delete<R: Record>(
    client: &kube::Client,
    key: &Key,
    uid: &str,
) -> Result<Written<Option<R::Kept>>, Error> {
    let params = DeleteParams {
        preconditions: Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None }),
        ..DeleteParams::default()
    };
    let api = api::<R>(client, key);
    let request = api.delete(key.name(), &params).map_ok(|answer| answer.left().map(R::Kept::from));
    answer("delete", R::KIND, key, request).await
}

/// Takes our finalizer off a record, if it is still the one with `uid`, and leaves those of others.
pub async fn release<R: Record>(
    client: &kube::Client,
    key: &Key,
    uid: &str,
    others: &[Box<str>],
) -> Result<Written, Error> {
    let patch = json!({ "metadata": { "uid": uid, "finalizers": others } });
    let (api, params, patch) = (api::<R>(client, key), PatchParams::default(), Patch::Merge(patch));
    let request = api.patch(key.name(), &params, &patch).map_ok(drop);
    answer("release", R::KIND, key, request).await
}

/// Says in a record that the ports of these interfaces are wired.
pub async fn activate(
    client: &kube::Client,
    key: &Key,
    uid: &str,
    interfaces: &[String],
) -> Result<Written<PortRecord>, Error> {
    let active = json!({ "vif": { "versioned_object.data": { "active": true } } });
    let vifs: serde_json::Map<_, _> = interfaces.iter().map(|name| (name.clone(), active.clone())).collect();
    update::<KuryrPort>(client, key, uid, json!({ "status": { "vifs": vifs } })).await
}

/// Takes the Python Kuryr's finalizer off a pod, and leaves those of others.
pub async fn take_old_finalizer_off(client: &kube::Client, key: &Key, uid: &str) -> Result<Written, Error> {
    let off = json!({ "uid": uid, "$deleteFromPrimitiveList/finalizers": [names::POD_FINALIZER] });
    change_metadata::<Pod>("Pod", client, key, off).await.map(|written| match written {
        Written::Done(_) => Written::Done(()),
        Written::Outdated => Written::Outdated,
    })
}

/// Takes the Python Kuryr's finalizer off a NetworkPolicy, and leaves those of others.
pub async fn release_policy(client: &kube::Client, key: &Key, uid: &str) -> Result<(), Error> {
    let off = json!({ "uid": uid, "$deleteFromPrimitiveList/finalizers": [names::NETWORK_POLICY_FINALIZER] });
    change_metadata::<NetworkPolicy>("NetworkPolicy", client, key, off).await.map(drop)
}

/// Puts our finalizer on a Service, beside those of others. It stays until [`release_service`].
pub async fn hold_service(
    client: &kube::Client,
    key: &Key,
    uid: &str,
) -> Result<Written<slim::Service>, Error> {
    let on = json!({ "uid": uid, "finalizers": [names::SERVICE_FINALIZER] });
    change_service(client, key, on).await
}

/// Takes our finalizer off a Service, and leaves those of others.
pub async fn release_service(
    client: &kube::Client,
    key: &Key,
    uid: &str,
) -> Result<Written<slim::Service>, Error> {
    let off = json!({ "uid": uid, "$deleteFromPrimitiveList/finalizers": [names::SERVICE_FINALIZER] });
    change_service(client, key, off).await
}

/// Says in a Service's status where it is reached from outside, and nowhere if `ingress` is empty.
pub async fn set_ingress(
    client: &kube::Client,
    key: &Key,
    uid: &str,
    ingress: &[IpAddr],
) -> Result<Written<slim::Service>, Error> {
    let all: Vec<_> = ingress.iter().map(|ip| json!({ "ip": ip, "ipMode": "VIP" })).collect();
    let all = (!all.is_empty()).then_some(all);
    let patch = json!({ "metadata": { "uid": uid }, "status": { "loadBalancer": { "ingress": all } } });
    let api: Api<ServiceWire> = Api::namespaced(client.clone(), key.namespace());
    let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
    let request = api.patch_status(key.name(), &params, &patch).map_ok(slim::Service::trim);
    answer("update the status of", "Service", key, request).await
}

async fn change_service(
    client: &kube::Client,
    key: &Key,
    metadata: Value,
) -> Result<Written<slim::Service>, Error> {
    let written = change_metadata::<ServiceWire>("Service", client, key, metadata).await?;
    Ok(match written {
        Written::Done(service) => Written::Done(slim::Service::trim(service)),
        Written::Outdated => Written::Outdated,
    })
}

async fn change_metadata<K>(
    kind: &'static str,
    client: &kube::Client,
    key: &Key,
    metadata: Value,
) -> Result<Written<K>, Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), key.namespace());
    let (params, patch) = (PatchParams::default(), Patch::Strategic(json!({ "metadata": metadata })));
    answer("patch", kind, key, api.patch(key.name(), &params, &patch)).await
}

fn api<R: Record>(client: &kube::Client, key: &Key) -> Api<R> {
    Api::namespaced(client.clone(), key.namespace())
}

pub(crate) async fn answer<R>(
    action: &'static str,
    kind: &'static str,
    key: &Key,
    request: impl Future<Output = Result<R, kube::Error>>,
) -> Result<Written<R>, Error> {
    let key = key.clone();
    match tokio::time::timeout(REQUEST_TIMEOUT, request).await {
        Err(_) => Err(Error::Timeout { action, kind, key }),
        Ok(Ok(object)) => Ok(Written::Done(object)),
        Ok(Err(error)) => classify(action, kind, key, error).map(|()| Written::Outdated),
    }
}

fn classify(action: &'static str, kind: &'static str, key: Key, error: kube::Error) -> Result<(), Error> {
    let source = Box::new(error);
    let kube::Error::Api(status) = source.as_ref() else {
        return Err(Error::Send { action, kind, key, source });
    };
    match status.code {
        404 | 409 => Ok(()),
        403 if status.message.contains("because it is being terminated") => {
            Err(Error::NamespaceTerminating { key })
        }
        400 | 401 | 403 | 405 | 422 => Err(Error::Refused { action, kind, key, source }),
        _ => Err(Error::Send { action, kind, key, source }),
    }
}
