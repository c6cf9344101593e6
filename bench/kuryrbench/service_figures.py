"""The figures of Services: what is measured in which order, and what is asked of each."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from kuryrbench import lab, pods, programs, services, steady
from kuryrbench.audit import Audit
from kuryrbench.client import EVERY, WITHIN, Attempt, Client, network
from kuryrbench.cluster import Cluster
from kuryrbench.counters import Growth, Snapshot, reads, wait_until_quiet, writes
from kuryrbench.octavia import Balancer, Octavia
from kuryrbench.rows import Row, Section, each, listed, percentiles, seconds
from kuryrbench.services import PORT, TARGET, Pod

CONTROLLER = "kuryr-k8s-controller"
SINGLES = 5
CHANGES = 40
FLOOR_CHANGES = 20
ROLLED = 20
LONGEST_STEADY = 60
# What is asked for, of each Service but for the last.
OCTAVIA_WRITES = 4
NEUTRON_WRITES = 1
KUBERNETES_WRITES = 5
ROLLING_WRITES = 12
# Seconds after which a connection is lost for good: a client's kernel tries again after one, and after three.
PATIENCE = 5.0
_MEMBERS = "PUT /lbaas/pools/{id}/members"


def measure(folders: list[Path], crowd: int, steady_seconds: int) -> Section:
    """All that takes Services, with a Kuryr that is freshly started; `crowd` of them are made at once."""
    facts = lab.facts()
    api = Cluster(facts)
    lab.use_kuryr(folders)
    # What an interrupted run left needs a Kuryr that takes its finalizers off.
    pods.clear(api)
    try:
        pods.prepare(api)
        place = _Place(api, facts, *services.start_pods(api))
        wait_until_quiet()
        lab.say("the floor's turn: Octavia by hand")
        floor = _Floor(place).run()
        lab.say("Kuryr's turn")
        measured = _Kuryr(place, floor)
        measured.run(crowd, min(steady_seconds, LONGEST_STEADY))
    finally:
        pods.clear(api)
    return Section("services", measured.rows, measured.notes)


class _Place:
    """Where it is measured: a client in a pod, and a pod on each node that it may reach."""

    def __init__(self, api: Cluster, facts: dict, client: Pod, near: Pod, far: Pod):
        self.api = api
        self.facts = facts
        self.near = near
        self.far = far
        self._enter = network(client.name, client.node)

    def client(self, address: str, port: int = PORT, within: float = WITHIN) -> Client:
        """Connects all the time."""
        return Client(self._enter, address, port, within=within)

    def there_and_back(self, number: int) -> list[Pod]:
        """To which pod the traffic moves, change by change, when it begins at the near one."""
        return [(self.far, self.near)[change % 2] for change in range(number)]


@dataclass(frozen=True)
class _Times:
    """Seconds until the first connection, and until traffic has moved."""

    singles: list[float]
    changes: list[float]


class _Floor:
    """Octavia without Kuryr."""

    def __init__(self, place: _Place):
        self._place = place
        self._octavia = Octavia(place.facts)

    def run(self) -> _Times:
        """As many load balancers as Kuryr has to make, and half as many changes."""
        singles = [self._single() for _ in range(SINGLES + 1)][1:]
        lab.say(f"one load balancer, begun to first connection: {seconds(singles)}")
        changes = self._changes()
        lab.say(f"members changed until traffic moved: {seconds(changes)}")
        return _Times(singles, changes)

    def _single(self) -> float:
        began = time.monotonic()
        balancer = Balancer(self._octavia, self._place.facts)
        try:
            with self._place.client(balancer.address) as client:
                balancer.fill(PORT, [_member(self._place.near), _member(self._place.far)])
                return client.first_answer() - began
        finally:
            balancer.delete()

    def _changes(self) -> list[float]:
        balancer = Balancer(self._octavia, self._place.facts)
        try:
            balancer.fill(PORT, [_member(self._place.near)])
            with self._place.client(balancer.address) as client:
                client.first_answer()
                return [self._change(balancer, client, to) for to in self._place.there_and_back(FLOOR_CHANGES)]
        finally:
            balancer.delete()

    def _change(self, balancer: Balancer, client: Client, to: Pod) -> float:
        balancer.wait()
        return client.moved(lambda: balancer.set_members([_member(to)]), to.name)


class _Kuryr:
    """What Kuryr makes of Services."""

    def __init__(self, place: _Place, floor: _Times):
        self._place = place
        self._api = place.api
        self._floor = floor
        self.rows: list[Row] = []
        self.notes: list[str] = []

    def run(self, crowd: int, steady_seconds: int) -> None:
        """Measure everything; the rows come in the order of the table."""
        singles, changes, rolling = self._singles(), self._changes(), self._rolling()
        at_once = _Crowd(self._place, crowd, steady_seconds)
        at_once.run()
        self.rows = [*singles, *changes, *at_once.rows, *rolling, *at_once.steady]
        self.notes += at_once.notes

    def _singles(self) -> list[Row]:
        measured = [self._single(f"single-{number}") for number in range(SINGLES + 1)][1:]
        took, lives = [took for took, _, _ in measured], [life for _, life, _ in measured]
        lab.say(f"one Service, created to first connection: {seconds(took)}")
        self.notes += [
            f"Reads for 1 Service, which are lists that all that wait share: {each(reads(life.openstack()) for life in lives)}. "
            f"All requests to OpenStack for the last one: {listed(lives[-1].openstack())}; writes to Kubernetes: "
            f"{listed(lives[-1].kubernetes())}.",
            f"To delete it: {listed(measured[-1][2].openstack())}; {listed(measured[-1][2].kubernetes())}.",
        ]
        first = Row("1 Service, 2 pods, created to first connection", f"{median(took):.2f} s", f"{median(self._floor.singles):.2f} s")
        return [first, *_written(lives)]

    def _single(self, name: str) -> tuple[float, Growth, Growth]:
        """Time to the first connection, and what was asked to make it and to delete it."""
        before, served = Snapshot.take(self._api), services.watch_served(self._api)
        began = time.monotonic()
        address = services.create(self._api, name)
        with self._place.client(address) as client:
            took = client.first_answer() - began
        served.wait(1, services.patience(1))
        wait_until_quiet()
        there = Snapshot.take(self._api)
        services.delete_all(self._api, [name])
        wait_until_quiet()
        return took, Growth(before, there), Growth(there, Snapshot.take(self._api))

    def _changes(self) -> list[Row]:
        before = Snapshot.take(self._api)
        address = services.create(self._api, "moved", app=None)
        services.create_slice(self._api, "moved", self._place.near)
        with self._place.client(address) as client:
            began = client.first_answer()
            took = [self._change(client, to) for to in self._place.there_and_back(CHANGES)]
        growth = Growth(before, Snapshot.take(self._api))
        services.delete_all(self._api, ["moved"])
        lab.say(f"endpoint changed until traffic moved: {seconds(took)}")
        self.notes.append(
            f"Endpoint changes: {CHANGES}, {FLOOR_CHANGES} by hand; from before the request until the first answer from where on "
            f"the new pod alone answers a pod that connects every {EVERY * 1e3:.0f} ms. {_told(client.attempts(began))} "
            f"Octavia's answer to {_MEMBERS} took {_mean(growth, _MEMBERS) * 1e3:.0f} ms in the mean."
        )
        floor = self._floor.changes
        return [Row("endpoint changed until traffic moved, p50 and p99", percentiles(took), percentiles(floor))]

    def _change(self, client: Client, to: Pod) -> float:
        wait_until_quiet(1)
        return client.moved(lambda: services.change_slice(self._api, "moved", to), to.name)

    def _rolling(self) -> list[Row]:
        services.deploy(self._api, "rolled", ROLLED)
        address = services.create(self._api, "rolled", app="rolled")
        itself = self._place.far.address
        with self._place.client(address, within=PATIENCE) as client, self._place.client(itself, TARGET, PATIENCE) as direct:
            client.first_answer()
            wait_until_quiet()
            before, began = Snapshot.take(self._api), time.monotonic()
            took = services.roll(self._api, "rolled", ROLLED)
            wait_until_quiet()
            growth = Growth(before, Snapshot.take(self._api))
        attempts, beside = client.attempts(began), direct.attempts(began)
        services.delete_all(self._api, ["rolled"])
        services.undeploy(self._api, "rolled")
        requests = growth.openstack("load-balancer")
        lab.say(f"rolling update: {took:.1f} s, {listed(requests)}")
        self.notes.append(
            f"Rolling update: {took:.0f} s until the last old pod was gone, a quarter of the pods at a time; each goes on serving for "
            f"{services.GRACE} s (`preStop`). {_told(attempts, PATIENCE)} Beside it, to a pod itself and without a Service: "
            f"{_told(beside, PATIENCE)} Requests to Octavia: {listed(requests)}."
        )
        count, lost = writes(requests), sum(one.answer is None for one in attempts)
        name = f"rolling update of {ROLLED} pods"
        return [
            Row(f"{name}: writes to Octavia", f"{count}", target=f"at most {ROLLING_WRITES}", met=count <= ROLLING_WRITES),
            Row(f"{name}: connections lost", f"{lost} of {len(attempts)}", target="none", met=lost == 0),
        ]


class _Crowd:
    """Many Services at once."""

    def __init__(self, place: _Place, number: int, steady_seconds: int):
        self._api = place.api
        self._facts = place.facts
        self._names = [f"crowd-{number:03}" for number in range(number)]
        self._steady_seconds = steady_seconds
        self.rows: list[Row] = []
        self.steady: list[Row] = []
        self.notes: list[str] = []

    def run(self) -> None:
        """Make them, look at them while nothing happens, and delete them."""
        number = len(self._names)
        memory = self._memory()
        made = self._phase(self._make)
        wait_until_quiet(5)
        grown = self._memory()
        self.steady = steady.measure(self._api, f"steady state with {number} Services", self._steady_seconds)
        gone = self._phase(self._delete)
        self.rows = [
            Row(f"{number} Services at once, created until all are served", f"{made.took:.1f} s"),
            self._writes_each(made.growth),
            Row(f"memory of `{CONTROLLER}` without and with them, PSS", f"{memory / programs.MIB:.1f} MiB, {grown / programs.MIB:.1f} MiB"),
            Row("deleted at once until all are gone", f"{gone.took:.1f} s"),
        ]
        self.notes += [self._note("created", made), self._note("deleted", gone)]

    def _make(self) -> float:
        served = services.watch_served(self._api)
        services.create_all(self._api, self._names)
        return served.wait(len(self._names), services.patience(len(self._names)))

    def _delete(self) -> float:
        return services.delete_all(self._api, self._names)

    def _phase(self, do: Callable[[], float]) -> "_Phase":
        before, audit, work = Snapshot.take(self._api), Audit(self._facts), programs.Work(self._facts, CONTROLLER)
        began = time.monotonic()
        took = do() - began
        own, busy = work.done()
        lab.say(f"{len(self._names)} Services: {took:.1f} s")
        wait_until_quiet()
        return _Phase(took, Growth(before, Snapshot.take(self._api)), audit.writes(), own, busy)

    def _memory(self) -> int:
        return max(found.pss for found in programs.memory(self._facts, CONTROLLER))

    def _writes_each(self, growth: Growth) -> Row:
        number = len(self._names)
        counts = [writes(growth.openstack("load-balancer")), writes(growth.openstack("network")), growth.kubernetes().total()]
        limits = [OCTAVIA_WRITES, NEUTRON_WRITES, KUBERNETES_WRITES]
        return Row(
            "writes to Octavia, Neutron and Kubernetes for each",
            ", ".join(f"{count / number:.2f}" for count in counts),
            target=f"at most {', '.join(map(str, limits))}",
            met=all(count <= limit * number for count, limit in zip(counts, limits, strict=True)),
        )

    def _note(self, what: str, phase: "_Phase") -> str:
        requests = phase.growth.openstack("load-balancer")
        open_for = phase.growth.openstack_seconds("load-balancer").total()
        return (
            f"{len(self._names)} Services {what}: {listed(requests)}; {listed(phase.growth.kubernetes())}. By the API server's count: "
            f"{listed(phase.audited)}. Octavia had {open_for / phase.took:.1f} of its requests open in the mean; the machine's "
            f"processors were {phase.busy:.0%} busy, and worked for the controller in {phase.own:.1f} s of {phase.took:.0f} s."
        )


@dataclass(frozen=True)
class _Phase:
    """What one thing done to all of them took.

    Seconds, what was counted, by the API server too, the controller's processor seconds, and the share of the machine's that was used.
    """

    took: float
    growth: Growth
    audited: Counter[str]
    own: float
    busy: float


def _written(lives: list[Growth]) -> list[Row]:
    counts = {
        "Octavia": ([writes(life.openstack("load-balancer")) for life in lives], OCTAVIA_WRITES),
        "Neutron": ([writes(life.openstack("network")) for life in lives], NEUTRON_WRITES),
        "Kubernetes": ([life.kubernetes().total() for life in lives], KUBERNETES_WRITES),
    }
    return [
        Row(f"writes to {where} for it", each(found), target=f"at most {limit}", met=max(found) <= limit)
        for where, (found, limit) in counts.items()
    ]


def _member(pod: Pod) -> tuple[str, int]:
    return pod.address, TARGET


def _told(attempts: list[Attempt], within: float = WITHIN) -> str:
    """What became of connections, in a sentence."""
    errors = [one.error for one in attempts if one.error]
    slowest = max(one.ended - one.started for one in attempts if one.answer)
    kinds = ", ".join(f"{errors.count(kind)} {kind}" for kind in sorted(set(errors)))
    return (
        f"Of {len(attempts)} connections {len(errors)} had no answer within {within:.0f} s{f' ({kinds})' if kinds else ''}; "
        f"the slowest answer took {slowest * 1e3:.0f} ms."
    )


def _mean(growth: Growth, request: str) -> float:
    count = growth.openstack("load-balancer")[request]
    return growth.openstack_seconds("load-balancer")[request] / count if count else 0.0
