"""The network of nodes that are VMs, and their trunks in it: made with the first VM of a life, in Kuryr's project."""

import json

from kuryrlab import openstack, ovs, paths, shell
from kuryrlab.places import ROOT

# The machine's own device in the network: the router would lose the API server's connections to kubelets after their first packets.
LEG = "lab-workers"
_KNOWN = paths.DATA / "workers.json"
_SCRIPT = "nested/trunk.py"


def make(name: str) -> str:
    """Make the network, the VM's port and its trunk, once in a life; the port's address."""
    layout = known()
    if layout is None or name not in layout["vms"]:
        host = ROOT.run(["hostname"]).strip()
        _KNOWN.write_text(openstack.run_content(_SCRIPT, "make", name, host, paths.WORKERS_CIDR))
    _plug_leg(json.loads(_KNOWN.read_text()))
    return port_of(name)["address"]


def remove(name: str) -> str:
    """Take the trunk and the port away, and with the last of them the network."""
    left = openstack.run_content(_SCRIPT, "remove", name)
    if json.loads(left) is None:
        _KNOWN.unlink(missing_ok=True)
        ovs.vsctl("--if-exists", "del-port", "br-int", LEG)
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


def _plug_leg(layout: dict) -> None:
    leg, prefix = layout["leg"], layout["subnet"]["cidr"].split("/")[1]
    ids = {"iface-id": leg["port"], "attached-mac": leg["mac"], "iface-status": "active", "vm-uuid": LEG}
    settings = ["type=internal", f'mac="{leg["mac"]}"', *(f"external_ids:{key}={value}" for key, value in ids.items())]
    ovs.vsctl("--", "--may-exist", "add-port", "br-int", LEG, "--", "set", "Interface", LEG, *settings)
    shell.run(["ip", "link", "set", LEG, "address", leg["mac"], "mtu", str(layout["network"]["mtu"]), "up"])
    shell.run(["ip", "addr", "replace", f"{leg['address']}/{prefix}", "dev", LEG])
