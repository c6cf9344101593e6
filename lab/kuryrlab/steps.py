"""Doing many things in the right order, at once where they do not need each other, and saying how long each took."""

import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from kuryrlab import shell


@dataclass(frozen=True)
class Step:
    """One thing to do, once the steps named in `after` are done. What it returns is printed beside its time."""

    name: str
    action: Callable[[], str | None]
    after: tuple[str, ...] = ()


_print_lock = threading.Lock()
_began = time.monotonic()


def say(text: str) -> None:
    """One line to the user, with the time since the command began."""
    with _print_lock:
        sys.stdout.write(f"{time.monotonic() - _began:6.1f}s  {text}\n")
        sys.stdout.flush()


def perform(steps: Sequence[Step], given: Iterable[str] = ()) -> None:
    """Do all steps, taking those named in `given` for done.

    The first failure ends the rest, once what is under way has come to its end.
    """
    waiting = list(steps)
    done = set(given)
    running: dict[Future, Step] = {}
    failure: Exception | None = None
    with ThreadPoolExecutor(max_workers=8) as pool:
        while running or (waiting and failure is None):
            if failure is None:
                for step in [step for step in waiting if done.issuperset(step.after)]:
                    waiting.remove(step)
                    running[pool.submit(_timed, step)] = step
            if not running:
                raise shell.LabError(f"steps that wait for what never comes: {[step.name for step in waiting]}")
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                step = running.pop(future)
                error = future.exception()
                if error is None:
                    done.add(step.name)
                elif failure is None:
                    failure = error
    if failure is not None:
        raise failure


def _timed(step: Step) -> None:
    began = time.monotonic()
    try:
        note = step.action()
    except Exception:
        say(f"{step.name}: FAILED after {time.monotonic() - began:.1f} s")
        raise
    say(f"{step.name}: {f'{note}, ' if note else ''}{time.monotonic() - began:.1f} s")
