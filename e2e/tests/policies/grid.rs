//! The nine pods of the truth table, over two nodes, with a prober in each.

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{Api, DeleteParams, ListParams, PostParams, ResourceExt};
use kuryr_e2e::{Context, Prober, Result, RunningPod, Stage};
use kuryr_netpol_oracle::cases::{self, Case};
use kuryr_netpol_oracle::{Cluster, NamedPort, OraclePod};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// The pods, and who asks in them.
pub struct Grid<'s> {
    stage: &'s Stage,
    /// What the oracle is told: namespaces, pods, nodes, and no policies.
    pub cluster: Cluster,
    /// One for each pod, in the pods' order.
    pub probers: Vec<Prober>,
    /// Policies that are there.
    applied: BTreeSet<(String, String)>,
}

impl<'s> Grid<'s> {
    /// Makes namespaces and pods, and waits until all probers answer.
    pub async fn set_up(stage: &'s Stage) -> Result<Self> {
        let names = cases::NAMESPACES.map(|label| format!("{}-{label}", stage.namespace));
        let mut cluster = cases::grid([&names[0], &names[1], &names[2]]);
        for (name, labels) in &cluster.namespaces {
            stage.make_namespace(name, labels).await?;
        }
        let nodes = ["node1", "node2"].iter().cycle();
        let started = cluster.pods.iter().zip(nodes).map(|(pod, node)| start(stage, pod, node));
        let started = try_join_all(started).await?;
        for (pod, running) in cluster.pods.iter_mut().zip(&started) {
            pod.addresses = vec![running.v4, running.v6];
            pod.node.clone_from(&running.node);
        }
        cluster.node_addresses = node_addresses(stage).await?;
        let probers = try_join_all(started.iter().map(|pod| stage.prober(pod))).await?;
        Ok(Self { stage, cluster, probers, applied: BTreeSet::new() })
    }

    /// Leaves the policies of a case in the cluster, and no others: those of the last case that are called alike become others.
    pub async fn apply(&mut self, case: &Case) -> Result<()> {
        let wanted: BTreeSet<_> = case.policies.iter().map(path).collect();
        for policy in &case.policies {
            let api = self.policies(policy);
            let made = if self.applied.contains(&path(policy)) {
                api.replace(&policy.name_any(), &PostParams::default(), policy).await
            } else {
                api.create(&PostParams::default(), policy).await
            };
            made.with_context(|| format!("the API server refuses a policy of {:?}", case.name))?;
        }
        for (namespace, name) in self.applied.difference(&wanted) {
            let api: Api<NetworkPolicy> = Api::namespaced(self.stage.kube.clone(), namespace);
            api.delete(name, &DeleteParams::default()).await?;
        }
        self.applied = wanted;
        Ok(())
    }

    fn policies(&self, policy: &NetworkPolicy) -> Api<NetworkPolicy> {
        Api::namespaced(self.stage.kube.clone(), &policy.namespace().unwrap_or_default())
    }
}

fn path(policy: &NetworkPolicy) -> (String, String) {
    (policy.namespace().unwrap_or_default(), policy.name_any())
}

async fn start(stage: &Stage, pod: &OraclePod, node: &str) -> Result<RunningPod> {
    let (serving, others): (Vec<_>, Vec<_>) =
        pod.ports.iter().partition(|port| port.name.starts_with("serve-"));
    // In one container a number and protocol would have two names.
    let containers = json!([container(stage, "serving", &serving), container(stage, "others", &others)]);
    let new = stage.pod(&pod.name).within(&pod.namespace).on(node);
    new.with_metadata("labels", json!(pod.labels)).with("containers", containers).start().await
}

fn container(stage: &Stage, name: &str, ports: &[&NamedPort]) -> Value {
    let ports = ports.iter().map(
        |port| json!({ "name": port.name, "containerPort": port.number, "protocol": port.protocol.as_str() }),
    );
    json!({
        "name": name,
        "image": stage.facts.image("pause"),
        "imagePullPolicy": "IfNotPresent",
        "ports": ports.collect::<Vec<_>>(),
    })
}

async fn node_addresses(stage: &Stage) -> Result<Vec<IpAddr>> {
    let nodes = Api::<Node>::all(stage.kube.clone()).list(&ListParams::default()).await?;
    let addresses = nodes.iter().filter_map(|node| node.status.as_ref()?.addresses.as_ref()).flatten();
    Ok(addresses.filter_map(|address| address.address.parse().ok()).collect())
}
