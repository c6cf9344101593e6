"""A node that is a VM of the lab's own OpenStack: a user-mode Linux whose network card is the parent port of a Neutron trunk.

Its PID 1 is `lab/vm/init`; its root is the machine's, read-only, below a disk of its own. Beside that card it has a cable to the machine,
in a network namespace of its own, by which the lab commands it. It is one process of the machine: power is cut by killing that one.
"""

import os
import shlex
import shutil
import signal
import time
from pathlib import Path

from kuryrlab import ovs, paths, pki, runtime, shell, workers
from kuryrlab.daemons import Daemon
from kuryrlab.places import start_init, start_time
from kuryrlab.vm_place import KEY, SHARED, VmPlace

INIT = paths.SOURCE / "vm" / "init"
# A label by which Kuryr is told how pods are connected there.
LABEL = "pod_vif=nested-vlan"
MEMORY_MIB = 1024
_DISK = "6G"
_KERNEL = paths.VM / "usr" / "bin" / "linux.uml"
_LIBRARIES = {"LD_LIBRARY_PATH": str(paths.VM / "usr" / "lib" / "x86_64-linux-gnu")}
_HOST_KEY = paths.VMS / "hostkey"
_CABLE_END = f"{paths.VM_CABLE}.1"


def devices(name: str) -> tuple[str, str]:
    """What a VM's network card and its cable are on the machine."""
    return f"lab-{name}", f"lab-{name}-cable"


