//! What the index asks Neutron for, evaluated as Neutron defines it, against what Kubernetes defines: an oracle that was written from
//! Kubernetes' documentation and shares nothing with the index.

use super::translate;
use ipnet::IpNet;
use kuryr_core::policy::explain::Packet;
use kuryr_core::policy::key::{GroupKey, GroupRule, PeerKey, Remote};
use kuryr_core::policy::model::{self, Direction, Name, NamedPort, Pod, Protocol, Service, ServicePort};
use kuryr_core::policy::{Clients, Index};
use kuryr_netpol_oracle::{Cluster, Endpoint, Family, OraclePod, allows_over, generate, random_cluster};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

/// Random clusters that are looked at; each has hundreds of connections.
const CLUSTERS: u64 = 600;

fn protocol(protocol: kuryr_netpol_oracle::Protocol) -> Protocol {
    Protocol::read(protocol.as_str()).unwrap()
}

fn name(pod: &OraclePod) -> Name {
    Name::new(&pod.namespace, &pod.name)
}

fn feed_namespaces(index: &mut Index, cluster: &Cluster) {
    for namespace in cluster.namespaces.keys() {
        let labels = cluster.namespace_labels(namespace);
        let labels = labels.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        index.set_namespace(namespace, labels);
    }
}

fn feed_pod(index: &mut Index, pod: &OraclePod) {
    if pod.host_network {
        return index.remove_pod(&name(pod));
    }
    let named = |port: &kuryr_netpol_oracle::NamedPort| NamedPort {
        name: port.name.as_str().into(),
        protocol: protocol(port.protocol),
        number: port.number,
    };
    let content = Pod {
        labels: pod.labels.iter().map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect(),
        addresses: pod.addresses.iter().copied().collect::<BTreeSet<_>>().into_iter().collect(),
        ports: pod.ports.iter().map(named).collect(),
    };
    index.set_pod(&name(pod), content);
}

fn feed_policies(index: &mut Index, cluster: &Cluster) {
    let known: Vec<Name> = index.policies().map(|(name, _)| name.clone()).collect();
    let mut there = BTreeSet::new();
    for policy in &cluster.policies {
        let meta = &policy.metadata;
        let name = Name::new(meta.namespace.as_deref().unwrap(), meta.name.as_deref().unwrap());
        let (content, _) = translate::policy(policy.spec.as_ref().unwrap());
        index.set_policy(&name, &Arc::new(content));
        there.insert(name);
    }
    known.iter().filter(|name| !there.contains(name)).for_each(|name| index.remove_policy(name));
}

fn index_of(cluster: &Cluster) -> Index {
    let mut index = Index::new([model::Family::V4, model::Family::V6]);
    index.set_nodes(cluster.node_addresses.iter().copied().collect());
    feed_policies(&mut index, cluster);
    feed_namespaces(&mut index, cluster);
    cluster.pods.iter().for_each(|pod| feed_pod(&mut index, pod));
    index
}

/// A rule, and the addresses of the address group that it names.
type Granted = (GroupRule<PeerKey>, Option<BTreeSet<IpNet>>);

/// What the groups of a pod let pass: rules with the addresses that they mean. None: no policy is for it.
fn granted(index: &Index, pod: &Name) -> Option<Vec<Granted>> {
    let shared = index.shared_groups();
    let mut granted = Vec::new();
    for key in index.groups_of(pod)? {
        let of_policy = || match &key {
            GroupKey::Policy(name) | GroupKey::Named(name, _) => index.groups_of_policy(name).remove(&key),
            _ => None,
        };
        let rules = shared.get(&key).cloned().or_else(of_policy);
        for rule in rules.unwrap_or_else(|| panic!("{pod} carries {key}, which nobody makes")) {
            let named = rule.group().map(|peer| {
                index.addresses_of(peer).unwrap_or_else(|| panic!("a rule names {peer}, which nobody fills"))
            });
            granted.push((rule, named));
        }
    }
    Some(granted)
}

/// Whether a pod's groups let a connection with `other` pass.
fn grants(
    index: &Index,
    pod: &Name,
    direction: Direction,
    other: IpAddr,
    protocol: Protocol,
    port: u16,
) -> bool {
    lets(granted(index, pod).as_ref(), direction, other, protocol, port)
}

