//! Nodes that are virtual machines whose pods have interfaces of their own: Nova attaches the pods' ports.

use super::crash::{runtime, short_life};
use super::*;
use kuryr_openstack::Neutron;
use kuryr_openstack::neutron::{FixedIpRequest, NewPort};
use std::collections::BTreeSet;

const ADDRESS: &str = "10.1.7.7";
const HYPERVISOR: &str = "compute1";
/// More requests than the whole story needs, so that the last lives see its end.
const REQUESTS: u64 = 40;

impl World {
    /// A node that is a server, with its port. Returns the server's id, and the port's.
    async fn server(&self, name: &str, address: &str) -> (String, String) {
        self.machine_called(name, "nested-dpdk", address);
        let port = self.port_with(address).await;
        (self.cloud.nova().boot(HYPERVISOR, &port), port)
    }

    async fn port_with(&self, address: &str) -> String {
        let subnet = self.id_of("k8s-pod-subnet").as_str().into();
        let new = NewPort {
            fixed_ips: vec![FixedIpRequest { subnet_id: subnet, ip_address: Some(address.parse().unwrap()) }],
            ..NewPort::on(self.id_of("k8s-pod-net").as_str().into())
        };
        Neutron::new(self.session()).create_port(&new).await.unwrap().id.to_string()
    }

    /// The ports of a server but for its own.
    fn attached(&self, (server, own): &(String, String)) -> BTreeSet<String> {
        self.cloud.nova().interfaces(server).into_iter().filter(|port| port != own).collect()
    }

    fn ports_of_pods(&self, (_, own): &(String, String)) -> Vec<Value> {
        self.ports().into_iter().filter(|port| port["id"] != own.as_str()).collect()
    }

