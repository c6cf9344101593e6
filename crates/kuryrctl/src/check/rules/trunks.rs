//! Nodes that are virtual machines, and the trunks that carry their pods' ports.

use kuryr_controller::driver::Driver;

use crate::check::{
    facts::{Facts, Node, Parent, Settings},
    finding::{Finding, Verdict, known},
};

pub(super) fn nodes(facts: &Facts) -> Verdict {
    let (nodes, settings) = (known(&facts.cluster.nodes)?, facts.settings()?);
    let strange = nodes.iter().filter(|node| node.driver(settings).is_none());
    let strange = strange.map(|node| unknown_driver(node, settings));
    let nested: Vec<_> =
        nodes.iter().filter(|node| node.driver(settings) == Some(Driver::NestedVlan)).collect();
    if nested.is_empty() {
        return Ok(strange.collect());
    }
    if !known(&facts.cloud.extensions)?.contains("trunk") {
        return Ok(strange.chain([no_trunks_at_all(&nested)]).collect());
    }
    let parents = known(&facts.cloud.parents)?;
    Ok(strange.chain(nested.iter().filter_map(|node| without(node, parents, settings))).collect())
}

fn without(node: &Node, parents: &[Parent], settings: &Settings) -> Option<Finding> {
    let its = node.ports(parents, settings);
    let ports: Vec<_> = its.iter().map(|port| port.id.as_str()).collect();
    match its.iter().filter(|port| port.has_trunk).count() {
        1 => None,
        0 => Some(no_trunk(node, &ports)),
        _ => Some(ambiguous(node, &ports)),
    }
}

fn no_trunk(node: &Node, ports: &[&str]) -> Finding {
    let found = match ports {
        [] => "no port of Neutron that Kuryr's user sees has its address".to_owned(),
        _ => format!("port {} has its address, and no trunk", ports.join(", ")),
    };
    Finding::problem(
        "trunk-missing",
        format!("node {} has no trunk: {found}", node.name),
        "pods on it get no network: their ports are to be on the trunk of the node's own port",
        "openstack network trunk create --parent-port PORT NAME, in the project of Kuryr's user. If the node is no virtual machine of this \
         OpenStack: kubectl label node NODE pod_vif=neutron-vif",
    )
}

fn ambiguous(node: &Node, ports: &[&str]) -> Finding {
    Finding::problem(
        "trunk-ambiguous",
        format!("node {} may have several trunks: ports {} have its address", node.name, ports.join(", ")),
        "pods on it get no network: nobody can tell which of them is the node's",
        "set [pod_vif_nested] worker_nodes_subnets to the subnets of the nodes",
    )
}

fn no_trunks_at_all(nested: &[&Node]) -> Finding {
    let names: Vec<_> = nested.iter().map(|node| node.name.as_str()).collect();
    Finding::problem(
        "extension-missing",
        format!("Neutron has no extension trunk, which the pods of {} need", names.join(", ")),
        "pods on these nodes get no network",
        "load the service plugin trunk in neutron.conf",
    )
}

fn unknown_driver(node: &Node, settings: &Settings) -> Finding {
    Finding::problem(
        "node-driver-unknown",
        format!(
            "node {} has the label pod_vif={}, which is no driver",
            node.name,
            node.driver_name(settings)
        ),
        "pods on it get no network",
        format!(
            "kubectl label --overwrite node {} pod_vif=…: one of {}",
            node.name,
            Driver::names().join(", ")
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{
        finding::Gap,
        rules::sample::{good, ids, settled},
    };

    fn port(id: &str, address: &str, has_trunk: bool) -> Parent {
        let addresses = vec![address.parse().unwrap()];
        Parent {
            id: id.into(),
            addresses,
            subnets: vec!["workers".into()],
            network: None,
            has_trunk,
            server: None,
        }
    }

    /// Both nodes of the sample are virtual machines.
    fn nested(parents: Vec<Parent>) -> Facts {
        let mut facts = settled(|settings| settings.pod_vif_driver = Driver::NestedVlan.as_str().into());
        facts.cloud.extensions.as_mut().unwrap().insert("trunk".into());
        facts.cloud.parents = Ok(parents);
        facts
    }

    #[test]
    fn every_node_that_is_a_virtual_machine_has_one_trunk() {
        assert_eq!(nodes(&good()), Ok(vec![]));
        let both = || vec![port("a", "192.0.2.11", true), port("b", "192.0.2.12", true)];
        assert_eq!(nodes(&nested(both())), Ok(vec![]));
        let one =
            nodes(&nested(vec![port("a", "192.0.2.11", true), port("b", "192.0.2.12", false)])).unwrap();
        assert_eq!(ids(&one), ["trunk-missing"]);
        assert!(one[0].what.contains("node2") && one[0].what.contains("port b"), "{one:?}");
        let twice = both().into_iter().chain([port("c", "192.0.2.12", true)]).collect();
        assert_eq!(ids(&nodes(&nested(twice)).unwrap()), ["trunk-ambiguous"]);
    }

    #[test]
    fn a_label_counts_more_than_the_configuration() {
        let mut facts = nested(vec![]);
        for node in facts.cluster.nodes.as_mut().unwrap() {
            node.pod_vif = Some("neutron-vif".into());
        }
        assert_eq!(nodes(&facts), Ok(vec![]));
        facts.cluster.nodes.as_mut().unwrap()[0].pod_vif = Some("carrier-pigeon".into());
        assert_eq!(ids(&nodes(&facts).unwrap()), ["node-driver-unknown"]);
    }

    #[test]
    fn without_the_extension_nobody_looks_for_trunks() {
        let mut facts = nested(vec![]);
        facts.cloud.extensions.as_mut().unwrap().remove("trunk");
        facts.cloud.parents = Err(Gap::unknown("not asked"));
        assert_eq!(ids(&nodes(&facts).unwrap()), ["extension-missing"]);
    }
}
