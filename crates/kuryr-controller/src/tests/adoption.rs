//! What the Python Kuryr left is taken over.

use super::services::{RECORDS, SLICES, Witness};
use super::*;
use kuryr_openstack::octavia::{
    ListenerUpdate, NewListener, NewLoadBalancer, NewMember, NewPool, PoolUpdate, Status,
};

/// What the Python Kuryr left: a load balancer without our tag, and its record.
async fn of_the_python_kuryr(world: &World, octavia: &Witness) {
    let ready = async |id: &kuryr_api::LoadBalancerId| {
        for _ in 0..500 {
            if octavia.0.load_balancer(id).await.unwrap().provisioning_status == Status::Active {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{id} is never done");
    };
    let name = "default/web:TCP:80".to_owned();
    let balancer = NewLoadBalancer {
        name: "default/web".to_owned(),
        vip_address: Some("10.96.0.7".parse().unwrap()),
        vip_subnet_id: Some(world.id_of("k8s-service-subnet").as_str().into()),
        provider: Some("ovn".to_owned()),
        tags: vec!["old".to_owned()],
        ..NewLoadBalancer::default()
    };
    let balancer = octavia.0.create_load_balancer(&balancer).await.unwrap();
    ready(&balancer.id).await;
    let listener = NewListener {
        name: name.clone(),
        loadbalancer_id: balancer.id.clone(),
        protocol: "TCP".to_owned(),
        protocol_port: 80,
        settings: ListenerUpdate::default(),
        tags: Vec::new(),
    };
    let listener = octavia.0.create_listener(&listener).await.unwrap();
    ready(&balancer.id).await;
    let settings = PoolUpdate { lb_algorithm: "SOURCE_IP_PORT".to_owned(), session_persistence: None };
    let pool =
        NewPool { name, listener_id: listener.id, protocol: "TCP".to_owned(), settings, tags: Vec::new() };
    let pool = octavia.0.create_pool(&pool).await.unwrap();
    ready(&balancer.id).await;
    let member = NewMember {
        name: "default/web-1:8080".to_owned(),
        address: "10.1.0.5".parse().unwrap(),
        protocol_port: 8080,
        subnet_id: balancer.vip_subnet_id.clone(),
    };
    octavia.0.set_members(&pool.id, &[member]).await.unwrap();
    ready(&balancer.id).await;
    world.service("web", "10.96.0.7");
    world.kubernetes.create(
        RECORDS,
        json!({
            "metadata": { "name": "web", "finalizers": ["kuryr.openstack.org/kuryrloadbalancer-finalizers"] },
            "spec": { "ip": "10.96.0.7", "ports": [], "type": "ClusterIP" },
            "status": { "loadbalancer": {
                "id": balancer.id, "ip": "10.96.0.7", "name": "default/web", "port_id": "p", "project_id": "q",
                "provider": "ovn", "security_groups": [], "subnet_id": "s",
            } },
        }),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_python_kuryr_made_is_adopted_with_a_tag_and_no_other_write() {
    let world = World::new().await;
    let octavia = Witness::new(&world);
    world.kubernetes.create(SLICES, World::slice("web", &["10.1.0.5"]));
    of_the_python_kuryr(&world, &octavia).await;
    let writes = |world: &World| {
        let mut counts = world.cloud.octavia().counts().all();
        counts.retain(|request, _| !request.starts_with("GET"));
        counts
    };
    let mut expected = writes(&world);
    let controller = world.controller().await;
    world.until("the load balancer is recorded", |world| world.is_recorded("web")).await;
    let balancer = octavia.until(&["TCP:80 -> 10.1.0.5:8080"]).await;
    assert_eq!(balancer.tags, ["old".to_owned(), controller.context.own_tag.clone()]);
    *expected.entry("PUT /loadbalancers/{id}".to_owned()).or_default() += 1;
    assert_eq!(writes(&world), expected);
}
