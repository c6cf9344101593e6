//! Nodes that are virtual machines: their pods' ports are on trunks.

use super::*;
use kuryr_openstack::{Call, Service};
use kuryr_testkit::Reply;
use kuryr_testkit::neutron::Rights;
use std::collections::BTreeSet;

pub(super) const ADDRESS: &str = "10.1.7.7";

impl World {
    /// A node that is a virtual machine, with its port and trunk. Returns the trunk's id.
    pub(super) async fn machine(&self, name: &str, address: &str) -> String {
        self.machine_called(name, "nested-vlan", address);
        let fixed = json!({ "subnet_id": self.id_of("k8s-pod-subnet"), "ip_address": address });
        let port = json!({ "port": { "network_id": self.id_of("k8s-pod-net"), "fixed_ips": [fixed] } });
        let port = self.post("/ports", port).await["port"]["id"].clone();
        let trunk = self.post("/trunks", json!({ "trunk": { "port_id": port } })).await;
        trunk["trunk"]["id"].as_str().unwrap().to_owned()
    }

    /// A node that is a virtual machine whose pods get their interfaces by this driver.
    pub(super) fn machine_called(&self, name: &str, driver: &str, address: &str) {
        self.kubernetes.create(
            "/api/v1/nodes",
            json!({
                "metadata": { "name": name, "labels": { "pod_vif": driver } },
                "status": { "addresses": [{ "type": "InternalIP", "address": address }] },
            }),
        );
    }

    async fn post(&self, path: &'static str, body: Value) -> Value {
        let call = Call::new(Service::Network, http::Method::POST, path, path.into());
        self.session().call(&call.json(&body).unwrap()).await.unwrap().json().unwrap()
    }

    async fn put(&self, path: String, body: Value) {
        let call = Call::new(Service::Network, http::Method::PUT, "/trunks", path);
        self.session().call(&call.json(&body).unwrap()).await.unwrap();
    }

    async fn put_subports(&self, trunk: &str, verb: &str, subports: Value) {
        self.put(format!("/trunks/{trunk}/{verb}"), json!({ "sub_ports": subports })).await;
    }

    async fn set_enabled(&self, trunk: &str, up: bool) {
        self.put(format!("/trunks/{trunk}"), json!({ "trunk": { "admin_state_up": up } })).await;
    }

    /// What a trunk carries: ports by VLAN ids.
    pub(super) fn carried(&self, trunk: &str) -> Vec<(u64, String)> {
        let trunks = self.cloud.neutron().trunks();
        let found = trunks.iter().find(|found| found["id"] == trunk).unwrap();
        let id = |sub: &Value| {
            (sub["segmentation_id"].as_u64().unwrap(), sub["port_id"].as_str().unwrap().to_owned())
        };
        let mut all: Vec<_> = found["sub_ports"].as_array().unwrap().iter().map(id).collect();
        all.sort();
        all
    }

    fn is_active(&self, pod: &str) -> bool {
        self.record(pod).is_some_and(|record| data(&record)["active"] == true)
    }

    /// Ports but for those of machines.
    fn pod_ports(&self) -> Vec<Value> {
        let is_parent = |port: &Value| port["trunk_details"].is_object();
        self.ports().into_iter().filter(|port| !is_parent(port)).collect()
    }
}

