//! One thing that is taken away.

use std::{fmt, net::IpAddr, time::Duration};

use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams},
};
use kuryr_api::names::PORTS_RESOURCE;
use kuryr_api::{
    AddressGroupId, FloatingIpId, KuryrNode, LoadBalancerId, PortId, SecurityGroupId, ServerId, TrunkId,
};
use kuryr_k8s::{Key, nodes};
use kuryr_openstack::neutron::AddressPair;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{cloud::Cloud, pairs};
use crate::connect::said;

/// A daemon needs some seconds.
const UNWIRED_WITHIN: Duration = Duration::from_secs(20);

/// What is done. Each can be repeated.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Deletes an object of Kubernetes.
    Delete(Object),
    /// Takes our finalizers off an object; these stay.
    Release(Object, Vec<String>),
    /// Lets the daemons of these nodes keep no ports wired that no pod has.
    Unwire(Vec<String>),
    /// Lets a Node of this name say no more how many pods it takes.
    DropCapacity(String),
    /// Takes ports off a trunk.
    Detach(TrunkId, Vec<PortId>),
    /// Takes addresses of pods away from those that a virtual machine's port may send from.
    RemovePairs(PortId, Vec<AddressPair>),
    /// Deletes a port in Neutron.
    DeletePort(PortId),
    /// Has Nova detach a port from this server, then deletes it.
    DeleteInterface(PortId, ServerId),
    /// Deletes a floating IP.
    DeleteFloatingIp(FloatingIpId, IpAddr),
    /// Deletes a security group of this name.
    DeleteSecurityGroup(SecurityGroupId, String),
    /// Deletes an address group of this name.
    DeleteAddressGroup(AddressGroupId, String),
    /// Asks Octavia to delete a load balancer of this name and all that hangs on it.
    DeleteBalancer(LoadBalancerId, String),
    /// Waits until these are gone.
    AwaitBalancers(Vec<LoadBalancerId>),
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
    pub(super) async fn take(&self, client: &Client, cloud: Option<&Cloud>) -> Result<(), String> {
        match self {
            Self::Delete(object) => {
                gone(object.api(client).delete(&object.name, &DeleteParams::background()).await)
            }
            Self::Release(object, stay) => {
                let patch = Patch::Merge(json!({ "metadata": { "finalizers": stay } }));
                gone(object.api(client).patch(&object.name, &PatchParams::default(), &patch).await)
            }
            Self::Unwire(names) => unwire(client, names).await,
            Self::DropCapacity(node) => {
                let dropped = nodes::set_ports(client, &Key::new("", node), None).await;
                dropped.map(drop).map_err(|error| format!("{:#}", anyhow::Error::from(error)))
            }
            in_openstack => match cloud {
                Some(cloud) => in_openstack.take_from(cloud).await,
                None => Err("what is in OpenStack is kept".to_owned()),
            },
        }
    }

    async fn take_from(&self, cloud: &Cloud) -> Result<(), String> {
        let taken = match self {
            Self::Delete(_) | Self::Release(..) | Self::Unwire(_) | Self::DropCapacity(_) => Ok(()),
            Self::Detach(trunk, ports) => cloud.neutron.remove_subports(trunk, ports).await,
            Self::RemovePairs(port, gone) => pairs::remove(&cloud.neutron, port, gone).await,
            Self::DeletePort(id) => cloud.neutron.delete_port(id).await.map(drop),
            Self::DeleteFloatingIp(id, _) => cloud.neutron.delete_floating_ip(id).await.map(drop),
            Self::DeleteSecurityGroup(id, _) => cloud.neutron.delete_security_group(id).await.map(drop),
            Self::DeleteAddressGroup(id, _) => cloud.neutron.delete_address_group(id).await.map(drop),
            Self::DeleteInterface(id, server) => return cloud.delete_interface(id, server).await,
            Self::DeleteBalancer(id, _) => return cloud.delete_balancer(id).await,
            Self::AwaitBalancers(ids) => return cloud.wait_for(ids).await,
        };
        taken.map_err(|error| error.chain())
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

/// Asks for it, and waits until the daemons say so. One that does not run says nothing.
async fn unwire(client: &Client, nodes: &[String]) -> Result<(), String> {
    let api: Api<KuryrNode> = Api::all(client.clone());
    let nothing = Patch::Merge(json!({ "spec": { "ports": null } }));
    for node in nodes {
        gone(api.patch(node, &PatchParams::default(), &nothing).await)?;
    }
    let deadline = Instant::now() + UNWIRED_WITHIN;
    loop {
        let found = api.list(&ListParams::default()).await.map_err(|error| said(&error))?;
        let is_left = |node: &KuryrNode| {
            nodes.contains(&node.name_any()) && node.status.as_ref().is_some_and(|status| status.warm > 0)
        };
        let left: Vec<_> = found.iter().filter(|node| is_left(node)).map(ResourceExt::name_any).collect();
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(format!("the daemons of {} have not: is each running?", left.join(", ")));
        }
        sleep(Duration::from_millis(500)).await;
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
            Self::Unwire(nodes) => write!(f, "unplug the ports that wait for pods on {} nodes", nodes.len()),
            Self::DropCapacity(node) => write!(f, "take {PORTS_RESOURCE} off Node {node}"),
            Self::Detach(trunk, ports) => write!(f, "take {} ports off the trunk {trunk}", ports.len()),
            Self::RemovePairs(port, pairs) => {
                write!(f, "take {} allowed address pairs off the Neutron port {port}", pairs.len())
            }
            Self::DeletePort(id) => write!(f, "delete the Neutron port {id}"),
            Self::DeleteInterface(id, server) => {
                write!(f, "detach the Neutron port {id} from the server {server}, and delete it")
            }
            Self::DeleteFloatingIp(_, address) => write!(f, "delete the floating IP {address}"),
            Self::DeleteSecurityGroup(id, name) => write!(f, "delete the security group {id} ({name})"),
            Self::DeleteAddressGroup(id, name) => write!(f, "delete the address group {id} ({name})"),
            Self::DeleteBalancer(id, name) => write!(f, "delete the load balancer {id} ({name})"),
            Self::AwaitBalancers(ids) => {
                write!(f, "wait until Octavia has deleted {} load balancers", ids.len())
            }
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
