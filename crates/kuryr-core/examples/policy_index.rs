//! What the index of network policies takes: the time of one pod's change and the memory of all, printed as JSON.
//!
//! The cluster has 10,000 pods in 1,000 namespaces, and 1,000 policies, each with peers of its own namespace, of others by label,
//! and of all; every tenth policy isolates egress too, and every tenth namespace has a Service. A change is a pod that comes with its
//! address, changes a label, or goes.

use kuryr_core::policy::Index;
use kuryr_core::policy::model::{
    Block, Family, Name, Namespaces, Peer, Pod, Policy, Port, Protocol, Rule, Service, ServicePort, Which,
};
use kuryr_core::policy::selector::{Labels, Requirement, Selector};
use serde_json::json;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

const PODS: u32 = 10_000;
const NAMESPACES: u32 = 1_000;
const POLICIES: u32 = 1_000;
const CHANGES: u32 = 20_000;

fn main() -> io::Result<()> {
    let before = resident()?;
    let filled = Instant::now();
    let mut index = cluster();
    let filled = filled.elapsed();
    index.take_changes();
    let bytes = resident()?.saturating_sub(before);
    let mut times: Vec<Duration> = (0..CHANGES).map(|at| change(&mut index, at)).collect();
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_nanos();
    let figures = json!({
        "pods": PODS, "namespaces": NAMESPACES, "policies": POLICIES, "address_groups": index.peer_keys().len(),
        "filled_ms": filled.as_millis(), "bytes": bytes,
        "change_p50_ns": at(50), "change_p99_ns": at(99), "change_max_ns": at(100),
    });
    writeln!(io::stdout(), "{figures}")
}

fn cluster() -> Index {
    let mut index = Index::new([Family::V4]);
    for at in 0..NAMESPACES {
        index.set_namespace(&namespace(at), labels(&[("team", at % 20), ("number", at)]));
    }
    for at in 0..POLICIES {
        index.set_policy(&Name::new(&namespace(at), "policy"), &Arc::new(policy(at)));
    }
    for at in 0..PODS {
        index.set_pod(&name(at), pod(at, 0));
    }
    for at in (0..NAMESPACES).step_by(10) {
        let ends = (0..PODS / NAMESPACES).map(|pod| (address(at + pod * NAMESPACES), 8080));
        let port = ServicePort { protocol: Protocol::Tcp, number: 80, endpoints: ends.collect() };
        let vips = BTreeSet::from([IpAddr::from(Ipv4Addr::from(0x0a60_0000 + at))]);
        index.set_service(&Name::new(&namespace(at), "web"), Service { vips, ports: vec![port] });
    }
    index
}

/// One change, and what it took with the question what it concerns and which groups the pod has then.
fn change(index: &mut Index, at: u32) -> Duration {
    // A large step, so that one change is not near the last.
    let (pod_at, name) = (at.wrapping_mul(7919) % PODS, name(at.wrapping_mul(7919) % PODS));
    let other = pod(pod_at, at % 3 + 1);
    let started = Instant::now();
    if at % 3 == 2 {
        index.remove_pod(&name);
        index.set_pod(&name, other);
    } else {
        index.set_pod(&name, other);
    }
    let changes = index.take_changes();
    let groups = index.groups_of(&name);
    let time = started.elapsed();
    assert!(!changes.pods.is_empty() || !changes.peers.is_empty());
    assert!(groups.is_some());
    time
}

fn policy(at: u32) -> Policy {
    let equals = |key: &str, value: u32| Selector::new([Requirement::equals(key, value.to_string())]);
    let of = |namespaces, pods| Peer::Pods { namespaces, pods };
    let port = |number| Some(vec![Port { protocol: Protocol::Tcp, which: Which::Range(number, number) }]);
    let peers = vec![
        of(Namespaces::Own, equals("app", at % 5)),
        of(Namespaces::Of(equals("team", at % 20)), equals("app", at % 7)),
        of(Namespaces::Of(Selector::default()), equals("tier", at % 50)),
    ];
    let block = Block { cidr: "192.0.2.0/24".parse().expect("a prefix"), except: BTreeSet::new() };
    let ingress = vec![
        Rule { peers: Some(peers.clone()), ports: port(8080) },
        Rule { peers: Some(vec![Peer::Block(block)]), ports: None },
    ];
    Policy {
        subjects: Selector::default(),
        ingress: Some(ingress),
        egress: at.is_multiple_of(10).then(|| vec![Rule { peers: Some(peers), ports: port(8080) }]),
    }
}

fn pod(at: u32, version: u32) -> Pod {
    let (app, addresses) = (version % 7, vec![address(at)]);
    Pod { labels: labels(&[("app", app), ("tier", at % 50), ("pod", at)]), addresses, ports: Vec::new() }
}

fn address(at: u32) -> IpAddr {
    IpAddr::from(Ipv4Addr::from(0x0a01_0000 + at))
}

fn namespace(at: u32) -> String {
    format!("namespace-{at}")
}

fn name(pod: u32) -> Name {
    Name::new(&namespace(pod % NAMESPACES), &format!("pod-{pod}"))
}

fn labels(all: &[(&str, u32)]) -> Labels {
    all.iter().map(|(key, value)| ((*key).into(), value.to_string().into())).collect()
}

/// Bytes of this process that are in memory.
fn resident() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kilobytes.unwrap_or_default() * 1024)
}
