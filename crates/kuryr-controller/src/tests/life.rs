//! Pods come, go, and meet trouble.

use super::*;
use kuryr_testkit::Reply;

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_gets_a_port_and_a_record_and_gives_both_back_in_three_writes() {
    let world = World::new().await;
    let controller = world.controller().await;
    let pod = world.pod("web");
    world.until("the pod is recorded", |world| world.record("web").is_some()).await;

    let record = world.record("web").unwrap();
    let port = &world.ports()[0];
    assert_eq!(port["id"], port_of(&record));
    assert_eq!(port["device_id"], pod["metadata"]["uid"]);
    assert_eq!(port["device_owner"], "compute:kuryr");
    assert_eq!(port["binding:host_id"], "node1");
    assert_eq!(port["fixed_ips"].as_array().unwrap().len(), 2, "one address of each family");
    assert!(port["tags"].as_array().unwrap().iter().any(|tag| *tag == controller.context.own_tag));
    assert_eq!(record["metadata"]["finalizers"], json!(["kuryr.openstack.org/kuryrport-finalizer"]));
    assert_eq!(record["metadata"]["labels"]["kuryr.openstack.org/nodeName"], "node1");
    assert_eq!(record["metadata"]["ownerReferences"][0]["uid"], pod["metadata"]["uid"]);

    world.kubernetes.delete(&format!("{PODS}/web"));
    world.until("nothing is left", |world| world.ports().is_empty() && world.record("web").is_none()).await;
    let counts = world.kubernetes.counts();
    assert_eq!(counts.of("POST kuryrports"), 1);
    assert!(counts.of("DELETE kuryrports") <= 1);
    assert_eq!(counts.of("PATCH kuryrports"), 1);
    assert_eq!(counts.of("PATCH pods"), 0);
    assert_eq!(world.cloud.neutron().counts().of("GET /ports/{id}"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_is_made_in_few_requests_and_a_steady_state_makes_none() {
    let world = World::new().await;
    let controller = world.controller().await;
    for n in 0..20 {
        world.pod(&format!("web-{n}"));
    }
    let all = |world: &World| world.kubernetes.all("kuryrports").len() == 20;
    world.until("all are recorded", all).await;
    assert!(
        world.cloud.neutron().counts().of("POST /ports") <= 3,
        "{:?}",
        world.cloud.neutron().counts().all()
    );

    // Floating IPs are listed before load balancers are, beside all this.
    let is_looked_at = |world: &World| world.cloud.octavia().counts().of("GET /loadbalancers") > 0;
    world.until("Octavia was looked at", is_looked_at).await;
    world.until("the queue rests", |_| controller.rests()).await;
    let (kubernetes, neutron) = (world.kubernetes.counts().all(), world.cloud.neutron().counts().all());
    controller.context.look_at_all();
    world.until("the queue rests", |_| controller.rests()).await;
    assert_eq!(world.kubernetes.counts().all(), kubernetes);
    assert_eq!(world.cloud.neutron().counts().all(), neutron);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_pod_gives_its_port_back_though_the_pod_stays() {
    let world = World::new().await;
    let _controller = world.controller().await;
    world.pod("job");
    world.until("the pod is recorded", |world| world.record("job").is_some()).await;
    world.set_phase("job", "Succeeded");
    world.until("nothing is left", |world| world.ports().is_empty() && world.record("job").is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_of_the_host_network_and_of_virtual_nodes_are_left_alone() {
    let world = World::new().await;
    let virtual_node = json!({
        "metadata": { "name": "cloud", "labels": { "type": "virtual-kubelet" } },
    });
    world.kubernetes.create("/api/v1/nodes", virtual_node);
    let _controller = world.controller().await;
    let pod = |name: &str, spec: Value| {
        let object = json!({ "metadata": { "name": name }, "spec": spec, "status": { "phase": "Pending" } });
        world.kubernetes.create(PODS, object)
    };
    pod("host", json!({ "nodeName": "node1", "hostNetwork": true }));
    pod("elsewhere", json!({ "nodeName": "cloud" }));
    pod("unbound", json!({}));
    world.pod("web");
    world.until("the last pod is recorded", |world| world.record("web").is_some()).await;
    assert_eq!(world.ports().len(), 1);
    assert_eq!(world.kubernetes.all("kuryrports").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_up_quota_is_told_and_the_pod_starts_when_it_is_raised() {
    let world = World::new().await;
    let _controller = world.controller().await;
    let project = world.session().project().await.unwrap().unwrap();
    world.cloud.neutron().set_quota(project.as_str(), "port", 0);
    world.pod("web");
    world.until("the pod is told", |world| world.events().contains(&"PortQuotaExceeded".into())).await;
    world.cloud.neutron().set_quota(project.as_str(), "port", 10);
    world.until("the pod is recorded", |world| world.record("web").is_some()).await;
    assert_eq!(world.events().len(), 1, "told once, not at every try: {:?}", world.events());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_neutron_delays_and_no_more() {
    let world = World::new().await;
    let _controller = world.controller().await;
    let down = Reply::new(503, json!({ "message": "out of order" }));
    world.cloud.neutron().fail_next("POST /ports", 3, down);
    world.pod("web");
    world.until("the pod is recorded", |world| world.record("web").is_some()).await;
    assert_eq!(world.ports().len(), 1);
    assert!(world.events().contains(&"NeutronUnavailable".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_neutron_does_not_know_is_told_and_leaves_no_port() {
    let world = World::new().await;
    world.kubernetes.create("/api/v1/nodes", json!({ "metadata": { "name": "node9" } }));
    let _controller = world.controller().await;
    let object = json!({
        "metadata": { "name": "web" }, "spec": { "nodeName": "node9" }, "status": { "phase": "Pending" },
    });
    world.kubernetes.create(PODS, object);
    world.until("the pod is told", |world| world.events().contains(&"PortBindingFailed".into())).await;
    world.cloud.neutron().add_host("node9");
    world.until("the pod is recorded", |world| world.record("web").is_some()).await;
    assert_eq!(world.ports().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_a_user_deletes_comes_back_with_the_same_port() {
    let world = World::new().await;
    let _controller = world.controller().await;
    world.pod("web");
    world.until("the pod is recorded", |world| world.record("web").is_some()).await;
    world.set_phase("web", "Running");
    let before = world.record("web").unwrap();
    world.kubernetes.delete(&format!("{RECORDS}/web"));
    let renewed = |world: &World| {
        world.record("web").is_some_and(|record| record["metadata"]["uid"] != before["metadata"]["uid"])
    };
    world.until("the record is renewed", renewed).await;
    assert_eq!(port_of(&world.record("web").unwrap()), port_of(&before));
    assert_eq!(world.ports().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_in_a_record_is_replaced_and_harms_nobody_else() {
    let world = World::new().await;
    let _controller = world.controller().await;
    let nonsense = json!({
        "metadata": { "name": "web" }, "spec": { "podUid": "x" }, "status": { "vifs": { "eth0": 7 } },
    });
    world.kubernetes.create(RECORDS, nonsense);
    world.kubernetes.create(RECORDS, json!({ "metadata": { "name": "nobody" } }));
    world.pod("web");
    world.pod("other");
    let good = |world: &World| {
        let good = |name| world.record(name).is_some_and(|record| record["spec"]["podNodeName"] == "node1");
        good("web") && good("other") && world.record("nobody").is_none()
    };
    world.until("all is as it should be", good).await;
    assert_eq!(world.ports().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vanished_port_of_a_running_pod_is_told() {
    let world = World::new().await;
    let controller = world.controller().await;
    world.pod("web");
    world.until("the pod is recorded", |world| world.record("web").is_some()).await;
    world.set_phase("web", "Running");
    let id = port_of(&world.record("web").unwrap()).into();
    controller.context.neutron.delete_port(&id).await.unwrap();
    relist::once(&controller.context, |error| panic!("{error}")).await;
    controller.context.look_at_all();
    world.until("the pod is told", |world| world.events().contains(&"PortVanished".into())).await;
    assert!(world.record("web").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_goes_takes_its_pods_with_it() {
    let world = World::new().await;
    let _controller = world.controller().await;
    world.pod("web");
    world.until("the pod is recorded", |world| world.record("web").is_some()).await;
    let going =
        json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["kubernetes"] } });
    world.kubernetes.patch("/api/v1/namespaces/default", &going);
    world.kubernetes.delete(&format!("{PODS}/web"));
    world.until("nothing is left", |world| world.ports().is_empty() && world.record("web").is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_the_server_forgot_is_listed_again() {
    let world = World::new().await;
    let _controller = world.controller().await;
    world.pod("before");
    world.until("the pod is recorded", |world| world.record("before").is_some()).await;
    world.kubernetes.compact();
    world.pod("after");
    world.until("the pod is recorded", |world| world.record("after").is_some()).await;
}
