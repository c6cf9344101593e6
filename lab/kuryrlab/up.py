"""`lab up` and `lab down`: which steps there are, and which has to wait for which."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kuryrlab import (
    cluster,
    components,
    facts,
    host,
    kubernetes,
    kuryr,
    openstack,
    ovs,
    paths,
    pieces,
    pki,
    prerequisites,
    seed,
    sweep,
    underlay,
)
from kuryrlab.daemons import Daemon
from kuryrlab.node import Node, nodes
from kuryrlab.steps import Step, perform, say

# What holds the lab's state: while one of these runs, the lab is repaired; when none does, a new life begins.
STATE_HOLDERS = ("etcd", "mariadb", "ovsdb", "ovn-nb", "kube-apiserver")
# What a node finds running when it is turned on alone.
_NODE_NEEDS = ("underlay", "certificates", "northd", "images", "coredns image", "kube-apiserver", "layout")


def up() -> None:
    """Bring the lab up, or back to what it should be."""
    prerequisites.check()
    fresh = not alive()
    steps = [] if not fresh else [Step("sweep", sweep.clear), Step("empty the state folders", sweep.forget_state, ("sweep",))]
    begin = ("empty the state folders",) if fresh else ()
    perform(
        [
            *steps,
            *_install(begin),
            _certificates(fresh),
            Step("kernel settings", host.set_sysctls, begin),
            *_openstack(),
            *_ovn(),
            *_kubernetes(),
            *_all_nodes(),
            _facts_step(),
        ]
    )
    say("the lab is up: `lab status` shows it")


def down() -> None:
    """Stop everything and leave nothing behind."""
    stops = [
        Step("stop the control plane", _stop_control_plane),
        *(Step(f"power off {node.name}", node.power_off) for node in nodes()),
        *(Step(f"power off {vm.name}", lambda vm=vm: vm.cut() and "") for vm in cluster.running_vms()),
    ]
    perform([*stops, Step("sweep", _sweep_quietly, tuple(stop.name for stop in stops))])
    paths.FACTS.unlink(missing_ok=True)


def alive() -> bool:
    """Whether there is a life of the lab to go on with."""
    return any(daemon.running() for daemon in components.control_plane() if daemon.name in STATE_HOLDERS)


def install() -> None:
    """Install and build all pieces, those of VMs too, and start nothing."""
    prerequisites.check()
    perform([*_install(()), Step("user-mode Linux", lambda: pieces.ensure("vm"), ("Debian packages",))])


def power_node_on(node: Node) -> None:
    """Turn a node on and bring it back into the pod network, as its boot would."""
    perform([*_node(node), Step("tunnel neighbours", teach_neighbours, (f"{node.name} switch",))], given=_NODE_NEEDS)


def teach_neighbours() -> str:
    """Tell every switch the others' tunnel ends, which a switch forgets when it restarts."""
    on = [node for node in nodes() if node.place.init()]
    root_mac = Path("/sys/class/net/br-phys/address").read_text().strip()
    ends = [(paths.TUNNEL_ROOT, root_mac), *(node.tunnel_address() for node in on)]
    for node in on:
        node.learn_neighbours(ends)
    control = ovs.OVS_RUN / "vswitchd.ctl"
    for address, mac in ends[1:]:
        ovs.appctl(control, "tnl/neigh/set", "br-phys", address, mac)
    ovs.appctl(control, "tnl/neigh/aging", "3600")
    return ""


def _install(begin: tuple[str, ...]) -> list[Step]:
    ensure = {name: (lambda name=name: pieces.ensure(name)) for name in ("ovn", "venv", "kubernetes", "etcd", "images", "coredns")}
    return [
        Step("Debian packages", pieces.debian, begin),
        Step("ovn program", ensure["ovn"], ("Debian packages",)),
        Step("venv", ensure["venv"], ("Debian packages",)),
        # The big build begins at once, the small ones of the same compiler after it.
        Step("kubernetes programs", ensure["kubernetes"], begin),
        Step("etcd program", ensure["etcd"], ("kubernetes programs",)),
        Step("images", ensure["images"], ("kubernetes programs",)),
        # Last of them, beside all that starts meanwhile: nothing but its image in the nodes waits for it.
        Step("coredns image", ensure["coredns"], ("etcd program",)),
        # Beside the others: what makes the networks is Kuryr's own program.
        Step("kuryrctl program", seed.build_program, begin),
        Step("tools", facts.link_tools, ("ovn program", "venv", "kubernetes programs")),
    ]


