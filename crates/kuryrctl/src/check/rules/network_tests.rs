//! Networks that get along, and those that do not.

use super::*;
use crate::check::rules::sample::{good, ids, settled, subnet};

fn with_service_subnet(cidr: &str, pool: (&str, &str), gateway: &str) -> Facts {
    let mut facts = good();
    facts.cloud.service_subnets = Ok(vec![subnet("services", "service-net", cidr, pool, gateway)]);
    facts
}

#[test]
fn the_sample_is_good() {
    for check in [pod_subnets, security_groups, overlaps, service_range, service_subnets, external, mtu] {
        assert_eq!(check(&good()).unwrap(), []);
    }
}

#[test]
fn what_neutron_does_not_have_is_named() {
    let mut facts = settled(|settings| settings.pod_subnets.push("elsewhere".into()));
    let found = pod_subnets(&facts).unwrap();
    assert_eq!(ids(&found), ["subnet-missing"]);
    assert!(found[0].what.contains("elsewhere"));
    facts.cloud.security_groups = Ok([].into());
    assert_eq!(ids(&security_groups(&facts).unwrap()), ["security-group-missing"]);
    facts.cloud.service_subnets = Ok(Vec::new());
    assert_eq!(ids(&service_subnets(&facts).unwrap()), ["subnet-missing"]);
}

#[test]
fn pods_live_on_one_network() {
    let mut facts = good();
    facts.cloud.pod_subnets.as_mut().unwrap()[1].network_id = "other".into();
    assert_eq!(ids(&pod_subnets(&facts).unwrap()), ["pod-subnets-apart"]);
}

#[test]
fn subnets_that_overlap_are_found_in_each_pair() {
    let facts = with_service_subnet("10.1.128.0/17", ("10.1.200.0", "10.1.255.0"), "10.1.255.1");
    let found = overlaps(&facts).unwrap();
    assert_eq!(ids(&found), ["ranges-overlap"]);
    assert!(found[0].what.contains("10.1.0.0/16") && found[0].what.contains("10.1.128.0/17"));
}

#[test]
fn pods_and_nodes_keep_out_of_the_service_range() {
    let mut facts = good();
    facts.cluster.service_ranges = Ok(vec!["10.1.0.0/20".parse().unwrap()]);
    assert_eq!(ids(&service_range(&facts).unwrap()), ["ranges-overlap"]);
    facts.cluster.service_ranges = Ok(vec!["192.0.2.0/24".parse().unwrap()]);
    let found = service_range(&facts).unwrap();
    assert!(found[0].what.starts_with("node node1"), "{found:?}");
}

#[test]
fn the_service_subnet_holds_the_range_and_leaves_it_to_kubernetes() {
    for (cidr, pool, gateway, expected) in [
        ("10.96.0.0/15", ("10.97.0.1", "10.97.255.253"), "10.97.255.254", vec![]),
        ("172.24.4.0/24", ("172.24.4.2", "172.24.4.254"), "172.24.4.1", vec!["service-subnet-wrong"]),
        ("10.96.0.0/17", ("10.96.0.2", "10.96.127.254"), "10.96.0.1", vec!["service-subnet-wrong"]),
        ("10.96.0.0/15", ("10.96.0.2", "10.97.255.254"), "10.97.255.255", vec!["service-subnet-shared"]),
        ("10.96.0.0/15", ("10.97.0.1", "10.97.255.253"), "10.96.0.1", vec!["service-subnet-shared"]),
    ] {
        let found = service_subnets(&with_service_subnet(cidr, pool, gateway)).unwrap();
        assert_eq!(ids(&found), expected, "{cidr} {pool:?} {gateway}");
    }
}

#[test]
fn without_a_service_subnet_there_is_nothing_to_check() {
    let facts = settled(|settings| settings.service_subnets.clear());
    assert!(matches!(service_subnets(&facts), Err(Gap::Skipped(_))));
    assert_eq!(overlaps(&facts).unwrap(), []);
}

#[test]
fn the_mtu_fits_the_network_and_ipv6() {
    let found = |limit, network| {
        let mut facts = settled(|settings| settings.mtu = limit);
        facts.cloud.pod_network.as_mut().unwrap().mtu = network;
        ids(&mtu(&facts).unwrap())
    };
    assert_eq!(found(0, 1442), Vec::<&str>::new());
    assert_eq!(found(1400, 1442), Vec::<&str>::new());
    assert_eq!(found(9000, 1442), ["mtu-too-large"]);
    assert_eq!(found(0, 1200), ["mtu-too-small"]);
    assert_eq!(found(1200, 1442), ["mtu-too-small"]);
    assert_eq!(found(0, 0), ["mtu-unknown"]);
}

#[test]
fn each_family_has_a_service_subnet() {
    let mut facts =
        settled(|settings| settings.service_subnets = vec!["services".into(), "services6".into()]);
    let services6 = subnet(
        "services6",
        "service-net",
        "fd10:2::/64",
        ("fd10:2::2:0:0:1", "fd10:2::2:0:0:9"),
        "fd10:2::1:0:0:1",
    );
    facts.cloud.service_subnets.as_mut().unwrap().push(services6);
    assert_eq!(ids(&service_subnets(&facts).unwrap()), ["service-subnet-wrong"], "nothing is given from it");
    facts.cluster.service_ranges.as_mut().unwrap().push("fd10:2::/112".parse().unwrap());
    assert_eq!(service_subnets(&facts).unwrap(), []);
}

#[test]
fn the_external_network_is_there_if_it_is_named() {
    let mut facts = settled(|_| {});
    facts.cloud.has_external_network = Ok(false);
    assert_eq!(ids(&external(&facts).unwrap()), ["external-network-missing"]);
    let facts = settled(|settings| settings.external_network = None);
    assert!(matches!(external(&facts), Err(Gap::Skipped(_))));
}
