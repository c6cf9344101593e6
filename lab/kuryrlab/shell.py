"""Running other programs: one way to call them, one error that says what was run and what it answered."""

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from kuryrlab import paths


class LabError(Exception):
    """Something that stops the lab's command; the message is all that the user is shown."""


class CommandError(LabError):
    """A program ended with an error; carries what it wrote."""

    def __init__(self, argv: Sequence[str], code: int, output: str):
        super().__init__(f"{' '.join(map(str, argv))}: exit code {code}\n{output.strip()[-2000:]}")
        self.code = code
        self.output = output


def run(
    argv: Sequence[str | Path],
    *,
    check: bool = True,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    log: Path | None = None,
    timeout: float = 900,
) -> str:
    """Run a program to its end and return what it printed; with `log` its output goes to that file instead."""
    words = [str(word) for word in argv]
    environment = {**paths.base_environment(), **(env or {})}
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as sink:
            done = subprocess.run(
                words,
                check=False,
                env=environment,
                cwd=cwd,
                input=(stdin or "").encode(),
                stdout=sink,
                stderr=sink,
                timeout=timeout,
            )
        if check and done.returncode != 0:
            raise CommandError(words, done.returncode, tail(log))
        return ""
    done = subprocess.run(words, check=False, env=environment, cwd=cwd, input=stdin or "", capture_output=True, text=True, timeout=timeout)
    if check and done.returncode != 0:
        raise CommandError(words, done.returncode, done.stdout + done.stderr)
    return done.stdout


def succeeds(argv: Sequence[str | Path], timeout: float = 30) -> bool:
    """Whether a program ends well."""
    try:
        run(argv, timeout=timeout)
    except (CommandError, subprocess.TimeoutExpired):
        return False
    return True


def wait_until(ready: Callable[[], bool], timeout: float, interval: float = 0.05) -> bool:
    """Ask `ready` until it says yes or the time is over."""
    deadline = time.monotonic() + timeout
    while not ready():
        if time.monotonic() > deadline:
            return False
        time.sleep(interval)
    return True


def tail(path: Path, lines: int = 25) -> str:
    """The last lines of a log, for the person who has to find out why it failed."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return f"(no log at {path})"
