"""Where the lab keeps its things on disk, and the addresses it uses: every other module takes them from here."""

import os
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent
REPOSITORY = SOURCE.parent
PINS = SOURCE / "pins"
CARGO_TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or REPOSITORY / "target")

LAB = Path(os.environ.get("KURYR_LAB") or "~/.cache/kuryr-lab").expanduser().resolve()
OPT = LAB / "opt"
ETC = LAB / "etc"
DATA = LAB / "data"
RUN = LAB / "run"
LOG = LAB / "log"
PKI = LAB / "pki"
NODES = LAB / "nodes"
BIN = LAB / "bin"
DUMPS = LAB / "dumps"
REPORTS = LAB / "reports"
KURYR = LAB / "kuryr"
VMS = LAB / "vms"
FACTS = LAB / "lab.json"
LOCK = LAB / "lock"

VENV = OPT / "venv"
OVN = OPT / "ovn"
OVN_BIN = OVN / "bin"
KUBERNETES_BIN = OPT / "kubernetes" / "bin"
ETCD_BIN = OPT / "etcd" / "bin"
AGNHOST_IMAGE = OPT / "images" / "agnhost.tar"
VM = OPT / "vm"
COREDNS_IMAGE = OPT / "coredns" / "coredns.tar"

# The management network carries the API and OVN's southbound database, the tunnel network Geneve: they are two, since
# the tunnel's device belongs to OVS and goes away with it.
MANAGEMENT = "192.168.221"
TUNNEL = "192.168.223"
MANAGEMENT_ROOT = f"{MANAGEMENT}.1"
TUNNEL_ROOT = f"{TUNNEL}.1"
EXTERNAL_ROOT = "172.24.4.1"
EXTERNAL_PREFIX = 24
API_PORT = 6443
API_FROM_NODES = f"https://{MANAGEMENT_ROOT}:{API_PORT}"
API_LOCAL = f"https://127.0.0.1:{API_PORT}"
API_FROM_PODS = f"https://{EXTERNAL_ROOT}:{API_PORT}"

# What a controller in a node reaches as well as one on the machine itself.
KEYSTONE_URL = f"http://{MANAGEMENT_ROOT}:5000/v3"
NEUTRON_URL = f"http://{MANAGEMENT_ROOT}:9696"
OCTAVIA_URL = f"http://{MANAGEMENT_ROOT}:9876"

SERVICE_CIDR = "10.96.0.0/16"
KUBERNETES_SERVICE_IP = "10.96.0.1"

NODE_NAMES = ("node1", "node2")
# Nodes that are VMs of the lab's own OpenStack: on demand, their network and the cable by which the lab commands them.
VM_NAMES = ("vm1", "vm2", "vm3")
WORKERS_CIDR = "10.2.0.0/24"
VM_CABLE = "192.168.224"
CHASSIS = "lab-chassis"
OWNER_VARIABLE = "KURYR_LAB_OWNER"


def base_environment() -> dict[str, str]:
    """The environment of every daemon and tool of the lab: nothing of the caller's but its home folder."""
    path = [OVN_BIN, VENV / "bin", KUBERNETES_BIN, ETCD_BIN]
    return {
        "PATH": ":".join([*map(str, path), "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]),
        "HOME": os.environ.get("HOME", "/root"),
        "LANG": "C.UTF-8",
        "LAB": str(LAB),
        OWNER_VARIABLE: str(LAB),
        "TMPDIR": str(RUN / "tmp"),
        "PYTHONWARNINGS": "ignore",
        "PYTHONDONTWRITEBYTECODE": "1",
        "KUBECONFIG": str(PKI / "admin.conf"),
        **ovs_environment(),
    }


def ovs_environment() -> dict[str, str]:
    """What makes the OVS and OVN tools talk to the root namespace's switch and to the lab's OVN databases."""
    return {
        "OVS_RUNDIR": str(RUN / "ovs"),
        "OVN_RUNDIR": str(RUN / "ovn"),
        "OVS_LOGDIR": str(LOG / "ovs"),
        "OVN_LOGDIR": str(LOG / "ovn"),
        "OVS_DBDIR": str(DATA / "ovs"),
        "OVN_DBDIR": str(DATA / "ovn"),
        "OVS_SYSCONFDIR": str(ETC),
        "OVN_SYSCONFDIR": str(ETC),
        "OVN_NB_DB": "tcp:127.0.0.1:6641",
        "OVN_SB_DB": "tcp:127.0.0.1:6642",
    }
