"""The network of nodes that are VMs, and their trunks in it: made with the first VM of a life, in Kuryr's project."""

import json

from kuryrlab import openstack, paths, shell
from kuryrlab.places import ROOT

_KNOWN = paths.DATA / "workers.json"
_SCRIPT = "nested/trunk.py"


def make(name: str) -> str:
    """Make the network, the VM's port and its trunk, or find them there already; the port's address."""
    host = ROOT.run(["hostname"]).strip()
    _KNOWN.write_text(openstack.run_content(_SCRIPT, "make", name, host, paths.WORKERS_CIDR))
    return port_of(name)["address"]


def remove(name: str) -> str:
    """Take the trunk and the port away, and with the last of them the network."""
    left = openstack.run_content(_SCRIPT, "remove", name)
    if json.loads(left) is None:
        _KNOWN.unlink(missing_ok=True)
        shell.run(["ip", "route", "del", paths.WORKERS_CIDR], check=False)
        return "the workers' network, too"
    _KNOWN.write_text(left)
    return ""


def known() -> dict | None:
    """What there is, if there is any."""
    return json.loads(_KNOWN.read_text()) if _KNOWN.exists() else None


def port_of(name: str) -> dict:
    """A VM's port and trunk."""
    layout = known()
    if layout is None or name not in layout["vms"]:
        raise shell.LabError(f"{name} has no port: `lab nested up {name}` makes it")
    return layout["vms"][name]