fn lets(
    granted: Option<&Vec<Granted>>,
    direction: Direction,
    other: IpAddr,
    protocol: Protocol,
    port: u16,
) -> bool {
    let Some(granted) = granted else { return true };
    granted.iter().any(|(rule, addresses)| {
        let is_meant = match &rule.remote {
            Remote::Anyone => true,
            Remote::Prefix(prefix) => prefix.contains(&other),
            Remote::Group(_) => addresses.as_ref().unwrap().contains(&IpNet::from(other)),
        };
        rule.direction == direction
            && rule.family == model::Family::of(other)
            && rule.protocol.is_none_or(|asked| asked == protocol)
            && rule.ports.is_none_or(|(first, last)| (first..=last).contains(&port))
            && is_meant
    })
}

/// Every connection between two pods, at every port that something is said about.
fn connections(cluster: &Cluster) -> Vec<(usize, usize, kuryr_netpol_oracle::Protocol, u16, Family)> {
    use kuryr_netpol_oracle::Protocol::{Sctp, Tcp, Udp};
    let mut numbers: BTreeSet<u16> =
        cluster.pods.iter().flat_map(|pod| &pod.ports).map(|port| port.number).collect();
    numbers.extend([79, 80, 81, 82, 8080, 65535]);
    let mut all = Vec::new();
    for from in 0..cluster.pods.len() {
        for to in 0..cluster.pods.len() {
            for protocol in [Tcp, Udp, Sctp] {
                for port in &numbers {
                    all.push((from, to, protocol, *port, Family::V4));
                    all.push((from, to, protocol, *port, Family::V6));
                }
            }
        }
    }
    all
}

fn check(seed: u64, cluster: &Cluster, index: &Index) {
    let granted: Vec<_> = cluster.pods.iter().map(|pod| granted(index, &name(pod))).collect();
    for (from, to, asked, port, family) in connections(cluster) {
        let (source, target) = (&cluster.pods[from], &cluster.pods[to]);
        let (Some(source_ip), Some(target_ip)) = (source.address(family), target.address(family)) else {
            continue;
        };
        // What a pod says to itself does not leave it.
        if from == to {
            continue;
        }
        let verdict = allows_over(family, cluster, Endpoint::Pod(from), Endpoint::Pod(to), asked, port);
        let out = source.host_network
            || lets(granted[from].as_ref(), Direction::Egress, target_ip, protocol(asked), port);
        let into = target.host_network
            || lets(granted[to].as_ref(), Direction::Ingress, source_ip, protocol(asked), port);
        let told = || {
            let policies = serde_json::to_string(&cluster.policies).unwrap();
            let groups = [source, target].map(|pod| index.groups_of(&name(pod)));
            format!(
                "seed {seed}: {} -> {} {asked} {port} over {family:?}: {verdict}\n{groups:?}\n{source:?}\n{target:?}\n{:?}\n{policies}",
                source.path(),
                target.path(),
                cluster.namespaces,
            )
        };
        assert_eq!(out, verdict.egress.is_allowed(), "egress, {}", told());
        assert_eq!(into, verdict.ingress.is_allowed(), "ingress, {}", told());
        let through_balancer = match index.clients_of(target_ip, protocol(asked), port) {
            Clients::Everybody => true,
            Clients::Only(only) => only.iter().any(|one| one.contains(&source_ip)),
        };
        assert_eq!(through_balancer, into, "through a load balancer, {}", told());
    }
}

#[test]
fn groups_grant_what_kubernetes_grants() {
    for seed in 0..CLUSTERS {
        let cluster = random_cluster(seed);
        check(seed, &cluster, &index_of(&cluster));
    }
}

/// What people are told of a connection is what the groups do with it.
#[test]
fn what_is_told_is_what_is_granted() {
    for seed in 0..CLUSTERS / 100 {
        let cluster = random_cluster(seed);
        let index = index_of(&cluster);
        for (from, to, asked, port, family) in connections(&cluster) {
            let (source, target) = (&cluster.pods[from], &cluster.pods[to]);
            let Some(other) = target.address(family) else { continue };
            if source.host_network {
                continue;
            }
            let direction = Direction::Egress;
            let packet = Packet { direction, other, protocol: protocol(asked), port };
            let told = index.decide(&name(source), &packet).is_pass();
            let granted = grants(&index, &name(source), direction, other, protocol(asked), port);
            assert_eq!(told, granted, "seed {seed}: {} -> {} {asked} {port}", source.path(), target.path());
        }
    }
}

