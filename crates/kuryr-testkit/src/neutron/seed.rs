//! What the fake Neutron starts with: the shape of the lab's cloud.

use super::{ForeignMacs, Object, Pace, Rights, State, ipam::Subnet};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};

pub(super) const QUOTAS: [&str; 6] =
    ["network", "subnet", "port", "security_group", "security_group_rule", "floatingip"];

const EXTENSIONS: [&str; 9] = [
    "address-group",
    "binding",
    "pagination",
    "port-security",
    "quota_details",
    "revision-if-match",
    "security-groups-remote-address-group",
    "standard-attr-tag",
    "tag-creation",
];

pub(super) const TIME: &str = "2026-01-01T00:00:00Z";

const POD_NETWORK: &str = "00000000-0000-4000-a000-000000000001";
const POD_SUBNET: &str = "00000000-0000-4000-a000-000000000002";
const POD_SUBNET_V6: &str = "00000000-0000-4000-a000-000000000003";
const POD_GROUP: &str = "00000000-0000-4000-a000-000000000004";
const DEFAULT_GROUP: &str = "00000000-0000-4000-a000-000000000005";
const SERVICE_NETWORK: &str = "00000000-0000-4000-a000-000000000006";
const SERVICE_SUBNET: &str = "00000000-0000-4000-a000-000000000007";
const EXTERNAL_NETWORK: &str = "00000000-0000-4000-a000-000000000008";
const EXTERNAL_SUBNET: &str = "00000000-0000-4000-a000-000000000009";

pub(super) fn state(project: &str) -> State {
    State {
        project: project.into(),
        networks: vec![
            network(project, POD_NETWORK, "k8s-pod-net", &[POD_SUBNET, POD_SUBNET_V6]),
            network(project, SERVICE_NETWORK, "k8s-service-net", &[SERVICE_SUBNET]),
            external(network(project, EXTERNAL_NETWORK, "public", &[EXTERNAL_SUBNET])),
        ],
        subnets: vec![
            subnet(project, (POD_NETWORK, POD_SUBNET), "k8s-pod-subnet", "10.1.0.0/16", "10.1.255.254"),
            subnet(project, (POD_NETWORK, POD_SUBNET_V6), "k8s-pod-subnet-v6", "fd10:1::/64", "fd10:1::1"),
            subnet(
                project,
                (SERVICE_NETWORK, SERVICE_SUBNET),
                "k8s-service-subnet",
                "10.96.0.0/15",
                "10.97.255.254",
            ),
            subnet(
                project,
                (EXTERNAL_NETWORK, EXTERNAL_SUBNET),
                "public-subnet",
                "172.24.4.0/24",
                "172.24.4.1",
            ),
        ],
        groups: vec![group(project, POD_GROUP, "k8s-pods"), group(project, DEFAULT_GROUP, "default")],
        address_groups: BTreeMap::new(),
        ports: BTreeMap::new(),
        floating_ips: BTreeMap::new(),
        trunks: BTreeMap::new(),
        foreign_macs: ForeignMacs::default(),
        quotas: HashMap::new(),
        extensions: EXTENSIONS.into(),
        hosts: ["node1", "node2"].map(Into::into).into(),
        hosts_with_functions: BTreeSet::new(),
        failures: Vec::new(),
        rights: Rights::default(),
        pace: Pace::default(),
        next: 0,
    }
}

pub(super) fn group(project: &str, id: &str, name: &str) -> Object {
    object(json!({
        "id": id, "name": name, "project_id": project, "tenant_id": project, "description": "", "tags": [],
        "stateful": true, "shared": false, "security_group_rules": [],
        "created_at": TIME, "updated_at": TIME, "revision_number": 1,
    }))
}

pub(super) fn address_group(project: &str, id: &str, name: &str, description: &str) -> Object {
    object(json!({
        "id": id, "name": name, "description": description, "project_id": project, "addresses": [],
        "created_at": TIME, "updated_at": TIME, "revision_number": 0,
    }))
}

pub(super) fn floating_ip(
    project: &str,
    id: &str,
    network: &str,
    address: &str,
    description: &str,
) -> Object {
    object(json!({
        "id": id, "project_id": project, "tenant_id": project, "floating_network_id": network,
        "floating_ip_address": address, "port_id": null, "fixed_ip_address": null, "router_id": null, "status": "DOWN",
        "description": description, "dns_name": "", "dns_domain": "", "port_details": null, "tags": [],
        "created_at": TIME, "updated_at": TIME, "revision_number": 0,
    }))
}

fn external(mut network: Object) -> Object {
    network.insert("router:external".into(), true.into());
    network
}

fn network(project: &str, id: &str, name: &str, subnets: &[&str]) -> Object {
    object(json!({
        "id": id, "name": name, "project_id": project, "tenant_id": project, "mtu": 1442,
        "admin_state_up": true, "status": "ACTIVE", "shared": false, "router:external": false, "tags": [],
        "subnets": subnets, "port_security_enabled": true, "description": "",
        "provider:network_type": "geneve", "provider:segmentation_id": 1, "provider:physical_network": null,
        "created_at": TIME, "updated_at": TIME, "revision_number": 3,
    }))
}

fn subnet(project: &str, (network, id): (&str, &str), name: &str, cidr: &str, gateway: &str) -> Subnet {
    let version = if cidr.contains(':') { 6 } else { 4 };
    let shown = object(json!({
        "id": id, "name": name, "project_id": project, "tenant_id": project, "network_id": network,
        "ip_version": version, "cidr": cidr, "gateway_ip": gateway, "enable_dhcp": false, "tags": [],
        "ipv6_ra_mode": null, "ipv6_address_mode": null, "dns_nameservers": [], "host_routes": [],
        "allocation_pools": [], "subnetpool_id": null, "description": "", "service_types": [],
        "created_at": TIME, "updated_at": TIME, "revision_number": 0,
    }));
    Subnet::new(shown, cidr, gateway)
}

fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        _ => Object::new(),
    }
}
