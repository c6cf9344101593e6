"""Every daemon of the lab by its name: for status, for faults (`lab kill`, `lab start`), for going down in order."""

from kuryrlab import cluster, kubernetes, kuryr, openstack, ovs, shell
from kuryrlab.cluster import Member
from kuryrlab.daemons import Daemon

ALIASES = {
    "apiserver": "kube-apiserver",
    "scheduler": "kube-scheduler",
    "mysql": "mariadb",
    "controller": kuryr.CONTROLLER,
    "daemon": kuryr.DAEMON,
}


def control_plane() -> list[Daemon]:
    """All of the root namespace, in the order of starting."""
    return [*ovs.daemons(), *openstack.daemons(), *kubernetes.daemons()]


def node_daemons(node: Member) -> list[Daemon]:
    """All of one node, in the order of starting."""
    return node.daemons()


def find(name: str, node: str | None) -> Daemon:
    """The daemon of that name, in the root namespace or in a node."""
    wanted = ALIASES.get(name, name)
    if node:
        member = cluster.find(node)
        candidates = [*node_daemons(member), kuryr.node_daemon(member)]
    else:
        candidates = [*control_plane(), kuryr.controller()]
    for daemon in candidates:
        if daemon.name == wanted:
            return daemon
    known = ", ".join(daemon.name for daemon in candidates)
    raise shell.LabError(f"no component {name} {f'in {node}' if node else 'in the root namespace'}: there are {known}")
