"""What the operator of a cloud has ready for a project: room in its quotas, and the network outside. Safe to repeat."""

import openstack

admin = openstack.connect(cloud="admin").network
project = openstack.connect(cloud="kuryr").current_project_id

limits = {"ports": 5000, "networks": 500, "subnets": 500, "security_groups": 1000, "security_group_rules": 10000}
admin.update_quota(project, routers=50, floating_ips=200, **limits)
outside = {"is_router_external": True, "provider_network_type": "flat", "provider_physical_network": "physnet1", "is_shared": True}
public = admin.find_network("public") or admin.create_network(name="public", **outside)
if not admin.find_subnet("public-subnet"):
    admin.create_subnet(
        name="public-subnet", network_id=public.id, cidr="172.24.4.0/24", ip_version=4, gateway_ip="172.24.4.1", is_dhcp_enabled=False
    )
