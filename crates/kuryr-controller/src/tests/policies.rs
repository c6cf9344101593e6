//! Network policies against a Neutron in memory: which groups ports carry, what these hold, and what a change costs.

use super::*;
use crate::policies;
use ipnet::IpNet;
use kuryr_openstack::neutron::PortUpdate;
use kuryr_testkit::Reply;
use kuryr_testkit::neutron::Rights;
use std::collections::{BTreeMap, BTreeSet};

const POLICIES: &str = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies";
const POLICY_RECORDS: &str = "/apis/openstack.org/v1/namespaces/default/kuryrnetworkpolicies";
const NAMESPACES: &str = "/api/v1/namespaces";
/// Groups of every cluster whose policies are enforced.
const SHARED: usize = 3;

impl World {
    pub(super) async fn enforcing() -> Self {
        Self { policies: Some(PolicyDefaults { project: None }), ..Self::new().await }
    }

    fn labelled(&self, name: &str, labels: &Value) -> Value {
        let meta = json!({ "name": name, "labels": labels });
        let spec = json!({ "nodeName": "node1", "containers": [{ "ports": [{ "name": "web", "containerPort": 80 }] }] });
        self.kubernetes
            .create(PODS, json!({ "metadata": meta, "spec": spec, "status": { "phase": "Pending" } }))
    }

    fn relabel(&self, pod: &str, labels: &Value) {
        self.kubernetes.patch(&format!("{PODS}/{pod}"), &json!({ "metadata": { "labels": labels } }));
    }

    fn policy(&self, name: &str, spec: &Value) {
        self.kubernetes.create(POLICIES, json!({ "metadata": { "name": name }, "spec": spec }));
    }

    /// Names of the groups that a pod's port carries.
    fn groups_of(&self, pod: &str) -> Option<BTreeSet<String>> {
        let record = self.record(pod)?;
        let port = self.ports().into_iter().find(|port| port["id"] == port_of(&record))?;
        let all = self.cloud.neutron().security_groups();
        let name = |id: &Value| all.iter().find(|group| group["id"] == *id).map(|group| text(&group["name"]));
        port["security_groups"].as_array()?.iter().map(name).collect()
    }

    fn carries(&self, pod: &str, names: &[&str]) -> bool {
        self.groups_of(pod).is_some_and(|groups| groups.iter().map(String::as_str).eq(names.iter().copied()))
    }

    /// Ours, by their names.
    fn groups(&self) -> BTreeMap<String, Value> {
        let all = self.cloud.neutron().security_groups().into_iter();
        let ours = all.filter(|group| text(&group["description"]).starts_with("kuryr-cluster="));
        ours.map(|group| (text(&group["name"]), group)).collect()
    }

    fn address_groups(&self) -> BTreeMap<String, BTreeSet<String>> {
        let addresses = |group: &Value| group["addresses"].as_array().unwrap().iter().map(text).collect();
        let all = self.cloud.neutron().address_groups();
        all.iter().map(|group| (text(&group["name"]), addresses(group))).collect()
    }

    fn addresses(&self, pod: &str) -> BTreeSet<String> {
        let Some(record) = self.record(pod) else { return BTreeSet::new() };
        let port = self.ports().into_iter().find(|port| port["id"] == port_of(&record)).unwrap();
        let ips = port["fixed_ips"].as_array().unwrap().iter().map(|ip| text(&ip["ip_address"]));
        ips.map(|ip| if ip.contains(':') { format!("{ip}/128") } else { format!("{ip}/32") }).collect()
    }

    fn condition(&self, policy: &str) -> Option<Value> {
        Some(self.kubernetes.get(&format!("{POLICY_RECORDS}/{policy}"))?["status"]["conditions"][0].clone())
    }

