"""What the machine must have before anything starts; each thing that is missing is named, with what to do about it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from kuryrlab import cgroups, paths, pieces, shell

_NEEDED_HIERARCHIES = ("cpu", "cpuset", "memory", "devices", "pids")


def check() -> None:
    """Raise with the list of everything that is missing."""
    problems = [problem for problem in (_root(), _system(), _python(), _go(), _cargo(), _disk(), _memory(), _cgroups()) if problem]
    if problems:
        raise shell.LabError("this machine cannot run the lab:\n" + "\n".join(f"- {problem}" for problem in problems))


def _root() -> str:
    return "" if os.geteuid() == 0 else "it needs root: namespaces, mounts and bridges are made (run it with sudo)"


def _system() -> str:
    release = Path("/etc/os-release")
    text = release.read_text() if release.exists() else ""
    return "" if "VERSION_CODENAME=bookworm" in text else "it needs Debian 12 (bookworm): the packages' versions are those of that release"


def _python() -> str:
    wanted = tuple(map(int, pieces.VERSIONS["host"]["python"].split(".")))
    return "" if sys.version_info >= wanted else f"it needs Python {pieces.VERSIONS['host']['python']} or later at /usr/bin/python3"


def _go() -> str:
    wanted = pieces.VERSIONS["host"]["go"]
    if shutil.which("go") is None:
        return f"Go {wanted} or later is not in PATH: Kubernetes, etcd and CoreDNS are built with it"
    found = re.search(r"go(\d+)\.(\d+)", subprocess.run(["go", "version"], capture_output=True, text=True, check=False).stdout)
    if found and tuple(map(int, found.groups())) >= tuple(map(int, wanted.split("."))):
        return ""
    return f"Go is too old ({found.group(0) if found else 'unknown'}): {wanted} or later is needed to build Kubernetes"


def _cargo() -> str:
    return "" if shutil.which("cargo") else "Rust's cargo is not in PATH: Kuryr is built with it"


def _disk() -> str:
    folder = paths.LAB
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 2**30
    needs = pieces.VERSIONS["host"]["disk_gib"]
    # What is installed already has its place.
    wanted = needs["run"] if pieces.are_made() else needs["install"] + needs["run"]
    return "" if free >= wanted else f"{folder} has {free:.1f} GiB free, {wanted} are needed (KURYR_LAB may name another place)"


def _memory() -> str:
    total = int(Path("/proc/meminfo").read_text().split()[1]) / 2**20
    wanted = pieces.VERSIONS["host"]["memory_gib"]
    return "" if total >= wanted else f"the machine has {total:.1f} GiB of memory, {wanted} are needed"


def _cgroups() -> str:
    have = cgroups.hierarchies()
    missing = [name for name in _NEEDED_HIERARCHIES if name not in have]
    return f"cgroup v1 hierarchies are not mounted: {', '.join(missing)}" if missing else ""
