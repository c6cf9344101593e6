//! Services come, change, and go.

use super::*;
use kuryr_openstack::octavia::{LoadBalancer, LoadBalancerFilter, Octavia, Of};
use kuryr_testkit::octavia::Kind;
use std::cell::Cell;
use std::collections::BTreeSet;

pub(super) const SERVICES: &str = "/api/v1/namespaces/default/services";
pub(super) const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
pub(super) const RECORDS: &str = "/apis/openstack.org/v1/namespaces/default/kuryrloadbalancers";
const FINALIZER: &str = "kuryr.openstack.org/service-finalizer";

/// What Octavia has, asked behind the controller's back.
pub(super) struct Witness(pub Octavia);

impl Witness {
    pub fn new(world: &World) -> Self {
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
    pub async fn until(&self, shape: &[&str]) -> LoadBalancer {
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
    pub(super) fn service(&self, name: &str, address: &str) {
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

    /// A Service of type LoadBalancer with one endpoint.
    pub(super) fn exposed(&self, name: &str, address: &str) {
        self.kubernetes.create(SLICES, Self::slice(name, &["10.1.0.5"]));
        self.service(name, address);
        self.spec(name, &json!({ "type": "LoadBalancer" }));
    }

    pub(super) fn slice(service: &str, addresses: &[&str]) -> Value {
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

    pub(super) fn is_recorded(&self, name: &str) -> bool {
        self.balancer_record(name).is_some_and(|record| record["status"]["pools"][0]["id"].is_string())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_gets_a_load_balancer_that_follows_its_endpoints_and_goes_with_it() {
    let world = World::new().await;
    let controller = world.controller().await;
    let octavia = Witness::new(&world);
    world.kubernetes.create(SLICES, World::slice("web", &["10.1.0.5", "10.1.0.6"]));
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

    let endpoints = World::slice("web", &["10.1.0.6", "10.1.0.7"]);
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

impl World {
    fn spec(&self, service: &str, spec: &Value) {
        self.kubernetes.patch(&format!("{SERVICES}/{service}"), &json!({ "spec": spec }));
    }

    fn ingress(&self, service: &str) -> Value {
        self.kubernetes.get(&format!("{SERVICES}/{service}")).unwrap()["status"]["loadBalancer"]["ingress"]
            .clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_of_type_loadbalancer_has_an_address_outside_until_it_is_none_any_more() {
    let world = World::new().await;
    let controller = world.controller().await;
    world.service("web", "10.96.0.7");
    world.spec("web", &json!({ "type": "LoadBalancer" }));
    world.until("it has an address", |world| world.ingress("web")[0]["ip"].is_string()).await;
    let made = world.cloud.neutron().floating_ips();
    assert_eq!(made.len(), 1);
    assert_eq!(world.ingress("web"), json!([{ "ip": made[0]["floating_ip_address"], "ipMode": "VIP" }]));
    assert!(made[0]["tags"].as_array().unwrap().iter().any(|tag| *tag == controller.context.own_tag));
    let info = |world: &World| world.balancer_record("web").unwrap()["status"]["service_pub_ip_info"].clone();
    world.until("it is recorded", |world| info(world)["alloc_method"] == "pool").await;

    world.spec("web", &json!({ "type": "ClusterIP" }));
    world.until("it is given back", |world| world.cloud.neutron().floating_ips().is_empty()).await;
    world.until("nobody is told of it", |world| world.ingress("web").is_null()).await;
    world.until("it is recorded", |world| info(world).is_null()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_steady_state_asks_and_writes_nothing() {
    let world = World::new().await;
    let controller = world.controller().await;
    world.kubernetes.create(SLICES, World::slice("web", &["10.1.0.5"]));
    world.service("web", "10.96.0.7");
    world.spec("web", &json!({ "type": "LoadBalancer", "sessionAffinity": "ClientIP" }));
    let info =
        |world: &World| world.balancer_record("web").map(|it| it["status"]["service_pub_ip_info"].clone());
    world.until("it is all there", |world| info(world).is_some_and(|info| info["ip_id"].is_string())).await;
    world.until("the queue rests", |_| controller.rests()).await;
    let counts = |world: &World| {
        let cloud = &world.cloud;
        (world.kubernetes.counts().all(), cloud.neutron().counts().all(), cloud.octavia().counts().all())
    };
    let before = counts(&world);
    controller.context.services.as_ref().unwrap().look_at_all(&controller.context);
    world.until("the queue rests", |_| controller.rests()).await;
    assert_eq!(counts(&world), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_break_is_mended_at_the_next_look() {
    let world = World::new().await;
    world.kubernetes.create(SLICES, World::slice("web", &["10.1.0.5"]));
    world.service("web", "10.96.0.7");
    let octavia = Witness::new(&world);
    let shape = ["TCP:80 -> 10.1.0.5:8080"];
    let controller = world.controller().await;
    let balancer = octavia.until(&shape).await;
    world.until("the load balancer is recorded", |world| world.is_recorded("web")).await;
    drop(controller);
    octavia.0.delete_load_balancer(&balancer.id).await.unwrap();
    octavia.until_none().await;
    let _controller = world.controller().await;
    let second = octavia.until(&shape).await;
    world
        .until("the new one is recorded", |world| {
            world.balancer_record("web").unwrap()["status"]["loadbalancer"]["id"] == second.id.as_str()
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_that_is_used_up_is_told_and_the_service_is_served_once_it_is_raised() {
    let world = World::new().await;
    let octavia = Witness::new(&world);
    world.cloud.octavia().set_quota(FakeCloud::PROJECT_ID, Kind::LoadBalancer, 0);
    let _controller = world.controller().await;
    world.kubernetes.create(SLICES, World::slice("web", &["10.1.0.5"]));
    world.service("web", "10.96.0.7");
    let told = |world: &World| world.events().iter().any(|one| one == "LoadBalancerQuotaExceeded");
    world.until("it is told", told).await;
    world.cloud.octavia().set_quota(FakeCloud::PROJECT_ID, Kind::LoadBalancer, -1);
    octavia.until(&["TCP:80 -> 10.1.0.5:8080"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_amphora_is_made_as_its_annotations_say_and_failed_over_when_it_breaks() {
    let world = World::new().await;
    let octavia = Witness::new(&world);
    let controller = world.controller_of("amphora").await;
    world.exposed("web", "10.96.0.7");
    let asked = json!({
        "loadbalancer.openstack.org/flavor-id": "large",
        "loadbalancer.openstack.org/proxy-protocol": "v2",
        "loadbalancer.openstack.org/lb-method": "LEAST_CONNECTIONS",
        "loadbalancer.openstack.org/enable-health-monitor": "true",
        "openstack.org/kuryr-timeout-client-data": "7000",
    });
    world.kubernetes.patch(
        &format!("{SERVICES}/web"),
        &json!({ "metadata": { "annotations": asked }, "spec": { "loadBalancerSourceRanges": ["192.0.2.0/24"] } }),
    );
    let balancer = octavia.until(&["TCP:80 -> 10.1.0.5:8080"]).await;
    let fake = world.cloud.octavia();
    let is_as_asked = |_: &World| {
        let (pools, listeners) = (fake.all(Kind::Pool), fake.all(Kind::Listener));
        pools.len() == 1
            && (pools[0]["protocol"] == "PROXYV2" && pools[0]["lb_algorithm"] == "LEAST_CONNECTIONS")
            && fake.all(Kind::HealthMonitor).len() == 1
            && listeners[0]["timeout_client_data"] == 7000
            && listeners[0]["allowed_cidrs"] == json!(["192.0.2.0/24"])
    };
    world.until("it is as asked", is_as_asked).await;
    world.until("the queue rests", |_| controller.rests()).await;

    assert!(fake.set_status(Kind::LoadBalancer, balancer.id.as_str(), "ERROR"));
    let services = controller.context.services.as_ref().unwrap();
    services.balancers.doubt(&balancer.id);
    services.look_at_all(&controller.context);
    let is_well = |_: &World| {
        let all = fake.all(Kind::LoadBalancer);
        all.len() == 1 && all[0]["provisioning_status"] == "ACTIVE" && all[0]["id"] == balancer.id.as_str()
    };
    world.until("it is failed over, and not made anew", is_well).await;
    assert!(fake.counts().of("PUT /loadbalancers/{id}/failover") >= 1, "{:?}", fake.counts().all());
}

#[tokio::test(flavor = "multi_thread")]
async fn octavia_that_never_ends_is_told_and_gone_on_with_when_it_does() {
    let world = World::new().await;
    let octavia = Witness::new(&world);
    world.cloud.octavia().set_paused(true);
    let _controller = world.controller_with(|defaults| defaults.patience = Duration::from_millis(300)).await;
    world.exposed("web", "10.96.0.7");
    let told = |world: &World| world.events().iter().any(|one| one == "LoadBalancerStuck");
    world.until("it is told", told).await;
    world.cloud.octavia().set_paused(false);
    octavia.until(&["TCP:80 -> 10.1.0.5:8080"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_may_have_its_load_balancers_in_a_project_of_its_own() {
    let world = World::new().await;
    let annotated = json!({ "metadata": { "annotations": { "openstack.org/kuryr-project": "theirs" } } });
    world.kubernetes.patch("/api/v1/namespaces/default", &annotated);
    let _controller = world.controller_with(|defaults| defaults.projects = Projects::ByNamespace).await;
    world.kubernetes.create(SLICES, World::slice("web", &["10.1.0.5"]));
    world.service("web", "10.96.0.7");
    let balancer = Witness::new(&world).until(&["TCP:80 -> 10.1.0.5:8080"]).await;
    assert_eq!(balancer.project_id.as_str(), "theirs");
    world.until("the load balancer is recorded", |world| world.is_recorded("web")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_endpoints_are_the_members_of_one_request() {
    let world = World::new().await;
    for n in 0..50_u8 {
        let addresses: Vec<_> = (0..100_u8).map(|last| format!("10.1.{n}.{last}")).collect();
        let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
        let mut slice = World::slice("web", &addresses);
        slice["metadata"]["name"] = json!(format!("web-{n}"));
        world.kubernetes.create(SLICES, slice);
    }
    let _controller = world.controller().await;
    world.service("web", "10.96.0.7");
    let octavia = world.cloud.octavia();
    let members = |_: &World| {
        octavia.all(Kind::Pool).first().map(|pool| octavia.members(pool["id"].as_str().unwrap()).len())
    };
    world.until("they are members", |world| members(world) == Some(5000)).await;
    assert_eq!(octavia.counts().of("PUT /pools/{id}/members"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_others_delete_comes_back_with_the_next_change() {
    let world = World::new().await;
    let _controller = world.controller().await;
    let octavia = Witness::new(&world);
    world.kubernetes.create(SLICES, World::slice("web", &["10.1.0.5"]));
    world.service("web", "10.96.0.7");
    let balancer = octavia.until(&["TCP:80 -> 10.1.0.5:8080"]).await;
    world.until("the load balancer is recorded", |world| world.is_recorded("web")).await;
    let listener = octavia.0.listeners(Of::Balancer(&balancer.id)).await.unwrap().remove(0);
    octavia.0.delete_listener(&listener.id).await.unwrap();
    octavia.until(&[]).await;
    world.kubernetes.patch(&format!("{SLICES}/web-x"), &World::slice("web", &["10.1.0.6"]));
    octavia.until(&["TCP:80 -> 10.1.0.6:8080"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ovns_provider_is_given_no_more_at_a_time_than_it_bears() {
    let world = World::new().await;
    world.cloud.octavia().set_pace(Duration::from_millis(100));
    let _controller = world.controller().await;
    let names: Vec<_> = (1..=15).map(|number| format!("web-{number}")).collect();
    for (number, name) in names.iter().enumerate() {
        world.kubernetes.create(SLICES, World::slice(name, &["10.1.0.5"]));
        world.service(name, &format!("10.96.0.{}", 10 + number));
    }
    let most = Cell::new(0);
    world
        .until("all are served", |world| {
            let all = world.cloud.octavia().all(Kind::LoadBalancer);
            let at_work = all.iter().filter(|one| one["provisioning_status"] != "ACTIVE").count();
            most.set(most.get().max(at_work));
            names.iter().all(|name| world.is_recorded(name))
        })
        .await;
    assert!((3..=5).contains(&most.get()), "{} were changed at a time", most.get());
}

#[tokio::test(flavor = "multi_thread")]
async fn ovns_provider_is_done_with_a_change_before_the_next_comes() {
    let world = World::new().await;
    let _controller = world.controller().await;
    let octavia = Witness::new(&world);
    world.service("dns", "10.96.0.7");
    let endpoints = |addresses: &[&str]| {
        let mut slice = World::slice("dns", addresses);
        slice["ports"] = (80..83)
            .map(|one| json!({ "name": format!("p{one}"), "port": 8080, "protocol": "TCP" }))
            .collect();
        slice
    };
    let ports = |numbers: &[u16]| {
        let port = |number| json!({ "name": format!("p{number}"), "port": number, "protocol": "TCP" });
        json!({ "ports": numbers.iter().map(port).collect::<Vec<_>>() })
    };
    world.kubernetes.create(SLICES, endpoints(&["10.1.0.5"]));
    let slice = format!("{SLICES}/dns-x");
    for (numbers, addresses) in [
        (&[80][..], &["10.1.0.5", "10.1.0.6"][..]),
        (&[80, 81], &["10.1.0.5", "10.1.0.6", "10.1.0.7"]),
        (&[80, 81, 82], &["10.1.0.6", "10.1.0.8"]),
        (&[81, 82], &["10.1.0.6", "10.1.0.8", "10.1.0.9"]),
    ] {
        world.kubernetes.patch(&slice, &endpoints(addresses));
        world.spec("dns", &ports(numbers));
        let members = addresses.iter().map(|one| format!("{one}:8080")).collect::<Vec<_>>().join(",");
        let shape: Vec<_> = numbers.iter().map(|number| format!("TCP:{number} -> {members}")).collect();
        octavia.until(&shape.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    assert_eq!(world.cloud.octavia().overtaken(), 0, "calls beside others");
}
