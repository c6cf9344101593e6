//! Writes to the status of Nodes, each safe to repeat.

use crate::key::Key;
use crate::records::{Error, Written, answer};
use crate::slim::{Node, NodeWire, Slim};
use futures::TryFutureExt;
use kube::api::{Api, Patch, PatchParams};
use kuryr_api::names::PORTS_RESOURCE;
use serde_json::json;

/// Says how many pods that ask for a port a node takes; none: nobody counts them there.
///
/// The kubelet makes what may be given away (`allocatable`) of what there is (`capacity`) whenever it tells of itself. Both are written, so
/// that the scheduler need not wait for that.
pub async fn set_ports(
    client: &kube::Client,
    node: &Key,
    ports: Option<usize>,
) -> Result<Written<Node>, Error> {
    let api = Api::<NodeWire>::all(client.clone());
    let amount = json!({ PORTS_RESOURCE: ports.map(|ports| ports.to_string()) });
    let patch = Patch::Merge(json!({ "status": { "capacity": amount, "allocatable": amount } }));
    let params = PatchParams::default();
    let request = api.patch_status(node.name(), &params, &patch).map_ok(Node::trim);
    answer("update the status of", "Node", node, request).await
}