    fn calls(&self, route: &str) -> u64 {
        self.cloud.neutron().counts().of(route)
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn rules(group: &Value) -> Vec<&Value> {
    group["security_group_rules"].as_array().unwrap().iter().collect()
}

fn from_clients() -> Value {
    json!({
        "podSelector": { "matchLabels": { "app": "web" } },
        "policyTypes": ["Ingress"],
        "ingress": [{
            "from": [{ "podSelector": { "matchLabels": { "app": "client" } } }],
            "ports": [{ "port": 80, "protocol": "TCP" }],
        }],
    })
}

const CLIENTS: &str = "pods default: app=client";

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_somebody_deletes_is_made_anew_and_taken() {
    let world = World::enforcing().await;
    let controller = world.controller().await;
    world.labelled("web", &json!({ "app": "web" }));
    world.policy("web", &from_clients());
    let isolated = ["kuryr/isolated", "kuryr/open-egress", "np/default/web"];
    world.until("web is isolated", |world| world.carries("web", &isolated)).await;
    let port = port_of(&world.record("web").unwrap()).into();
    let old = text(&world.groups()["np/default/web"]["id"]).as_str().into();
    let neutron = &controller.context.neutron;
    let bare = PortUpdate { security_groups: Some(Vec::new()), ..PortUpdate::default() };
    neutron.update_port(&port, &bare).await.unwrap();
    neutron.delete_security_group(&old).await.unwrap();
    let policies = controller.context.policies.as_ref().unwrap();
    policies::verify(&controller.context, policies).await.unwrap();
    world.until("web is isolated again", |world| world.carries("web", &isolated)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_neutron_that_has_just_started_hides_ports_and_none_is_given_up() {
    let world = World::enforcing().await;
    let controller = world.controller().await;
    for (pod, app) in [("web", "web"), ("later", "other")] {
        world.labelled(pod, &json!({ "app": app }));
    }
    world.policy("web", &from_clients());
    let isolated = ["kuryr/isolated", "kuryr/open-egress", "np/default/web"];
    let usual = ["k8s-pods"];
    world
        .until("one is isolated", |world| world.carries("web", &isolated) && world.carries("later", &usual))
        .await;
    world.set_phase("later", "Running");
    let (changes, looks) = (world.calls("PUT /ports/{id}"), world.calls("GET /ports/{id}"));
    world.cloud.neutron().set_rights(Rights::Unread);
    world.relabel("later", &json!({ "app": "web" }));
    world
        .until("Neutron denies that the port exists", |world| world.calls("PUT /ports/{id}") > changes)
        .await;
    let doubtful = controller.context.ports.all().iter().map(|port| port.id.clone()).collect();
    let error = relist::look_up(&controller.context, doubtful).await.unwrap_err();
    assert_eq!(error.kind(), kuryr_openstack::Kind::Unavailable);
    assert!(world.calls("GET /ports/{id}") > looks);
    assert_eq!(controller.context.ports.len(), 2);
    world.cloud.neutron().set_rights(Rights::Read);
    world.until("the other is isolated", |world| world.carries("later", &isolated)).await;
    assert!(!world.events().contains(&"PortVanished".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_isolates_its_pods_and_its_end_frees_them() {
    let world = World::enforcing().await;
    let _controller = world.controller().await;
    world.labelled("web", &json!({ "app": "web" }));
    world.labelled("client", &json!({ "app": "client" }));
    world
        .until("both have the usual group", |world| {
            world.carries("web", &["k8s-pods"]) && world.carries("client", &["k8s-pods"])
        })
        .await;
    world.policy("web", &from_clients());
    let isolated = ["kuryr/isolated", "kuryr/open-egress", "np/default/web"];
    world.until("web is isolated", |world| world.carries("web", &isolated)).await;
    assert!(world.carries("client", &["k8s-pods"]));
    assert_eq!(world.address_groups()[CLIENTS], world.addresses("client"));
    assert_eq!(rules(&world.groups()["np/default/web"]).len(), 2, "one for each family");
    world
        .until("it is told", |world| world.condition("web").is_some_and(|one| one["status"] == "True"))
        .await;

    world.kubernetes.delete(&format!("{POLICIES}/web"));
    world.until("web is free", |world| world.carries("web", &["k8s-pods"])).await;
    world
        .until("nothing is left", |world| {
            world.groups().len() == SHARED
                && world.address_groups().keys().all(|name| ["nodes", "services"].contains(&name.as_str()))
                && world.condition("web").is_none()
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_comes_goes_or_changes_labels_costs_addresses_and_no_rule() {
    let world = World::enforcing().await;
    let controller = world.controller().await;
    world.policy("web", &from_clients());
    world.policy("other", &from_clients());
    world.labelled("web", &json!({ "app": "web" }));
    world
        .until("web is isolated", |world| world.groups_of("web").is_some_and(|groups| groups.len() == 4))
        .await;
    world.until("the queues rest", |_| controller.rests()).await;
    let rules = world.calls("POST /security-group-rules");
    let added = || world.calls("PUT /address-groups/{id}/add_addresses");
    let before = added();
    world.labelled("client", &json!({ "app": "client" }));
    world
        .until("the client is known", |world| {
            !world.addresses("client").is_empty()
                && world.address_groups()[CLIENTS] == world.addresses("client")
        })
        .await;
    assert_eq!(added() - before, 1, "two policies share the peer");
    let updates = world.calls("PUT /ports/{id}");
    world.relabel("client", &json!({ "app": "other" }));
    world.until("it is none any more", |world| world.address_groups()[CLIENTS].is_empty()).await;
    world.relabel("client", &json!({ "app": "client" }));
    world.until("it is one again", |world| !world.address_groups()[CLIENTS].is_empty()).await;
    world.kubernetes.delete(&format!("{PODS}/client"));
    world.until("its port is gone", |world| world.ports().len() == 1).await;
    assert!(world.address_groups()[CLIENTS].is_empty(), "an address outlived its port");
    assert_eq!(world.calls("POST /security-group-rules"), rules);
    assert_eq!(world.calls("PUT /ports/{id}"), updates, "its own groups never changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_steady_state_asks_for_nothing() {
    let world = World::enforcing().await;
    let controller = world.controller().await;
    world.policy("web", &from_clients());
    world.labelled("web", &json!({ "app": "web" }));
    world
        .until("it is told", |world| world.condition("web").is_some_and(|one| one["status"] == "True"))
        .await;
    world
        .until("web is isolated", |world| world.groups_of("web").is_some_and(|groups| groups.len() == 3))
        .await;
    world.until("the queues rest", |_| controller.rests()).await;
    let (kubernetes, neutron) = (world.kubernetes.counts().all(), world.cloud.neutron().counts().all());
    controller.context.look_at_all();
    world.until("the queues rest", |_| controller.rests()).await;
    assert_eq!(world.kubernetes.counts().all(), kubernetes);
    assert_eq!(world.cloud.neutron().counts().all(), neutron);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_controller_takes_what_is_there_and_removes_what_nothing_wants() {
    let world = World::enforcing().await;
    {
        let _controller = world.controller().await;
        world.policy("web", &from_clients());
        world.policy("gone", &from_clients());
        world.labelled("web", &json!({ "app": "web" }));
        world
            .until("both hold", |world| world.groups_of("web").is_some_and(|groups| groups.len() == 4))
            .await;
    }
    world.kubernetes.delete(&format!("{POLICIES}/gone"));
    let made = world.calls("POST /security-groups");
    let _controller = world.controller().await;
    world.until("what is left goes", |world| world.groups().len() == SHARED + 1).await;
    assert_eq!(world.calls("POST /security-groups"), made, "what was there was made again");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_room_a_pod_is_isolated_all_the_same_and_it_is_told() {
    let world = World::enforcing().await;
    let controller = world.controller().await;
    world.labelled("web", &json!({ "app": "web" }));
    world.until("it has a port", |world| world.carries("web", &["k8s-pods"])).await;
    world.until("shared groups are there", |world| world.groups().len() == SHARED).await;
    world.until("the queues rest", |_| controller.rests()).await;
    let used = i64::try_from(world.cloud.neutron().security_groups().len()).unwrap();
    world.cloud.neutron().set_quota(FakeCloud::PROJECT_ID, "security_group", used);
    world.policy("web", &from_clients());
    world
        .until("web is isolated", |world| world.carries("web", &["kuryr/isolated", "kuryr/open-egress"]))
        .await;
    world
        .until("it is told", |world| world.condition("web").is_some_and(|one| one["status"] == "False"))
        .await;
    let condition = world.condition("web").unwrap();
    assert_eq!(condition["reason"], "SecurityGroupQuotaExceeded");
    let advice = format!("openstack quota set --secgroups {} ", used + 1);
    assert!(condition["message"].as_str().unwrap().contains(&advice), "{condition}");
    let asked = world.calls("POST /security-groups");
    world.policy("other", &from_clients());
    world.until("it is told of that, too", |world| world.condition("other").is_some()).await;
    assert_eq!(world.calls("POST /security-groups"), asked, "what has no room was begun");
    assert!(world.events().contains(&"SecurityGroupQuotaExceeded".to_owned()));

    world.cloud.neutron().set_quota(FakeCloud::PROJECT_ID, "security_group", -1);
    let isolated = ["kuryr/isolated", "kuryr/open-egress", "np/default/other", "np/default/web"];
    world.until("what it allows is allowed", |world| world.carries("web", &isolated)).await;
    world
        .until("it is told", |world| world.condition("web").is_some_and(|one| one["status"] == "True"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_deletes_in_neutron_is_made_again() {
    let world = World::enforcing().await;
    let controller = world.controller().await;
    world.policy("web", &from_clients());
    world.labelled("web", &json!({ "app": "web" }));
    world
        .until("web is isolated", |world| world.groups_of("web").is_some_and(|groups| groups.len() == 3))
        .await;
    world.until("the queues rest", |_| controller.rests()).await;
    let neutron = controller.context.neutron.clone();
    let group = world.groups()["np/default/web"].clone();
    let rule = text(&rules(&group)[0]["id"]);
    neutron.delete_security_group_rule(&rule.as_str().into()).await.unwrap();
    relist::once(&controller.context, |_| {}).await;
    controller.context.look_at_all();
    world.until("the rule is there again", |world| rules(&world.groups()["np/default/web"]).len() == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_the_python_kuryr_is_adopted_and_its_holes_are_closed() {
    let world = World::enforcing().await;
    let cloud = kuryr_openstack::Neutron::new(world.session());
    let new =
        kuryr_openstack::neutron::NewSecurityGroup { name: "sg/default-web".into(), ..Default::default() };
    let group = cloud.create_security_group(&new).await.unwrap();
    world.policy("web", &from_clients());
    let old = json!(["kuryr.openstack.org/networkpolicy-finalizer"]);
    world.kubernetes.patch(&format!("{POLICIES}/web"), &json!({ "metadata": { "finalizers": old } }));
    world.kubernetes.create(
        POLICY_RECORDS,
        json!({
            "metadata": { "name": "web", "finalizers": old },
            "spec": { "ingressSgRules": [], "egressSgRules": [], "podSelector": {}, "policyTypes": ["Ingress"] },
            "status": { "securityGroupId": group.id, "securityGroupRules": [] },
        }),
    );
    world.labelled("web", &json!({ "app": "web" }));
    let controller = world.controller().await;
    let isolated = ["kuryr/isolated", "kuryr/open-egress", "sg/default-web"];
    world.until("it is taken", |world| world.carries("web", &isolated)).await;
    let held = |world: &World| {
        let all = world.cloud.neutron().security_groups();
        all.into_iter().find(|one| one["id"] == group.id.as_str())
    };
    let is_ours = |world: &World| {
        let group = held(world).unwrap();
        rules(&group).len() == 2 && rules(&group).iter().all(|rule| rule["direction"] == "ingress")
    };
    world.until("its rules are ours", is_ours).await;
    world.until("the queues rest", |_| controller.rests()).await;
    assert_eq!(world.groups().len(), SHARED, "another group was made");
    world.kubernetes.delete(&format!("{POLICIES}/web"));
    world
        .until("all of it is gone", |world| {
            held(world).is_none()
                && world.kubernetes.get(&format!("{POLICIES}/web")).is_none()
                && world.kubernetes.get(&format!("{POLICY_RECORDS}/web")).is_none()
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloud_without_address_groups_gets_a_rule_for_each_address() {
    let world = World::enforcing().await;
    world.cloud.neutron().remove_extension("address-group");
    let _controller = world.controller().await;
    world.policy("web", &from_clients());
    world.labelled("web", &json!({ "app": "web" }));
    world.labelled("client", &json!({ "app": "client" }));
    let prefixes = |world: &World| -> BTreeSet<String> {
        let groups = world.groups();
        let Some(group) = groups.get("np/default/web") else { return BTreeSet::new() };
        rules(group).iter().map(|rule| text(&rule["remote_ip_prefix"])).collect()
    };
    let names_the_client =
        |world: &World| !world.addresses("client").is_empty() && prefixes(world) == world.addresses("client");
    world.until("the client's addresses have rules", names_the_client).await;
    assert!(world.address_groups().is_empty());
    world.kubernetes.delete(&format!("{PODS}/client"));
    world.until("they have none any more", |world| prefixes(world).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_that_resolve_a_name_differently_get_groups_of_their_own() {
    let world = World::enforcing().await;
    let _controller = world.controller().await;
    let ports = json!([{ "name": "web", "containerPort": 8080 }]);
    world.labelled("one", &json!({ "app": "web" }));
    world.kubernetes.create(
        PODS,
        json!({
            "metadata": { "name": "two", "labels": { "app": "web" } },
            "spec": { "nodeName": "node1", "containers": [{ "ports": ports }] }, "status": { "phase": "Pending" },
        }),
    );
    world.policy(
        "web",
        &json!({
            "podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{ "ports": [{ "port": "web" }] }],
        }),
    );
    let with = |group| ["kuryr/isolated", "kuryr/open-egress", group];
    world
        .until("each has its own", |world| {
            world.carries("one", &with("np/default/web?web=80/tcp"))
                && world.carries("two", &with("np/default/web?web=8080/tcp"))
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_cannot_be_read_allows_nothing_and_says_so() {
    let world = World::enforcing().await;
    let _controller = world.controller().await;
    world.labelled("web", &json!({ "app": "web" }));
    world.policy(
        "web",
        &json!({
            "podSelector": {}, "policyTypes": ["Ingress"],
            "ingress": [{ "from": [{ "ipBlock": { "cidr": "not an address" } }], "ports": [{ "port": 80 }] }],
        }),
    );
    world
        .until("web is isolated", |world| world.carries("web", &["kuryr/isolated", "kuryr/open-egress"]))
        .await;
    world.until("it is told", |world| world.events().contains(&"NetworkPolicyUnreadable".to_owned())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_of_namespaces_count() {
    let world = World::enforcing().await;
    let _controller = world.controller().await;
    world.kubernetes.create(NAMESPACES, json!({ "metadata": { "name": "other" } }));
    let pod = json!({
        "metadata": { "name": "far" }, "spec": { "nodeName": "node2" }, "status": { "phase": "Pending" },
    });
    world.kubernetes.create("/api/v1/namespaces/other/pods", pod);
    world.policy(
        "web",
        &json!({
            "podSelector": {}, "policyTypes": ["Ingress"],
            "ingress": [{ "from": [{ "namespaceSelector": { "matchLabels": { "team": "a" } } }] }],
        }),
    );
    let members = |world: &World| world.address_groups().get("pods [team=a]: *").map(BTreeSet::len);
    world.until("nobody is meant", |world| members(world) == Some(0)).await;
    world
        .kubernetes
        .patch(&format!("{NAMESPACES}/other"), &json!({ "metadata": { "labels": { "team": "a" } } }));
    world.until("its pod is meant, by both families", |world| members(world) == Some(2)).await;
    world
        .kubernetes
        .patch(&format!("{NAMESPACES}/other"), &json!({ "metadata": { "labels": { "team": "b" } } }));
    world.until("it is not any more", |world| members(world) == Some(0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn neutron_that_is_away_delays_a_policy_and_loses_nothing() {
    let world = World::enforcing().await;
    let _controller = world.controller().await;
    world.labelled("web", &json!({ "app": "web" }));
    world.until("it has a port", |world| world.carries("web", &["k8s-pods"])).await;
    let away = || Reply::neutron_error(503, "ServiceUnavailable", "away");
    for route in
        ["POST /security-groups", "POST /address-groups", "POST /security-group-rules", "PUT /ports/{id}"]
    {
        world.cloud.neutron().fail_next(route, 2, away());
    }
    world.policy("web", &from_clients());
    let isolated = ["kuryr/isolated", "kuryr/open-egress", "np/default/web"];
    world.until("web is isolated", |world| world.carries("web", &isolated)).await;
    world
        .until("its rules are there", |world| {
            world.groups().get("np/default/web").is_some_and(|group| rules(group).len() == 2)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_of_a_service_that_goes_is_nobodys() {
    let world = World::enforcing().await;
    let _controller = world.controller().await;
    let services = "/api/v1/namespaces/default/services";
    let spec = json!({
        "type": "ClusterIP", "clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"],
        "ports": [{ "port": 80, "protocol": "TCP", "targetPort": 8080 }],
    });
    world.kubernetes.create(services, json!({ "metadata": { "name": "web" }, "spec": spec }));
    let knows = |world: &World| {
        world.address_groups().get("services").is_some_and(|all| all.contains("10.96.0.7/32"))
    };
    let is_held = |world: &World| {
        let web = world.kubernetes.get(&format!("{services}/web"));
        web.is_some_and(|web| web["metadata"]["finalizers"].as_array().is_some_and(|all| !all.is_empty()))
    };
    world.until("its address is known, and Kuryr holds it", |world| knows(world) && is_held(world)).await;
    world.kubernetes.delete(&format!("{services}/web"));
    world.until("it is not any more", |world| !knows(world)).await;
    world.until("it is gone", |world| world.kubernetes.get(&format!("{services}/web")).is_none()).await;
    assert!(!knows(&world));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_says_that_it_lives_costs_nothing() {
    let world = World::enforcing().await;
    let controller = world.controller().await;
    world.until("shared groups are there", |world| world.groups().len() == SHARED).await;
    world.until("the queues rest", |_| controller.rests()).await;
    let asked = world.calls("GET /ports");
    let node = "/api/v1/nodes/node1";
    world.kubernetes.patch(node, &json!({ "metadata": { "annotations": { "alive": "yes" } } }));
    let address = json!({ "status": { "addresses": [{ "type": "InternalIP", "address": "192.0.2.7" }] } });
    world.kubernetes.patch(node, &address);
    let knows = |world: &World| world.address_groups()["nodes"].contains("192.0.2.7/32");
    world.until("its new address is known", knows).await;
    assert_eq!(world.calls("GET /ports") - asked, 1, "the heartbeat was taken for news");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_amphora_lets_in_whom_policies_let_reach_the_pods_behind_it() {
    let world = World::enforcing().await;
    let _controller = world.controller_of("amphora").await;
    for (pod, app) in [("web", "web"), ("client", "client"), ("stranger", "stranger")] {
        world.labelled(pod, &json!({ "app": app }));
        world.until("it has a port", |world| world.record(pod).is_some()).await;
    }
    let v4 = |pod: &str| {
        let address = world.addresses(pod).into_iter().find(|one| !one.contains(':')).unwrap();
        address.parse::<IpNet>().unwrap().addr()
    };
    let mut slice = World::slice("web", &[&v4("web").to_string()]);
    slice["ports"][0]["port"] = json!(80);
    world.kubernetes.create(services::SLICES, slice);
    world.service("web", "10.96.0.7");
    let allowed = |world: &World| -> Option<Vec<IpNet>> {
        let listener = world.cloud.octavia().all(kuryr_testkit::octavia::Kind::Listener).pop()?;
        let ranges = listener["allowed_cidrs"].as_array()?.iter();
        Some(ranges.map(|range| range.as_str().unwrap().parse().unwrap()).collect())
    };
    let lets_in = |world: &World, pod: &str| {
        allowed(world).is_none_or(|ranges| ranges.iter().any(|range| range.contains(&v4(pod))))
    };
    world.until("it is served", |world| world.is_recorded("web")).await;
    assert_eq!(allowed(&world), None, "nobody is isolated");

    world.policy("web", &from_clients());
    world.until("strangers are kept out", |world| !lets_in(world, "stranger")).await;
    assert!(lets_in(&world, "client"));
    let balancers = |world: &World| {
        let groups = world.groups();
        let isolated = groups.get("kuryr/isolated").map(rules).unwrap_or_default();
        isolated.iter().any(|rule| rule["remote_ip_prefix"] == "10.96.0.0/15")
    };
    world.until("isolated pods let the load balancer in", balancers).await;

    world.relabel("stranger", &json!({ "app": "client" }));
    world.relabel("client", &json!({ "app": "stranger" }));
    world
        .until("who is a client now may connect", |world| {
            lets_in(world, "stranger") && !lets_in(world, "client")
        })
        .await;
    world.kubernetes.delete(&format!("{POLICIES}/web"));
    world.until("everybody may connect", |world| allowed(world).is_none()).await;
}
