"""`lab status`: what runs, what does not, and how to reach it."""

import sys

from kuryrlab import cluster, components, facts, kuryr, paths
from kuryrlab.daemons import Daemon
from kuryrlab.node import nodes


def _line(daemon: Daemon, absent: str) -> str:
    noted = daemon.place.find(daemon.name)
    return f"  {daemon.title:28}{f'runs, pid {noted.pid}' if noted else absent}"


def show() -> int:
    """Print it; 0 when everything runs."""
    lines, complete = [], True
    for title, daemons in [
        ("root namespace", components.control_plane()),
        *((node.name, components.node_daemons(node)) for node in [*nodes(), *cluster.running_vms()]),
    ]:
        lines.append(title)
        for daemon in daemons:
            noted = daemon.place.find(daemon.name)
            complete = complete and noted is not None
            lines.append(_line(daemon, "DOWN"))
    lines += [f"{vm.name}\n  off: `lab nested up {vm.name}` turns it on" for vm in cluster.vms() if not vm.place.init()]
    lines.append("Kuryr")
    lines += [_line(daemon, "not started") for daemon in kuryr.daemons()]
    lines.append(f"\nlogs: {paths.LOG}   facts: {paths.FACTS}")
    lines.append(f'to look around: eval "$({paths.SOURCE}/lab env)", that is')
    lines.append(facts.export_lines())
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if complete else 1
