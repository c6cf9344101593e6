"""`lab report`: the whole way of a packet at one moment, for whoever looks into it after everything has been cleared away."""

import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kuryrlab import cluster, paths, shell
from kuryrlab.node import nodes

KEPT = 20
_LONGEST = 20

_CONTROL = {
    "ovn-northbound": ["ovn-nbctl", "--no-leader-only", "show"],
    "ovn-load-balancers": ["ovn-nbctl", "list", "load_balancer"],
    "ovn-port-groups": ["ovn-nbctl", "list", "port_group"],
    "ovn-acls": ["ovn-nbctl", "list", "acl"],
    "ovn-address-sets": ["ovn-sbctl", "list", "address_set"],
    "ovn-ports": ["ovn-sbctl", "list", "port_binding"],
    "ovn-flows": ["ovn-sbctl", "lflow-list"],
    "pods": ["kubectl", "get", "pods", "-A", "-o", "wide"],
    "records": ["kubectl", "get", "kuryrports,kuryrloadbalancers,kuryrnetworkpolicies", "-A", "-o", "yaml"],
    "endpoints": ["kubectl", "get", "services,endpointslices", "-A", "-o", "wide"],
}
_PODS = """
for pod in $(ip netns list | cut -d" " -f1); do
    echo "== $pod"
    for what in addr route neigh; do ip -n "$pod" "$what"; done
done
"""
_SWITCH = ["ovs-appctl", "-t", "/run/openvswitch/ovs-vswitchd.ctl"]
_NODE = {
    "switch": ["ovs-vsctl", "show"],
    "interfaces": ["ovs-vsctl", "list", "interface"],
    "flows": ["ovs-ofctl", "-O", "OpenFlow15", "dump-flows", "br-int"],
    "cached-flows": [*_SWITCH, "dpctl/dump-flows", "-m"],
    "connections": [*_SWITCH, "dpctl/dump-conntrack", "-m"],
    "pods": ["sh", "-c", _PODS],
}
_VM = {
    "links": ["ip", "-d", "link"],
    "addresses": ["sh", "-c", "ip addr; ip route; ip neigh"],
    "pods": ["sh", "-c", _PODS],
}
# As much of each log as helps, and no more.
_LOG_LINES = "2000"


def write(name: str) -> Path:
    """Write it to a folder of its own, and return that. The oldest go."""
    folder = paths.REPORTS / f"{time.strftime('%H%M%S')}-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(folder / title, words) for title, words in _CONTROL.items()]
    for node in filter(lambda node: node.place.init(), nodes()):
        jobs += [(folder / f"{node.name}-{title}", node.place.command(words)) for title, words in _NODE.items()]
    for vm in cluster.vms():
        if vm.place.init():
            jobs += [(folder / f"{vm.name}-{title}", vm.place.command(words)) for title, words in _VM.items()]
        logs = vm.place.log_dir.glob("*.log")
        jobs += [(folder / f"{vm.name}-{log.name}", ["tail", "-n", _LOG_LINES, str(log)]) for log in logs]
    with ThreadPoolExecutor() as workers:
        list(workers.map(lambda job: _write_one(*job), jobs))
    for old in sorted(paths.REPORTS.iterdir(), key=lambda one: one.stat().st_mtime)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return folder


def _write_one(file: Path, words: list[str]) -> None:
    try:
        text = shell.run(words, timeout=_LONGEST)
    except (shell.CommandError, subprocess.TimeoutExpired, OSError) as error:
        text = f"{error}\n"
    file.write_text(text)
