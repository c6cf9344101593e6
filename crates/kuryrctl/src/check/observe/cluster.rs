//! Kubernetes: what the kubeconfig, or else kuryr.conf itself, leads to.

use std::net::IpAddr;

use ipnet::IpNet;
use k8s_openapi::{
    api::{
        core::v1::{Node as KubeNode, Service},
        networking::v1::{NetworkPolicy, ServiceCIDR},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{Api, Client, api::ListParams};

use kuryr_api::names::POD_VIF_LABEL;

use super::{chain, config::Read, rights};
use crate::check::{
    Options,
    facts::{Cluster, Definition, Node, State},
    finding::{Gap, Seen},
};

/// Nodes asked for in one page.
const PAGE: u32 = 500;

pub(super) async fn observe(options: &Options, read: &Read) -> Cluster {
    let configured = rights::configured_client(read);
    let client = match &configured {
        // Where nobody serves the cluster's own Service yet, a pod has no other way.
        Some(configured) if !options.cluster.has_kubeconfig() => Ok(configured.clone()),
        _ => options.cluster.client().await,
    };
    let client = match (client, &configured) {
        (Ok(client), _) => client,
        (Err(_), Some(configured)) => configured.clone(),
        (Err(error), None) => return Cluster::unseen(&Gap::unknown(format!("{error:#}"))),
    };
    let own = configured.filter(|_| rights::is_controllers_own(read));
    Cluster {
        nodes: nodes(&client).await,
        service_ranges: service_ranges(&client, &options.service_range).await,
        definitions: definitions(&client).await,
        controller_lacks: rights::controller(&client, own.as_ref(), &options.namespace).await,
        daemons_lack: rights::daemons(&client, &options.namespace).await,
        policies: policies(&client).await,
    }
}

async fn nodes(client: &Client) -> Seen<Vec<Node>> {
    let api = Api::<KubeNode>::all(client.clone());
    let mut params = ListParams::default().limit(PAGE);
    let mut found = Vec::new();
    loop {
        let page = api.list(&params).await.map_err(|error| unseen("list nodes", &error))?;
        found.extend(page.items.iter().map(node));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(found),
        }
    }
}

fn node(node: &KubeNode) -> Node {
    let status = node.status.as_ref();
    let pods = status.and_then(|status| status.allocatable.as_ref()?.get("pods"));
    let labels = node.metadata.labels.as_ref();
    let addresses = status.and_then(|status| status.addresses.as_ref()).into_iter().flatten();
    Node {
        name: node.metadata.name.clone().unwrap_or_default(),
        pods: pods.and_then(|pods| pods.0.parse().ok()).unwrap_or_default(),
        addresses: addresses.filter_map(|address| address.address.parse().ok()).collect(),
        pod_vif: labels
            .and_then(|labels| labels.get(POD_VIF_LABEL))
            .filter(|label| !label.is_empty())
            .cloned(),
    }
}

/// The API server counts them: one is enough to see how many more there are.
async fn policies(client: &Client) -> Seen<usize> {
    let first = Api::<NetworkPolicy>::all(client.clone()).list(&ListParams::default().limit(1)).await;
    let first = first.map_err(|error| unseen("list network policies", &error))?;
    let more = first.metadata.remaining_item_count.unwrap_or_default();
    Ok(first.items.len() + usize::try_from(more).unwrap_or_default())
}

/// From the API (since 1.33), or else at least the one address that every cluster has given.
async fn service_ranges(client: &Client, given: &[IpNet]) -> Seen<Vec<IpNet>> {
    if !given.is_empty() {
        return Ok(given.to_vec());
    }
    let ranges = Api::<ServiceCIDR>::all(client.clone()).list(&ListParams::default()).await;
    match ranges {
        Ok(ranges) => Ok(ranges
            .iter()
            .filter_map(|range| range.spec.as_ref())
            .flat_map(|spec| spec.cidrs.iter().flatten())
            .filter_map(|range| range.parse().ok())
            .collect()),
        Err(kube::Error::Api(status)) if matches!(status.code, 403 | 404) => kubernetes_address(client).await,
        Err(error) => Err(unseen("list service CIDRs", &error)),
    }
}

async fn kubernetes_address(client: &Client) -> Seen<Vec<IpNet>> {
    let service = Api::<Service>::namespaced(client.clone(), "default").get("kubernetes").await;
    let unseen = |why: String| {
        Gap::unknown(format!(
            "can't tell what the cluster gives cluster IPs from ({why}): name it by --service-range"
        ))
    };
    let service = service.map_err(|error| unseen(said(&error)))?;
    let address =
        service.spec.and_then(|spec| spec.cluster_ip).and_then(|address| address.parse::<IpAddr>().ok());
    let address = address.ok_or_else(|| unseen("the Service `kubernetes` has no address".to_owned()))?;
    Ok(vec![IpNet::from(address)])
}

pub(in crate::check) async fn definitions(client: &Client) -> Seen<Vec<Definition>> {
    let api = Api::<CustomResourceDefinition>::all(client.clone());
    let mut found = Vec::new();
    for wanted in kuryr_api::crds() {
        let name = wanted.metadata.name.clone().unwrap_or_default();
        let there = api.get_opt(&name).await;
        let there = there.map_err(|error| unseen("read custom resource definitions", &error))?;
        found.push(Definition { name, state: state(&wanted, there.as_ref()) });
    }
    Ok(found)
}

fn state(wanted: &CustomResourceDefinition, there: Option<&CustomResourceDefinition>) -> State {
    let Some(there) = there else { return State::Missing };
    let conditions = there.status.as_ref().and_then(|status| status.conditions.as_ref());
    let mut conditions = conditions.into_iter().flatten();
    match conditions.find(|condition| condition.type_ == "Established") {
        Some(condition) if condition.status != "True" => {
            State::NotServed(condition.message.clone().unwrap_or_default())
        }
        _ if there.spec.versions == wanted.spec.versions => State::Same,
        _ => State::Different,
    }
}

pub(super) fn unseen(what: &str, error: &kube::Error) -> Gap {
    Gap::unknown(format!("can't {what}: {}", said(error)))
}

/// What the API server says; its status would come three times over.
fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => chain(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_is_compared_by_its_versions() {
        let wanted = kuryr_api::crds().remove(0);
        assert_eq!(state(&wanted, None), State::Missing);
        let mut there = wanted.clone();
        there.metadata.uid = Some("u".into());
        assert_eq!(state(&wanted, Some(&there)), State::Same);
        there.spec.versions[0].schema = None;
        assert_eq!(state(&wanted, Some(&there)), State::Different);
    }

    #[test]
    fn a_node_says_how_many_pods_it_takes() {
        let read: KubeNode = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "node1"},
            "status": {
                "allocatable": {"pods": "110", "cpu": "2"},
                "addresses": [{"type": "InternalIP", "address": "192.0.2.1"}, {"type": "Hostname", "address": "node1"}],
            },
        }))
        .unwrap();
        let Node { name, pods, addresses, .. } = node(&read);
        assert_eq!((name.as_str(), pods, addresses), ("node1", 110, vec!["192.0.2.1".parse().unwrap()]));
    }
}
