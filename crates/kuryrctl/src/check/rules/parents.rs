//! Nodes that are virtual machines whose link pods share, and the ports of these machines.

use crate::check::{
    facts::{Facts, Node, Parent, Settings},
    finding::{Finding, Verdict, known},
};
use kuryr_openstack::neutron::Network;

pub(super) fn nodes(facts: &Facts) -> Verdict {
    let (nodes, settings) = (known(&facts.cluster.nodes)?, facts.settings()?);
    let is_sharing = |node: &&Node| node.driver(settings).is_some_and(|driver| driver.sharing().is_some());
    let sharing: Vec<_> = nodes.iter().filter(is_sharing).collect();
    if sharing.is_empty() {
        return Ok(vec![]);
    }
    let (parents, network) = (known(&facts.cloud.parents)?, known(&facts.cloud.pod_network)?);
    let unserved = sharing.iter().filter_map(|node| without(node, parents, network, settings));
    let unfiltered = settings.enforces_policies.then(|| not_enforced(&sharing));
    Ok(unserved.chain(unfiltered).collect())
}

fn without(node: &Node, parents: &[Parent], network: &Network, settings: &Settings) -> Option<Finding> {
    let its = node.ports(parents, settings);
    match its.as_slice() {
        [] => Some(no_port(node)),
        [one] if one.network.as_ref().is_some_and(|other| *other != network.id) => {
            Some(apart(node, one, network))
        }
        [_] => None,
        several => Some(ambiguous(node, &several.iter().map(|port| port.id.as_str()).collect::<Vec<_>>())),
    }
}

fn no_port(node: &Node) -> Finding {
    Finding::problem(
        "node-port-missing",
        format!("no port of Neutron that Kuryr's user sees has the address of node {}", node.name),
        "pods on it get no network: the port of the node is to send from their addresses",
        "if the node is no virtual machine of this OpenStack: kubectl label node NODE pod_vif=neutron-vif",
    )
}

fn apart(node: &Node, port: &Parent, network: &Network) -> Finding {
    Finding::problem(
        "node-port-apart",
        format!("port {} of node {} is not on the pods' network {}", port.id, node.name, network.name),
        "pods on it get no network: what they send leaves by the node's port as it is",
        "put the node on the pods' network, or use nested-vlan: kubectl label --overwrite node NODE pod_vif=nested-vlan",
    )
}

pub(super) fn ambiguous(node: &Node, ports: &[&str]) -> Finding {
    Finding::problem(
        "node-port-ambiguous",
        format!("node {} may have several ports: {} have its address", node.name, ports.join(", ")),
        "pods on it get no network: nobody can tell which of them is the node's",
        "set [pod_vif_nested] worker_nodes_subnets to the subnets of the nodes",
    )
}

fn not_enforced(sharing: &[&Node]) -> Finding {
    let names: Vec<_> = sharing.iter().map(|node| node.name.as_str()).collect();
    Finding::warning(
        "policies-not-on-node",
        format!("network policies are not enforced for pods on {}", names.join(", ")),
        "Neutron filters what passes the node's port by the groups of that port, whichever pod it is of",
        "use nested-vlan on nodes whose pods have policies",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::rules::sample::{ids, settled};

    fn port(id: &str, address: &str, network: &str) -> Parent {
        let addresses = vec![address.parse().unwrap()];
        let network = Some(network.into());
        Parent {
            id: id.into(),
            addresses,
            subnets: vec!["workers".into()],
            network,
            has_trunk: false,
            server: None,
        }
    }

    /// Both nodes of the sample are virtual machines.
    fn found(enforces_policies: bool, parents: Vec<Parent>) -> Vec<String> {
        let mut facts = settled(|settings| {
            settings.pod_vif_driver = "nested-ipvlan".into();
            settings.enforces_policies = enforces_policies;
        });
        facts.cloud.parents = Ok(parents);
        ids(&nodes(&facts).unwrap()).into_iter().map(ToOwned::to_owned).collect()
    }

    #[test]
    fn every_node_whose_link_is_shared_has_one_port_on_the_pods_network() {
        let own = settled(|_| {}).cloud.pod_network.unwrap().id;
        let both = || vec![port("a", "192.0.2.11", own.as_str()), port("b", "192.0.2.12", own.as_str())];
        assert_eq!(found(false, both()), Vec::<String>::new());
        assert_eq!(found(true, both()), ["policies-not-on-node"]);
        let one = both().into_iter().take(1);
        assert_eq!(found(false, one.clone().collect()), ["node-port-missing"]);
        let apart = one.chain([port("b", "192.0.2.12", "workers")]).collect();
        assert_eq!(found(false, apart), ["node-port-apart"]);
        let twice = both().into_iter().chain([port("c", "192.0.2.12", own.as_str())]).collect();
        assert_eq!(found(false, twice), ["node-port-ambiguous"]);
    }
}
