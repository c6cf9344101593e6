"""Make the nodes' own ports in the networks that `kuryrctl openstack init` made, and print all of them as JSON.

Usage: layout.py NODE... Safe to repeat.
"""

import json
import sys

import openstack

kuryr = openstack.connect(cloud="kuryr")
network = kuryr.network


def node_port(node, net, group):
    name = f"kubelet-{node}"
    found = network.find_port(name)
    return found or network.create_port(
        name=name,
        network_id=net.id,
        security_group_ids=[group.id],
        device_owner="compute:kuryr-node",
        binding_host_id=node,
    )


def named(thing):
    return {"id": thing.id, "name": thing.name}


def range_of(subnet):
    return {"id": subnet.id, "cidr": subnet.cidr, "gateway": subnet.gateway_ip}


def address_of(port):
    return {"id": port.id, "mac": port.mac_address, "addresses": [ip["ip_address"] for ip in port.fixed_ips]}


def known(find, name):
    return find(name, ignore_missing=False)


pods = known(network.find_network, "k8s-pod-net")
pod_subnets = [known(network.find_subnet, name) for name in ("k8s-pod-subnet", "k8s-pod-subnet-v6")]
services = known(network.find_network, "k8s-service-net")
service_subnet = known(network.find_subnet, "k8s-service-subnet")
public = known(network.find_network, "public")
public_subnet = known(network.find_subnet, "public-subnet")
router = known(network.find_router, "k8s-router")
group = known(network.find_security_group, "k8s-pods")
ports = {node: address_of(node_port(node, pods, group)) for node in sys.argv[1:]}

json.dump(
    {
        "project_id": kuryr.current_project_id,
        "pod_network": {**named(pods), "mtu": pods.mtu},
        "pod_subnets": [{**named(subnet), **range_of(subnet)} for subnet in pod_subnets],
        "service_network": named(services),
        "service_subnet": {**named(service_subnet), **range_of(service_subnet)},
        "external_network": named(public),
        "external_subnet": range_of(public_subnet),
        "router": named(router),
        "security_group": named(group),
        "node_ports": ports,
        "extensions": sorted(extension.alias for extension in network.extensions()),
    },
    sys.stdout,
    indent=1,
)