/// The VIF of a record.
fn data(record: &Value) -> &Value {
    &record["status"]["vifs"]["eth0"]["vif"]["versioned_object.data"]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pods_port_is_put_on_its_nodes_trunk_and_taken_off_again() {
    let world = World::new().await;
    let trunk = world.machine("vm1", ADDRESS).await;
    let _controller = world.controller().await;
    let pod = world.pod_on("vm1", "web");
    world.until("the pod is recorded, and active", |world| world.is_active("web")).await;

    let record = world.record("web").unwrap();
    let vif = &record["status"]["vifs"]["eth0"]["vif"];
    assert_eq!(
        (&vif["versioned_object.name"], &data(&record)["vlan_id"]),
        (&json!("VIFVlanNested"), &json!(1))
    );
    assert_eq!(world.carried(&trunk), [(1, port_of(&record).to_owned())]);
    let port = &world.pod_ports()[0];
    assert_eq!((&port["device_id"], &port["description"]), (&json!(""), &pod["metadata"]["uid"]));

    world.kubernetes.delete(&format!("{PODS}/web"));
    world
        .until("nothing is left", |world| world.pod_ports().is_empty() && world.record("web").is_none())
        .await;
    assert_eq!(world.carried(&trunk), []);
    assert_eq!(world.cloud.neutron().counts().of("GET /ports/{id}"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_put_on_its_trunk_again_keeps_its_id() {
    let world = World::new().await;
    let trunk = world.machine("vm1", ADDRESS).await;
    let controller = world.controller().await;
    world.pod_on("vm1", "web");
    world.until("the pod is recorded, and active", |world| world.is_active("web")).await;
    let (before, id) = (world.carried(&trunk), port_of(&world.record("web").unwrap()).into());
    let calls =
        |verb: &str| world.cloud.neutron().counts().of(&format!("PUT /trunks/{{id}}/{verb}_subports"));
    assert_eq!((calls("add"), calls("remove")), (1, 0));
    let (context, place) = (&controller.context, controller.context.trunks.place(&id).unwrap());
    context.trunks.attach_again(&context.neutron, &id, &place).await.unwrap();
    assert_eq!((calls("add"), calls("remove"), world.carried(&trunk)), (2, 1, before));
    assert_eq!(context.trunks.place(&id), Some(place));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_waits_is_not_given_up_when_neutron_hides_it() {
    let world = World::new().await;
    world.machine("vm1", ADDRESS).await;
    let controller = world.controller().await;
    world.pod_on("vm1", "web");
    world.until("the pod is recorded, and active", |world| world.is_active("web")).await;
    let id = port_of(&world.record("web").unwrap()).into();
    let asked = world.cloud.neutron().counts().of("GET /ports/{id}");
    world.cloud.neutron().set_rights(Rights::Unread);
    controller.context.wiring.watch(std::slice::from_ref(&id));
    world
        .until("the port is asked for by itself", |world| {
            world.cloud.neutron().counts().of("GET /ports/{id}") > asked + 1
        })
        .await;
    assert!(controller.context.ports.get(&id).is_some());
    world.cloud.neutron().set_rights(Rights::Read);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_is_put_on_a_trunk_in_few_requests_each_with_an_id_of_its_own() {
    let world = World::new().await;
    let trunks = [world.machine("vm1", ADDRESS).await, world.machine("vm2", "10.1.7.8").await];
    let _controller = world.controller().await;
    for number in 0..40 {
        world.pod_on(["vm1", "vm2"][number % 2], &format!("web-{number}"));
    }
    let all_active = |world: &World| (0..40).all(|number| world.is_active(&format!("web-{number}")));
    world.until("all are active", all_active).await;
    for trunk in &trunks {
        let ids: BTreeSet<_> = world.carried(trunk).into_iter().map(|(id, _)| id).collect();
        assert_eq!(ids, (1..=20).collect(), "each trunk has all ids to itself, the lowest first");
    }
    let counts = world.cloud.neutron().counts();
    assert!(counts.of("PUT /trunks/{id}/add_subports") <= 12, "{:?}", counts.all());

    (0..40).for_each(|number| world.kubernetes.delete(&format!("{PODS}/web-{number}")));
    world.until("nothing is left", |world| world.pod_ports().is_empty()).await;
    assert!(counts.of("PUT /trunks/{id}/remove_subports") <= 40, "{:?}", counts.all());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_controller_finds_what_is_on_a_trunk_and_hands_no_id_out_twice() {
    let world = World::new().await;
    let trunk = world.machine("vm1", ADDRESS).await;
    let first = world.controller().await;
    for name in ["a", "b", "c"] {
        world.pod_on("vm1", name);
        world.until("it is active", |world| world.is_active(name)).await;
    }
    drop(first);
    world.kubernetes.delete(&format!("{PODS}/b"));
    let _second = world.controller().await;
    world.until("b is gone", |world| world.record("b").is_none()).await;
    world.pod_on("vm1", "d");
    world.until("it is active", |world| world.is_active("d")).await;
    let ids: Vec<_> = world.carried(&trunk).into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, [1, 2, 3]);
    assert_eq!(data(&world.record("d").unwrap())["vlan_id"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_somebody_else_took_is_learned_of() {
    let world = World::new().await;
    let trunk = world.machine("vm1", ADDRESS).await;
    let _controller = world.controller().await;
    world.pod_on("vm1", "first");
    world.until("it is active", |world| world.is_active("first")).await;
    let port = json!({ "port": { "network_id": world.id_of("k8s-pod-net"), "name": "theirs" } });
    let theirs = world.post("/ports", port).await["port"]["id"].clone();
    let subport = json!([{ "port_id": theirs, "segmentation_id": 2, "segmentation_type": "vlan" }]);
    world.put_subports(&trunk, "add_subports", subport).await;

    world.pod_on("vm1", "second");
    world.until("it is active", |world| world.is_active("second")).await;
    assert_eq!(data(&world.record("second").unwrap())["vlan_id"], 3);
    assert_eq!(world.carried(&trunk).len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trunk_that_is_disabled_is_not_taken_for_one_that_others_use() {
    let world = World::new().await;
    let trunk = world.machine("vm1", ADDRESS).await;
    world.set_enabled(&trunk, false).await;
    let _controller = world.controller().await;
    world.pod_on("vm1", "web");
    let is_told = |event: &Value| event["reason"] == "TrunkDisabled";
    world.until("it is told", |world| world.kubernetes.all("events").iter().any(is_told)).await;
    assert!(world.kubernetes.all("events").iter().all(|event| event["reason"] != "SubportInUse"));
    world.set_enabled(&trunk, true).await;
    world.until("it is active", |world| world.is_active("web")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_puts_a_port_on_a_trunk_once() {
    let world = World::new().await;
    let trunk = world.machine("vm1", ADDRESS).await;
    let lost = Reply::neutron_error(500, "HTTPInternalServerError", "Request Failed");
    world.cloud.neutron().fail_next("PUT /trunks/{id}/add_subports", 2, lost.clone());
    world.cloud.neutron().fail_next("POST /ports", 1, lost);
    let _controller = world.controller().await;
    world.pod_on("vm1", "web");
    world.until("it is active", |world| world.is_active("web")).await;
    assert_eq!((world.pod_ports().len(), world.carried(&trunk).len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_a_trunk_is_told_of_and_served_when_it_has_one() {
    let world = World::new().await;
    world.machine_called("vm1", "nested-vlan", ADDRESS);
    world.kubernetes.create(
        "/api/v1/nodes",
        json!({ "metadata": { "name": "odd", "labels": { "pod_vif": "carrier-pigeon" } } }),
    );
    let _controller = world.controller().await;
    world.pod_on("vm1", "web");
    world.pod_on("odd", "odd");
    let told = |world: &World| {
        world.kubernetes.all("events").iter().filter(|event| event["reason"] == "NodeWithoutTrunk").count()
            == 2
    };
    world.until("both are told of", told).await;
    let texts: Vec<_> =
        world.kubernetes.all("events").iter().map(|event| event["note"].to_string()).collect();
    assert!(texts.iter().any(|text| text.contains("no Neutron port has the address 10.1.7.7")), "{texts:?}");
    assert!(texts.iter().any(|text| text.contains("carrier-pigeon")), "{texts:?}");
    assert_eq!(world.ports().len(), 0);

    let fixed = json!({ "subnet_id": world.id_of("k8s-pod-subnet"), "ip_address": ADDRESS });
    let port = json!({ "port": { "network_id": world.id_of("k8s-pod-net"), "fixed_ips": [fixed] } });
    let port = world.post("/ports", port).await["port"]["id"].clone();
    world.post("/trunks", json!({ "trunk": { "port_id": port } })).await;
    world.until("it is active", |world| world.is_active("web")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orphan_is_taken_off_its_trunk_before_it_is_deleted() {
    let world = World::new().await;
    let trunk = world.machine("vm1", ADDRESS).await;
    let first = world.controller().await;
    world.pod_on("vm1", "web");
    world.until("it is active", |world| world.is_active("web")).await;
    drop(first);
    // Pod and record go while nobody looks.
    world.kubernetes.delete(&format!("{PODS}/web"));
    world.kubernetes.patch(&format!("{RECORDS}/web"), &json!({ "metadata": { "finalizers": null } }));
    world.kubernetes.delete(&format!("{RECORDS}/web"));
    let _second = world.controller().await;
    world.until("nothing is left", |world| world.pod_ports().is_empty()).await;
    assert_eq!(world.carried(&trunk), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_take_ports_that_are_ready_on_their_nodes_trunk_and_give_them_back() {
    let world = World::with_pools().await;
    let trunk = world.machine("vm1", ADDRESS).await;
    let controller = world.controller().await;
    world.until("ports are ready on the trunk", |world| world.carried(&trunk).len() == 4).await;
    let wired = |world: &World| {
        world.carried(&trunk).iter().all(|(_, id)| {
            let port = controller.context.ports.get(&id.as_str().into());
            port.is_some_and(|port| port.wiring == kuryr_core::port::Wiring::Active && port.host == "vm1")
        })
    };
    world.until("and wired", wired).await;
    world.start_daemon("vm1", &controller).await;
    let counts = world.cloud.neutron().counts();
    counts.reset();

    let pod = world.pod_on("vm1", "web");
    world.until("the pod is recorded", |world| world.record("web").is_some()).await;
    let record = world.record("web").unwrap();
    let port = port_of(&record).to_owned();
    assert_eq!((&data(&record)["active"], world.carried(&trunk).len()), (&json!(true), 4));
    world.kubernetes.delete(&format!("{PODS}/web"));
    world.until_going("web").await;
    world.daemon_says("vm1", &json!({ &port: pod["metadata"]["uid"] }));
    world.until("the record is gone", |world| world.record("web").is_none()).await;
    assert_eq!(
        counts.all().keys().filter(|route| !route.starts_with("GET")).count(),
        0,
        "{:?}",
        counts.all()
    );

    // The next controller finds them, and what is too much leaves the trunk before it goes.
    drop(controller);
    let before = world.carried(&trunk);
    let _next = world.controller().await;
    world.pod_on("vm1", "again");
    world.until("the pod is recorded", |world| world.record("again").is_some()).await;
    assert_eq!(world.carried(&trunk), before);
    world.kubernetes.delete("/api/v1/nodes/vm1");
    world.until("free ports are gone", |world| world.carried(&trunk).len() == 1).await;
}
