"""The kinds of place that a daemon runs in: the machine's own (root) namespaces, a node's, and a VM (see `vm_place`).

A place starts programs there, and finds and ends them by what the lab noted when it started them: process id plus
start time, so that a number that the kernel gave to somebody else since is never signalled.
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kuryrlab import paths, shell


@dataclass(frozen=True)
class Noted:
    """A process as its pid file knows it."""

    pid: int
    started: int


def start_time(proc: Path, pid: int) -> int | None:
    """When a living process started, in the kernel's ticks; None for one that is gone or a zombie."""
    try:
        return started_by((proc / str(pid) / "stat").read_text())
    except OSError:
        return None


def started_by(stat: str) -> int | None:
    """When a process started, by the kernel's line on it; None for one that is a zombie."""
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def write_pid(path: Path, proc: Path, pid: int) -> None:
    """Note a process just started."""
    note(path, Noted(pid, start_time(proc, pid) or 0))


def note(path: Path, process: Noted) -> None:
    """Write a pid file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{process.pid} {process.started}\n")


def noted(path: Path) -> Noted | None:
    """The process of a pid file, whether or not it lives."""
    try:
        pid, started = map(int, path.read_text().split())
    except (OSError, ValueError):
        return None
    return Noted(pid, started)


def read_pid(path: Path, proc: Path = Path("/proc")) -> Noted | None:
    """The process of a pid file if it still lives."""
    process = noted(path)
    return process if process and start_time(proc, process.pid) == process.started else None


def start_init(words: Sequence[str], env: Mapping[str, str], log: Path, pid_file: Path) -> None:
    """Start a program that forks a PID 1, of namespaces or of a VM, and note that one."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as sink:
        outer = subprocess.Popen(list(words), env=env, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, start_new_session=True, cwd="/")
    _children.append(outer)
    forked: list[int] = []

    def has_forked() -> bool:
        forked[:] = _children_of(outer.pid)
        return bool(forked) or outer.poll() is not None

    if not shell.wait_until(has_forked, 10, 0.01) or not forked:
        raise shell.LabError(f"there is no PID 1; the end of {log}:\n{shell.tail(log)}")
    write_pid(pid_file, Path("/proc"), forked[0])


