"""A node of the cluster: a hypervisor of its own (OVS, OVN chassis), a container runtime and a kubelet.

It is a set of namespaces, in which every program uses its default paths; its PID 1 is `lab/node/init`. Power is cut by
killing that one process.
"""

import json
import os
import signal
from pathlib import Path

from kuryrlab import cgroups, host, kubernetes, ovs, paths, runtime, shell, underlay
from kuryrlab.daemons import Daemon, before_others
from kuryrlab.places import NodePlace, start_init, start_time
from kuryrlab.places import node as place_of

KUBELET_DEVICE = "kubelet0"


class Node:
    """One node and all that it runs."""

    def __init__(self, name: str):
        self.name = name
        self.place: NodePlace = place_of(name)
        self.number = paths.NODE_NAMES.index(name) + 1
        self.management = f"{paths.MANAGEMENT}.{10 + self.number}"
        self.tunnel = f"{paths.TUNNEL}.{10 + self.number}"
        self.home = paths.NODES / name
        self.root = self.home / "fs"

    def daemons(self) -> list[Daemon]:
        """What the node runs, in the order of starting."""
        common = [runtime.containerd(self.place), runtime.kubelet(self.place, self.management)]
        return [self._ovsdb(), self._vswitchd(), self._ovn_controller(), *common]

    def power_on(self) -> str:
        """Start the node's namespaces and PID 1."""
        if self.place.init():
            return "on already"
        runtime.write_files(self.root, self.name, self.management)
        host.make_mount_points(runtime.OWN_FOLDERS)
        underlay.connect(self.name, self.management)
        ready = self.home / "ready"
        ready.unlink(missing_ok=True)
        self._start_init()
        if not shell.wait_until(ready.exists, 20):
            raise shell.LabError(f"{self.name} did not come up; the end of its log:\n{shell.tail(self._init_log())}")
        return ""

    def power_off(self) -> str:
        """Cut the power: the kernel kills all that the node runs, and nothing of it stays."""
        init = self.place.init()
        if init:
            os.kill(init.pid, signal.SIGKILL)
            shell.wait_until(lambda: start_time(Path("/proc"), init.pid) is None, 20, 0.01)
        self.place.init_file.unlink(missing_ok=True)
        # The userspace datapath's taps are persistent: they live until their namespace goes.
        underlay.disconnect(self.name)
        for group in [group for group in cgroups.groups() if group.name == cgroups.group_name(self.name)]:
            cgroups.empty(group)
        return "" if init else "was off"

    def switch_on(self) -> str:
        """Start OVS and the chassis."""
        for daemon in self.daemons()[:3]:
            daemon.start()
        return ""

    def import_image(self, archive: Path) -> str:
        """Put an image into the runtime; one of the same name is replaced."""
        return runtime.import_image(self.place, archive.resolve())

    def registered(self) -> bool:
        """Whether the API server knows the node."""
        return shell.succeeds([kubernetes.KUBECTL, "--kubeconfig", paths.PKI / "admin.conf", "get", "node", self.name])

    def plug_kubelet(self, layout: dict) -> str:
        """Give the node its own leg in the pod network, by which the kubelet probes pods."""
        port, v4, v6 = layout["node_ports"][self.name], *layout["pod_subnets"]
        ids = {"iface-id": port["id"], "attached-mac": port["mac"], "iface-status": "active", "vm-uuid": f"kubelet-{self.name}"}
        settings = ["type=internal", f'mac="{port["mac"]}"', *(f"external_ids:{key}={value}" for key, value in ids.items())]
        device = KUBELET_DEVICE
        words = ["ovs-vsctl", "--timeout=20", "--", "--may-exist", "add-port", "br-int", device, "--", "set", "Interface", device]
        self.place.run([*words, *settings])
        self._ip("link", "set", device, "address", port["mac"], "mtu", str(layout["pod_network"]["mtu"]), "up")
        for address in port["addresses"]:
            prefix = (v6 if ":" in address else v4)["cidr"].split("/")[1]
            self._ip("addr", "replace", f"{address}/{prefix}", "dev", device, *(["nodad"] if ":" in address else []))
        self._ip("route", "replace", layout["service_subnet"]["cidr"], "via", v4["gateway"], "dev", device)
        return ", ".join(port["addresses"])

    def tunnel_address(self) -> tuple[str, str]:
        """The node's tunnel end and its MAC."""
        links = json.loads(self.place.run(["ip", "-j", "link", "show", "br-phys"]))
        return self.tunnel, links[0]["address"]

    def learn_neighbours(self, ends: list[tuple[str, str]]) -> None:
        """Tell the switch the other tunnel ends' MACs: the packet for which it had to ask would be lost."""
        for address, mac in ends:
            if address != self.tunnel:
                self._appctl("tnl/neigh/set", "br-phys", address, mac)
        self._appctl("tnl/neigh/aging", "3600")

    def set_floor(self, on: bool) -> None:
        """Give the node the `ptp` network, which does nothing but connect a pod to its node; or take it away."""
        if not self.place.init():
            raise shell.LabError(f"{self.name} is off")
        target = self.root / runtime.FLOOR.lstrip("/")
        if not on:
            target.unlink(missing_ok=True)
            return
        staged = target.with_suffix(".new")
        staged.write_text(runtime.floor(f"10.11.{4 * self.number}.0/22"))
        staged.rename(target)

    def _start_init(self) -> None:
        entries = cgroups.create(self.name)
        # The shell enters the groups first, so that the new cgroup namespace has them for its root.
        script = 'for f in $GROUPS_OF_NODE; do echo $$ > "$f"; done; exec "$@"'
        into = ["nsenter", f"--net=/run/netns/{underlay.node_namespace(self.name)}"]
        new = ["unshare", "-m", "-u", "-i", "-p", "-C", "--propagation", "private", "--fork", "--kill-child=KILL", "--mount-proc"]
        init = [str(paths.SOURCE / "node" / "init"), self.name, str(self.home), *runtime.OWN_FOLDERS]
        words = ["bash", "-c", script, "node", *into, *new, *init]
        env = {**paths.base_environment(), "GROUPS_OF_NODE": " ".join(map(str, entries))}
        start_init(words, env, self._init_log(), self.place.init_file)

    def _init_log(self) -> Path:
        return self.place.log_dir / "init.log"

    def _ovsdb(self) -> Daemon:
        database, control = "/var/lib/openvswitch/conf.db", "/run/openvswitch/ovsdb-server.ctl"

        def prepare() -> None:
            if not (self.root / database.lstrip("/")).exists():
                self.place.run(["ovsdb-tool", "create", database, ovs.SCHEMAS / "openvswitch/vswitch.ovsschema"])

        remotes = ["--remote=punix:/run/openvswitch/db.sock", "--remote=ptcp:6640:127.0.0.1"]
        return self._ovs("ovsdb", ["ovsdb-server", database, *remotes], control, prepare)

    def _vswitchd(self) -> Daemon:
        words = ["ovs-vswitchd", "unix:/run/openvswitch/db.sock", "--disable-system"]
        return self._ovs("vswitchd", words, "/run/openvswitch/ovs-vswitchd.ctl", self._configure_switch, self._address_bridges)

    def _ovn_controller(self) -> Daemon:
        return self._ovs("ovn-controller", ["ovn-controller", "unix:/run/openvswitch/db.sock"], "/run/ovn/ovn-controller.ctl")

    def _ovs(self, name: str, words: list[str], control: str, prepare=lambda: None, then=lambda: True) -> Daemon:
        argv = [
            str(paths.OVN_BIN / words[0]),
            *words[1:],
            f"--unixctl={control}",
            f"--log-file={self.place.log_dir}/{name}.log",
            *ovs.LOG_FLAGS,
        ]

        def ready() -> bool:
            try:
                self.place.run(["ovs-appctl", "--timeout=2", "-t", control, "version"])
            except shell.CommandError:
                return False
            return then()

        return Daemon(name, before_others(argv), ready=ready, place=self.place, prepare=prepare)

    def _configure_switch(self) -> None:
        settings = {
            "external-ids:system-id": self.name,
            "external-ids:hostname": self.name,
            "external-ids:ovn-remote": f"tcp:{paths.MANAGEMENT_ROOT}:6642",
            "external-ids:ovn-encap-type": "geneve",
            "external-ids:ovn-encap-ip": self.tunnel,
            "external-ids:ovn-bridge-datapath-type": "netdev",
            "external-ids:ovn-monitor-all": "true",
            "other_config:userspace-tso-enable": "true",
        }
        bridges = [*ovs.add_bridge("br-int", "fail_mode=secure"), *ovs.add_bridge("br-phys")]
        pairs = [f"{key}={value}" for key, value in settings.items()]
        port = ["--", "--may-exist", "add-port", "br-phys", "tun0"]
        self.place.run(["ovs-vsctl", "--no-wait", "--timeout=20", "init", "--", "set", "Open_vSwitch", ".", *pairs, *bridges, *port])

    def _address_bridges(self) -> bool:
        try:
            self._ip("addr", "replace", f"{self.tunnel}/24", "dev", "br-phys")
            self._ip("link", "set", "br-phys", "mtu", "1500", "up")
            self._ip("link", "set", "br-int", "up")
        except shell.CommandError:
            return False
        return True

    def _appctl(self, *words: str) -> None:
        self.place.run(["ovs-appctl", "--timeout=10", "-t", "/run/openvswitch/ovs-vswitchd.ctl", *words])

    def _ip(self, *words: str) -> None:
        self.place.run(["ip", *words])


def nodes() -> list[Node]:
    """All nodes of the lab."""
    return [Node(name) for name in paths.NODE_NAMES]
