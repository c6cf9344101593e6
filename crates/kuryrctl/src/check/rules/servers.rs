//! Nodes that are virtual machines, and whose pods' ports Nova is to attach to them.

use kuryr_api::ServerId;
use kuryr_controller::driver::Driver;

use super::parents::ambiguous;
use crate::check::{
    facts::{Facts, Node, Parent, Settings},
    finding::{Finding, Verdict, known},
};

pub(super) fn nodes(facts: &Facts) -> Verdict {
    let (nodes, settings) = (known(&facts.cluster.nodes)?, facts.settings()?);
    let attaching: Vec<_> =
        nodes.iter().filter(|node| node.driver(settings) == Some(Driver::NestedDpdk)).collect();
    if attaching.is_empty() {
        return Ok(vec![]);
    }
    let parents = known(&facts.cloud.parents)?;
    let Some(shown) = known(&facts.cloud.servers)? else { return Ok(vec![no_nova(&attaching)]) };
    let unserved = attaching.iter().filter_map(|node| match server(node, parents, settings) {
        Ok(server) => (!shown.contains(server)).then(|| hidden(node, server)),
        Err(finding) => Some(finding),
    });
    Ok(unserved.collect())
}

fn server<'p>(node: &Node, parents: &'p [Parent], settings: &Settings) -> Result<&'p ServerId, Finding> {
    let its = node.ports(parents, settings);
    let attached: Vec<_> = its.iter().filter_map(|port| Some((port, port.server.as_ref()?))).collect();
    match attached.as_slice() {
        [(_, server)] => Ok(server),
        [] => Err(no_server(node)),
        several => {
            Err(ambiguous(node, &several.iter().map(|(port, _)| port.id.as_str()).collect::<Vec<_>>()))
        }
    }
}

fn no_nova(nodes: &[&Node]) -> Finding {
    let names: Vec<_> = nodes.iter().map(|node| node.name.as_str()).collect();
    Finding::problem(
        "nova-missing",
        format!(
            "the catalog of Keystone has no Nova (service type compute), and {} need it",
            names.join(", ")
        ),
        "pods on them get no network: Nova attaches their ports",
        "correct [neutron] region_name and endpoint_type, or choose another driver for these nodes",
    )
}

fn no_server(node: &Node) -> Finding {
    Finding::problem(
        "server-missing",
        format!("no port of a server that Kuryr's user sees has the address of node {}", node.name),
        "pods on it get no network: Nova is to attach their ports to that server",
        "if the node is no virtual machine of this OpenStack: kubectl label node NODE pod_vif=neutron-vif",
    )
}

fn hidden(node: &Node, server: &ServerId) -> Finding {
    Finding::problem(
        "server-hidden",
        format!("Nova does not show server {server}, which is node {}, to Kuryr's user", node.name),
        "pods on it get no network: nobody may attach ports to a server of another project",
        "let Kuryr work in the project of the server, or as a user that may change it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::rules::sample::{good, ids, settled};

    fn port(id: &str, address: &str, server: Option<&str>) -> Parent {
        Parent {
            id: id.into(),
            addresses: vec![address.parse().unwrap()],
            subnets: vec!["workers".into()],
            network: None,
            has_trunk: false,
            server: server.map(Into::into),
        }
    }

    /// Both nodes of the sample are virtual machines.
    fn found(parents: &[Parent], shown: Option<&[&str]>) -> Vec<&'static str> {
        let mut facts = settled(|settings| settings.pod_vif_driver = "nested-dpdk".into());
        facts.cloud.parents = Ok(parents.to_vec());
        facts.cloud.servers = Ok(shown.map(|all| all.iter().map(|id| ServerId::from(*id)).collect()));
        ids(&nodes(&facts).unwrap())
    }

    #[test]
    fn every_node_whose_ports_nova_attaches_is_one_server_that_it_shows() {
        let both = [port("a", "192.0.2.11", Some("vm1")), port("b", "192.0.2.12", Some("vm2"))];
        assert!(found(&both, Some(&["vm1", "vm2"])).is_empty());
        assert_eq!(found(&both, Some(&["vm1"])), ["server-hidden"]);
        assert_eq!(found(&both, None), ["nova-missing"]);
        assert_eq!(found(&both[..1], Some(&["vm1"])), ["server-missing"]);
        let others = [both[0].clone(), port("b", "192.0.2.12", None)];
        assert_eq!(found(&others, Some(&["vm1"])), ["server-missing"], "a port that no server has");
        let twice = [both.to_vec(), vec![port("c", "192.0.2.12", Some("vm3"))]].concat();
        assert_eq!(found(&twice, Some(&["vm1", "vm2", "vm3"])), ["node-port-ambiguous"]);
    }

    #[test]
    fn nobody_else_needs_nova() {
        let mut facts = good();
        facts.cloud.servers = Ok(None);
        assert!(nodes(&facts).unwrap().is_empty());
    }
}
