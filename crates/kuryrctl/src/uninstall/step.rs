//! One thing that is taken away.

use std::fmt;

use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams},
};
use kuryr_api::PortId;
use kuryr_openstack::Neutron;
use serde_json::json;

use crate::connect::said;

/// What is done. Each can be repeated.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Deletes an object of Kubernetes.
    Delete(Object),
    /// Takes our finalizers off an object; these stay.
    Release(Object, Vec<String>),
    /// Deletes a port in Neutron.
    DeletePort(PortId),
}

/// An object of Kubernetes.
#[derive(Debug, Clone)]
pub(super) struct Object {
    pub(super) resource: ApiResource,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
}

impl Step {
    /// Takes it, or tells why not.
    pub(super) async fn take(&self, client: &Client, neutron: Option<&Neutron>) -> Result<(), String> {
        match self {
            Self::Delete(object) => {
                gone(object.api(client).delete(&object.name, &DeleteParams::background()).await)
            }
            Self::Release(object, stay) => {
                let patch = Patch::Merge(json!({ "metadata": { "finalizers": stay } }));
                gone(object.api(client).patch(&object.name, &PatchParams::default(), &patch).await)
            }
            Self::DeletePort(id) => match neutron {
                Some(neutron) => neutron.delete_port(id).await.map(drop).map_err(|error| error.chain()),
                None => Err("ports are kept".to_owned()),
            },
        }
    }
}

impl Object {
    pub(super) fn of(resource: &ApiResource, object: &DynamicObject) -> Self {
        let metadata = &object.metadata;
        Self {
            resource: resource.clone(),
            namespace: metadata.namespace.clone(),
            name: metadata.name.clone().unwrap_or_default(),
        }
    }

    fn api(&self, client: &Client) -> Api<DynamicObject> {
        match &self.namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &self.resource),
            None => Api::all_with(client.clone(), &self.resource),
        }
    }
}

/// What is not there any more needs nothing done.
fn gone<T>(result: kube::Result<T>) -> Result<(), String> {
    match result {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(said(&error)),
        Ok(_) => Ok(()),
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delete(object) => write!(f, "delete {object}"),
            Self::Release(object, _) => write!(f, "take Kuryr's finalizers off {object}"),
            Self::DeletePort(id) => write!(f, "delete the Neutron port {id}"),
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.resource.kind)?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)
    }
}
