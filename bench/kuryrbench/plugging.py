"""Three ways to connect a pod whose port is ready, side by side: why Kuryr takes the one that it takes."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kuryrbench import lab
from kuryrbench.counters import percentile
from kuryrbench.rows import Row, Section

# Pods at the same time, and further ports of OVN on the node.
_PODS = (1, 20, 100)
_BESIDES = (0, 100, 500)
# One pod is measured so often.
_SINGLES = 10
_NODE = lab.NODES[0]
_SWITCH = "kuryr-bench-plugging"
_PREFIX = "kbp"
_BESIDE = "kbb"
_PROBE = Path(__file__).with_name("plugging_probe.py")
_WAYS = {"placed": "plugged, and wired by OVN", "moved": "parked, and moved", "vacant": "plugged behind a port that waits"}


def measure() -> Section:
    """Without Kuryr: the ways alone."""
    rows = []
    for besides in _BESIDES:
        with _ports(max(_PODS), besides):
            rows += [_row(pods, besides) for pods in _PODS]
    return Section("plugging", rows, [_NOTE])


_NOTE = (
    "Ways to connect a pod whose port is ready, without addresses and routes, in a node of the lab: a new veth pair that OVN wires; an end "
    "of a pair that is wired already, moved into the pod's namespace; and what Kuryr does, a new pair behind a port that is wired already. "
    "Beside them are further ports of OVN on the node."
)


def _row(pods: int, besides: int) -> Row:
    took = {way: _take(way, pods) for way in _WAYS}
    lab.say(f"{pods} pods beside {besides} ports: " + ", ".join(f"{way} {percentile(times, 0.5):.1f} ms" for way, times in took.items()))
    ours = took.pop("vacant")
    floor = "; ".join(f"{_WAYS[way]}: {_both(times)}" for way, times in took.items())
    return Row(f"links of {pods} pods at once beside {besides} ports, p50 and p99", _both(ours), floor)


def _both(times: list[float]) -> str:
    return f"{percentile(times, 0.5):.1f} ms, {percentile(times, 0.99):.1f} ms"


def _take(way: str, pods: int) -> list[float]:
    rounds = _SINGLES if pods == 1 else 1
    words = ("exec", _NODE, "/usr/bin/python3", _PROBE, way, _PREFIX, str(pods))
    return [took for _ in range(rounds) for took in json.loads(lab.lab(*words))]


@contextmanager
def _ports(count: int, besides: int) -> Iterator[None]:
    """A switch of OVN with ports for pods, and with others that are wired on the node."""
    _nbctl("--if-exists", "ls-del", _SWITCH)
    _nbctl("ls-add", _SWITCH)
    names = [f"{_PREFIX}{number}" for number in range(count)] + [f"{_BESIDE}{number}" for number in range(besides)]
    _nbctl(*_each(names, lambda name: ["lsp-add", _SWITCH, name]))
    others = names[count:]
    _vsctl(*_each(others, _waiting))
    try:
        yield
    finally:
        _vsctl(*_each(others, lambda name: ["--if-exists", "del-port", "br-int", name]))
        _nbctl("ls-del", _SWITCH)


def _waiting(name: str) -> list[str]:
    return [
        "add-port",
        "br-int",
        name,
        "--",
        "set",
        "interface",
        name,
        "type=patch",
        "options:peer=kuryr-nobody",
        f"external_ids:iface-id={name}",
    ]


def _each(names: list[str], words) -> list[str]:
    return [word for name in names for word in ["--", *words(name)]]


def _nbctl(*words: str) -> None:
    lab.run(["ovn-nbctl", "--no-leader-only", *words])


def _vsctl(*words: str) -> None:
    if words:
        lab.lab("exec", _NODE, "ovs-vsctl", *words)
