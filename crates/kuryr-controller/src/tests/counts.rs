//! What is counted of Services while a controller works.

use super::*;
use kuryr_testkit::octavia::Kind as Object;

const SERVICES: &str = "/api/v1/namespaces/default/services";

/// What Prometheus reads.
fn shown(controller: &Controller) -> String {
    let context = &controller.context;
    context.metrics.services.forget();
    context.metrics.services.refresh(context.services.as_ref().unwrap(), &context.own_tag);
    let (registry, mut text) = (context.metrics.registry(), String::new());
    prometheus_client::encoding::text::encode(&mut text, &registry.lock()).unwrap();
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_counted_from_its_making_until_it_is_complete() {
    let world = World::new().await;
    world.cloud.octavia().set_quota(FakeCloud::PROJECT_ID, Object::LoadBalancer, 5);
    let controller = world.controller().await;
    let quota = r#"kuryr_quota_free_count{resource="load_balancers"} 5"#;
    world.until("Octavia was read", |_| shown(&controller).contains(quota)).await;
    world.cloud.octavia().set_paused(true);
    world.kubernetes.create(
        SERVICES,
        json!({
            "metadata": { "name": "web", "creationTimestamp": jiff::Timestamp::now() },
            "spec": {
                "type": "LoadBalancer", "clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"],
                "ports": [{ "port": 80, "protocol": "TCP", "targetPort": 8080 }],
            },
        }),
    );
    world.until("it is waited for", |_| shown(&controller).contains("load_balancers_waiting 1")).await;
    let text = shown(&controller);
    let wait = text
        .lines()
        .find_map(|line| line.strip_prefix("kuryr_controller_load_balancers_longest_wait_seconds "));
    assert!(wait.is_some_and(|seconds| seconds.parse::<f64>().unwrap() > 0.0), "{text}");
    assert!(text.contains("kuryr_controller_load_balancer_creation_seconds_count 0"), "{text}");

    world.cloud.octavia().set_paused(false);
    let complete = "kuryr_controller_load_balancer_creation_seconds_count 1";
    world.until("it is complete", |_| shown(&controller).contains(complete)).await;
    let text = shown(&controller);
    for line in [
        r#"kuryr_controller_load_balancers{state="active"} 1"#,
        "kuryr_controller_load_balancers_waiting 0",
        "kuryr_controller_floating_ips 1",
    ] {
        assert!(text.lines().any(|one| one == line), "{line} is not in {text}");
    }
}
