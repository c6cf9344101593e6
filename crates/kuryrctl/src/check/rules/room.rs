//! Whether there is room in OpenStack for as many pods as the nodes may have.

use std::net::IpAddr;

use kuryr_openstack::neutron::Subnet;

use crate::check::{
    facts::{Facts, Node},
    finding::{Finding, Verdict, known},
};

const WAIT: &str = "pods beyond that stay in ContainerCreating until others go";

pub(super) fn quota(facts: &Facts) -> Verdict {
    let quota = known(&facts.cloud.quota)?;
    let have = *known(&facts.cloud.pod_ports)?;
    let nodes = known(&facts.cluster.nodes)?;
    let Some(free) = quota.free() else { return Ok(Vec::new()) };
    let settings = facts.settings()?;
    let ready = settings.pool.most_free() * u64::try_from(nodes.len()).unwrap_or(u64::MAX);
    let may_come = (capacity(nodes) + ready).saturating_sub(have);
    if free >= may_come {
        return Ok(Vec::new());
    }
    let enough = i128::from(quota.limit) + i128::from(may_come - free);
    let project = settings.project.as_deref().unwrap_or("PROJECT");
    let beside = if ready > 0 {
        format!(" and {ready} ports ready for more (`vif_pool_driver`)")
    } else {
        String::new()
    };
    Ok(vec![Finding::problem(
        "quota-too-small",
        format!(
            "the quota of ports leaves {free} (limit {}), and {may_come} more may be needed: {} may have {} pods{beside}, {have} ports are there",
            quota.limit,
            counted(nodes.len(), "node"),
            capacity(nodes),
        ),
        WAIT,
        format!("openstack quota set --ports {enough} {project}; or lower the kubelets' maxPods"),
    )])
}

/// In each family by itself: a pod needs an address of each.
pub(super) fn addresses(facts: &Facts) -> Verdict {
    let subnets = known(&facts.cloud.pod_subnets)?;
    let nodes = known(&facts.cluster.nodes)?;
    let capacity = u128::from(capacity(nodes));
    let families =
        [4, 6].map(|family| subnets.iter().filter(|subnet| subnet.ip_version == family).collect::<Vec<_>>());
    let small = families.iter().filter(|subnets| !subnets.is_empty() && room(subnets) < capacity);
    Ok(small.map(|subnets| too_small(subnets, capacity)).collect())
}

fn too_small(subnets: &[&Subnet], capacity: u128) -> Finding {
    let names = subnets.iter().map(|subnet| format!("`{}` ({})", subnet.name, subnet.cidr));
    Finding::problem(
        "subnet-too-small",
        format!(
            "the allocation pools of {} hold {} addresses; the nodes may have {capacity} pods",
            names.collect::<Vec<_>>().join(", "),
            room(subnets)
        ),
        WAIT,
        "add an allocation pool, or use a larger subnet, or lower the kubelets' maxPods",
    )
}

fn room(subnets: &[&Subnet]) -> u128 {
    let pools = subnets.iter().flat_map(|subnet| &subnet.allocation_pools);
    pools
        .map(|pool| (number(pool.end).saturating_sub(number(pool.start))).saturating_add(1))
        .fold(0, u128::saturating_add)
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn capacity(nodes: &[Node]) -> u64 {
    nodes.iter().map(|node| node.pods).sum()
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::facts::PoolSizes;
    use crate::check::rules::sample::{good, ids, settled, subnet};
    use kuryr_openstack::neutron::Quota;

    fn with_quota(limit: i64, used: i64, pod_ports: u64) -> Facts {
        let mut facts = good();
        facts.cloud.quota = Ok(Quota { limit, used, reserved: 0 });
        facts.cloud.pod_ports = Ok(pod_ports);
        facts
    }

    #[test]
    fn every_pod_that_may_come_needs_a_port() {
        // Two nodes of 110 pods.
        for (limit, used, pod_ports, enough) in [
            (-1, 900, 0, true),
            (220, 0, 0, true),
            (219, 0, 0, false),
            (230, 20, 10, true),
            (230, 21, 10, false),
            (10, 300, 300, true),
        ] {
            let found = quota(&with_quota(limit, used, pod_ports)).unwrap();
            assert_eq!(found.is_empty(), enough, "{limit} {used} {pod_ports}");
        }
    }

    #[test]
    fn ports_that_are_kept_ready_count() {
        let with = |pool| {
            let mut facts = settled(|settings| settings.pool = pool);
            facts.cloud.quota = Ok(Quota { limit: 220, used: 0, reserved: 0 });
            facts.cloud.pod_ports = Ok(0);
            quota(&facts).unwrap()
        };
        let sizes = PoolSizes { are_kept: true, max: 0, min: 5, batch: 10 };
        assert!(with(PoolSizes { are_kept: false, ..sizes }).is_empty());
        // Two nodes with two batches less one each.
        let found = with(sizes);
        assert!(found[0].fix.starts_with("openstack quota set --ports 258 "), "{}", found[0].fix);
        assert!(found[0].what.contains("220 pods and 38 ports ready for more"), "{}", found[0].what);
        assert!(with(PoolSizes { max: 3, ..sizes })[0].fix.starts_with("openstack quota set --ports 226 "));
    }

    #[test]
    fn the_quota_that_would_do_is_told() {
        let found = quota(&with_quota(100, 40, 30)).unwrap();
        assert_eq!(ids(&found), ["quota-too-small"]);
        assert!(found[0].fix.starts_with("openstack quota set --ports 230 p1;"), "{}", found[0].fix);
    }

    #[test]
    fn each_family_has_an_address_for_each_pod() {
        let mut facts = good();
        assert_eq!(addresses(&facts).unwrap(), []);
        let small = subnet("small", "pod-net", "10.1.0.0/25", ("10.1.0.2", "10.1.0.126"), "10.1.0.1");
        facts.cloud.pod_subnets.as_mut().unwrap()[0] = small;
        let found = addresses(&facts).unwrap();
        assert_eq!(ids(&found), ["subnet-too-small"]);
        assert!(
            found[0].what.contains("hold 125 addresses; the nodes may have 220 pods"),
            "{}",
            found[0].what
        );
    }
}