def _certificates(fresh: bool) -> Step:
    return Step("certificates", lambda: pki.ensure(running=not fresh), ("Debian packages",))


def _openstack() -> list[Step]:
    return [
        Step("OpenStack configuration", _configure_openstack, ("venv",)),
        Step("seed files", seed.load_files, ("OpenStack configuration", "ovn program")),
        _daemon(openstack.mariadb(), "OpenStack configuration"),
        Step("databases", seed.fill_databases, ("mariadb", "seed files")),
        Step("keystone tables", seed.fill_keystone_tables, ("seed files",)),
        _daemon(openstack.keystone(), "keystone tables", "underlay"),
        Step("keystone content", seed.fill_keystone, ("keystone",)),
        _daemon(openstack.neutron(), "databases", "ovn-nb", "ovn-sb", "underlay"),
        _daemon(openstack.octavia_agent(), "databases", "ovn-nb", "ovn-sb"),
        _daemon(openstack.octavia(), "databases", "octavia-agent", "underlay"),
        Step("layout", seed.make_layout, ("keystone content", "neutron", "northd", "kuryrctl program")),
    ]


def _ovn() -> list[Step]:
    by_name = {daemon.name: daemon for daemon in ovs.daemons()}
    return [
        Step("underlay", underlay.build, ("Debian packages",)),
        _daemon(by_name["ovsdb"], "ovn program", "kernel settings"),
        _daemon(by_name["ovn-nb"], "ovn program", "seed files"),
        _daemon(by_name["ovn-sb"], "ovn program", "underlay"),
        _daemon(by_name["vswitchd"], "ovsdb", "underlay"),
        Step("bridges", ovs.address_bridges, ("vswitchd",)),
        _daemon(by_name["northd"], "ovn-nb", "ovn-sb"),
        _daemon(by_name["ovn-controller"], "bridges", "northd"),
    ]


def _kubernetes() -> list[Step]:
    by_name = {daemon.name: daemon for daemon in kubernetes.daemons()}
    return [
        _daemon(by_name["etcd"], "etcd program"),
        _daemon(by_name["kube-apiserver"], "etcd", "certificates"),
        _daemon(by_name["kube-controller-manager"], "kube-apiserver"),
        _daemon(by_name["kube-scheduler"], "kube-apiserver"),
        Step("permissions", kubernetes.apply_permissions, ("kube-apiserver",)),
    ]


def _all_nodes() -> list[Step]:
    ends = tuple(f"{node.name} switch" for node in nodes())
    steps = [step for node in nodes() for step in _node(node)]
    return [*steps, Step("tunnel neighbours", teach_neighbours, (*ends, "bridges"))]


def _node(node: Node) -> list[Step]:
    name = node.name
    by_name = {daemon.name: daemon for daemon in node.daemons()}
    return [
        Step(f"{name} power", node.power_on, ("underlay", "certificates")),
        Step(f"{name} switch", node.switch_on, (f"{name} power", "northd")),
        Step(f"{name} containerd", by_name["containerd"].start, (f"{name} power",)),
        Step(f"{name} images", lambda: cluster.load_image(node, paths.AGNHOST_IMAGE), (f"{name} containerd", "images")),
        Step(f"{name} coredns image", lambda: cluster.load_image(node, paths.COREDNS_IMAGE), (f"{name} images", "coredns image")),
        Step(f"{name} kubelet", by_name["kubelet"].start, (f"{name} images", "kube-apiserver")),
        Step(f"{name} in the pod network", lambda: node.plug_kubelet(seed.networks()), (f"{name} switch", "layout")),
    ]


def _facts_step() -> Step:
    last = ("layout", "octavia", "permissions", "kube-controller-manager", "kube-scheduler", "tools", "tunnel neighbours")
    return Step("facts", facts.write, (*last, *(f"{node.name} kubelet" for node in nodes())))


def _daemon(daemon: Daemon, *after: str) -> Step:
    return Step(daemon.name, daemon.start, after)


def _configure_openstack() -> str:
    facts.write_clouds()
    return openstack.write_configuration()


def _stop_control_plane() -> str:
    # All at once: nothing of what they would write to each other at their end is kept.
    with ThreadPoolExecutor(max_workers=16) as pool:
        stopped = list(pool.map(lambda daemon: daemon.stop(grace=2), [*components.control_plane(), kuryr.controller()]))
    return f"{sum(stopped)} daemons"


def _sweep_quietly() -> str:
    sweep.clear()
    shutil.rmtree(paths.RUN, ignore_errors=True)
    return ""
