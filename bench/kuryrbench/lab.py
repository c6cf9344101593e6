"""The lab as the measurements use it: its command, its facts, and which network its nodes give to pods."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
NODES = ("node1", "node2")


class BenchError(Exception):
    """Something that stops the measurements; the message is all that the user is shown."""


def say(text: str) -> None:
    """One line on what is being done; results go to standard output, this does not."""
    sys.stderr.write(f"bench: {text}\n")


def facts() -> dict:
    """What the lab says about itself."""
    home = os.environ.get("KURYR_LAB")
    if not home:
        raise BenchError('KURYR_LAB is not set: use bench/run.sh, or eval "$(lab/lab env)" first')
    return json.loads((Path(home) / "lab.json").read_text())


def run(words: Sequence[str | Path], timeout: float = 300) -> str:
    """Run a program and return what it printed."""
    done = subprocess.run([str(word) for word in words], check=False, capture_output=True, text=True, timeout=timeout)
    if done.returncode != 0:
        raise BenchError(f"{' '.join(map(str, words))}: exit code {done.returncode}\n{done.stdout}{done.stderr}".strip())
    return done.stdout


def lab(*words: str | Path) -> str:
    """One command of the lab."""
    return run([REPOSITORY / "lab" / "lab", *words])


def use_floor() -> None:
    """Let the nodes connect pods by `ptp`, with no Kuryr about."""
    lab("kuryr", "down")
    lab("floor", "on")


def use_kuryr(folders: Sequence[Path], extra: Path | None = None) -> None:
    """Let Kuryr connect pods, freshly started from these folders, and configured by this file besides."""
    lab("floor", "off")
    lab("kuryr", "down")
    words = [word for folder in folders for word in ("--bin", folder)]
    lab("kuryr", "up", *words, *(("--conf", extra) if extra else ()))


def wait_for(what: str, check, timeout: float, interval: float = 0.1) -> None:
    """Wait until `check` holds."""
    deadline = time.monotonic() + timeout
    while not check():
        if time.monotonic() > deadline:
            raise BenchError(f"waited {timeout:.0f} s in vain: {what}")
        time.sleep(interval)
