"""A client in a pod's network that connects all the time, and when it was answered by whom."""

import json
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Self

from kuryrbench.lab import REPOSITORY, BenchError, run
from kuryrbench.pods import NAMESPACE

EVERY = 0.02
WITHIN = 1.0
# So many connections in a row that a pod answers are no chance.
_IN_A_ROW = 10
_PROBE = Path(__file__).with_name("probe.py")


class Attempt(NamedTuple):
    """One connection: moments of the monotonic clock, and the pod that answered or what went wrong."""

    started: float
    ended: float
    answer: str | None
    error: str | None


class Client:
    """Connects until it is left."""

    def __init__(self, enter: list[str], address: str, port: int, every: float = EVERY, within: float = WITHIN):
        """`enter` runs what follows it in the pod's network; seconds between connections, and until one is given up."""
        self._within = within
        self._attempts: list[Attempt] = []
        self._news = threading.Condition()
        words = [*enter, "/usr/bin/python3", str(_PROBE), address, str(port), str(every), str(within)]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(self._within + 5)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._reader.join()

    def attempts(self, since: float) -> list[Attempt]:
        """All that began since then; none is under way when the client has been left."""
        with self._news:
            return [one for one in self._attempts if one.started >= since]

    def first_answer(self, timeout: float = 60) -> float:
        """The moment at which a connection was answered for the first time."""
        return self._wait("a connection that is answered", lambda: next((one.ended for one in self._attempts if one.answer), None), timeout)

    def moved(self, change: Callable[[], None], to: str, timeout: float = 30) -> float:
        """Seconds from before `change` until this pod, and no other, answers."""
        return self._after(change, f"connections that {to} answers", lambda attempts, began: _first_of(attempts, began, to), timeout)

    def turned(self, change: Callable[[], None], is_answered: bool, timeout: float = 30) -> float:
        """Seconds from before `change` until every new connection is answered, or none is any more."""

        def find(attempts: list[Attempt], began: float) -> float | None:
            return _first_so(attempts, began, is_answered, self._within)

        return self._after(change, f"connections that are {'' if is_answered else 'not '}answered", find, timeout)

    def _after(self, change: Callable[[], None], what: str, find: Callable[[list[Attempt], float], float | None], timeout: float) -> float:
        with self._news:
            already = len(self._attempts)
        began = time.monotonic()
        change()
        return self._wait(what, lambda: find(self._attempts[already:], began), timeout) - began

    def _wait(self, what: str, find: Callable[[], float | None], timeout: float) -> float:
        deadline = time.monotonic() + timeout
        with self._news:
            while (found := find()) is None:
                if time.monotonic() > deadline:
                    raise BenchError(f"waited {timeout:.0f} s in vain: {what}; at last {self._attempts[-3:]}")
                self._news.wait(1)
        return found

    def _read(self) -> None:
        for line in self._process.stdout or ():
            with self._news:
                self._attempts.append(Attempt(*json.loads(line)))
                self._news.notify_all()


def network(pod: str, node: str) -> list[str]:
    """The words that run a command in a pod's network, whose namespace the daemon noted beside its port."""
    mark = f'external_ids:kuryr-pod="{NAMESPACE}/{pod}"'
    words = ["ovs-vsctl", "--format=json", "--columns=external_ids", "find", "interface", mark]
    rows = json.loads(run([*_lab_exec(node), *words]))["data"]
    if not rows:
        raise BenchError(f"{node} has no port of the pod {pod}")
    # OVSDB's way of writing a map: ["map", [[key, value], …]].
    namespace = Path(dict(rows[0][0][1])["kuryr-netns"]).name
    return [*_lab_exec(node), "ip", "netns", "exec", namespace]


def _first_of(attempts: list[Attempt], began: float, name: str) -> float | None:
    """The moment of this pod's first answer behind the others' last ones, once there are enough of them."""
    later = [one for one in attempts if one.answer and one.started >= began]
    others = max((one.started for one in later if one.answer != name), default=began)
    answers = [one.ended for one in later if one.answer == name and one.started > others]
    return min(answers) if len(answers) >= _IN_A_ROW else None


def _first_so(attempts: list[Attempt], began: float, is_answered: bool, within: float) -> float | None:
    """The moment from which on connections are so, once there are enough of them: of an answer its end, of none its start.

    What became of a connection is known for sure when it would have been given up: one that began before others may fail after them.
    """
    known = max((one.ended for one in attempts), default=began) - within
    later = [one for one in attempts if began <= one.started < known]
    others = max((one.started for one in later if bool(one.answer) != is_answered), default=began)
    so = [one.ended if is_answered else one.started for one in later if one.started > others]
    return min(so) if len(so) >= _IN_A_ROW else None


def _lab_exec(node: str) -> list[str]:
    return [str(REPOSITORY / "lab" / "lab"), "exec", node]
