//! A controller is killed after any number of requests; another follows. Nothing is lost, doubled or left.

use super::*;
use kuryr_testkit::Counts;
use kuryr_testkit::octavia::Kind;
use std::collections::BTreeSet;
use tokio::runtime::{Builder, Runtime};

/// More requests than the whole story needs, so that the last lives see its end.
const REQUESTS: u64 = 40;

/// Lives in a runtime of its own, so that it can die with all its tasks at once.
pub(super) fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn requests(world: &World) -> u64 {
    let sum = |counts: std::collections::BTreeMap<String, u64>| counts.values().sum::<u64>();
    let cloud = &world.cloud;
    let cloud = [cloud.neutron().counts(), cloud.octavia().counts(), cloud.nova().counts()].map(Counts::all);
    sum(world.kubernetes.counts().all()) + cloud.into_iter().map(sum).sum::<u64>()
}

/// A controller that dies once it has sent `limit` requests.
pub(super) fn short_life(world: &World, limit: u64) {
    let life = runtime();
    let start = requests(world);
    let context = life.block_on(world.context());
    life.spawn(async move {
        relist::once(&context, |_| {}).await;
        context.look_at_all();
        let (tracker, component) = (TaskTracker::new(), component());
        tokio::join!(
            dispatch::pods(&context, &tracker),
            dispatch::services(&context, &tracker),
            serving::run(&context, &component)
        );
    });
    // A life that needs no more requests than this ends of old age.
    for _ in 0..300 {
        if requests(world) - start >= limit {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    life.shutdown_background();
}

/// Exactly the pods that live have a port and a record that names it.
fn is_tidy(world: &World) -> bool {
    let pods = world.kubernetes.all("pods");
    let uids: BTreeSet<_> = pods.iter().map(|pod| pod["metadata"]["uid"].to_string()).collect();
    let ports = world.ports();
    let records = world.kubernetes.all("kuryrports");
    let made_for: BTreeSet<_> = ports.iter().map(|port| port["device_id"].to_string()).collect();
    let ids: BTreeSet<_> = ports.iter().map(|port| port["id"].as_str().unwrap_or_default()).collect();
    let named: BTreeSet<_> = records.iter().map(port_of).collect();
    made_for == uids && ports.len() == uids.len() && records.len() == uids.len() && ids == named
}

#[test]
fn a_controller_killed_after_any_request_leaves_nothing_doubled_lost_or_behind() {
    let stage = runtime();
    for limit in (1..REQUESTS).step_by(2) {
        let world = stage.block_on(World::new());
        for name in ["stays", "goes", "also-stays"] {
            world.pod(name);
        }
        short_life(&world, limit);
        world.kubernetes.delete(&format!("{PODS}/goes"));
        world.pod("comes");
        short_life(&world, limit);
        stage.block_on(async {
            let _last = world.controller().await;
            world.until(&format!("tidy after deaths at request {limit}"), is_tidy).await;
        });
    }
}

/// More requests than a Service's life needs, but for the lists of those who wait.
const SERVICE_REQUESTS: u64 = 48;

/// Exactly the Services that live have a load balancer, complete, an address if they are exposed, and a record that names them.
fn is_tidy_of_services(world: &World) -> bool {
    let services = world.kubernetes.all("services");
    let names =
        |objects: &[Value], name: &dyn Fn(&Value) -> String| objects.iter().map(name).collect::<Vec<_>>();
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    let wanted =
        sorted(names(&services, &|one| format!("default/{}", one["metadata"]["name"].as_str().unwrap())));
    let octavia = world.cloud.octavia();
    let balancers = octavia.all(Kind::LoadBalancer);
    let is_whole = |pool: &Value| octavia.members(pool["id"].as_str().unwrap()).len() == 1;
    let is_named = |record: &Value| {
        let id = &record["status"]["loadbalancer"]["id"];
        balancers.iter().any(|one| one["id"] == *id) && record["status"]["pools"][0]["id"].is_string()
    };
    let exposed = services.iter().filter(|one| one["spec"]["type"] == "LoadBalancer");
    let records = world.kubernetes.all("kuryrloadbalancers");
    sorted(names(&balancers, &|one| one["name"].as_str().unwrap().to_owned())) == wanted
        && octavia.all(Kind::Listener).len() == wanted.len()
        && octavia.all(Kind::Pool).len() == wanted.len()
        && octavia.all(Kind::Pool).iter().all(is_whole)
        && records.len() == wanted.len()
        && records.iter().all(is_named)
        && world.cloud.neutron().floating_ips().len() == exposed.count()
}

#[test]
fn a_controller_killed_after_any_request_for_services_leaves_nothing_doubled_lost_or_behind() {
    let stage = runtime();
    for limit in (1..SERVICE_REQUESTS).step_by(3) {
        let world = stage.block_on(World::new());
        world.cloud.octavia().set_pace(Duration::from_millis(20));
        for (name, address) in [("stays", "10.96.0.7"), ("goes", "10.96.0.8")] {
            world.exposed(name, address);
        }
        short_life(&world, limit);
        world.kubernetes.delete("/api/v1/namespaces/default/services/goes");
        world.exposed("comes", "10.96.0.9");
        short_life(&world, limit);
        stage.block_on(async {
            let _last = world.controller().await;
            world.until(&format!("tidy after deaths at request {limit}"), is_tidy_of_services).await;
        });
    }
}
