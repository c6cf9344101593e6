"""Kuryr itself in the lab: its configuration, the controller in the root namespace, a daemon in each node and in each VM that is on.

The programs are copied before they start, so that a build does not pull them from under a running test. A Kuryr that was installed as
pods, by generated definitions, makes way for them.
"""

import configparser
import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from kuryrlab import cluster, kubernetes, paths, seed, shell, workers
from kuryrlab.cluster import Member
from kuryrlab.daemons import Daemon, before_others
from kuryrlab.node import nodes
from kuryrlab.steps import Step, perform
from kuryrlab.vm import Vm
from kuryrlab.vm_place import SHARED

PROGRAMS = ("kuryr-k8s-controller", "kuryr-daemon", "kuryr-cni")
CONTROLLER, DAEMON = "kuryr-controller", "kuryr-daemon"
# What a daemon that was killed leaves, and the runtime would go on using.
CONFLIST = "etc/cni/net.d/10-kuryr.conflist"
STOP_GRACE = 25
# What `kuryrctl generate` makes but for the custom resources, which hold the records of pods that run.
# The programs go first, since they use the rest to their end.
_INSTALLED = (
    ("deployments", "daemonsets"),
    ("configmaps", "secrets", "serviceaccounts", "roles", "rolebindings", "clusterroles", "clusterrolebindings"),
    ("validatingadmissionpolicies", "validatingadmissionpolicybindings"),
)
_BIN = paths.KURYR / "bin"
_EXTRA = paths.KURYR / "extra.conf"
_PASSED_ON = ("RUST_LOG", "RUST_BACKTRACE", "LLVM_PROFILE_FILE")


@dataclass(frozen=True)
class _Files:
    """Where one of the programs finds itself and what it reads; a VM has copies of its own, below another name than the machine's."""

    bin: Path
    conf: Path
    extra: Path
    seen: Callable[[Path], str] = str

    def words(self, program: str) -> tuple[str, ...]:
        """The command that starts it, as its place sees it."""
        confs = [self.conf, self.extra] if self.extra.exists() else [self.conf]
        return (self.seen(self.bin / program), *(word for conf in confs for word in ("--config-file", self.seen(conf))))

    def fingerprint(self, *programs: str) -> str:
        """What changes when a program or a configuration does."""
        files = [*(self.bin / program for program in programs), self.conf, self.extra]
        digests = (hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "" for path in files)
        return " ".join(digests)


def up(folders: Sequence[Path], extra: Path | None) -> None:
    """Start all three and wait until they are ready; one that runs is restarted if its program or configuration changed."""
    before = _fingerprints()
    vms = cluster.running_vms()
    perform(
        [
            Step("programs", lambda: _copy_programs(folders)),
            Step("configuration", lambda: _write_configuration(extra)),
            *(Step(f"{vm.name} files", lambda vm=vm: _copy_into(vm), ("programs", "configuration")) for vm in vms),
            Step("custom resources", _apply_definitions),
            Step("pods of an installation", _remove_installation),
        ]
    )
    now = _fingerprints()
    changed = {name for name, fingerprint in now.items() if before.get(name) != fingerprint}
    perform([Step(daemon.title, lambda daemon=daemon: _start(daemon, daemon.title in changed)) for daemon in daemons()])


def down() -> None:
    """SIGTERM to all, SIGKILL to what is still there when the grace is over."""
    running = [daemon for daemon in daemons() if daemon.running()]
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(lambda daemon: daemon.stop(STOP_GRACE), running))
    if kubernetes.runs():
        _remove_installation()
    for node in nodes():
        (node.root / CONFLIST).unlink(missing_ok=True)
    for vm in cluster.running_vms():
        vm.place.run(["rm", "-f", f"/{CONFLIST}"])


def restart(daemon: Daemon) -> None:
    """Stop in an orderly way and start with the same program and configuration."""
    daemon.stop(STOP_GRACE)
    daemon.start()


def daemons() -> list[Daemon]:
    """The controller and each node's daemon."""
    return [controller(), *map(node_daemon, _members())]


def controller() -> Daemon:
    """The controller, in the root namespace."""
    words = _controller_files().words("kuryr-k8s-controller")

    def ready() -> bool:
        return _is_ok(["curl", "-sf", "-o", "/dev/null", "http://127.0.0.1:8082/ready"])

    return Daemon(CONTROLLER, before_others(words), ready=ready, env=_environment())


def node_daemon(node: Member) -> Daemon:
    """A node's daemon, inside it."""
    words = _daemon_files(node).words("kuryr-daemon")

    def ready() -> bool:
        return _is_ok(node.place.command(["curl", "-sf", "-o", "/dev/null", "http://127.0.0.1:8090/ready"]))

    env = {"KUBERNETES_NODE_NAME": node.name, **_environment()}
    return Daemon(DAEMON, before_others(words), ready=ready, place=node.place, env=env)


def find(name: str) -> Daemon:
    """By the word that people use: `controller`, or a node's name for its daemon."""
    return controller() if name == "controller" else node_daemon(cluster.find(name))


def default_folders() -> list[Path]:
    """Where cargo puts programs, the optimised ones first."""
    target = paths.CARGO_TARGET
    return [target / "x86_64-unknown-linux-musl" / "release", target / "release", target / "debug"]


def _start(daemon: Daemon, changed: bool) -> str:
    if changed and daemon.running():
        restart(daemon)
        return "restarted"
    return daemon.start()


def _members() -> list[Member]:
    return [*nodes(), *cluster.running_vms()]


def _controller_files() -> _Files:
    return _Files(_BIN, paths.KURYR / "controller.conf", _EXTRA)


