"""Kuryr itself in the lab: its configuration, the controller in the root namespace, a daemon in each node.

The programs are copied before they start, so that a build does not pull them from under a running test. A Kuryr that was installed as
pods, by generated definitions, makes way for them.
"""

import configparser
import hashlib
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kuryrlab import kubernetes, paths, seed, shell
from kuryrlab.daemons import Daemon
from kuryrlab.node import Node, nodes
from kuryrlab.steps import Step, perform

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


def up(folders: Sequence[Path], extra: Path | None) -> None:
    """Start all three and wait until they are ready; one that runs is restarted if its program or configuration changed."""
    before = _fingerprints()
    perform(
        [
            Step("programs", lambda: _copy_programs(folders)),
            Step("configuration", lambda: _write_configuration(extra)),
            Step("custom resources", _apply_definitions),
            Step("pods of an installation", _remove_installation),
        ]
    )
    changed = _fingerprints() != before
    perform([Step(daemon.title, lambda daemon=daemon: _start(daemon, changed)) for daemon in daemons()])


def down() -> None:
    """SIGTERM to all, SIGKILL to what is still there when the grace is over."""
    running = [daemon for daemon in daemons() if daemon.running()]
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(lambda daemon: daemon.stop(STOP_GRACE), running))
    if kubernetes.runs():
        _remove_installation()
    for node in nodes():
        (node.root / CONFLIST).unlink(missing_ok=True)


def restart(daemon: Daemon) -> None:
    """Stop in an orderly way and start with the same program and configuration."""
    daemon.stop(STOP_GRACE)
    daemon.start()


def daemons() -> list[Daemon]:
    """The controller and each node's daemon."""
    return [controller(), *(node_daemon(node) for node in nodes())]


def controller() -> Daemon:
    """The controller, in the root namespace."""
    words = (str(_BIN / "kuryr-k8s-controller"), *_files(paths.KURYR / "controller.conf"))

    def ready() -> bool:
        return _is_ok(["curl", "-sf", "-o", "/dev/null", "http://127.0.0.1:8082/ready"])

    return Daemon(CONTROLLER, words, ready=ready, env=_environment())


def node_daemon(node: Node) -> Daemon:
    """A node's daemon, inside it."""
    words = (str(_BIN / "kuryr-daemon"), *_files(Path("/etc/kuryr/kuryr.conf")))

    def ready() -> bool:
        return _is_ok(node.place.command(["curl", "-sf", "-o", "/dev/null", "http://127.0.0.1:8090/ready"]))

    env = {"KUBERNETES_NODE_NAME": node.name, **_environment()}
    return Daemon(DAEMON, words, ready=ready, place=node.place, env=env)


def find(name: str) -> Daemon:
    """By the word that people use: `controller`, or a node's name for its daemon."""
    return controller() if name == "controller" else node_daemon(Node(name))


def default_folders() -> list[Path]:
    """Where cargo puts programs, the optimised ones first."""
    target = paths.CARGO_TARGET
    return [target / "x86_64-unknown-linux-musl" / "release", target / "release", target / "debug"]


def _start(daemon: Daemon, changed: bool) -> str:
    if changed and daemon.running():
        restart(daemon)
        return "restarted"
    return daemon.start()


def _fingerprints() -> dict[Path, str]:
    files = [*_BIN.glob("kuryr-*"), *paths.KURYR.glob("*.conf"), *(node.root / "etc/kuryr/kuryr.conf" for node in nodes())]
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.exists()}


def _copy_programs(folders: Sequence[Path]) -> str:
    _BIN.mkdir(parents=True, exist_ok=True)
    used = set()
    for program in PROGRAMS:
        source = next((folder / program for folder in folders if (folder / program).exists()), None)
        if source is None:
            raise shell.LabError(f"there is no {program} in {', '.join(map(str, folders))}: build it, or name its folder by --bin")
        # A new file in the old one's place: a program that runs cannot be written to.
        staged = _BIN / f".{program}"
        shutil.copy(source, staged)
        staged.rename(_BIN / program)
        used.add(str(source.parent))
    return f"from {', '.join(sorted(used))}"


def _write_configuration(extra: Path | None) -> str:
    paths.KURYR.mkdir(parents=True, exist_ok=True)
    if extra is None:
        _EXTRA.unlink(missing_ok=True)
    else:
        shutil.copy(extra, _EXTRA)
    _write(paths.KURYR / "controller.conf", _controller_settings(seed.networks()))
    for node in nodes():
        _write(node.root / "etc/kuryr/kuryr.conf", _daemon_settings(node.name))
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
    }


def _daemon_settings(node: str) -> dict[str, dict[str, object]]:
    return {
        "kubernetes": _kubernetes_settings(paths.API_FROM_NODES, f"kuryr-daemon-{node}"),
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
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_dict(settings)
    with path.open("w") as file:
        parser.write(file)
    path.chmod(0o600)


def _files(main: Path) -> list[str]:
    names = [main, _EXTRA] if _EXTRA.exists() else [main]
    return [word for name in names for word in ("--config-file", str(name))]


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ}


def _is_ok(words: Sequence[str]) -> bool:
    return shell.succeeds(words, 5)
