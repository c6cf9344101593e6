//! Nodes that are virtual machines whose link pods share: the machine's port may send from the pods' addresses.

use super::*;
use kuryr_openstack::neutron::{AddressPair, FixedIpRequest, Neutron, NewPort, PortUpdate};
use kuryr_testkit::Reply;
use kuryr_testkit::neutron::ForeignMacs;

const ADDRESS: &str = "10.1.7.7";
const THEIRS: &str = "10.1.200.200";

impl World {
    /// A node that is a virtual machine, with its port, which somebody else has given a pair. Returns the port's id.
    async fn sharing_machine(&self, name: &str, driver: &str, address: &str) -> String {
        self.machine_called(name, driver, address);
        let subnet = self.id_of("k8s-pod-subnet").as_str().into();
        let neutron = Neutron::new(self.session());
        let new = NewPort {
            fixed_ips: vec![FixedIpRequest { subnet_id: subnet, ip_address: Some(address.parse().unwrap()) }],
            host: Some("node1".into()),
            ..NewPort::on(self.id_of("k8s-pod-net").as_str().into())
        };
        let made = neutron.create_port(&new).await.unwrap();
        self.give_pairs(made.id.as_str(), vec![AddressPair { ip_address: THEIRS.into(), mac_address: None }])
            .await;
        made.id.to_string()
    }

    /// Gives a port these pairs, as somebody does who looks at none that are there.
    async fn give_pairs(&self, id: &str, pairs: Vec<AddressPair>) {
        let update = PortUpdate { allowed_address_pairs: Some(pairs), ..PortUpdate::default() };
        Neutron::new(self.session()).update_port(&id.into(), &update).await.unwrap();
    }

    fn port(&self, id: &str) -> Value {
        self.ports().into_iter().find(|port| port["id"] == id).unwrap()
    }

    /// What a port may send from: addresses with MAC addresses.
    fn pairs_of(&self, id: &str) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let port = self.port(id);
        let pairs = port["allowed_address_pairs"].as_array().unwrap().iter();
        let mut pairs: Vec<_> =
            pairs.map(|pair| (text(&pair["ip_address"]), text(&pair["mac_address"]))).collect();
        pairs.sort();
        pairs
    }

    /// Only what somebody else has given it is left.
    fn has_theirs_alone(&self, id: &str) -> bool {
        self.pairs_of(id).iter().map(|(address, _)| address.as_str()).eq([THEIRS])
    }

    /// The pairs that the pods' ports need, with this MAC address or their own, and what is somebody else's.
    fn wanted(&self, parent: &str, mac: Option<&str>) -> Vec<(String, String)> {
        let own = self.port(parent)["mac_address"].as_str().unwrap().to_owned();
        let ports = self.ports().into_iter().filter(|port| port["id"] != parent);
        let mut wanted: Vec<_> = ports
            .flat_map(|port| {
                let mac = mac.unwrap_or_else(|| port["mac_address"].as_str().unwrap()).to_owned();
                let ips = port["fixed_ips"].as_array().unwrap().clone();
                ips.into_iter().map(move |ip| (ip["ip_address"].as_str().unwrap().to_owned(), mac.clone()))
            })
            .chain([(THEIRS.to_owned(), own)])
            .collect();
        wanted.sort();
        wanted
    }

    fn told(&self, reason: &str) -> bool {
        self.events().iter().any(|told| told == reason)
    }

    fn all_recorded(&self, pods: usize) -> bool {
        (0..pods).all(|number| self.record(&format!("web-{number}")).is_some())
    }
}

