"""Finding and removing what an earlier lab left: one whose processes were all killed, or whose machine restarted."""

import contextlib
import os
import shutil
import signal
from pathlib import Path

from kuryrlab import cgroups, host, mounts, openstack, paths, pieces, shell, underlay, vm, workers
from kuryrlab.places import start_time
from kuryrlab.vm_place import VmPlace

ROOT_BRIDGES = ("br-int", "br-ex", "br-phys", "ovs-netdev")
_STATE_FOLDERS = (paths.DATA, paths.RUN, paths.NODES, paths.VMS, paths.KURYR, paths.LOG, paths.BIN)


def leftovers() -> list[str]:
    """Everything of a lab that is on the machine outside the lab's folder, one line each."""
    found = [f"process {pid} {_command(pid)}" for pid in stray_processes()]
    found += [f"network namespace {name}" for name in underlay.namespaces() if underlay.exists(name)]
    found += [f"interface {name}" for name in _interfaces()]
    found += [f"mount {mount}" for mount in _mounts()]
    found += [f"cgroup {group}" for group in cgroups.groups()]
    if openstack.OCTAVIA_LINK.is_symlink():
        found.append(f"link {openstack.OCTAVIA_LINK}")
    return found + host.changed()


def stray_processes() -> list[int]:
    """Living processes that the lab started: they carry its folder in their environment, or live in a node's cgroup."""
    mark = f"{paths.OWNER_VARIABLE}={paths.LAB}".encode()
    found = {pid for group in cgroups.groups() for pid in cgroups.processes(group)}
    own = _own_line()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in own:
            continue
        with contextlib.suppress(OSError):
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found.add(int(entry.name))
    return sorted(pid for pid in found if start_time(Path("/proc"), pid) is not None)


def clear() -> str:
    """Remove all of it."""
    before = leftovers()
    for name in paths.VM_NAMES:
        # What keeps a connection for later commands hides the lab's mark.
        VmPlace(name).hang_up()
    strays = stray_processes()
    for pid in strays:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    shell.wait_until(lambda: not [pid for pid in strays if start_time(Path("/proc"), pid) is not None], 20, 0.02)
    for group in cgroups.groups():
        cgroups.empty(group)
    for mount in _mounts():
        shell.run(["umount", "-l", mount], check=False)
    underlay.remove()
    for interface in _interfaces():
        shell.run(["ip", "link", "del", interface], check=False)
    if openstack.OCTAVIA_LINK.is_symlink():
        openstack.OCTAVIA_LINK.unlink()
    pieces.sweep_policy()
    host.restore()
    return f"{len(before)} leftovers" if before else "nothing to clear"


def forget_state() -> str:
    """Empty the folders that hold one life of the lab; what is built or cached stays."""
    for folder in _STATE_FOLDERS:
        folder.mkdir(parents=True, exist_ok=True)
        for entry in folder.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
    paths.FACTS.unlink(missing_ok=True)
    (paths.RUN / "tmp").mkdir()
    return ""


def _interfaces() -> list[str]:
    names = (*ROOT_BRIDGES, *underlay.ROOT_PORTS, workers.LEG, *(device for name in paths.VM_NAMES for device in vm.devices(name)))
    return [name for name in names if Path(f"/sys/class/net/{name}").exists()]


def _mounts() -> list[str]:
    return sorted((point for point in mounts.points() if point.startswith(f"{paths.LAB}/") and point != str(paths.NODES)), reverse=True)


def _own_line() -> set[int]:
    """The ids of this process and those that called it: a command run by a lab's process must not end itself."""
    line, pid = set(), os.getpid()
    while pid > 1:
        line.add(pid)
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return line


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()[:100]
    except OSError:
        return ""
