"""One daemon of the lab: how it is started, when it is ready, how it ends."""

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kuryrlab import shell
from kuryrlab.places import ROOT, Place

# A service manager leaves a kernel no sessions to share its time between; the lab does.
_BEFORE_OTHERS = ("sh", "-c", '(echo -10 >/proc/self/autogroup) 2>/dev/null; exec nice -n -10 "$@"', "sh")


def always() -> bool:
    """The readiness of a daemon that nobody has to wait for."""
    return True


def before_others(argv: Sequence[str]) -> tuple[str, ...]:
    """A command with the priority that `ovs-ctl` and `ovn-ctl` give the programs of Open vSwitch and OVN on any machine.

    Others get it in the lab alone. The control plane of Kubernetes: elsewhere its machines have processors of their own, which pods that
    start on the nodes do not take from it. Kuryr: where it is installed its pods request their share of the processors.
    """
    return (*_BEFORE_OTHERS, *argv)


@dataclass(frozen=True)
class Daemon:
    """What is to run, where, and how to tell that it does its work."""

    name: str
    argv: tuple[str, ...]
    ready: Callable[[], bool] = always
    place: Place = ROOT
    env: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 90
    log_name: str = ""
    prepare: Callable[[], object] = always

    @property
    def title(self) -> str:
        """The daemon's name with its place."""
        return self.name if self.place is ROOT else f"{self.place.name}/{self.name}"

    @property
    def log(self) -> Path:
        """Where its output goes, or where it writes its log itself."""
        return self.place.log_dir / (self.log_name or f"{self.name}.log")

    def running(self) -> bool:
        """Whether the process lives; says nothing of its health."""
        return self.place.find(self.name) is not None

    def launch(self) -> bool:
        """Start the process unless it runs; whether it had to be started."""
        if self.running():
            return False
        self.prepare()
        self.place.spawn(self.name, self.argv, self.env, self.place.log_dir / f"{self.name}.log")
        return True

    def wait(self) -> None:
        """Wait until it does its work."""
        deadline = time.monotonic() + self.timeout
        while not self.ready():
            if not self.running():
                raise self._failed("ended")
            if time.monotonic() > deadline:
                raise self._failed(f"was not ready within {self.timeout:.0f} s")
            time.sleep(0.05)

    def start(self) -> str:
        """Start it and wait; what was done, in a word."""
        started = self.launch()
        self.wait()
        return "" if started else "runs already"

    def kill(self) -> bool:
        """SIGKILL, as a fault would; whether there was something to kill."""
        noted = self.place.find(self.name)
        if noted is None:
            return False
        self.place.signal(noted, signal.SIGKILL)
        shell.wait_until(lambda: not self.running(), 10, 0.01)
        return True

    def stop(self, grace: float = 10) -> bool:
        """SIGTERM, then SIGKILL when the grace is over; whether there was something to stop."""
        noted = self.place.find(self.name)
        if noted is not None:
            self.place.signal(noted, signal.SIGTERM)
            if not shell.wait_until(lambda: not self.running(), grace, 0.02):
                self.kill()
        self.place.pid_file(self.name).unlink(missing_ok=True)
        return noted is not None

    def _failed(self, what: str) -> shell.LabError:
        seen = shell.tail(self.log)
        output = self.place.log_dir / f"{self.name}.log"
        if output != self.log:
            seen = f"{seen}\n--- {output}\n{shell.tail(output)}"
        return shell.LabError(f"{self.title} {what}; the end of {self.log}:\n{seen}")
