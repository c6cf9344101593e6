//! Services come, change, and go.

use super::*;
use kuryr_openstack::octavia::{LoadBalancer, LoadBalancerFilter, Octavia, Of};
use std::collections::BTreeSet;

const SERVICES: &str = "/api/v1/namespaces/default/services";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
const RECORDS: &str = "/apis/openstack.org/v1/namespaces/default/kuryrloadbalancers";
const FINALIZER: &str = "kuryr.openstack.org/service-finalizer";

/// What Octavia has, asked behind the controller's back.
struct Witness(Octavia);

impl Witness {
    fn new(world: &World) -> Self {
        Self(Octavia::new(world.session()))
    }

    async fn balancers(&self) -> Vec<LoadBalancer> {
        self.0.load_balancers(&LoadBalancerFilter::default()).await.unwrap()
    }

    /// `front -> members` of a load balancer.
    async fn shape(&self, balancer: &LoadBalancer) -> BTreeSet<String> {
        let mut shape = BTreeSet::new();
        for listener in self.0.listeners(Of::Balancer(&balancer.id)).await.unwrap() {
            let mut members = Vec::new();
            if let Some(pool) = &listener.default_pool_id {
                members = self.0.members(pool).await.unwrap();
            }
            let members: BTreeSet<_> =
                members.iter().map(|one| format!("{}:{}", one.address, one.protocol_port)).collect();
            let members = members.into_iter().collect::<Vec<_>>().join(",");
            shape.insert(format!("{}:{} -> {members}", listener.protocol, listener.protocol_port));
        }
        shape
    }

    /// Waits until there is one load balancer, of this shape.
    async fn until(&self, shape: &[&str]) -> LoadBalancer {
        let wanted: BTreeSet<_> = shape.iter().map(ToString::to_string).collect();
        let mut seen = String::new();
        for _ in 0..1000 {
            if let [balancer] = &self.balancers().await[..] {
                let is = self.shape(balancer).await;
                if is == wanted {
                    return balancer.clone();
                }
                seen = format!("{balancer:?}: {is:?}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("never: {wanted:?}; last: {seen}");
    }

    async fn until_none(&self) {
        for _ in 0..1000 {
            if self.balancers().await.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("left: {:?}", self.balancers().await);
    }
}

impl World {
    fn service(&self, name: &str, address: &str) {
        self.kubernetes.create(
            SERVICES,
            json!({
                "metadata": { "name": name },
                "spec": {
                    "type": "ClusterIP", "clusterIP": address, "clusterIPs": [address],
                    "ports": [{ "name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080 }],
                },
            }),
        );
    }

    fn slice(&self, service: &str, addresses: &[&str]) -> Value {
        json!({
            "metadata": { "name": format!("{service}-x"), "labels": { "kubernetes.io/service-name": service } },
            "addressType": "IPv4",
            "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }],
            "endpoints": addresses.iter().map(|one| json!({ "addresses": [one] })).collect::<Vec<_>>(),
        })
    }

    fn balancer_record(&self, name: &str) -> Option<Value> {
        self.kubernetes.get(&format!("{RECORDS}/{name}"))
    }

    fn is_recorded(&self, name: &str) -> bool {
        self.balancer_record(name).is_some_and(|record| record["status"]["pools"][0]["id"].is_string())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_gets_a_load_balancer_that_follows_its_endpoints_and_goes_with_it() {
    let world = World::new().await;
    let controller = world.controller().await;
    let octavia = Witness::new(&world);
    world.kubernetes.create(SLICES, world.slice("web", &["10.1.0.5", "10.1.0.6"]));
    world.service("web", "10.96.0.7");
    let balancer = octavia.until(&["TCP:80 -> 10.1.0.5:8080,10.1.0.6:8080"]).await;
    assert_eq!(
        (balancer.name.as_str(), balancer.vip_address.to_string().as_str()),
        ("default/web", "10.96.0.7")
    );
    assert!(balancer.tags.contains(&controller.context.own_tag), "{balancer:?}");
    world.until("the load balancer is recorded", |world| world.is_recorded("web")).await;
    let service = world.kubernetes.get(&format!("{SERVICES}/web")).unwrap();
    assert_eq!(service["metadata"]["finalizers"], json!([FINALIZER]));
    let record = world.balancer_record("web").unwrap();
    assert_eq!(record["status"]["loadbalancer"]["id"], balancer.id.as_str());
    assert_eq!(record["metadata"]["ownerReferences"][0]["uid"], service["metadata"]["uid"]);

    let endpoints = world.slice("web", &["10.1.0.6", "10.1.0.7"]);
    world.kubernetes.patch(&format!("{SLICES}/web-x"), &endpoints);
    octavia.until(&["TCP:80 -> 10.1.0.6:8080,10.1.0.7:8080"]).await;

    world.kubernetes.delete(&format!("{SERVICES}/web"));
    octavia.until_none().await;
    let is_gone = |world: &World| {
        world.balancer_record("web").is_none() && world.kubernetes.get(&format!("{SERVICES}/web")).is_none()
    };
    world.until("record and Service are gone", is_gone).await;
    let counts = world.kubernetes.counts();
    assert_eq!((counts.of("POST kuryrloadbalancers"), counts.of("PATCH services")), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_others_delete_comes_back_with_the_next_change() {
    let world = World::new().await;
    let _controller = world.controller().await;
    let octavia = Witness::new(&world);
    world.kubernetes.create(SLICES, world.slice("web", &["10.1.0.5"]));
    world.service("web", "10.96.0.7");
    let balancer = octavia.until(&["TCP:80 -> 10.1.0.5:8080"]).await;
    world.until("the load balancer is recorded", |world| world.is_recorded("web")).await;
    let listener = octavia.0.listeners(Of::Balancer(&balancer.id)).await.unwrap().remove(0);
    octavia.0.delete_listener(&listener.id).await.unwrap();
    octavia.until(&[]).await;
    world.kubernetes.patch(&format!("{SLICES}/web-x"), &world.slice("web", &["10.1.0.6"]));
    octavia.until(&["TCP:80 -> 10.1.0.6:8080"]).await;
}
