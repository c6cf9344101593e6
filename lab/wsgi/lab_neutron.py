"""Neutron's application, with its configuration files instead of gunicorn's command line, and one change for TSO."""

import os
import sys

ETC = os.environ["LAB"] + "/etc"
sys.argv = ["neutron-api", "--config-file", ETC + "/neutron.conf", "--config-file", ETC + "/ml2_conf.ini"]

from neutron.plugins.ml2.drivers.ovn.mech_driver.ovsdb import ovn_client  # noqa: E402

_options = ovn_client.OVNClient._gen_router_port_options


def _without_gateway_mtu(self, *args, **kwargs):
    # OVN's check_pkt_larger takes the 64 KiB segments of the userspace datapath's TSO for oversize packets: with the
    # option, transfers through a router stall.
    options = _options(self, *args, **kwargs)
    options.pop("gateway_mtu", None)
    return options


ovn_client.OVNClient._gen_router_port_options = _without_gateway_mtu

from neutron.wsgi.api import application  # noqa: E402, F401
