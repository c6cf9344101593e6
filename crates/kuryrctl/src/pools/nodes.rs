//! Pools as KuryrNodes show them: numbers alone, as they were when the controller last wrote them.

use anyhow::{Context, Error, Result};
use kube::{Api, Client, ResourceExt, api::ListParams};
use kuryr_api::{KuryrNode, pool::NodePool};

use crate::connect::{list, said};

/// All that there are, by the names of their nodes.
pub(super) async fn all(client: &Client) -> Result<Vec<NodePool>> {
    let nodes = list(Api::<KuryrNode>::all(client.clone()), ListParams::default()).await;
    let mut pools: Vec<_> = nodes.map_err(Error::msg)?.iter().map(pool).collect();
    pools.sort_by(|one, other| one.node.cmp(&other.node));
    Ok(pools)
}

/// That of a node.
pub(super) async fn one(client: &Client, node: &str) -> Result<NodePool> {
    let found = Api::<KuryrNode>::all(client.clone()).get_opt(node).await;
    let found =
        found.map_err(|error| Error::msg(format!("cannot read KuryrNode {node}: {}", said(&error))))?;
    let found = found.with_context(|| {
        format!("there is no KuryrNode {node}: no ports are kept ready there (kubectl get kuryrnodes)")
    })?;
    Ok(pool(&found))
}

fn pool(node: &KuryrNode) -> NodePool {
    let (pods, free, target) = (node.spec.pods, node.spec.free, node.spec.target);
    let warm = node.status.as_ref().filter(|status| status.daemon.is_some()).map(|status| status.warm);
    NodePool { node: node.name_any(), pods, free, target, warm, ..NodePool::default() }
}
