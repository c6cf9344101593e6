//! What is taken out of a cloud and a cluster in memory, and what is left.

use std::{collections::BTreeSet, net::IpAddr};

use kuryr_api::names::DEVICE_OWNER;
use kuryr_api::{PortId, ServerId};
use kuryr_openstack::{
    Nova,
    neutron::{
        AddressPair, NewAddressGroup, NewFloatingIp, NewPort, NewSecurityGroup, PortUpdate,
        SecurityGroupFilter,
    },
    octavia::{LoadBalancer, NewLoadBalancer},
};
use kuryr_testkit::{FakeCloud, FakeKubernetes, octavia::Kind};
use serde_json::json;

use super::{
    balancers,
    cloud::{Cloud, own_tag},
    groups, ports,
    step::Step,
};
use crate::connect::fake::session;

struct World {
    kubernetes: FakeKubernetes,
    fake: FakeCloud,
    cloud: Cloud,
    own_tag: String,
}

impl World {
    async fn new() -> Self {
        let kubernetes = FakeKubernetes::default();
        kubernetes.create("/api/v1/namespaces", json!({ "metadata": { "name": "kube-system" } }));
        let fake = FakeCloud::start().await.unwrap();
        let cloud = Cloud::new(session(&fake));
        let own_tag = own_tag(&kubernetes.client()).await.unwrap();
        Self { kubernetes, fake, cloud, own_tag }
    }

    async fn balancer(&self, name: &str, vip: [u8; 4], tags: &[&str]) -> LoadBalancer {
        let new = NewLoadBalancer {
            name: name.to_owned(),
            vip_address: Some(IpAddr::from(vip)),
            vip_subnet_id: Some(self.fake.neutron().id_of("k8s-service-subnet").unwrap().as_str().into()),
            tags: tags.iter().map(ToString::to_string).collect(),
            ..NewLoadBalancer::default()
        };
        self.cloud.octavia.create_load_balancer(&new).await.unwrap()
    }

    async fn floating_ip(&self, description: &str, tags: &[&str]) {
        let network = self.fake.neutron().id_of("public").unwrap();
        let new = NewFloatingIp {
            description: description.to_owned(),
            tags: tags.iter().map(ToString::to_string).collect(),
            ..NewFloatingIp::of(network.as_str().into())
        };
        self.cloud.neutron.create_floating_ip(&new).await.unwrap();
    }

    /// A record as the Python Kuryr writes it.
    fn record(&self, name: &str, balancer: &LoadBalancer) {
        self.kubernetes.create(
            "/apis/openstack.org/v1/namespaces/default/kuryrloadbalancers",
            json!({
                "metadata": { "name": name },
                "spec": {},
                "status": { "loadbalancer": {
                    "id": balancer.id, "ip": balancer.vip_address, "name": balancer.name, "port_id": "", "project_id": "p",
                    "provider": "ovn", "security_groups": [], "subnet_id": "",
                } },
            }),
        );
    }

    /// A port of a virtual machine, tagged as those of pods are. Returns its id.
    async fn interface(&self, server: &ServerId, tag: &str) -> PortId {
        let network = self.fake.neutron().id_of("k8s-pod-net").unwrap();
        let new = NewPort { tags: vec![tag.to_owned()], ..NewPort::on(network.as_str().into()) };
        let port = self.cloud.neutron.create_port(&new).await.unwrap().id;
        let nova = Nova::new(self.cloud.neutron.session().clone());
        nova.attach_interface(server, &port).await.unwrap();
        port
    }

    async fn steps(&self) -> Vec<Step> {
        balancers::ours(&self.kubernetes.client(), &self.cloud, &self.own_tag).await.unwrap()
    }
}

