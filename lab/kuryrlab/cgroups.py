"""The cgroups that hold a node's processes: one per hierarchy of cgroup v1, since the node sees its own as the root."""

import os
import signal
from pathlib import Path

from kuryrlab import paths, shell

ROOT = Path("/sys/fs/cgroup")


def hierarchies() -> list[str]:
    """The names of the mounted hierarchies; the empty name of the v2 one is mounted as `unified`."""
    names = [line.split(":")[1].removeprefix("name=") or "unified" for line in Path("/proc/self/cgroup").read_text().splitlines()]
    return [name for name in names if (ROOT / name).is_dir()]


def group_name(node: str) -> str:
    """A name that tells whose group it is."""
    return f"kuryr-lab-{node}"


def create(node: str) -> list[Path]:
    """Make the node's groups; the files to which a process writes its id to enter them."""
    files = []
    for hierarchy in hierarchies():
        group = ROOT / hierarchy / group_name(node)
        group.mkdir(exist_ok=True)
        if hierarchy == "cpuset":
            for name in ("cpus", "mems"):
                (group / f"cpuset.{name}").write_text((ROOT / "cpuset" / f"cpuset.{name}").read_text())
        files.append(group / "cgroup.procs")
    return files


def groups() -> list[Path]:
    """Every group of every node that there is."""
    return [group for hierarchy in hierarchies() for name in paths.NODE_NAMES if (group := ROOT / hierarchy / group_name(name)).is_dir()]


def processes(group: Path) -> list[int]:
    """All that still lives in a group or below it."""
    found = []
    for folder, _, _ in os.walk(group):
        try:
            found += map(int, Path(folder, "cgroup.procs").read_text().split())
        except OSError:
            continue
    return found


def empty(group: Path) -> None:
    """Kill what lives in a group and remove it.

    A dead pod's group that stays costs the next kubelet three seconds: it asks the runtime for the pod and retries.
    """
    shell.wait_until(lambda: _emptied(group), 10, 0.02)


def _emptied(group: Path) -> bool:
    for pid in processes(group):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    for folder, _, _ in os.walk(group, topdown=False):
        try:
            Path(folder).rmdir()
        except OSError:
            return False
    return True
