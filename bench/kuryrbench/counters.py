"""What the programs and the API server count, and what the daemons log of each call."""

import re
import time
import urllib.request
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kuryrbench.cluster import Cluster
from kuryrbench.lab import NODES, lab, wait_for
from kuryrbench.pods import NAMESPACE

CONTROLLER = "http://127.0.0.1:9654/metrics"
DAEMON = "http://127.0.0.1:9655/metrics"
_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_CALL = re.compile(r'(?P<outcome>done|failed) command=(?P<command>\w+) args="(?P<args>[^"]*)" sandbox="(?P<sandbox>\w+)" ms=(?P<ms>\d+)')
_WRITES = {"POST", "PUT", "PATCH", "DELETE", "APPLY"}

Sample = tuple[str, frozenset[tuple[str, str]]]


def parse(text: str) -> Counter[Sample]:
    """Prometheus's text format."""
    samples: Counter[Sample] = Counter()
    for line in text.splitlines():
        if found := _SAMPLE.match(line):
            samples[found[1], frozenset(_LABEL.findall(found[2] or ""))] = float(found[3])
    return samples


@dataclass(frozen=True)
class Snapshot:
    """Everybody's counters at one moment."""

    controller: Counter[Sample]
    daemons: Counter[Sample]
    api_server: Counter[Sample]

    @classmethod
    def take(cls, cluster: Cluster) -> "Snapshot":
        """Reads them now."""
        daemons: Counter[Sample] = Counter()
        for node in NODES:
            daemons.update(parse(lab("exec", node, "curl", "-sf", DAEMON)))
        return cls(_controller(), daemons, parse(cluster.text("/metrics")))


class Growth:
    """What was counted between two moments."""

    def __init__(self, before: Snapshot, after: Snapshot):
        self._controller = _grown(before.controller, after.controller)
        self._daemons = _grown(before.daemons, after.daemons)
        self._api_server = _grown(before.api_server, after.api_server)

    def openstack(self, service: str = "") -> Counter[str]:
        """Requests to OpenStack, or to one service of it, by method and route."""
        return self._requests("requests_total", service, round)

    def openstack_seconds(self, service: str) -> Counter[str]:
        """The time that these took, added up: those that were open side by side count each."""
        return self._requests("request_seconds_sum", service, float)

    def kubernetes(self) -> Counter[str]:
        """The controller's writes to Kubernetes, by what they were for."""
        return _by(self._controller, "kuryr_controller_kubernetes_writes_total", lambda label: label["write"])

    def record_writes(self, kind: str) -> int:
        """The same, from the other side: writes to a kind of record that the API server saw, of whoever."""
        seen = _by(self._api_server, "apiserver_request_total", lambda label: (label.get("resource"), label.get("verb")))
        return sum(count for (resource, verb), count in seen.items() if resource == kind and verb in _WRITES)

    def steps(self) -> dict[str, float]:
        """The mean time in seconds of each step of ADD."""
        name = "kuryr_cni_step_duration_seconds"
        sums = _by(self._daemons, f"{name}_sum", lambda label: label["step"], float)
        counts = _by(self._daemons, f"{name}_count", lambda label: label["step"])
        return {step: sums[step] / count for step, count in counts.items() if count}

    def _requests(self, what: str, service: str, number) -> Counter[str]:
        def key(label: dict[str, str]) -> tuple[str, str]:
            return label["service"], f"{label['method']} {label['route']}"

        grouped: Counter[str] = Counter()
        for (of, request), value in _by(self._controller, f"kuryr_controller_openstack_{what}", key, number).items():
            if service in ("", of):
                grouped[request] += value
        return grouped


class Calls:
    """The daemons' logs from now on."""

    def __init__(self, facts: dict):
        logs = [Path(facts["logs"]) / node / "kuryr-daemon.log" for node in NODES]
        self._from = {log: log.stat().st_size for log in logs}

    def milliseconds(self, command: str) -> list[int]:
        """How long each call took, for the sandboxes that were connected since: the runtime sweeps up after older ones, too.

        Of a sandbox's several DELs the first counts: the others have nothing to do.
        """
        first: dict[tuple[str, str], int] = {}
        for call in self._calls():
            first.setdefault((call["sandbox"], call["command"]), int(call["ms"]))
        connected = {sandbox for sandbox, done in first if done == "ADD"}
        return [took for (sandbox, done), took in first.items() if done == command and sandbox in connected]

    def failures(self) -> int:
        """How many calls for pods of ours failed."""
        return sum(1 for call in self._calls() if call["outcome"] == "failed")

    def _calls(self) -> Iterable[re.Match[str]]:
        for line in self._lines():
            call = _CALL.search(line)
            if call and f"K8S_POD_NAMESPACE={NAMESPACE};" in f"{call['args']};":
                yield call

    def _lines(self) -> Iterable[str]:
        for log, start in self._from.items():
            with log.open(errors="replace") as lines:
                lines.seek(start)
                yield from lines


def wait_until_quiet(seconds: float = 2, timeout: float = 120) -> None:
    """Wait until the controller has asked nothing of OpenStack and written nothing to Kubernetes for so long."""
    seen, since = _asked(), time.monotonic()

    def is_quiet() -> bool:
        nonlocal seen, since
        now = _asked()
        if now != seen:
            seen, since = now, time.monotonic()
        return time.monotonic() - since >= seconds

    wait_for("a controller that has nothing to do", is_quiet, timeout, 0.2)


def reads(requests: Counter[str]) -> int:
    """How many of these requests only ask."""
    return sum(count for request, count in requests.items() if request.startswith("GET "))


def writes(requests: Counter[str]) -> int:
    """How many of these requests change something."""
    return requests.total() - reads(requests)


def percentile(values: list[float] | list[int], share: float) -> float:
    """The value that so large a share does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * int(share * 100) // 100) - 1)]


def _controller() -> Counter[Sample]:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(CONTROLLER, timeout=10) as response:
        return parse(response.read().decode())


def _asked() -> dict[Sample, float]:
    names = ("kuryr_controller_openstack_requests_total", "kuryr_controller_kubernetes_writes_total")
    return {sample: value for sample, value in _controller().items() if sample[0] in names}


def _grown(before: Counter[Sample], after: Counter[Sample]) -> Counter[Sample]:
    return Counter({sample: value - before[sample] for sample, value in after.items() if value > before[sample]})


def _by(samples: Counter[Sample], name: str, key, number=round) -> Counter:
    grouped: Counter = Counter()
    for (sample, labels), value in samples.items():
        if sample == name:
            grouped[key(dict(labels))] += number(value)
    return grouped
