//! What is told of network policies is what a controller has made of them, and what somebody has changed since.

use super::*;
use crate::explain::policies::{Said, Seen, look_by};
use kuryr_core::policy::audit::Drift;
use kuryr_core::policy::key::GroupKey;
use kuryr_core::policy::model::Name;
use kuryr_openstack::Neutron;
use kuryr_openstack::neutron::{AddressGroupFilter, PortUpdate};

const POLICIES: &str = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies";

/// Two pods, and a policy that lets the one reach the other, enforced.
async fn enforced() -> (World, Controller) {
    let mut world = World::new().await;
    world.policies = Some(PolicyDefaults { project: None });
    let controller = world.controller().await;
    for name in ["web", "client"] {
        let labels = json!({ "app": name });
        let pod = json!({ "metadata": { "name": name, "labels": labels }, "spec": { "nodeName": "node1" } });
        world.kubernetes.create(PODS, pod);
    }
    let from = json!([{ "podSelector": { "matchLabels": { "app": "client" } } }]);
    let policy = json!({
        "metadata": { "name": "web" },
        "spec": {
            "podSelector": { "matchLabels": { "app": "web" } }, "policyTypes": ["Ingress"],
            "ingress": [{ "from": from, "ports": [{ "port": 80, "protocol": "TCP" }] }],
        },
    });
    world.kubernetes.create(POLICIES, policy);
    world
        .until("both are recorded", |world| world.record("web").is_some() && world.record("client").is_some())
        .await;
    world.until("all is done", |_| controller.rests()).await;
    (world, controller)
}

fn said(context: &Context) -> Said {
    let caches = &context.caches;
    Said {
        namespaces: caches.namespaces.all(),
        pods: caches.pods.all(),
        records: caches.records.all(),
        nodes: caches.nodes.all(),
        services: caches.services.all(),
        slices: Vec::new(),
        balancers: caches.balancers.all(),
        policies: caches.policies.all(),
        policy_records: caches.policy_records.all(),
    }
}

async fn seen(world: &World, controller: &Controller) -> Seen {
    let (neutron, context) = (Neutron::new(world.session()), &controller.context);
    look_by(neutron, &world.defaults(), None, true, &context.own_tag, &said(context)).await.unwrap()
}

/// A look when nothing is being changed any more.
async fn settled(world: &World, controller: &Controller) -> Seen {
    for _ in 0..300 {
        let seen = seen(world, controller).await;
        if seen.drift().is_empty() {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("there is always a difference: {:?}", seen(world, controller).await.drift());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_controller_has_made_is_what_is_wanted() {
    let (world, controller) = enforced().await;
    let seen = settled(&world, &controller).await;
    let web = Name::new("default", "web");
    let keys = [GroupKey::OpenEgress, GroupKey::Isolated, GroupKey::Policy(web.clone())];
    assert_eq!(seen.index.groups_of(&web), Some(keys.into()));
    assert_eq!((seen.groups.len(), seen.ports.len()), (4, 2));
    let client = &seen.ports[&Name::new("default", "client")][0];
    let default = seen.holdings.groups.get(client.security_groups.first().unwrap());
    assert_eq!(default.map(|group| group.name.as_str()), Some("k8s-pods"));

    let by_records = said(&controller.context).index();
    assert_eq!(by_records.pod(&web), seen.index.pod(&web));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_changed_is_told() {
    let (world, controller) = enforced().await;
    let seen = settled(&world, &controller).await;
    let neutron = Neutron::new(world.session());
    let web = Name::new("default", "web");
    let port = &seen.ports[&web][0];
    let update = PortUpdate { security_groups: Some(Vec::new()), ..PortUpdate::default() };
    neutron.update_port(&port.id, &update).await.unwrap();
    let groups = neutron.address_groups(&AddressGroupFilter::default()).await.unwrap();
    let clients = groups.iter().find(|group| group.name.starts_with("pods")).unwrap();
    neutron.add_addresses(&clients.id, &["192.0.2.7/32".parse().unwrap()]).await.unwrap();
    let rules = &seen.groups.iter().find(|held| held.key == GroupKey::Policy(web.clone())).unwrap().rules;
    neutron.delete_security_group_rule(&rules[0].id).await.unwrap();

    let drift = super::explain::seen(&world, &controller).await.drift();
    let told = |what: fn(&Drift) -> bool| drift.iter().filter(|one| what(one)).count();
    assert_eq!(
        told(|one| matches!(one, Drift::Port(_, _, carried) if carried.lacks.len() == 3)),
        1,
        "{drift:?}"
    );
    assert_eq!(
        told(|one| matches!(one, Drift::StrangeAddresses(_, some) if some.len() == 1)),
        1,
        "{drift:?}"
    );
    assert_eq!(told(|one| matches!(one, Drift::NoRule(..))), 1, "{drift:?}");
    assert_eq!(drift.len(), 3, "{drift:?}");
}
