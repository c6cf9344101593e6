"""Octavia's application, with its configuration file instead of gunicorn's command line, and with patience."""

import os
import sys

sys.argv = ["octavia-api", "--config-file", os.environ["LAB"] + "/etc/octavia.conf"]

from octavia_lib.api.drivers import driver_lib  # noqa: E402

# OVN's provider asks the driver agent while it serves a call. Where the agent's queue of five is full, or it takes longer than 30 s
# because builds run beside the lab, the provider drops the call and leaves the load balancer PENDING for good.
driver_lib.SOCKET_TIMEOUT = None
driver_lib.DRIVER_AGENT_TIMEOUT = 120

from octavia.wsgi.api import application  # noqa: E402, F401
