"""The wires between the machine and its nodes: two switches in a namespace of their own, and the cables to them.

They are not in the root namespace, where a container engine's packet filter would see, and drop, what they forward.
"""

import contextlib
from pathlib import Path

from kuryrlab import mounts, paths, shell

NAMESPACE = "kuryr-underlay"
SWITCHES = ("management", "tunnel")
ROOT_PORTS = {"lab-mgmt": "management", "lab-tun": "tunnel"}
NODE_PORTS = {"eth0": "management", "tun0": "tunnel"}
_NETNS = Path("/run/netns")


def node_namespace(node: str) -> str:
    """The name of a node's network namespace."""
    return f"kuryr-{node}"


def namespaces() -> list[str]:
    """All names that may be the lab's."""
    return [NAMESPACE, *map(node_namespace, paths.NODE_NAMES)]


def exists(namespace: str) -> bool:
    """Whether there is a namespace of this name."""
    return (_NETNS / namespace).exists()


def build() -> str:
    """Make the switches, and the machine's own cables to them."""
    if exists(NAMESPACE) and Path("/sys/class/net/lab-mgmt").exists() and Path("/sys/class/net/lab-tun").exists():
        return "there already"
    if not exists(NAMESPACE):
        shell.run(["ip", "netns", "add", NAMESPACE])
        _in_underlay(["sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=0"], check=False)
        for switch in SWITCHES:
            shell.run(["ip", "-n", NAMESPACE, "link", "add", f"sw-{switch[:4]}", "type", "bridge"])
            shell.run(["ip", "-n", NAMESPACE, "link", "set", f"sw-{switch[:4]}", "up"])
    for device, switch in ROOT_PORTS.items():
        if not Path(f"/sys/class/net/{device}").exists():
            _cable(device, None, switch, f"root-{switch[:4]}")
    shell.run(["ip", "addr", "replace", f"{paths.MANAGEMENT_ROOT}/24", "dev", "lab-mgmt"])
    return ""


def connect(node: str, address: str) -> None:
    """Make a node's network namespace and plug its two cables in."""
    namespace = node_namespace(node)
    if exists(namespace):
        disconnect(node)
    shell.run(["ip", "netns", "add", namespace])
    for device, switch in NODE_PORTS.items():
        _cable(device, namespace, switch, f"{node}-{switch[:4]}")
    for words in (
        ["addr", "add", f"{address}/24", "dev", "eth0"],
        ["link", "set", "lo", "up"],
        ["route", "add", "default", "via", paths.MANAGEMENT_ROOT],
    ):
        shell.run(["ip", "-n", namespace, *words])


def disconnect(node: str) -> None:
    """Pull the cables, then remove the namespace, whose own end goes with a delay."""
    for switch in SWITCHES:
        shell.run(["ip", "-n", NAMESPACE, "link", "del", f"{node}-{switch[:4]}"], check=False)
    shell.run(["ip", "netns", "del", node_namespace(node)], check=False)


def remove() -> None:
    """Take everything away, and the mount that naming a namespace made."""
    for namespace in namespaces():
        if exists(namespace):
            shell.run(["ip", "netns", "del", namespace], check=False)
    for device in ROOT_PORTS:
        if Path(f"/sys/class/net/{device}").exists():
            shell.run(["ip", "link", "del", device], check=False)
    if _NETNS.is_dir() and not any(_NETNS.iterdir()):
        # One call may take several of them away, since they are shared with each other.
        while str(_NETNS) in mounts.points() and shell.succeeds(["umount", _NETNS]):
            pass
        with contextlib.suppress(OSError):
            _NETNS.rmdir()


def _cable(device: str, namespace: str | None, switch: str, port: str) -> None:
    near = ["netns", namespace] if namespace else []
    inside = ["-n", namespace] if namespace else []
    shell.run(["ip", "link", "add", device, *near, "type", "veth", "peer", "name", port, "netns", NAMESPACE])
    shell.run(["ip", "-n", NAMESPACE, "link", "set", port, "master", f"sw-{switch[:4]}", "mtu", "1500", "up"])
    # The end of a tunnel's cable belongs to Open vSwitch alone. A kernel that answers ARP for the bridge's address there as
    # well, with another MAC, makes a switch that hears it last send its tunnel's packets where no tunnel ends.
    silent = ["arp", "off", "addrgenmode", "none"] if switch == "tunnel" else []
    shell.run(["ip", *inside, "link", "set", device, "mtu", "1500", *silent, "up"])


def _in_underlay(words: list[str], check: bool) -> None:
    shell.run(["ip", "netns", "exec", NAMESPACE, *words], check=check)
