//! Which of our ports nobody needs: the net below every other clean-up.
//!
//! A controller that dies between two calls leaves a port that no record names. Its pod, if it still lives, finds the
//! port again by `device_id`. If the pod went meanwhile nobody would: such ports are found here.

use crate::port::{Ownership, Port};
use kuryr_api::PortId;
use std::collections::HashSet;

/// The ports to delete, in the order of `ports`.
///
/// `pods` are the uids of all pods that exist, `recorded` all ports that stand in a record. Both must be complete and
/// not older than `ports`: a pod is seen before a port is made for it, so that a newer list can't lack it. `pooled` are the nodes
/// for whose pods ports are kept ready.
pub fn plan<'a>(
    ports: impl IntoIterator<Item = &'a Port>,
    pods: &HashSet<&str>,
    recorded: &HashSet<&PortId>,
    pooled: &HashSet<&str>,
) -> Vec<PortId> {
    let needed = |port: &Port| {
        pods.contains(port.pod_uid.as_str())
            || recorded.contains(&port.id)
            || port.is_warm() && pooled.contains(port.host.as_str())
    };
    let ports = ports.into_iter().filter(|port| port.ownership == Ownership::Ours && !needed(port));
    ports.map(|port| port.id.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::tests::{NODE, port};

    #[test]
    fn a_port_goes_only_if_it_is_ours_and_neither_a_pod_nor_a_record_needs_it() {
        let with = |id: &str, pod: &str, ownership| Port { ownership, ..port(id, pod) };
        let ports = [
            with("1", "alive", Ownership::Ours),
            with("2", "gone", Ownership::Ours),
            with("3", "recorded", Ownership::Ours),
            with("4", "gone", Ownership::Kuryr),
            with("5", "gone", Ownership::Foreign),
        ];
        let recorded = PortId::from("3");
        let pods = HashSet::from(["alive"]);
        let plan = plan(&ports, &pods, &HashSet::from([&recorded]), &HashSet::new());
        assert_eq!(plan, [PortId::from("2")]);
    }

    #[test]
    fn a_warm_port_stays_as_long_as_its_node_keeps_some() {
        let ports = [port("1", "kuryr-pool:a")];
        let plan = |pooled: &HashSet<&str>| plan(&ports, &HashSet::new(), &HashSet::new(), pooled);
        assert_eq!(plan(&HashSet::from([NODE])), []);
        assert_eq!(plan(&HashSet::from(["node2"])), [PortId::from("1")]);
    }
}
