"""What the lab changes on the machine outside its own folder, and how it is put back."""

import contextlib
import json
import threading
from collections.abc import Sequence
from pathlib import Path

from kuryrlab import paths, shell

# OVS reads its ports through raw sockets, whose default buffer holds three TSO segments: the rest would be sent again.
SYSCTLS = {"net.core.rmem_default": "4194304"}
_STATE = paths.LAB / "host.json"
_lock = threading.Lock()
_BOOT = Path("/proc/sys/kernel/random/boot_id")


def make_mount_points(folders: Sequence[str]) -> None:
    """Make the empty folders that a node mounts its own ones on, and remember which were not there."""
    with _lock:
        made = []
        for folder in map(Path, folders):
            for path in [*reversed(folder.parents), folder]:
                if not path.exists():
                    path.mkdir()
                    made.append(str(path))
        state = _read()
        _write({**state, "folders": [*state.get("folders", []), *made]})


def set_sysctls() -> str:
    """Set the kernel's settings, and remember what they were in this life of the machine."""
    with _lock:
        state = _read()
        if state.get("boot") != _boot():
            was = {name: shell.run(["sysctl", "-n", name]).strip() for name in SYSCTLS}
            _write({**state, "boot": _boot(), "sysctls": was})
    for name, value in SYSCTLS.items():
        shell.run(["sysctl", "-qw", f"{name}={value}"])
    return ""


def changed() -> list[str]:
    """What is not as it was before the lab."""
    state = _read()
    found = [f"folder {folder}" for folder in state.get("folders", []) if Path(folder).exists()]
    if state.get("boot") == _boot():
        found += [
            f"sysctl {name}" for name, value in state.get("sysctls", {}).items() if shell.run(["sysctl", "-n", name]).strip() != value
        ]
    return found


def restore() -> None:
    """Put everything back; a folder that somebody has filled since stays."""
    state = _read()
    if state.get("boot") == _boot():
        for name, value in state.get("sysctls", {}).items():
            shell.run(["sysctl", "-qw", f"{name}={value}"])
    for folder in reversed(state.get("folders", [])):
        with contextlib.suppress(OSError):
            Path(folder).rmdir()
    _STATE.unlink(missing_ok=True)


def _boot() -> str:
    return _BOOT.read_text().strip()


def _read() -> dict:
    try:
        return json.loads(_STATE.read_text())
    except (OSError, ValueError):
        return {}


def _write(state: dict) -> None:
    _STATE.write_text(json.dumps(state, indent=1))
