"""Make, or take away, what a VM that is a node has in Neutron: the workers' network, a port there, and a trunk on that port.

Usage: trunk.py make NAME HOST CIDR, or trunk.py remove NAME. Prints what there is as JSON, `null` if nothing is left. Safe to repeat.
It lies in a folder of its own, since the lab's snapshot of networks does not depend on it.
"""

import contextlib
import json
import sys
import time

import openstack

NETWORK, SUBNET = "k8s-worker-net", "k8s-worker-subnet"
# Not Kuryr's own: it would take a tagged port for one that it forgot.
TAGS = ["lab-vm"]
OWNER = "compute:nova"
POD = "compute:kuryr"
# Seconds.
PATIENCE = 20
# The machine's own port in the network, by which the API server reaches kubelets.
LEG = "lab-workers"

# Seen once in the first seconds of a life: Neutron answers 503, as if Keystone were not available.
network = openstack.connect(cloud="kuryr", network_status_code_retries=5).network
router = network.find_router("k8s-router", ignore_missing=False)


def tagged(thing):
    network.set_tags(thing, TAGS)
    return thing


def workers(cidr):
    net = network.find_network(NETWORK) or tagged(network.create_network(name=NETWORK))
    subnet = network.find_subnet(SUBNET)
    if not subnet:
        subnet = tagged(network.create_subnet(name=SUBNET, network_id=net.id, cidr=cidr, ip_version=4, is_dhcp_enabled=False))
    if not any(ip["subnet_id"] == subnet.id for end in network.ports(device_id=router.id) for ip in end.fixed_ips):
        network.add_interface_to_router(router, subnet_id=subnet.id)
    return net, subnet


def port(name, host, net, owner):
    found = network.find_port(name)
    if found:
        return found
    group = network.find_security_group("k8s-pods", ignore_missing=False)
    wanted = {"network_id": net.id, "security_group_ids": [group.id], "device_owner": owner, "binding_host_id": host}
    return tagged(network.create_port(name=name, **wanted))


def plug(name, host, net):
    port(LEG, host, net, "compute:kuryr-node")
    parent = port(f"{name}-eth0", host, net, OWNER)
    if not network.find_trunk(f"{name}-trunk"):
        tagged(network.create_trunk(name=f"{name}-trunk", port_id=parent.id, sub_ports=[]))


def unplug(name):
    for trunk in network.trunks(name=f"{name}-trunk"):
        network.delete_trunk(trunk)
    for parent in network.ports(name=f"{name}-eth0"):
        network.delete_port(parent)
    net, subnet = network.find_network(NETWORK), network.find_subnet(SUBNET)
    if net and subnet and not any(network.ports(network_id=net.id, device_owner=OWNER)) and is_left(net):
        # A pod's port may come at the last moment: then the subnet stays.
        with contextlib.suppress(openstack.exceptions.ConflictException):
            with contextlib.suppress(openstack.exceptions.NotFoundException):
                network.remove_interface_from_router(router, subnet_id=subnet.id)
            for leg in network.ports(name=LEG):
                network.delete_port(leg)
            network.delete_subnet(subnet)
            network.delete_network(net)


def is_left(net):
    """Whether no pod has a port in the network any more. Kuryr takes them away when the pods are gone."""
    for _ in range(PATIENCE):
        if not any(network.ports(network_id=net.id, device_owner=POD)):
            return True
        time.sleep(1)
    return False


def described(found):
    return {"port": found.id, "mac": found.mac_address, "address": found.fixed_ips[0]["ip_address"]}


def known():
    net, subnet = network.find_network(NETWORK), network.find_subnet(SUBNET)
    if not net or not subnet:
        return None
    return {
        "network": {"id": net.id, "name": net.name, "mtu": net.mtu},
        "subnet": {"id": subnet.id, "name": subnet.name, "cidr": subnet.cidr, "gateway": subnet.gateway_ip},
        "leg": described(network.find_port(LEG, ignore_missing=False)),
        "vms": {
            trunk.name.removesuffix("-trunk"): {**described(network.get_port(trunk.port_id)), "trunk": trunk.id}
            for trunk in network.trunks(tags=TAGS)
        },
    }


if sys.argv[1] == "make":
    net, _ = workers(sys.argv[4])
    plug(sys.argv[2], sys.argv[3], net)
else:
    unplug(sys.argv[2])
json.dump(known(), sys.stdout, indent=1)
