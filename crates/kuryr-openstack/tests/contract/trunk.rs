//! Trunks: what Neutron takes, refuses and says of ports that a virtual machine's port carries.

use super::{Cloud, unique};
use kuryr_api::ids::{PortId, TrunkId};
use kuryr_openstack::{
    Call, Kind, Neutron, Service,
    neutron::{FixedIpRequest, NewPort, Port, PortFilter, Subport, Trunk, TrunkFilter},
};
use reqwest::Method;
use serde_json::{Value, json};

/// A trunk of a test's own.
struct Yard {
    neutron: Neutron,
    parent: Port,
    trunk: TrunkId,
    made: Vec<PortId>,
}

impl Yard {
    async fn open(cloud: &Cloud) -> Self {
        let neutron = cloud.neutron();
        let parent = neutron.create_port(&bare(cloud)).await.unwrap();
        let call = Call::new(Service::Network, Method::POST, "/trunks", "/trunks".into());
        let call = call.json(&json!({ "trunk": { "port_id": parent.id, "name": unique() } })).unwrap();
        let made: Value = neutron.session().call(&call).await.unwrap().json().unwrap();
        let trunk = made["trunk"]["id"].as_str().unwrap().into();
        Self { neutron, parent, trunk, made: Vec::new() }
    }

    async fn port(&mut self, new: NewPort) -> Port {
        let made = self.neutron.create_port(&new).await.unwrap();
        self.made.push(made.id.clone());
        made
    }

    async fn add(&self, wanted: &[(&Port, u16)]) -> kuryr_openstack::Result<Trunk> {
        let wanted: Vec<_> = wanted.iter().map(|(port, id)| Subport::vlan(port.id.clone(), *id)).collect();
        self.neutron.add_subports(&self.trunk, &wanted).await
    }

    async fn enable(&self, up: bool) {
        let path = format!("/trunks/{}", self.trunk);
        let call = Call::new(Service::Network, Method::PUT, "/trunks/{id}", path);
        let call = call.json(&json!({ "trunk": { "admin_state_up": up } })).unwrap();
        self.neutron.session().call(&call).await.unwrap();
    }

    async fn carried(&self) -> Vec<(PortId, u16)> {
        let filter = TrunkFilter { parents: Some(vec![self.parent.id.clone()]), ..TrunkFilter::default() };
        let found = self.neutron.trunks(&filter).await.unwrap();
        assert_eq!(found.iter().map(|trunk| &trunk.id).collect::<Vec<_>>(), [&self.trunk]);
        let mut all: Vec<_> =
            found[0].sub_ports.iter().map(|sub| (sub.port_id.clone(), sub.segmentation_id)).collect();
        all.sort();
        all
    }

    async fn close(self) {
        let path = format!("/trunks/{}", self.trunk);
        let call = Call::new(Service::Network, Method::DELETE, "/trunks/{id}", path);
        self.neutron.session().call(&call).await.unwrap();
        for port in self.made.iter().chain([&self.parent.id]) {
            self.neutron.delete_port(port).await.unwrap();
        }
    }
}

fn bare(cloud: &Cloud) -> NewPort {
    NewPort {
        fixed_ips: vec![FixedIpRequest::any(cloud.subnet_v4.clone())],
        security_groups: Some(vec![cloud.group.clone()]),
        ..NewPort::on(cloud.network.clone())
    }
}

pub async fn a_trunk_carries_ports_by_vlan_ids_and_gives_them_back(cloud: &Cloud) {
    let mut yard = Yard::open(cloud).await;
    let mut ports = Vec::new();
    for _ in 0..3 {
        ports.push(yard.port(bare(cloud)).await);
    }
    let now = yard.add(&[(&ports[0], 1), (&ports[1], 4094)]).await.unwrap();
    assert_eq!((now.port_id, now.sub_ports.len()), (yard.parent.id.clone(), 2));
    let mut expected = vec![(ports[0].id.clone(), 1), (ports[1].id.clone(), 4094)];
    expected.sort();
    assert_eq!(yard.carried().await, expected);
    let shown = yard.neutron.port(&ports[0].id).await.unwrap();
    assert_eq!(shown.device_owner, "trunk:subport");

    let busy = yard.neutron.delete_port(&ports[0].id).await.unwrap_err();
    assert_eq!(busy.kind(), Kind::Conflict, "{}", busy.chain());
    // One of them is not there, or not any more: the others go all the same.
    let all: Vec<_> = ports.iter().map(|port| port.id.clone()).collect();
    yard.neutron.remove_subports(&yard.trunk, &all).await.unwrap();
    yard.neutron.remove_subports(&yard.trunk, &all).await.unwrap();
    assert_eq!(yard.carried().await, []);
    yard.close().await;
}