/// The VIF of a record: its class, and what it says.
fn vif(record: &Value) -> (&str, &Value) {
    let vif = &record["status"]["vifs"]["eth0"]["vif"];
    (vif["versioned_object.name"].as_str().unwrap(), &vif["versioned_object.data"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pods_addresses_are_its_machines_pairs_as_long_as_it_lives() {
    let world = World::new().await;
    let parent = world.sharing_machine("vm1", "nested-ipvlan", ADDRESS).await;
    let _controller = world.controller().await;
    let pod = world.pod_on("vm1", "web");
    world.until("the pod is recorded", |world| world.record("web").is_some()).await;

    let mac = world.port(&parent)["mac_address"].clone();
    let record = world.record("web").unwrap();
    let (class, data) = vif(&record);
    assert_eq!((class, &data["address"], &data["active"]), ("VIFIpvlanNested", &mac, &json!(true)));
    assert_eq!(world.pairs_of(&parent), world.wanted(&parent, mac.as_str()));
    let port = world.port(port_of(&record));
    assert_eq!((&port["status"], &port["description"]), (&json!("DOWN"), &pod["metadata"]["uid"]));

    world.kubernetes.delete(&format!("{PODS}/web"));
    world.until("nothing is left", |world| world.ports().len() == 1 && world.record("web").is_none()).await;
    assert!(world.has_theirs_alone(&parent));
    let counts = world.cloud.neutron().counts();
    assert_eq!((counts.of("PUT /ports/{id}"), counts.of("GET /ports/{id}")), (3, 0), "{:?}", counts.all());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_changes_a_machines_port_in_few_requests() {
    let world = World::new().await;
    let parent = world.sharing_machine("vm1", "nested-ipvlan", ADDRESS).await;
    let _controller = world.controller().await;
    (0..30).for_each(|number| drop(world.pod_on("vm1", &format!("web-{number}"))));
    world.until("all are recorded", |world| world.all_recorded(30)).await;
    let mac = world.port(&parent)["mac_address"].clone();
    assert_eq!(world.pairs_of(&parent), world.wanted(&parent, mac.as_str()));
    let counts = world.cloud.neutron().counts();
    assert!(counts.of("PUT /ports/{id}") <= 15, "{:?}", counts.all());
    (0..30).for_each(|number| world.kubernetes.delete(&format!("{PODS}/web-{number}")));
    world.until("nothing is left", |world| world.ports().len() == 1).await;
    assert!(world.has_theirs_alone(&parent));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_changes_the_port_at_the_same_time_loses_nothing_and_harms_nobody() {
    let world = World::new().await;
    let parent = world.sharing_machine("vm1", "nested-ipvlan", ADDRESS).await;
    let _controller = world.controller().await;
    let writer = Neutron::new(world.session());
    let meddling = async {
        for number in 0.. {
            let update = PortUpdate { name: Some(format!("vm-{number}")), ..PortUpdate::default() };
            writer.update_port(&parent.as_str().into(), &update).await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let pods = async {
        for number in 0..20 {
            world.pod_on("vm1", &format!("web-{number}"));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        world.until("all are recorded", |world| world.all_recorded(20)).await;
    };
    tokio::select! { () = meddling => {}, () = pods => {} }
    let mac = world.port(&parent)["mac_address"].clone();
    assert_eq!(world.pairs_of(&parent), world.wanted(&parent, mac.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_gives_a_pair_once() {
    let world = World::new().await;
    let parent = world.sharing_machine("vm1", "nested-ipvlan", ADDRESS).await;
    let lost = Reply::neutron_error(500, "HTTPInternalServerError", "Request Failed");
    world.cloud.neutron().fail_next("PUT /ports/{id}", 2, lost);
    let _controller = world.controller().await;
    world.pod_on("vm1", "web");
    world.until("it is recorded", |world| world.record("web").is_some()).await;
    assert_eq!((world.ports().len(), world.pairs_of(&parent).len()), (2, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_ports_may_not_have_foreign_mac_addresses_a_pod_is_told_what_to_use() {
    let world = World::new().await;
    let parent = world.sharing_machine("vm1", "nested-macvlan", ADDRESS).await;
    let _controller = world.controller().await;
    let counts = world.cloud.neutron().counts();
    counts.reset();
    (0..10).for_each(|number| drop(world.pod_on("vm1", &format!("web-{number}"))));
    let told =
        |world: &World| world.events().iter().filter(|reason| *reason == "AddressPairRefused").count() == 10;
    world.until("all are told", told).await;
    let note = world.kubernetes.all("events")[0]["note"].to_string();
    assert!(note.contains("nested-ipvlan") && note.contains("Virtual MAC address"), "{note}");
    assert!(world.has_theirs_alone(&parent) && !world.all_recorded(1));
    // What is refused to one is not asked for by the others.
    assert!(counts.of("PUT /ports/{id}") <= 3, "{:?}", counts.all());
}

#[tokio::test(flavor = "multi_thread")]
async fn where_they_may_each_pod_has_its_own() {
    let world = World::new().await;
    world.cloud.neutron().set_foreign_macs(ForeignMacs::Allowed);
    let parent = world.sharing_machine("vm1", "nested-macvlan", ADDRESS).await;
    let _controller = world.controller().await;
    (0..5).for_each(|number| drop(world.pod_on("vm1", &format!("web-{number}"))));
    world.until("all are recorded", |world| world.all_recorded(5)).await;
    assert_eq!(world.pairs_of(&parent), world.wanted(&parent, None));
    let record = world.record("web-0").unwrap();
    let (class, data) = vif(&record);
    let own = world.port(port_of(&record))["mac_address"].clone();
    assert_eq!((class, &data["address"], &data["active"]), ("VIFMacvlanNested", &own, &json!(true)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_controller_left_is_taken_away_and_nothing_else() {
    let world = World::new().await;
    let parent = world.sharing_machine("vm1", "nested-ipvlan", ADDRESS).await;
    let other = world.sharing_machine("vm2", "nested-ipvlan", "10.1.7.8").await;
    let first = world.controller().await;
    for (node, name) in [("vm1", "gone"), ("vm1", "stays"), ("vm2", "elsewhere")] {
        world.pod_on(node, name);
        world.until("it is recorded", |world| world.record(name).is_some()).await;
    }
    drop(first);
    // Pod and record go while nobody looks, and a pair comes late that was asked for when a pod's address was another's.
    world.kubernetes.delete(&format!("{PODS}/gone"));
    world.kubernetes.patch(&format!("{RECORDS}/gone"), &json!({ "metadata": { "finalizers": null } }));
    world.kubernetes.delete(&format!("{RECORDS}/gone"));
    let before = world.pairs_of(&parent);
    let late = world.pairs_of(&other).into_iter().map(|(address, _)| (address, None));
    let all = before.into_iter().map(|(address, mac)| (address, Some(mac))).chain(late);
    let pairs: std::collections::BTreeMap<_, _> = all.collect();
    let pairs = pairs.into_iter().map(|(ip_address, mac_address)| AddressPair { ip_address, mac_address });
    world.give_pairs(&parent, pairs.collect()).await;
    assert_eq!(world.pairs_of(&parent).len(), 7);

    let _second = world.controller().await;
    let is_clean = |world: &World| world.ports().len() == 4 && world.pairs_of(&parent).len() == 3;
    world.until("only what is needed is left", is_clean).await;
    let stays = world.port(port_of(&world.record("stays").unwrap()))["fixed_ips"].clone();
    for ip in stays.as_array().unwrap() {
        assert!(world.pairs_of(&parent).iter().any(|(address, _)| ip["ip_address"] == *address));
    }
    assert!(world.pairs_of(&parent).iter().any(|(address, _)| address == THEIRS));
    assert_eq!(world.pairs_of(&other).len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn pairs_that_somebody_took_away_come_back() {
    let world = World::new().await;
    let parent = world.sharing_machine("vm1", "nested-ipvlan", ADDRESS).await;
    let first = world.controller().await;
    world.pod_on("vm1", "web");
    world.until("it is recorded", |world| world.record("web").is_some()).await;
    world.set_phase("web", "Running");
    let whole = world.pairs_of(&parent);
    drop(first);
    world.give_pairs(&parent, vec![AddressPair { ip_address: THEIRS.into(), mac_address: None }]).await;
    let _second = world.controller().await;
    world.until("they are back", |world| world.pairs_of(&parent) == whole).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_port_is_not_on_the_pods_network_is_told_of() {
    let world = World::new().await;
    world.machine_called("vm1", "nested-ipvlan", "10.96.7.7");
    world.machine_called("vm2", "nested-macvlan", "10.1.7.9");
    let subnet = world.id_of("k8s-service-subnet").as_str().into();
    let fixed = FixedIpRequest { subnet_id: subnet, ip_address: Some("10.96.7.7".parse().unwrap()) };
    let new =
        NewPort { fixed_ips: vec![fixed], ..NewPort::on(world.id_of("k8s-service-net").as_str().into()) };
    Neutron::new(world.session()).create_port(&new).await.unwrap();
    let _controller = world.controller().await;
    world.pod_on("vm1", "far");
    world.pod_on("vm2", "none");
    let notes = |world: &World| {
        let events = world.kubernetes.all("events");
        let told = events.iter().filter(|event| event["reason"] == "NodeWithoutPort");
        told.map(|event| event["note"].to_string()).collect::<Vec<_>>()
    };
    world.until("both are told", |world| notes(world).len() == 2).await;
    let notes = notes(&world);
    assert!(notes.iter().any(|note| note.contains("but is on network")), "{notes:?}");
    assert!(notes.iter().any(|note| note.contains("no Neutron port has the address 10.1.7.9")), "{notes:?}");
    assert!(!world.told("NodeWithoutTrunk") && world.ports().len() == 1);
}
