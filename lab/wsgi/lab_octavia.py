"""Octavia's application, with its configuration file instead of gunicorn's command line."""

import os
import sys

sys.argv = ["octavia-api", "--config-file", os.environ["LAB"] + "/etc/octavia.conf"]

from octavia.wsgi.api import application  # noqa: E402, F401
