"""Make the networks, the router, the security group and the nodes' own ports that Kuryr needs; print them as JSON.

Usage: layout.py NODE... Safe to repeat.
"""

import json
import sys

import openstack

POD_V4, POD_V6 = "10.1.0.0/16", "fd10:1::/64"
SERVICES = "10.96.0.0/15"
EXTERNAL = "172.24.4.0/24"

admin = openstack.connect(cloud="admin").network
kuryr = openstack.connect(cloud="kuryr")
network = kuryr.network
project = kuryr.current_project_id


def ensure_network(api, name, **fields):
    return api.find_network(name) or api.create_network(name=name, **fields)


def ensure_subnet(api, name, net, cidr, gateway, **fields):
    version = 6 if ":" in cidr else 4
    found = api.find_subnet(name)
    return found or api.create_subnet(
        name=name, network_id=net.id, cidr=cidr, ip_version=version, gateway_ip=gateway, is_dhcp_enabled=False, **fields
    )


def ensure_router(name, outside, subnets):
    found = network.find_router(name)
    if found:
        return found
    router = network.create_router(name=name, external_gateway_info={"network_id": outside.id})
    for subnet in subnets:
        network.add_interface_to_router(router, subnet_id=subnet.id)
    return router


def ensure_security_group(name):
    found = network.find_security_group(name)
    if found:
        return found
    group = network.create_security_group(name=name)
    for family in ("IPv4", "IPv6"):
        network.create_security_group_rule(security_group_id=group.id, direction="ingress", ethertype=family)
    return group


def ensure_node_port(node, net, group):
    name = f"kubelet-{node}"
    found = network.find_port(name)
    return found or network.create_port(
        name=name,
        network_id=net.id,
        security_group_ids=[group.id],
        device_owner="compute:kuryr-node",
        binding_host_id=node,
    )


def port_facts(port):
    return {"id": port.id, "mac": port.mac_address, "addresses": [ip["ip_address"] for ip in port.fixed_ips]}


limits = {"ports": 5000, "networks": 500, "subnets": 500, "security_groups": 1000, "security_group_rules": 10000}
admin.update_quota(project, routers=50, floating_ips=200, **limits)
public = ensure_network(
    admin, "public", is_router_external=True, provider_network_type="flat", provider_physical_network="physnet1", is_shared=True
)
public_subnet = ensure_subnet(admin, "public-subnet", public, EXTERNAL, "172.24.4.1")
pods = ensure_network(network, "k8s-pod-net")
pods_v4 = ensure_subnet(network, "k8s-pod-subnet", pods, POD_V4, "10.1.255.254")
pods_v6 = ensure_subnet(network, "k8s-pod-subnet-v6", pods, POD_V6, "fd10:1::1")
services = ensure_network(network, "k8s-service-net")
# Kubernetes takes the lower half of the service subnet for its ClusterIPs, Neutron the upper half for ports.
pool = [{"start": "10.97.0.1", "end": "10.97.255.253"}]
services_v4 = ensure_subnet(network, "k8s-service-subnet", services, SERVICES, "10.97.255.254", allocation_pools=pool)
router = ensure_router("k8s-router", public, [pods_v4, pods_v6, services_v4])
group = ensure_security_group("k8s-pods")
ports = {node: port_facts(ensure_node_port(node, pods, group)) for node in sys.argv[1:]}

json.dump(
    {
        "project_id": project,
        "pod_network": {"id": pods.id, "name": pods.name, "mtu": pods.mtu},
        "pod_subnets": [
            {"id": pods_v4.id, "name": pods_v4.name, "cidr": POD_V4, "gateway": pods_v4.gateway_ip},
            {"id": pods_v6.id, "name": pods_v6.name, "cidr": POD_V6, "gateway": pods_v6.gateway_ip},
        ],
        "service_network": {"id": services.id, "name": services.name},
        "service_subnet": {"id": services_v4.id, "name": services_v4.name, "cidr": SERVICES, "gateway": services_v4.gateway_ip},
        "external_network": {"id": public.id, "name": public.name},
        "external_subnet": {"id": public_subnet.id, "cidr": EXTERNAL, "gateway": "172.24.4.1"},
        "router": {"id": router.id, "name": router.name},
        "security_group": {"id": group.id, "name": group.name},
        "node_ports": ports,
        "extensions": sorted(extension.alias for extension in network.extensions()),
    },
    sys.stdout,
    indent=1,
)