class Vm:
    """One VM and all that it runs."""

    def __init__(self, name: str):
        if name not in paths.VM_NAMES:
            raise shell.LabError(f"no VM {name}: there are {', '.join(paths.VM_NAMES)}")
        self.name = name
        self.place = VmPlace(name)
        self.number = paths.VM_NAMES.index(name) + 1
        self.home = self.place.home
        self.shared = self.place.shared
        self.console = self.place.log_dir / "console.log"
        self.card, self.cable = devices(name)
        self._disk = self.home / "disk"
        self._halted = self.home / "halted"

    def daemons(self) -> list[Daemon]:
        """What the VM runs, in the order of starting."""
        address = workers.port_of(self.name)["address"]
        return [runtime.containerd(self.place), runtime.kubelet(self.place, address, **{"node-labels": LABEL})]

    def daemon(self, name: str) -> Daemon:
        """One of them."""
        return next(daemon for daemon in self.daemons() if daemon.name == name)

    def power_on(self) -> str:
        """Boot it: with its disk if it was halted, else with a new one."""
        if self.place.init():
            return "on already"
        self._forget_process()
        kept = self._make_disk()
        self._write_files()
        self.connect()
        ready = self.shared / "ready"
        began = time.monotonic()
        self.console.unlink(missing_ok=True)
        # The VM's memory is a file, which is to be in memory.
        env = {**paths.base_environment(), "TMPDIR": "/dev/shm", "LD_PRELOAD": str(paths.VM / "ptrace.so")}
        start_init(self._words(), env, self.console, self.place.init_file)
        if not shell.wait_until(lambda: ready.exists() or self._is_dead(), 60) or not ready.exists():
            self.power_off()
            raise shell.LabError(f"{self.name} did not come up; the end of {self.console}:\n{shell.tail(self.console)}")
        return f"{'the disk it had' if kept else 'a new disk'}, booted in {time.monotonic() - began:.1f} s"

    def power_off(self) -> str:
        """Cut the power. What its disk holds then is lost: containerd's databases may not survive it."""
        was_on = self.cut()
        self.disconnect()
        return "" if was_on else "was off"

    def cut(self) -> bool:
        """Kill it and nothing more; whether it ran."""
        init = self.place.init()
        self.place.hang_up()
        if init:
            os.kill(init.pid, signal.SIGKILL)
            shell.wait_until(lambda: start_time(Path("/proc"), init.pid) is None, 20, 0.01)
        self._forget_process()
        return init is not None

    def halt(self) -> str:
        """Let it write what it has, then turn it off; its disk serves the next boot."""
        init = self.place.init()
        if init is None:
            return "was off"
        for daemon in reversed(self.daemons()):
            daemon.stop()
        self.place.run(["kill", "-TERM", "1"], check=False)
        if shell.wait_until(lambda: self.place.init() is None, 20):
            self._halted.touch()
        self.power_off()
        return "" if self._halted.exists() else "did not halt, its power was cut"

    def connect(self) -> str:
        """Plug its card into the switch and its cable into the machine; what is plugged in stays."""
        port, layout = workers.port_of(self.name), workers.known()
        for device in (self.card, self.cable):
            if not Path(f"/sys/class/net/{device}").exists():
                shell.run(["ip", "tuntap", "add", "mode", "tap", device])
            shell.run(["ip", "link", "set", device, "up"])
        shell.run(["ip", "link", "set", self.card, "mtu", str(layout["network"]["mtu"])])
        shell.run(["ip", "addr", "replace", f"{_CABLE_END}/32", "dev", self.cable])
        shell.run(["ip", "route", "replace", f"{self.place.cable_address}/32", "dev", self.cable, "src", _CABLE_END])
        ids = {"iface-id": port["port"], "attached-mac": port["mac"], "iface-status": "active", "vm-uuid": self.name}
        settings = [f"external_ids:{key}={value}" for key, value in ids.items()]
        ovs.vsctl("--", "--may-exist", "add-port", "br-int", self.card, "--", "set", "Interface", self.card, *settings)
        return ""

    def disconnect(self) -> None:
        """Pull card and cable."""
        if ovs.daemons()[0].running():
            ovs.vsctl("--if-exists", "del-port", "br-int", self.card)
        for device in (self.card, self.cable):
            shell.run(["ip", "link", "del", device], check=False)

    def import_image(self, archive: Path) -> str:
        """Put an image into the runtime; one of the same name is replaced."""
        name = f"image-{archive.name}"
        shutil.copy(archive, self.shared / name)
        try:
            return runtime.import_image(self.place, SHARED / name)
        finally:
            (self.shared / name).unlink()

    def set_floor(self, on: bool) -> None:
        """Give the VM the `ptp` network, or take it away."""
        words = f"cat > {runtime.FLOOR}.new && mv {runtime.FLOOR}.new {runtime.FLOOR}" if on else f"rm -f {runtime.FLOOR}"
        self.place.run(["sh", "-c", words], stdin=runtime.floor(f"10.13.{self.number}.0/24"))

    def purge(self) -> None:
        """Forget it: its disk and its logs."""
        shutil.rmtree(self.home, ignore_errors=True)

    def _is_dead(self) -> bool:
        return self.place.init() is None or "Kernel panic" in self.console.read_text(errors="replace")

    def _forget_process(self) -> None:
        self.place.hang_up()
        for file in self.place.init_file.parent.glob("*.pid"):
            file.unlink()
        shutil.rmtree(paths.RUN / "uml" / self.name, ignore_errors=True)

    def _make_disk(self) -> bool:
        self.home.mkdir(parents=True, exist_ok=True)
        kept = self._halted.exists()
        self._halted.unlink(missing_ok=True)
        if not kept:
            self._disk.unlink(missing_ok=True)
            shell.run(["truncate", "-s", _DISK, self._disk])
            shell.run(["mkfs.ext4", "-q", "-F", "-J", "size=16", "-E", "lazy_itable_init=1,lazy_journal_init=1", self._disk])
        return kept

    def _write_files(self) -> None:
        port, layout = workers.port_of(self.name), workers.known()
        pki.issue_vm(self.name, port["address"])
        (self.shared / "ready").unlink(missing_ok=True)
        shutil.rmtree(self.shared / "files", ignore_errors=True)
        runtime.write_files(self.shared / "files", self.name, port["address"])
        (self.shared / "log").mkdir(exist_ok=True)
        self.place.log_dir.mkdir(parents=True, exist_ok=True)
        (paths.RUN / "uml").mkdir(parents=True, exist_ok=True)
        if not KEY.exists():
            shell.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", KEY])
        if not _HOST_KEY.exists():
            shell.run([paths.VM / "usr/bin/dropbearkey", "-t", "ed25519", "-f", _HOST_KEY], env=_LIBRARIES)
        settings = {
            "NAME": self.name,
            "INIT": INIT,
            "MODULES": paths.VM / "root",
            "OWN_FOLDERS": " ".join(runtime.OWN_FOLDERS),
            "SHARED": self.shared,
            "LOGS": self.place.log_dir,
            "MAC": port["mac"],
            "MTU": layout["network"]["mtu"],
            "ADDRESS": f"{port['address']}/{layout['subnet']['cidr'].split('/')[1]}",
            "GATEWAY": layout["subnet"]["gateway"],
            "CABLE_ADDRESS": self.place.cable_address,
            "CABLE_END": _CABLE_END,
            "SSH_LIBRARIES": _LIBRARIES["LD_LIBRARY_PATH"],
            "SSH_SERVER": paths.VM / "usr/sbin/dropbear",
            "SSH_HOST_KEY": _HOST_KEY,
            "SSH_USER_KEY": KEY.with_suffix(".pub"),
        }
        lines = [f"{name}={shlex.quote(str(value))}\n" for name, value in settings.items()]
        (self.home / "settings").write_text("".join(lines))

    def _words(self) -> list[str]:
        # In a process namespace of its own: with its first process go all of the kernel's threads and the VM's programs.
        new = ["unshare", "-m", "-p", "--propagation", "private", "--fork", "--kill-child=KILL", "--mount-proc"]
        root = ["root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", f"init={INIT}", f"vm_home={self.home}"]
        own = [
            f"mem={MEMORY_MIB}M",
            f"ubd0={self._disk}",
            f"umid={self.name}",
            f"uml_dir={paths.RUN}/uml",
            "con=null",
            "con0=null,fd:1",
            "quiet",
        ]
        cards = [f"vec0:transport=tap,ifname={self.card},depth=128,gro=1", f"vec1:transport=tap,ifname={self.cable},depth=64"]
        return [*new, str(_KERNEL), *own, *root, *cards]