pub async fn what_a_trunk_does_not_take(cloud: &Cloud) {
    let mut yard = Yard::open(cloud).await;
    let carried = yard.port(bare(cloud)).await;
    let other = yard.port(bare(cloud)).await;
    let used = yard.port(NewPort { device_id: unique(), ..bare(cloud) }).await;
    yard.add(&[(&carried, 5)]).await.unwrap();
    for (what, wanted, kind) in [
        ("a VLAN id that is taken", vec![(&other, 5)], Kind::Conflict),
        ("a port that is carried", vec![(&carried, 6)], Kind::Conflict),
        ("a port that has a device", vec![(&used, 6)], Kind::Conflict),
        ("no VLAN id", vec![(&other, 4095)], Kind::Invalid),
        ("all or none", vec![(&other, 7), (&carried, 8)], Kind::Conflict),
    ] {
        let refused = yard.add(&wanted).await.unwrap_err();
        assert_eq!(refused.kind(), kind, "{what}: {}", refused.chain());
    }
    assert_eq!(yard.carried().await, [(carried.id.clone(), 5)]);
    let nowhere = TrunkId::from("00000000-0000-4000-8000-00000000dead");
    let missing =
        yard.neutron.add_subports(&nowhere, &[Subport::vlan(other.id.clone(), 1)]).await.unwrap_err();
    assert_eq!(missing.kind(), Kind::NotFound);
    yard.neutron.remove_subports(&nowhere, std::slice::from_ref(&other.id)).await.unwrap();
    yard.close().await;
}

/// It neither takes ports nor gives them back, which is a conflict without anybody who has the port or the VLAN id.
pub async fn a_trunk_that_is_disabled_says_so(cloud: &Cloud) {
    let mut yard = Yard::open(cloud).await;
    let (carried, other) = (yard.port(bare(cloud)).await, yard.port(bare(cloud)).await);
    yard.add(&[(&carried, 5)]).await.unwrap();
    yard.enable(false).await;
    let removed = yard.neutron.remove_subports(&yard.trunk, std::slice::from_ref(&carried.id)).await;
    for refused in [yard.add(&[(&other, 6)]).await.unwrap_err(), removed.unwrap_err()] {
        assert_eq!(refused.kind(), Kind::Conflict, "{}", refused.chain());
        assert_eq!(refused.neutron_type(), Some("TrunkDisabled"), "{}", refused.chain());
    }
    yard.enable(true).await;
    yard.add(&[(&other, 6)]).await.unwrap();
    yard.close().await;
}

pub async fn a_parent_is_found_by_its_address(cloud: &Cloud) {
    let yard = Yard::open(cloud).await;
    let address = yard.parent.fixed_ips[0].ip_address;
    let filter = PortFilter { addresses: Some(vec![address]), ..PortFilter::default() };
    let found = yard.neutron.ports(&filter).await.unwrap();
    assert_eq!(found.iter().map(|port| &port.id).collect::<Vec<_>>(), [&yard.parent.id]);
    assert_eq!(found[0].trunk_details.as_ref().map(|details| &details.trunk_id), Some(&yard.trunk));
    yard.close().await;
}

/// A port for a trunk has no device: it is found again by its description.
pub async fn a_port_is_found_by_its_description(cloud: &Cloud) {
    let mut yard = Yard::open(cloud).await;
    let description = unique();
    let made = yard.port(NewPort { description: description.clone(), ..bare(cloud) }).await;
    assert_eq!(made.description, description);
    let filter = PortFilter { descriptions: Some(vec![description]), ..PortFilter::default() };
    let found = yard.neutron.ports(&filter).await.unwrap();
    assert_eq!(found.iter().map(|port| &port.id).collect::<Vec<_>>(), [&made.id]);
    yard.close().await;
}