def _daemon_files(node: Member) -> _Files:
    if isinstance(node, Vm):
        own = node.shared / "kuryr"
        return _Files(own / "bin", own / "kuryr.conf", own / "extra.conf", lambda path: str(SHARED / path.relative_to(node.shared)))
    conf = node.root / "etc/kuryr/kuryr.conf"
    return _Files(_BIN, conf, _EXTRA, lambda path: "/etc/kuryr/kuryr.conf" if path == conf else str(path))


def _fingerprints() -> dict[str, str]:
    """One for each daemon, by its title: a VM that has come makes no other one start again."""
    found = {controller().title: _controller_files().fingerprint("kuryr-k8s-controller")}
    return found | {node_daemon(node).title: _daemon_files(node).fingerprint("kuryr-daemon", "kuryr-cni") for node in _members()}


def _copy_programs(folders: Sequence[Path]) -> str:
    _BIN.mkdir(parents=True, exist_ok=True)
    used = set()
    for program in PROGRAMS:
        source = next((folder / program for folder in folders if (folder / program).exists()), None)
        if source is None:
            raise shell.LabError(f"there is no {program} in {', '.join(map(str, folders))}: build it, or name its folder by --bin")
        _replace(source, _BIN / program)
        used.add(str(source.parent))
    return f"from {', '.join(sorted(used))}"


def _copy_into(vm: Vm) -> str:
    files = _daemon_files(vm)
    files.bin.mkdir(parents=True, exist_ok=True)
    for program in ("kuryr-daemon", "kuryr-cni"):
        _replace(_BIN / program, files.bin / program)
    files.extra.unlink(missing_ok=True)
    if _EXTRA.exists():
        shutil.copy(_EXTRA, files.extra)
    return str(files.bin.parent)


def _replace(source: Path, target: Path) -> None:
    # A new file in the old one's place: a program that runs cannot be written to.
    staged = target.with_name(f".{target.name}")
    shutil.copy(source, staged)
    staged.rename(target)


def _write_configuration(extra: Path | None) -> str:
    paths.KURYR.mkdir(parents=True, exist_ok=True)
    if extra is None:
        _EXTRA.unlink(missing_ok=True)
    else:
        shutil.copy(extra, _EXTRA)
    _write(paths.KURYR / "controller.conf", _controller_settings(seed.networks()))
    for node in _members():
        server = paths.API_FROM_PODS if isinstance(node, Vm) else paths.API_FROM_NODES
        _write(_daemon_files(node).conf, _daemon_settings(node.name, server))
    return str(paths.KURYR)


def _apply_definitions() -> str:
    kubernetes.kubectl("apply", "--server-side", "--force-conflicts", "--recursive", "-f", str(kubernetes.CRDS))
    kubernetes.kubectl("wait", "--for=condition=Established", "--timeout=30s", "--recursive", "-f", str(kubernetes.CRDS))
    return ""


def _remove_installation() -> str:
    words = ["--all-namespaces", "-l", "app.kubernetes.io/name=kuryr", "--ignore-not-found", "--cascade=foreground", "--timeout=60s"]
    deleted = [kubernetes.kubectl("delete", ",".join(kinds), *words).splitlines() for kinds in _INSTALLED]
    return f"{len(deleted[0])} workloads" if deleted[0] else "none"


def _controller_settings(layout: dict) -> dict[str, dict[str, object]]:
    subnets = [subnet["id"] for subnet in layout["pod_subnets"]]
    return {
        "kubernetes": {**_kubernetes_settings(paths.API_LOCAL, "kuryr-controller"), "pod_security_groups_driver": "policy"},
        "neutron": {
            "auth_type": "password",
            "auth_url": paths.KEYSTONE_URL,
            "username": "kuryr",
            "password": "secret",
            "user_domain_name": "Default",
            "project_name": "k8s",
            "project_domain_name": "Default",
            "region_name": "RegionOne",
        },
        "neutron_defaults": {
            **_network_settings(),
            "project": layout["project_id"],
            "pod_subnets": ",".join(subnets),
            "pod_security_groups": layout["security_group"]["id"],
            "service_subnet": layout["service_subnet"]["id"],
            "external_svc_net": layout["external_network"]["id"],
            "resource_tags": "kuryr-lab",
        },
        "octavia_defaults": {"enforce_sg_rules": "false", "lb_algorithm": "SOURCE_IP_PORT"},
        **_nested_settings(),
    }


def _nested_settings() -> dict[str, dict[str, object]]:
    layout = workers.known()
    return {"pod_vif_nested": {"worker_nodes_subnets": layout["subnet"]["id"]}} if layout else {}


def _daemon_settings(node: str, server: str) -> dict[str, dict[str, object]]:
    return {
        "kubernetes": _kubernetes_settings(server, f"kuryr-daemon-{node}"),
        "neutron_defaults": _network_settings(),
        "vif_plug_ovs": {"ovsdb_connection": "unix:/run/openvswitch/db.sock"},
    }


def _network_settings() -> dict[str, object]:
    return {"ovs_bridge": "br-int", "network_device_mtu": seed.networks()["pod_network"]["mtu"]}


def _kubernetes_settings(server: str, user: str) -> dict[str, object]:
    return {
        "api_root": server,
        "ssl_client_crt_file": paths.PKI / f"{user}.crt",
        "ssl_client_key_file": paths.PKI / f"{user}.key",
        "ssl_ca_crt_file": paths.PKI / "ca.crt",
        "ssl_verify_server_crt": "true",
        # Empty, so that the client certificate is used.
        "token_file": "",
    }


def _write(path: Path, settings: dict[str, dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_dict(settings)
    with path.open("w") as file:
        parser.write(file)
    path.chmod(0o600)


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ}


def _is_ok(words: Sequence[str]) -> bool:
    return shell.succeeds(words, 5)
