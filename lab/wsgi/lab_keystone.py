"""Keystone's application, without gunicorn's command line, which oslo.config would take for its own."""

import sys

sys.argv = ["keystone-api"]

from keystone.wsgi.api import application  # noqa: E402, F401
