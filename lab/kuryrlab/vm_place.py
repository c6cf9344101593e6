"""The inside of a VM, which the machine's namespaces do not lead into: programs are started and found there by ssh.

The connection of the first command serves those that follow for some seconds: a new one costs the VM half a second.
"""

import shlex
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from kuryrlab import paths, shell
from kuryrlab.places import Noted, note, noted, read_pid, started_by

KEY = paths.VMS / "key"
# What the VM sees of the machine as its own: a folder to exchange files by, and in it the one of its logs.
SHARED = Path("/shared")
_OPTIONS = {
    "StrictHostKeyChecking": "no",
    "UserKnownHostsFile": "/dev/null",
    "BatchMode": "yes",
    "ConnectTimeout": "5",
    "ServerAliveInterval": "10",
    "ControlMaster": "auto",
    "ControlPersist": "15",
}


class VmPlace:
    """A VM as a place for daemons. All it runs belongs to the network namespace of its PID 1."""

    def __init__(self, name: str):
        self.name = name
        self.home = paths.VMS / name
        self.shared = self.home / "shared"
        self.log_dir = paths.LOG / name
        self.init_file = paths.RUN / "pids" / name / "init.pid"
        self.cable_address = f"{paths.VM_CABLE}.{11 + paths.VM_NAMES.index(name)}"
        self._control = paths.RUN / f"ssh-{name}"

    def init(self) -> Noted | None:
        """The process that is the VM, if it is on."""
        return read_pid(self.init_file)

    def pid_file(self, daemon: str) -> Path:
        """Where a daemon's process is noted."""
        return self.init_file.with_name(f"{daemon}.pid")

    def find(self, daemon: str) -> Noted | None:
        """The daemon's process, numbered as the VM sees it."""
        process = noted(self.pid_file(daemon))
        if process is None or self.init() is None:
            return None
        stat = self.run(["cat", f"/proc/{process.pid}/stat"], check=False)
        return process if stat and started_by(stat) == process.started else None

    def spawn(self, daemon: str, argv: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        """Start a daemon that outlives the connection."""
        inside = SHARED / "log" / log.relative_to(self.log_dir)
        script = f'exec 3>&1 </dev/null >>"{inside}" 2>&1; setsid "$@" 3>&- & cat /proc/$!/stat >&3'
        stat = self.run(["sh", "-c", script, "sh", *argv], env)
        note(self.pid_file(daemon), Noted(int(stat.split()[0]), started_by(stat) or 0) if stat else Noted(0, 0))

    def signal(self, noted: Noted, number: signal.Signals) -> None:
        """Send a signal to the daemon."""
        self.run(["kill", f"-{int(number)}", str(noted.pid)], check=False)

    def run(self, argv: Sequence[str | Path], env: Mapping[str, str] | None = None, **options) -> str:
        """Run a program inside the VM and return what it printed."""
        return shell.run(self.command(argv, env), **options)

    def command(self, argv: Sequence[str | Path], env: Mapping[str, str] | None = None) -> list[str]:
        """The words that run a command inside the VM. Its shell is spared what it can be: a new process is dear there."""
        if self.init() is None:
            raise shell.LabError(f"{self.name} is off: `lab nested up {self.name}` turns it on")
        settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in {**_environment(), **(env or {})}.items())
        words = ["nsenter", "--net=/proc/1/ns/net", "--", *map(str, argv)]
        # ssh itself leaves it out where the command's input is not the terminal.
        terminal = ["-t"] if sys.stdin.isatty() and sys.stdout.isatty() else []
        return [*self._ssh(), *terminal, self.cable_address, f"{settings} exec {shlex.join(words)}"]

    def hang_up(self) -> None:
        """End the connection: the VM at its other end goes, or is another one."""
        if self._control.exists():
            shell.run([*self._ssh(), "-O", "exit", self.cable_address], check=False, timeout=20)
            self._control.unlink(missing_ok=True)

    def _ssh(self) -> list[str]:
        options = {**_OPTIONS, "ControlPath": str(self._control)}
        return ["ssh", "-q", "-F", "none", "-i", str(KEY), "-l", "root", *(f"-o{name}={value}" for name, value in options.items())]


def _environment() -> dict[str, str]:
    folders = (paths.KUBERNETES_BIN, "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
    return {
        "PATH": ":".join(map(str, folders)),
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "LAB": str(paths.LAB),
        "KUBECONFIG": "/etc/kubernetes/kubelet.conf",
    }
