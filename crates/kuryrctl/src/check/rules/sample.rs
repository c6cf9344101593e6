//! Facts of an installation where everything is as it should be.

use kuryr_openstack::neutron::{Network, Quota, Right, Subnet};
use serde_json::json;

use crate::check::{
    facts::{Balancer, Cloud, Cluster, Config, Definition, Facts, Host, Node, Settings, State, Way},
    finding::Finding,
};

/// Two nodes of 110 pods, both families, OVN.
pub(in crate::check) fn good() -> Facts {
    settled(|_| {})
}

/// The same with other settings.
pub(in crate::check) fn settled(change: impl FnOnce(&mut Settings)) -> Facts {
    let mut settings = Settings {
        files: 1,
        project: Some("p1".into()),
        pod_subnets: vec!["pods".into(), "pods6".into()],
        security_groups: vec!["g1".into()],
        service_subnets: vec!["services".into()],
        external_network: Some("public".into()),
        balancer: Balancer {
            provider: "default".into(),
            algorithm: "SOURCE_IP_PORT".into(),
            algorithm_is_set: true,
            enforce_rules: false,
        },
        bridge: "br-int".into(),
        pod_vif_driver: "neutron-vif".into(),
        ovsdb: "unix:/run/openvswitch/db.sock".into(),
        ..Settings::default()
    };
    change(&mut settings);
    Facts { config: Config::Read(Box::new(settings)), cloud: cloud(), cluster: cluster(), host: host() }
}

fn cloud() -> Cloud {
    let aliases =
        ["binding", "security-group", "standard-attr-tag", "net-mtu", "quota_details", "tag-creation"];
    let pods = subnet("pods", "pod-net", "10.1.0.0/16", ("10.1.0.1", "10.1.255.253"), "10.1.255.254");
    let pods6 =
        subnet("pods6", "pod-net", "fd10:1::/64", ("fd10:1::2", "fd10:1::ffff:ffff:ffff:ffff"), "fd10:1::1");
    let services =
        subnet("services", "service-net", "10.96.0.0/15", ("10.97.0.1", "10.97.255.253"), "10.97.255.254");
    Cloud {
        way: Ok(Way::Open),
        extensions: Ok(aliases.map(Into::into).into()),
        pod_subnets: Ok(vec![pods, pods6]),
        pod_network: Ok(network()),
        security_groups: Ok(["g1".into()].into()),
        service_subnets: Ok(vec![services]),
        has_external_network: Ok(true),
        binding: Ok(Right::Granted),
        quota: Ok(Quota { limit: 500, used: 20, reserved: 0 }),
        pod_ports: Ok(10),
        parents: Ok(vec![]),
        servers: Ok(Some([].into())),
        providers: Ok(Some(["ovn".into()].into())),
    }
}

fn network() -> Network {
    serde_json::from_value(json!({"id": "pod-net", "name": "pods", "mtu": 1442})).unwrap()
}

/// A subnet whose name is its id.
pub(in crate::check) fn subnet(
    id: &str,
    network: &str,
    cidr: &str,
    pool: (&str, &str),
    gateway: &str,
) -> Subnet {
    let version = if cidr.contains(':') { 6 } else { 4 };
    serde_json::from_value(json!({
        "id": id, "name": id, "network_id": network, "cidr": cidr, "ip_version": version, "gateway_ip": gateway,
        "allocation_pools": [{"start": pool.0, "end": pool.1}],
    }))
    .unwrap()
}

fn cluster() -> Cluster {
    let node = |name: &str, address: &str| Node {
        name: name.into(),
        pods: 110,
        addresses: vec![address.parse().unwrap()],
        pod_vif: None,
    };
    let ports = Definition { name: "kuryrports.openstack.org".into(), state: State::Same };
    Cluster {
        nodes: Ok(vec![node("node1", "192.0.2.11"), node("node2", "192.0.2.12")]),
        service_ranges: Ok(vec!["10.96.0.0/16".parse().unwrap()]),
        definitions: Ok(vec![ports]),
        controller_lacks: Ok(vec![]),
        daemons_lack: Ok(vec![]),
        policies: Ok(0),
    }
}

fn host() -> Host {
    Host { taken: Ok(vec![]), plumbing: Ok(Ok(())), ovsdb: Ok(Ok(())), bridge: Ok(true) }
}

pub(in crate::check) fn ids(found: &[Finding]) -> Vec<&'static str> {
    found.iter().map(|finding| finding.id).collect()
}