fn names(all: &[serde_json::Value], field: &str) -> Vec<String> {
    all.iter().map(|one| one[field].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn load_balancers_and_floating_ips_go_unless_they_are_anothers_or_to_be_kept() {
    let world = World::new().await;
    let own = world.own_tag.as_str();
    world.balancer("default/web", [10, 96, 0, 7], &[own]).await;
    let old = world.balancer("default/old", [10, 96, 0, 8], &[]).await;
    world.record("old", &old);
    let users = world.balancer("users", [10, 96, 0, 9], &[]).await;
    world.record("mistaken", &users);
    world.balancer("default/web", [10, 96, 0, 10], &["kuryr-cluster=another"]).await;
    let purpose = |service: &str| format!("Kuryr: Service default/{service} ({own})");
    world.floating_ip(&purpose("web"), &[own]).await;
    world.floating_ip(&purpose("untagged"), &[]).await;
    world.floating_ip(&purpose("kept"), &[own]).await;
    world.floating_ip("a user's", &[]).await;
    world.kubernetes.create(
        "/api/v1/namespaces/default/services",
        json!({
            "metadata": { "name": "kept", "annotations": { "loadbalancer.openstack.org/keep-floatingip": "true" } },
            "spec": { "clusterIP": "10.96.0.7" },
        }),
    );

    let steps = world.steps().await;
    let told: Vec<_> = steps.iter().map(ToString::to_string).collect();
    assert_eq!(told.iter().filter(|text| text.starts_with("delete the floating IP ")).count(), 2, "{told:?}");
    assert!(told.iter().any(|text| text.ends_with("(default/old)")), "{told:?}");
    assert_eq!(told.last().unwrap(), "wait until Octavia has deleted 2 load balancers");
    for step in &steps {
        step.take(&world.kubernetes.client(), Some(&world.cloud)).await.unwrap();
        // What is done can be done again.
        step.take(&world.kubernetes.client(), Some(&world.cloud)).await.unwrap();
    }
    let left = world.fake.octavia().all(Kind::LoadBalancer);
    let mut vips = names(&left, "vip_address");
    vips.sort();
    assert_eq!(vips, ["10.96.0.10", "10.96.0.9"]);
    let mut left = names(&world.fake.neutron().floating_ips(), "description");
    left.sort();
    assert_eq!(left, [purpose("kept"), "a user's".to_owned()]);
    assert!(world.steps().await.is_empty(), "a second call finds nothing to do");
}

#[tokio::test]
async fn what_is_kept_is_not_touched() {
    let step = Step::DeleteBalancer("id".into(), "default/web".to_owned());
    let refused = step.take(&FakeKubernetes::default().client(), None).await;
    assert_eq!(refused, Err("what is in OpenStack is kept".to_owned()));
}

#[tokio::test]
async fn groups_of_policies_are_found_by_their_descriptions_and_records() {
    let world = World::new().await;
    let neutron = &world.cloud.neutron;
    let made = async |name: &str, description: &str| {
        let new = NewSecurityGroup {
            name: name.into(),
            description: description.into(),
            ..NewSecurityGroup::default()
        };
        neutron.create_security_group(&new).await.unwrap().id
    };
    made("np/x/web", &world.own_tag).await;
    made("np/x/web", "kuryr-cluster=another").await;
    let old = made("sg/x-old", "Kuryr-Kubernetes Network Policy x/old SG").await;
    let users = made("a user's", "").await;
    for (name, group) in [("old", &old), ("wrong", &users)] {
        world.kubernetes.create(
            "/apis/openstack.org/v1/namespaces/x/kuryrnetworkpolicies",
            json!({
                "metadata": { "name": name },
                "spec": { "ingressSgRules": [], "egressSgRules": [], "podSelector": {}, "policyTypes": [] },
                "status": { "securityGroupId": group, "securityGroupRules": [] },
            }),
        );
    }
    let new = NewAddressGroup {
        name: "nodes".into(),
        description: world.own_tag.clone(),
        ..NewAddressGroup::default()
    };
    neutron.create_address_group(&new).await.unwrap();
    let steps = groups::ours(&world.kubernetes.client(), neutron, &world.own_tag).await.unwrap();
    for step in &steps {
        step.take(&world.kubernetes.client(), Some(&world.cloud)).await.unwrap();
    }
    assert_eq!(steps.len(), 3, "{steps:?}");
    let left = neutron.security_groups(&SecurityGroupFilter::default()).await.unwrap();
    let left: Vec<_> = left.iter().map(|group| group.name.as_str()).collect();
    assert!(
        !left.contains(&"sg/x-old") && left.contains(&"a user's") && left.contains(&"np/x/web"),
        "{left:?}"
    );
    assert!(world.fake.neutron().address_groups().is_empty());
}

#[tokio::test]
async fn an_interface_leaves_its_server_before_its_port_is_deleted() {
    let world = World::new().await;
    let neutron = &world.cloud.neutron;
    let network = world.fake.neutron().id_of("k8s-pod-net").unwrap();
    let machine = neutron.create_port(&NewPort::on(network.as_str().into())).await.unwrap().id;
    let server = ServerId::from(world.fake.nova().boot("compute1", machine.as_str()));
    let others = world.interface(&server, "kuryr-cluster=another").await;
    let pod = world.interface(&server, &world.own_tag).await;
    let interfaces = || {
        let all = world.fake.nova().interfaces(server.as_str());
        all.into_iter().map(PortId::from).collect::<BTreeSet<_>>()
    };

    let client = world.kubernetes.client();
    let steps = ports::ours(&client, neutron, &world.own_tag).await.unwrap();
    let told: Vec<_> = steps.iter().map(ToString::to_string).collect();
    assert_eq!(told, [format!("detach the Neutron port {pod} from the server {server}, and delete it")]);
    world.fake.nova().lose_answers(u32::MAX);
    assert!(steps[0].take(&client, Some(&world.cloud)).await.is_err());
    assert!(neutron.port(&pod).await.is_ok(), "Nova has not said that the server gives it back");
    world.fake.nova().lose_answers(0);
    for step in steps.iter().chain(&steps) {
        step.take(&client, Some(&world.cloud)).await.unwrap();
    }
    assert_eq!(interfaces(), BTreeSet::from([machine.clone(), others.clone()]));
    assert!(neutron.port(&pod).await.is_err());
    assert!(neutron.port(&machine).await.is_ok() && neutron.port(&others).await.is_ok());
}

#[tokio::test]
async fn a_machines_port_keeps_what_others_allow_it() {
    let world = World::new().await;
    let neutron = &world.cloud.neutron;
    let network = world.fake.neutron().id_of("k8s-pod-net").unwrap();
    let machine = neutron.create_port(&NewPort::on(network.as_str().into())).await.unwrap();
    let new = NewPort {
        device_owner: DEVICE_OWNER.into(),
        tags: vec![world.own_tag.clone()],
        ..NewPort::on(network.as_str().into())
    };
    let pod = neutron.create_port(&new).await.unwrap();
    let pair = |address: &str| AddressPair { ip_address: address.to_owned(), mac_address: None };
    let ours = pod.fixed_ips.iter().map(|ip| pair(&ip.ip_address.to_string()));
    let pairs = ours.chain([pair("10.1.200.200")]).collect();
    let update = PortUpdate { allowed_address_pairs: Some(pairs), ..PortUpdate::default() };
    neutron.update_port(&machine.id, &update).await.unwrap();

    let steps = ports::ours(&world.kubernetes.client(), neutron, &world.own_tag).await.unwrap();
    let told: Vec<_> = steps.iter().map(ToString::to_string).collect();
    let unpairing = format!("take 2 allowed address pairs off the Neutron port {}", machine.id);
    assert_eq!(told, [unpairing, format!("delete the Neutron port {}", pod.id)]);
    for step in steps.iter().chain(&steps) {
        step.take(&world.kubernetes.client(), Some(&world.cloud)).await.unwrap();
    }
    let left = neutron.port(&machine.id).await.unwrap().allowed_address_pairs;
    assert_eq!(left.iter().map(|pair| pair.ip_address.as_str()).collect::<Vec<_>>(), ["10.1.200.200"]);
}