/// An index that followed changes wants what one wants that is filled anew.
#[test]
fn the_way_to_a_cluster_does_not_matter() {
    for seed in 0..CLUSTERS / 5 {
        let mut cluster = random_cluster(seed);
        let mut index = index_of(&cluster);
        for step in 0..6 {
            alter(&mut cluster, &mut index, seed * 100 + step);
            let anew = index_of(&cluster);
            for pod in &cluster.pods {
                assert_eq!(
                    index.groups_of(&name(pod)),
                    anew.groups_of(&name(pod)),
                    "seed {seed}, step {step}"
                );
            }
            for (policy, _) in anew.policies() {
                let (followed, filled) = (index.groups_of_policy(policy), anew.groups_of_policy(policy));
                assert_eq!(followed, filled, "seed {seed}, step {step}");
            }
            let keys = |index: &Index| index.peer_keys().into_iter().collect::<BTreeSet<_>>();
            assert_eq!(keys(&index), keys(&anew), "seed {seed}, step {step}");
            for key in keys(&anew) {
                assert_eq!(
                    index.addresses_of(&key),
                    anew.addresses_of(&key),
                    "seed {seed}, step {step}: {key}"
                );
            }
        }
        check(seed, &cluster, &index);
    }
}

/// One change of a cluster, told to the index.
fn alter(cluster: &mut Cluster, index: &mut Index, seed: u64) {
    let other = random_cluster(seed.wrapping_mul(2_654_435_761));
    let at = usize::try_from(seed).unwrap() % cluster.pods.len().max(1);
    match seed % 5 {
        0 => {
            cluster.policies = generate(seed, cluster);
            feed_policies(index, cluster);
        }
        1 => {
            cluster.policies.pop();
            feed_policies(index, cluster);
        }
        2 => {
            if let (Some(pod), Some(like)) = (cluster.pods.get_mut(at), other.pods.first()) {
                pod.labels.clone_from(&like.labels);
                pod.ports.clone_from(&like.ports);
                feed_pod(index, pod);
            }
        }
        3 => {
            if !cluster.pods.is_empty() {
                let gone = cluster.pods.remove(at);
                index.remove_pod(&name(&gone));
            }
        }
        _ => {
            let labels = other.namespaces.values().next().cloned().unwrap_or_default();
            if let Some(namespace) = cluster.namespaces.values_mut().next() {
                *namespace = labels;
            }
            feed_namespaces(index, cluster);
        }
    }
}

/// A Service that a pod is let out to leads to nothing that the pod is not let out to.
#[test]
fn no_first_packet_leaks_through_a_service() {
    let mut granted = 0;
    for seed in 0..CLUSTERS / 3 {
        let cluster = random_cluster(seed);
        let mut index = index_of(&cluster);
        let vip: IpAddr = "172.31.255.1".parse().unwrap();
        let own: Vec<&OraclePod> = cluster.pods.iter().filter(|pod| !pod.host_network).collect();
        let some = own.iter().enumerate().filter(|(at, _)| (seed >> (at % 4)) & 1 == 0).map(|(_, pod)| *pod);
        let ends: BTreeSet<(IpAddr, u16)> =
            some.filter_map(|pod| Some((pod.address(Family::V4)?, 80))).collect();
        let port = ServicePort { protocol: Protocol::Tcp, number: 8888, endpoints: ends.clone() };
        let service = Service { vips: BTreeSet::from([vip]), ports: vec![port] };
        index.set_service(&Name::new("x", "service"), service);
        for pod in own.iter().filter(|pod| index.groups_of(&name(pod)).is_some()) {
            let lets_out = |to, port| grants(&index, &name(pod), Direction::Egress, to, Protocol::Tcp, port);
            // What is allowed by a block is allowed by its word.
            if lets_out(vip, 8889) || !lets_out(vip, 8888) {
                continue;
            }
            granted += 1;
            for (end, number) in &ends {
                assert!(
                    lets_out(*end, *number),
                    "seed {seed}: {} reaches {end} through the Service",
                    pod.path()
                );
            }
        }
    }
    assert!(granted > 50, "the test shows nothing: {granted}");
}
