//! Writes to KuryrPorts, each safe to repeat.

use crate::client::REQUEST_TIMEOUT;
use crate::key::Key;
use crate::slim::PortRecord;
use futures::TryFutureExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kuryr_api::{KuryrPort, names};
use serde_json::json;
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

/// Creates a complete record, in one request.
pub async fn create(
    client: &kube::Client,
    key: &Key,
    record: &KuryrPort,
) -> Result<Written<PortRecord>, Error> {
    let api: Api<KuryrPort> = Api::namespaced(client.clone(), key.namespace());
    let params = PostParams::default();
    let request = api.create(&params, record).map_ok(PortRecord::from);
    answer("create", "KuryrPort", key, request).await
}

/// Deletes a record, if it is still the one with `uid`. Its finalizer holds it until [`release`].
/// `None`: it is gone at once, since nothing held it.
pub async fn delete(
    client: &kube::Client,
    key: &Key,
    uid: &str,
) -> Result<Written<Option<PortRecord>>, Error> {
    let api: Api<KuryrPort> = Api::namespaced(client.clone(), key.namespace());
    let params = DeleteParams {
        preconditions: Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None }),
        ..DeleteParams::default()
    };
    let request = api.delete(key.name(), &params).map_ok(|answer| answer.left().map(PortRecord::from));
    answer("delete", "KuryrPort", key, request).await
}

/// Takes our finalizer off a record, if it is still the one with `uid`, and leaves those of others.
pub async fn release(
    client: &kube::Client,
    key: &Key,
    uid: &str,
    others: &[Box<str>],
) -> Result<Written, Error> {
    let api: Api<KuryrPort> = Api::namespaced(client.clone(), key.namespace());
    let patch = json!({ "metadata": { "uid": uid, "finalizers": others } });
    let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
    let request = api.patch(key.name(), &params, &patch).map_ok(drop);
    answer("release", "KuryrPort", key, request).await
}

/// Says in a record that the ports of these interfaces are wired.
pub async fn activate(
    client: &kube::Client,
    key: &Key,
    uid: &str,
    interfaces: &[String],
) -> Result<Written<PortRecord>, Error> {
    let api: Api<KuryrPort> = Api::namespaced(client.clone(), key.namespace());
    let active = json!({ "vif": { "versioned_object.data": { "active": true } } });
    let vifs: serde_json::Map<_, _> = interfaces.iter().map(|name| (name.clone(), active.clone())).collect();
    let patch = json!({ "metadata": { "uid": uid }, "status": { "vifs": vifs } });
    let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
    let request = api.patch(key.name(), &params, &patch).map_ok(PortRecord::from);
    answer("update", "KuryrPort", key, request).await
}

/// Takes the Python Kuryr's finalizer off a pod, and leaves those of others.
pub async fn take_old_finalizer_off(client: &kube::Client, key: &Key, uid: &str) -> Result<Written, Error> {
    let api: Api<Pod> = Api::namespaced(client.clone(), key.namespace());
    let patch = json!({
        "metadata": { "uid": uid, "$deleteFromPrimitiveList/finalizers": [names::POD_FINALIZER] },
    });
    let (params, patch) = (PatchParams::default(), Patch::Strategic(patch));
    let request = api.patch(key.name(), &params, &patch).map_ok(drop);
    answer("patch", "Pod", key, request).await
}

async fn answer<R>(
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