    fn is_plugged(&self, pod: &str) -> bool {
        self.record(pod).is_some_and(|record| {
            record["status"]["vifs"]["eth0"]["vif"]["versioned_object.data"]["active"] == true
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pods_port_is_attached_to_its_node_and_detached_before_it_is_deleted() {
    let world = World::new().await;
    let node = world.server("vm1", ADDRESS).await;
    let _controller = world.controller().await;
    let pod = world.pod_on("vm1", "web");
    world.until("the pod is recorded, and active", |world| world.is_plugged("web")).await;
    let record = world.record("web").unwrap();
    assert_eq!(record["status"]["vifs"]["eth0"]["vif"]["versioned_object.name"], "VIFDPDKNested");
    assert_eq!(world.attached(&node), BTreeSet::from([port_of(&record).to_owned()]));
    let port = &world.ports_of_pods(&node)[0];
    assert_eq!((&port["device_id"], &port["device_owner"]), (&json!(node.0), &json!("compute:nova")));
    assert_eq!(
        (&port["description"], &port["binding:host_id"]),
        (&pod["metadata"]["uid"], &json!(HYPERVISOR))
    );
    assert_eq!(port["security_groups"], json!([world.id_of("k8s-pods")]), "as it was asked for in Neutron");
    assert_eq!(port["fixed_ips"].as_array().unwrap().len(), 2);

    world.kubernetes.delete(&format!("{PODS}/web"));
    let is_gone = |world: &World| world.ports_of_pods(&node).is_empty() && world.record("web").is_none();
    world.until("nothing is left", is_gone).await;
    assert_eq!(world.attached(&node), BTreeSet::new());
    assert_eq!(world.cloud.nova().counts().of("POST /servers/{id}/os-interface"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_attaches_a_port_once() {
    let world = World::new().await;
    let node = world.server("vm1", ADDRESS).await;
    world.cloud.nova().lose_answers(1);
    let _controller = world.controller().await;
    world.pod_on("vm1", "web");
    world.until("the pod is active", |world| world.is_plugged("web")).await;
    assert_eq!((world.attached(&node).len(), world.ports_of_pods(&node).len()), (1, 1));
    assert_eq!(world.cloud.nova().counts().of("POST /servers/{id}/os-interface"), 1, "the port has told");
}

/// Exactly the pods that live have a port, attached, and a record that names it.
fn is_tidy(world: &World, node: &(String, String)) -> bool {
    let pods = world.kubernetes.all("pods");
    let uids: BTreeSet<_> = pods.iter().map(|pod| pod["metadata"]["uid"].to_string()).collect();
    let ports = world.ports_of_pods(node);
    let made_for: BTreeSet<_> = ports.iter().map(|port| port["description"].to_string()).collect();
    let ids: BTreeSet<_> = ports.iter().map(|port| port["id"].as_str().unwrap().to_owned()).collect();
    let records = world.kubernetes.all("kuryrports");
    let named: BTreeSet<_> = records.iter().map(|record| port_of(record).to_owned()).collect();
    made_for == uids && ports.len() == uids.len() && ids == named && world.attached(node) == ids
}

#[test]
fn a_controller_killed_after_any_request_leaves_no_interface_doubled_lost_or_behind() {
    let stage = runtime();
    for limit in (1..REQUESTS).step_by(2) {
        let world = stage.block_on(World::new());
        let node = stage.block_on(world.server("vm1", ADDRESS));
        for name in ["stays", "goes"] {
            world.pod_on("vm1", name);
        }
        short_life(&world, limit);
        world.kubernetes.delete(&format!("{PODS}/goes"));
        world.pod_on("vm1", "comes");
        short_life(&world, limit);
        stage.block_on(async {
            let _last = world.controller().await;
            world
                .until(&format!("tidy after deaths at request {limit}"), |world| is_tidy(world, &node))
                .await;
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orphan_is_detached_before_it_is_deleted() {
    let world = World::new().await;
    let node = world.server("vm1", ADDRESS).await;
    let first = world.controller().await;
    world.pod_on("vm1", "web");
    world.until("the pod is active", |world| world.is_plugged("web")).await;
    drop(first);
    // Pod and record go while nobody looks.
    world.kubernetes.delete(&format!("{PODS}/web"));
    world.kubernetes.patch(&format!("{RECORDS}/web"), &json!({ "metadata": { "finalizers": null } }));
    world.kubernetes.delete(&format!("{RECORDS}/web"));
    let _second = world.controller().await;
    world.until("nothing is left", |world| world.ports_of_pods(&node).is_empty()).await;
    assert_eq!(world.attached(&node), BTreeSet::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_no_server_is_told_of_and_served_when_it_is() {
    let mut world = World::new().await;
    world.driver = Driver::NestedDpdk;
    let addresses = json!([{ "type": "InternalIP", "address": ADDRESS }]);
    let node = json!({ "metadata": { "name": "vm1" }, "status": { "addresses": addresses } });
    world.kubernetes.create("/api/v1/nodes", node);
    let port = world.port_with(ADDRESS).await;
    let _controller = world.controller().await;
    world.pod_on("vm1", "web");
    let told = |world: &World| world.events().iter().any(|reason| reason == "NodeWithoutServer");
    world.until("it is told of", told).await;
    world.cloud.nova().boot(HYPERVISOR, &port);
    world.until("the pod is active", |world| world.is_plugged("web")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interface_that_somebody_else_detached_is_told_of() {
    let world = World::new().await;
    let (server, _) = world.server("vm1", ADDRESS).await;
    let first = world.controller().await;
    world.pod_on("vm1", "web");
    world.until("the pod is active", |world| world.is_plugged("web")).await;
    world.set_phase("web", "Running");
    drop(first);
    let port = port_of(&world.record("web").unwrap()).to_owned();
    let nova = kuryr_openstack::Nova::new(world.session());
    nova.detach_interface(&server.as_str().into(), &port.as_str().into()).await.unwrap();
    world
        .until("it is detached", |world| {
            world.ports().iter().any(|one| one["id"] == *port && one["device_id"] == "")
        })
        .await;
    let _second = world.controller().await;
    let told = |world: &World| world.events().iter().any(|reason| reason == "InterfaceDetached");
    world.until("it is told of", told).await;
    assert!(world.record("web").is_some());
}
