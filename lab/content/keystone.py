"""Fill Keystone: roles, the services' users and endpoints, and the project that Kuryr works in. Safe to repeat.

usage: keystone.py NEUTRON-URL OCTAVIA-URL
"""

import sys

import openstack

DOMAIN = "default"
cloud = openstack.connect(cloud="admin")
identity = cloud.identity


def role(name):
    return identity.find_role(name) or identity.create_role(name=name)


def project(name):
    return identity.find_project(name) or identity.create_project(name=name, domain_id=DOMAIN)


def user(name, home):
    return identity.find_user(name) or identity.create_user(name=name, password="secret", domain_id=DOMAIN, default_project_id=home.id)


def endpoints(kind, name, url):
    service = next(identity.services(type=kind), None) or identity.create_service(type=kind, name=name)
    have = {endpoint.interface for endpoint in identity.endpoints(service_id=service.id)}
    for interface in {"public", "internal", "admin"} - have:
        identity.create_endpoint(service_id=service.id, interface=interface, url=url, region_id="RegionOne")


def grant(member, home, *names):
    for name in names:
        identity.assign_project_role_to_user(home, member, role(name))


role("load-balancer_admin")
services = project("service")
for name in ("neutron", "octavia"):
    grant(user(name, services), services, "admin", "service")
endpoints("network", "neutron", sys.argv[1])
endpoints("load-balancer", "octavia", sys.argv[2])

k8s = project("k8s")
# Kuryr sets a port's binding:host_id, which Neutron's default policy allows to administrators only.
grant(user("kuryr", k8s), k8s, "member", "admin", "load-balancer_member")
grant(identity.find_user("admin"), k8s, "admin")