class Place(Protocol):
    """Where daemons are started, found and ended."""

    name: str
    log_dir: Path

    def pid_file(self, daemon: str) -> Path:
        """Where a daemon's process is noted."""

    def find(self, daemon: str) -> Noted | None:
        """The daemon's process, if it runs."""

    def spawn(self, daemon: str, argv: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        """Start a daemon in a session of its own."""

    def signal(self, noted: Noted, number: signal.Signals) -> None:
        """Send a signal to the daemon."""

    def run(self, argv: Sequence[str | Path], **options) -> str:
        """Run a program here and return what it printed."""


class RootPlace:
    """The machine's own namespaces."""

    name = "root"
    log_dir = paths.LOG

    def pid_file(self, daemon: str) -> Path:
        """Where a daemon's process is noted."""
        return paths.RUN / "pids" / f"{daemon}.pid"

    def find(self, daemon: str) -> Noted | None:
        """The daemon's process, if it runs."""
        return read_pid(self.pid_file(daemon))

    def spawn(self, daemon: str, argv: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        """Start a daemon in a session of its own."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as sink:
            process = subprocess.Popen(
                list(argv),
                env={**paths.base_environment(), **env},
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
                cwd="/",
            )
        _children.append(process)
        write_pid(self.pid_file(daemon), Path("/proc"), process.pid)

    def signal(self, noted: Noted, number: signal.Signals) -> None:
        """Send a signal to the daemon, and to its children if it is to die at once: none of them is left behind."""
        children = _children_of(noted.pid) if number == signal.SIGKILL else []
        for pid in (noted.pid, *children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def run(self, argv: Sequence[str | Path], **options) -> str:
        """Run a program here and return what it printed."""
        return shell.run(argv, **options)


class NodePlace:
    """The inside of a node: its own mount, network, process, host name, IPC and cgroup namespaces."""

    def __init__(self, name: str):
        self.name = name
        self.home = paths.NODES / name
        self.log_dir = paths.LOG / name
        self.init_file = paths.RUN / "pids" / name / "init.pid"

    def init(self) -> Noted | None:
        """The node's PID 1 as the machine sees it, if the node is on."""
        return read_pid(self.init_file)

    def pid_file(self, daemon: str) -> Path:
        """Where a daemon's process is noted."""
        return paths.RUN / "pids" / self.name / f"{daemon}.pid"

    def find(self, daemon: str) -> Noted | None:
        """The daemon's process, numbered as the node sees it."""
        init = self.init()
        return read_pid(self.pid_file(daemon), self._proc(init)) if init else None

    def spawn(self, daemon: str, argv: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        """Start a daemon as a child of the node's PID 1.

        The shell in between ends at once: a process whose parent is outside would keep the node's process namespace
        from going away until the machine reaps it.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        script = f'exec </dev/null >>"{log}" 2>&1; setsid "$@" 3>&- & echo $! >&3'
        words = self.command(["sh", "-c", f"exec 3>&1; {script}", "sh", *argv], env)
        init = self.init()
        if init is None:
            raise shell.LabError(f"{self.name} is off")
        write_pid(self.pid_file(daemon), self._proc(init), int(shell.run(words)))

    def signal(self, noted: Noted, number: signal.Signals) -> None:
        """Send a signal to the daemon."""
        self.run(["kill", f"-{int(number)}", str(noted.pid)], check=False)

    def run(self, argv: Sequence[str | Path], env: Mapping[str, str] | None = None, **options) -> str:
        """Run a program inside the node and return what it printed."""
        return shell.run(self.command(argv, env), **options)

    def command(self, argv: Sequence[str | Path], env: Mapping[str, str] | None = None) -> list[str]:
        """The words that run a command inside the node, with the node's default paths."""
        init = self.init()
        if init is None:
            raise shell.LabError(f"{self.name} is off: `lab start node {self.name}` turns it on")
        settings = {**node_environment(), **(env or {})}
        into = ["nsenter", "-t", str(init.pid), "-m", "-n", "-u", "-i", "-p", "-C", "--"]
        return [*into, "env", "-i", *(f"{key}={value}" for key, value in settings.items()), *map(str, argv)]

    @staticmethod
    def _proc(init: Noted) -> Path:
        return Path(f"/proc/{init.pid}/root/proc")


ROOT = RootPlace()

# Kept so that a daemon which dies while the command runs can be told from a living one, and is reaped.
_children: list[subprocess.Popen] = []


def node_environment() -> dict[str, str]:
    """The environment inside a node: default paths everywhere, but for the programs' own folder."""
    tools = [paths.OVN_BIN, paths.KUBERNETES_BIN]
    return {
        "PATH": ":".join([*map(str, tools), "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]),
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "LAB": str(paths.LAB),
        paths.OWNER_VARIABLE: str(paths.LAB),
        "OVS_RUNDIR": "/run/openvswitch",
        "OVN_RUNDIR": "/run/ovn",
        "OVN_SB_DB": f"tcp:{paths.MANAGEMENT_ROOT}:6642",
        "OVS_DBDIR": "/var/lib/openvswitch",
        "OVS_SYSCONFDIR": "/etc",
        "OVN_SYSCONFDIR": "/etc",
        "KUBECONFIG": "/etc/kubernetes/kubelet.conf",
    }


def node(name: str) -> NodePlace:
    """A node by its name."""
    if name not in paths.NODE_NAMES:
        raise shell.LabError(f"no node {name}: there are {', '.join(paths.NODE_NAMES)}")
    return NodePlace(name)


def _children_of(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
