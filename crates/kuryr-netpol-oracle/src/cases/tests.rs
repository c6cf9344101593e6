//! The cases are many, unlike, and say what they mean to.

use super::*;
use crate::{Endpoint, allows_over};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

fn filled() -> Cluster {
    let mut cluster = grid(["x-1", "y-1", "z-1"]);
    for (number, pod) in (17..).zip(&mut cluster.pods) {
        let v6 = Ipv6Addr::new(0xfd10, 1, 0, 0, 0, 0, 0, number);
        pod.addresses = vec![Ipv4Addr::new(10, 1, 3, u8::try_from(number).unwrap()).into(), v6.into()];
    }
    cluster
}

#[test]
fn there_are_enough_and_each_has_its_name() {
    let cases = cases(&filled()).unwrap();
    let names: BTreeSet<_> = cases.iter().map(|case| &case.name).collect();
    assert_eq!(names.len(), cases.len());
    let of = |wanted: fn(Origin) -> bool| cases.iter().filter(|case| wanted(case.origin)).count();
    assert!(cases.len() >= 125, "{}", cases.len());
    assert!(of(|origin| matches!(origin, Origin::Generated(_))) >= 60);
    assert!(of(|origin| origin == Origin::Documentation) >= 25);
    assert!(of(|origin| origin == Origin::Suite) >= 40);
    assert!(of(|origin| origin == Origin::OriginalsBug) >= 40);
}

/// A misspelt field would be dropped in silence.
#[test]
fn nothing_is_lost_in_reading() {
    let grid = Grid::of(&filled()).unwrap();
    let drafts = [documentation::drafts(&grid), suite::drafts(&grid), original::drafts(&grid)];
    for draft in drafts.into_iter().flatten() {
        let case = draft.read(Origin::Suite, &grid).unwrap();
        for (policy, (label, spec)) in case.policies.iter().zip(&draft.policies) {
            assert_eq!(serde_json::to_value(&policy.spec).unwrap(), *spec, "{}", draft.name);
            assert_eq!(policy.metadata.namespace.as_deref(), Some(grid.namespace(label)));
        }
    }
}

#[test]
fn a_name_means_one_policy() {
    for case in cases(&filled()).unwrap() {
        let names = case.policies.iter().map(|one| (&one.metadata.namespace, &one.metadata.name));
        assert_eq!(names.collect::<BTreeSet<_>>().len(), case.policies.len(), "{}", case.name);
    }
}

/// All but those that are there to show that a thing has no effect forbid something.
#[test]
fn most_cases_forbid_something_and_not_everything() {
    let cluster = filled();
    let (mut tables, mut without_effect) = (BTreeSet::new(), 0);
    for case in cases(&cluster).unwrap() {
        let table = table(&Cluster { policies: case.policies, ..cluster.clone() });
        without_effect += usize::from(table.iter().all(|allowed| *allowed));
        let itself = table.chunks(PORTS.len() * 4 * 10).map(|cells| cells[0]);
        assert!(itself.into_iter().all(|allowed| allowed), "{}: a pod reaches itself", case.name);
        tables.insert(table);
    }
    assert!(without_effect < 40, "{without_effect}");
    assert!(tables.len() > 100, "{} different tables", tables.len());
}

#[test]
fn a_grid_without_addresses_has_no_cases() {
    let error = cases(&grid(["x", "y", "z"])).unwrap_err();
    assert_eq!(error.to_string(), "the grid lacks both addresses of pod x/a");
    let error = cases(&Cluster::default()).unwrap_err();
    assert_eq!(error.to_string(), "the grid lacks a namespace with label ns=x");
}

/// Ports are named so that a wrong look-up is seen.
#[test]
fn web_differs() {
    let cluster = filled();
    let numbers =
        cluster.pods.iter().map(|pod| pod.ports.iter().find(|port| port.name == "web").unwrap().number);
    assert_eq!(numbers.collect::<Vec<_>>(), [80, 80, 81, 80, 80, 81, 80, 80, 81]);
}

#[test]
fn addresses_are_the_pods() {
    let cluster = filled();
    let grid = Grid::of(&cluster).unwrap();
    for (pod, path) in
        cluster.pods.iter().zip(["x/a", "x/b", "x/c", "y/a", "y/b", "y/c", "z/a", "z/b", "z/c"])
    {
        assert_eq!(pod.addresses, [grid.v4(path), grid.v6(path)]);
    }
}

/// From every pod to every pod, over both families, both protocols and both ports.
fn table(cluster: &Cluster) -> Vec<bool> {
    let mut cells = Vec::new();
    for from in 0..cluster.pods.len() {
        for to in 0..cluster.pods.len() {
            for family in [Family::V4, Family::V6] {
                for protocol in [Protocol::Tcp, Protocol::Udp] {
                    cells.extend(PORTS.map(|port| {
                        let (from, to) = (Endpoint::Pod(from), Endpoint::Pod(to));
                        allows_over(family, cluster, from, to, protocol, port).is_allowed()
                    }));
                }
            }
        }
    }
    cells
}
