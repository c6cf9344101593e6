//! Nova's part: ports that a server has as interfaces. The lab has no Nova; the fake answers as the API reference says.
#![allow(clippy::unwrap_used)]

mod common;

use common::client;
use kuryr_api::ids::{PortId, ServerId};
use kuryr_openstack::{Effect, Kind, Neutron, Nova, neutron::NewPort, nova::server_of};
use kuryr_testkit::FakeCloud;
use serde_json::json;
use std::time::Duration;

struct Machine {
    cloud: FakeCloud,
    neutron: Neutron,
    nova: Nova,
    server: ServerId,
    port: PortId,
}

impl Machine {
    async fn new() -> Self {
        let cloud = FakeCloud::start().await.unwrap();
        let neutron = client(&cloud, &cloud.neutron_url());
        let nova = Nova::new(neutron.session().clone());
        let network = cloud.neutron().id_of("k8s-pod-net").unwrap();
        let new = NewPort { description: "uid-1".into(), ..NewPort::on(network.as_str().into()) };
        let (own, port) =
            (neutron.create_port(&new).await.unwrap(), neutron.create_port(&new).await.unwrap());
        let server = cloud.nova().boot("compute1", own.id.as_str());
        Self { cloud, neutron, nova, server: server.as_str().into(), port: port.id }
    }

    async fn device(&self) -> String {
        self.neutron.port(&self.port).await.unwrap().device_id
    }
}

#[tokio::test]
async fn a_port_is_attached_once_and_stays_when_it_is_detached() {
    let machine = Machine::new().await;
    let Machine { nova, server, port, .. } = &machine;
    nova.attach_interface(server, port).await.unwrap();
    let attached = machine.neutron.port(port).await.unwrap();
    assert_eq!((attached.device_id.as_str(), attached.host.as_str()), (server.as_str(), "compute1"));
    assert_eq!((attached.device_owner.as_str(), attached.description.as_str()), ("compute:nova", "uid-1"));
    assert_eq!(server_of(&attached).as_ref(), Some(server));
    let error = nova.attach_interface(server, port).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (Kind::Conflict, Effect::None));
    assert!(error.to_string().contains("is still in use"), "{error}");
    for _ in 0..2 {
        nova.detach_interface(server, port).await.unwrap();
    }
    while !machine.device().await.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(server_of(&machine.neutron.port(port).await.unwrap()), None);
    nova.attach_interface(server, port).await.unwrap();
}

#[test]
fn a_port_that_kuryr_calls_its_own_is_no_servers() {
    let owned = |owner: &str| {
        server_of(
            &serde_json::from_value(json!({ "id": "p", "device_id": "d", "device_owner": owner })).unwrap(),
        )
    };
    assert_eq!(owned("compute:az1"), Some("d".into()), "Nova writes its availability zone");
    for owner in ["compute:kuryr", "compute:kuryr:sriov", "trunk:subport", ""] {
        assert_eq!(owned(owner), None, "{owner}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_said_and_fine_where_it_is_to_go() {
    let Machine { nova, server, port, cloud: _cloud, .. } = Machine::new().await;
    let gone: ServerId = "00000000-0000-4000-9000-0000000000ff".into();
    assert_eq!(
        (nova.has_server(&server).await.unwrap(), nova.has_server(&gone).await.unwrap()),
        (true, false)
    );
    for (server, port) in [(&gone, &port), (&server, &PortId::from("none"))] {
        assert_eq!(nova.attach_interface(server, port).await.unwrap_err().kind(), Kind::NotFound);
        nova.detach_interface(server, port).await.unwrap();
    }
}

#[tokio::test]
async fn a_lost_answer_may_have_had_its_effect_and_the_port_tells() {
    let machine = Machine::new().await;
    machine.cloud.nova().lose_answers(1);
    let error = machine.nova.attach_interface(&machine.server, &machine.port).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (Kind::Fault, Effect::Unknown));
    assert_eq!(machine.device().await, machine.server.as_str());
}
