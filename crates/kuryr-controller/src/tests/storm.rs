//! Services change at random while one request in ten to Octavia is spoilt and controllers die. When it is over, Octavia has what
//! Kubernetes wants, exactly.

use super::*;
use kuryr_openstack::Service;
use kuryr_testkit::octavia::Kind;
use kuryr_testkit::proxy::{Fault, Faulty, Plan};
use std::collections::{BTreeMap, BTreeSet};

const SERVICES: &str = "/api/v1/namespaces/default/services";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
const NAMES: u64 = 20;
const ROUNDS: u64 = 150;
const DEATHS: [u64; 2] = [50, 100];
const SEED: u64 = 7;

/// What a Service should have in Octavia: its fronts, and the members of each.
type Wanted = BTreeMap<String, BTreeSet<String>>;

/// The finalizer of `SplitMix64`: chance that can be repeated.
fn chance(number: u64, below: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ SEED;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) % below
}

/// A Service that is there or not, with one to three ports and up to five endpoints, all by chance.
fn change(world: &World, wanted: &mut BTreeMap<String, Wanted>, round: u64) {
    let name = format!("svc-{}", chance(round, NAMES));
    let (place, slice) = (format!("{SERVICES}/{name}"), format!("{SLICES}/{name}-x"));
    let is_there = wanted.contains_key(&name);
    if chance(round + 1_000, 5) == 0 {
        if wanted.remove(&name).is_some() {
            world.kubernetes.delete(&place);
            world.kubernetes.delete(&slice);
        }
        return;
    }
    // One that is going comes back another time.
    if !is_there && world.kubernetes.get(&place).is_some() {
        return;
    }
    let ports: Vec<u64> = (80..=80 + chance(round + 2_000, 3)).collect();
    let endpoints: BTreeSet<u64> =
        (0..chance(round + 3_000, 6)).map(|n| 1 + chance(round * 7 + n, 9)).collect();
    let spec = json!({
        "type": "ClusterIP", "clusterIP": address(&name), "clusterIPs": [address(&name)],
        "ports": ports.iter().map(|port| json!({ "name": format!("p{port}"), "port": port, "protocol": "TCP" })).collect::<Vec<_>>(),
    });
    let content = json!({
        "metadata": { "name": format!("{name}-x"), "labels": { "kubernetes.io/service-name": name } },
        "addressType": "IPv4",
        "ports": ports.iter().map(|port| json!({ "name": format!("p{port}"), "port": 8000 + port })).collect::<Vec<_>>(),
        "endpoints": endpoints.iter().map(|last| json!({ "addresses": [format!("10.1.0.{last}")] })).collect::<Vec<_>>(),
    });
    let service = json!({ "metadata": { "name": name }, "spec": spec });
    if is_there {
        world.kubernetes.patch(&place, &service);
        world.kubernetes.patch(&slice, &content);
    } else {
        world.kubernetes.create(SERVICES, service);
        world.kubernetes.create(SLICES, content);
    }
    let members =
        |port: &u64| endpoints.iter().map(|last| format!("10.1.0.{last}:{}", 8000 + port)).collect();
    wanted.insert(name, ports.iter().map(|port| (format!("TCP:{port}"), members(port))).collect());
}

fn address(name: &str) -> String {
    format!("10.96.1.{}", 1 + name.trim_start_matches("svc-").parse::<u64>().unwrap())
}

/// What Octavia has, by the names of load balancers.
fn found(world: &World) -> Vec<(String, Wanted)> {
    let octavia = world.cloud.octavia();
    let (listeners, text) =
        (octavia.all(Kind::Listener), |value: &Value| value.as_str().unwrap_or_default().to_owned());
    let members = |pool: &Value| {
        let all = octavia.members(pool.as_str().unwrap_or_default());
        all.iter().map(|one| format!("{}:{}", text(&one["address"]), one["protocol_port"])).collect()
    };
    let of = |balancer: &Value| {
        let its = listeners.iter().filter(|one| one["loadbalancers"][0]["id"] == balancer["id"]);
        its.map(|one| {
            (format!("{}:{}", text(&one["protocol"]), one["protocol_port"]), members(&one["default_pool_id"]))
        })
        .collect()
    };
    octavia.all(Kind::LoadBalancer).iter().map(|one| (text(&one["name"]), of(one))).collect()
}

fn is_as_wanted(world: &World, wanted: &BTreeMap<String, Wanted>) -> bool {
    let mut found = found(world);
    found.sort();
    found
        == wanted.iter().map(|(name, wanted)| (format!("default/{name}"), wanted.clone())).collect::<Vec<_>>()
        && world.cloud.octavia().all(Kind::Pool).len() == wanted.values().map(BTreeMap::len).sum::<usize>()
        && world.kubernetes.all("kuryrloadbalancers").len() == wanted.len()
}

async fn controller(world: &World, proxy: &Faulty) -> Controller {
    let mut settings = world.cloud_settings();
    settings.endpoints.overrides.insert(Service::LoadBalancer, proxy.url());
    world.controller_through(settings, |_| {}).await
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_storm_octavia_has_just_what_kubernetes_wants() {
    let world = World::new().await;
    world.cloud.octavia().set_pace(Duration::from_millis(20));
    let plan = Plan { delay: Duration::from_millis(200), ..Plan::evenly(10, SEED) };
    let proxy = Faulty::start(&world.cloud.octavia_url(), plan).await.unwrap();
    let (mut wanted, mut life) = (BTreeMap::new(), controller(&world, &proxy).await);
    for round in 0..ROUNDS {
        change(&world, &mut wanted, round);
        tokio::time::sleep(Duration::from_millis(30)).await;
        if DEATHS.contains(&round) {
            drop(life);
            life = controller(&world, &proxy).await;
        }
    }
    // The storm is over.
    let done = proxy.done();
    proxy.set_plan(Plan::harmless());
    world.until("Octavia has what is wanted", |world| is_as_wanted(world, &wanted)).await;
    drop(life);
    assert!(done.contains_key(&Fault::CutAfterwards) && done.len() >= 6, "a storm without trouble: {done:?}");
}
