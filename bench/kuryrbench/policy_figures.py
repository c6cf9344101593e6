"""The figures of network policies: what is measured in which order, and what is asked of each."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kuryrbench import lab, neutron, pods, policies, programs
from kuryrbench.audit import Audit
from kuryrbench.client import Client, network
from kuryrbench.cluster import Cluster
from kuryrbench.counters import Growth, Snapshot, percentile, wait_until_quiet
from kuryrbench.policies import CLIENT, JOINED, NOBODY, STRANGER, letting_in
from kuryrbench.rows import Row, Section, listed, percentiles, seconds
from kuryrbench.services import TARGET, Pod

ROUNDS = 40
FLOOR_ROUNDS = 20
USERS = 50
# A change is noticed so soon.
EVERY = 0.01
WITHIN = 0.5
# What is asked for: seconds in the median and of hardly any more, requests of the Python Kuryr, and what an index may take.
POLICY_SECONDS = (1, 3)
LABEL_SECONDS = (0.7, None)
KUBERNETES_REQUESTS = 26
NEUTRON_REQUESTS = 13
CHANGE_NS = (50e3, 1e6)
_RULES = 5
# Seconds after its start in which Kuryr looks at what is in Neutron, and puts right what was changed by hand; it does again ten minutes
# later, when the floor is over.
_FIRST_LOOKS = 50


def measure(folders: list[Path], joiners: int) -> Section:
    """All that takes policies, with a Kuryr that is freshly started; so many pods become peers at once."""
    facts = lab.facts()
    api = Cluster(facts)
    lab.use_kuryr(folders)
    started = time.monotonic()
    # What an interrupted run left needs a Kuryr that takes its finalizers off.
    pods.clear(api)
    try:
        pods.prepare(api)
        place = _Place(api, facts, *policies.start_pods(api))
        time.sleep(max(0.0, started + _FIRST_LOOKS - time.monotonic()))
        wait_until_quiet()
        with place.client() as client:
            client.first_answer()
            lab.say("the floor's turn: Neutron by hand")
            floor = _Floor(place, client).run()
            lab.say("Kuryr's turn")
            effects = _Effects(place, client, floor)
            effects.run()
        costs = _Costs(place)
        costs.run(joiners)
    finally:
        pods.clear(api)
    return Section("policies", [*effects.rows, *costs.rows], [*effects.notes, *costs.notes])


def index() -> Section:
    """What the index takes that knows which policy concerns which pod."""
    found = programs.policy_index()
    took = found["change_p50_ns"], found["change_p99_ns"]
    crowd = f"{found['pods']:,} pods, {found['policies']:,} policies"
    rows = [
        Row(
            f"index of policies, a pod's change among {crowd}, p50 and p99",
            ", ".join(f"{value / 1e3:.0f} µs" for value in took),
            target=", ".join(f"under {limit / 1e3:.0f} µs" for limit in CHANGE_NS),
            met=all(value < limit for value, limit in zip(took, CHANGE_NS, strict=True)),
        ),
        Row(f"index of policies, memory with {crowd}", f"{found['bytes'] / 1024**2:.1f} MiB"),
    ]
    note = (
        f"Index of policies: {found['namespaces']:,} namespaces and {found['address_groups']:,} different peers; filled in "
        f"{found['filled_ms']} ms; the longest change took {found['change_max_ns'] / 1e6:.1f} ms."
    )
    return Section("index", rows, [note])


class _Place:
    """Where it is measured: a client on one node that asks the server on the other, and a pod that is neither."""

    def __init__(self, api: Cluster, facts: dict, client: Pod, server: Pod, stranger: Pod):
        self.api = api
        self.facts = facts
        self.source = client
        self.server = server
        self.stranger = stranger
        self._enter = network(client.name, client.node)

    def client(self) -> Client:
        """Connects to the server all the time."""
        return Client(self._enter, self.server.address, TARGET, EVERY, WITHIN)


@dataclass(frozen=True)
class _Switch:
    """Something that is done and undone, and whether the client is let in when it is done."""

    do: Callable[[], None]
    undo: Callable[[], None]
    lets_in: bool


@dataclass(frozen=True)
class _Times:
    """Seconds from before something is done, and from before it is undone, to the effect on new connections."""

    done: list[float]
    undone: list[float]

    @classmethod
    def of(cls, client: Client, switch: _Switch, rounds: int) -> "_Times":
        """Do it and undo it so often."""
        both: list[tuple[float, float]] = []
        for _ in range(rounds):
            wait_until_quiet(1)
            done = client.turned(switch.do, switch.lets_in)
            wait_until_quiet(1)
            both.append((done, client.turned(switch.undo, not switch.lets_in)))
        return cls([done for done, _ in both], [undone for _, undone in both])


@dataclass(frozen=True)
class _Three:
    """A policy that forbids, one that allows, and a peer that is made another."""

    forbid: _Times
    allow: _Times
    label: _Times

    def tell(self) -> "_Three":
        """Show them while the rest is still to be measured."""
        for name, times in vars(self).items():
            lab.say(f"{name}: {seconds(times.done)}; undone: {seconds(times.undone)}")
        return self


class _Floor:
    """Neutron without Kuryr: what comes of a policy, made in the same order, on the same port."""

    def __init__(self, place: _Place, client: Client):
        self._place = place
        self._client = client
        self._port = neutron.Port(place.facts, place.server.address)
        self._grants: list[neutron.Grant] = []

    def run(self) -> _Three:
        """Half as often as Kuryr."""
        port = self._port
        try:
            forbid = self._times(self._granted(self._place.stranger, port.usual, lets_in=False))
            port.carry(port.isolated)
            allow = self._times(self._granted(self._place.source, port.isolated, lets_in=True))
            self._grant(self._place.source)
            self._client.turned(lambda: None, is_answered=True)
            label = self._times(self._peer(self._place.source.address))
        finally:
            port.carry(port.usual)
            self._revoke()
        self._client.turned(lambda: None, is_answered=True)
        return _Three(forbid, allow, label).tell()

    def _times(self, switch: _Switch) -> _Times:
        return _Times.of(self._client, switch, FLOOR_ROUNDS)

    def _granted(self, pod: Pod, otherwise: list[str], *, lets_in: bool) -> _Switch:
        def undo() -> None:
            self._port.carry(otherwise)
            self._revoke()

        return _Switch(lambda: self._grant(pod), undo, lets_in)

    def _peer(self, address: str) -> _Switch:
        grant = self._grants[0]
        return _Switch(lambda: self._port.remove(grant, address), lambda: self._port.add(grant, address), lets_in=False)

    def _grant(self, pod: Pod) -> None:
        grant = self._port.grant(pod.address, TARGET)
        self._grants.append(grant)
        self._port.carry([*self._port.isolated, grant.group])

    def _revoke(self) -> None:
        while self._grants:
            self._port.revoke(self._grants.pop())


class _Effects:
    """How soon Kuryr's policies have their effect on packets."""

    def __init__(self, place: _Place, client: Client, floor: _Three):
        self._place = place
        self._api = place.api
        self._client = client
        self._floor = floor
        self.rows: list[Row] = []
        self.notes: list[str] = []

    def run(self) -> None:
        """Measure everything; the rows come in the order of the table."""
        before = Snapshot.take(self._api)
        forbid = self._times(self._policy("forbid", STRANGER, lets_in=False))
        policies.create_all(self._api, {"isolate": letting_in(STRANGER)})
        allow = self._times(self._policy("allow", CLIENT, lets_in=True))
        policies.create_all(self._api, {"peers": letting_in(CLIENT)})
        self._client.turned(lambda: None, is_answered=True)
        label = self._times(self._label())
        policies.delete_all(self._api, ["isolate", "peers"])
        wait_until_quiet()
        self._tell(_Three(forbid, allow, label).tell(), Growth(before, Snapshot.take(self._api)))

    def _times(self, switch: _Switch) -> _Times:
        return _Times.of(self._client, switch, ROUNDS)

    def _policy(self, name: str, role: str, *, lets_in: bool) -> _Switch:
        return _Switch(lambda: policies.create(self._api, name, letting_in(role)), lambda: policies.delete(self._api, name), lets_in)

    def _label(self) -> _Switch:
        pod = self._place.source.name
        return _Switch(lambda: policies.label(self._api, pod, NOBODY), lambda: policies.label(self._api, pod, CLIENT), lets_in=False)

    def _tell(self, ours: _Three, growth: Growth) -> None:
        floor = self._floor
        self.rows = [
            _effect("NetworkPolicy created until it forbids", ours.forbid.done, floor.forbid.done, POLICY_SECONDS),
            _effect("NetworkPolicy created until it allows", ours.allow.done, floor.allow.done, POLICY_SECONDS),
            _effect("NetworkPolicy deleted until it forbids no more", ours.forbid.undone, floor.forbid.undone),
            _effect("NetworkPolicy deleted until it allows no more", ours.allow.undone, floor.allow.undone),
            _effect("pod's label changed until it is a peer", ours.label.undone, floor.label.undone, LABEL_SECONDS),
            _effect("pod's label changed until it is no peer", ours.label.done, floor.label.done, LABEL_SECONDS),
        ]
        self.notes.append(
            f"Effects of policies: {ROUNDS} of each, {FLOOR_ROUNDS} by hand; from before the request until the first of the new "
            f"connections that all succeed, or all fail, of a pod that asks one on the other node every {EVERY * 1e3:.0f} ms. Each "
            f"policy has a security group and an address group of its own. Neutron's answers took in the mean: {_means(growth)}."
        )


class _Costs:
    """How many requests Kuryr's policies cost."""

    def __init__(self, place: _Place):
        self._place = place
        self._api = place.api
        self.rows: list[Row] = []
        self.notes: list[str] = []

    def run(self, joiners: int) -> None:
        """Measure everything; the rows come in the order of the table."""
        self._one()
        users = {f"user-{number:02}": letting_in(JOINED, port=TARGET + number) for number in range(USERS)}
        policies.create_all(self._api, users)
        wait_until_quiet()
        self._join()
        self._crowd(joiners)
        policies.delete_all(self._api, list(users))

    def _one(self) -> None:
        wait_until_quiet()
        audit = Audit(self._place.facts)
        spec = letting_in(*(f"{CLIENT}-{number}" for number in range(_RULES)))
        made = self._growth(lambda: policies.create_all(self._api, {"one": spec})).openstack("network")
        asked = audit.requests()
        gone = self._growth(lambda: policies.delete_all(self._api, ["one"])).openstack("network")
        self.rows.append(
            Row(
                f"a policy of {_RULES} rules, 1 pod: requests to Kubernetes and Neutron",
                f"{asked.total()}, {made.total()}",
                target=f"at most {KUBERNETES_REQUESTS}, {NEUTRON_REQUESTS}",
                met=asked.total() <= KUBERNETES_REQUESTS and made.total() <= NEUTRON_REQUESTS,
            )
        )
        self.notes.append(
            f"A policy of {_RULES} rules, each with a peer of its own, from its creation until it is complete: {listed(made)}; by the API "
            f"server's count {listed(asked)}. To delete it: {listed(gone)}."
        )

    def _join(self) -> None:
        pod = self._place.source.name
        counts = self._growth(lambda: policies.label(self._api, pod, JOINED)).openstack("network")
        policies.label(self._api, pod, CLIENT)
        wait_until_quiet()
        groups, rules = _about(counts, "address-groups"), _about(counts, "security-group-rules")
        self.rows.append(
            Row(
                f"1 pod joins a peer of {USERS} policies: requests for address groups and rules",
                f"{groups}, {rules}",
                target="1, none",
                met=(groups, rules) == (1, 0),
            )
        )
        self.notes.append(f"1 pod that is running joins a peer of {USERS} policies of one pod: {listed(counts)}.")

    def _crowd(self, number: int) -> None:
        names: list[str] = []
        made = self._growth(lambda: names.extend(policies.deploy_crowd(self._api, number, JOINED)))
        left = self._growth(lambda: policies.label_all(self._api, names, STRANGER))
        joined = self._growth(lambda: policies.label_all(self._api, names, JOINED))
        gone = self._growth(lambda: policies.delete_crowd(self._api))
        self.rows += [_joined(f"{number} new pods", number, made), _joined(f"{number} running pods", number, joined)]
        phases = {"created": made, "made peers no more": left, "made peers again": joined, "deleted": gone}
        told = "; ".join(f"{what}: {listed(growth.openstack('network'))}" for what, growth in phases.items())
        self.notes.append(f"{number} pods at once, peers of {USERS} policies of one pod: {told}.")

    def _growth(self, do: Callable[[], None]) -> Growth:
        before = Snapshot.take(self._api)
        do()
        wait_until_quiet()
        return Growth(before, Snapshot.take(self._api))


def _joined(who: str, number: int, growth: Growth) -> Row:
    counts = growth.openstack("network")
    groups, rules = _about(counts, "address-groups"), _about(counts, "security-group-rules")
    name = f"{who} join a peer of {USERS} policies: requests for address groups and rules"
    return Row(name, f"{groups}, {rules}", target=f"under {number}, none", met=0 < groups < number and rules == 0)


def _about(counts: Counter[str], kind: str) -> int:
    return sum(count for request, count in counts.items() if f"/{kind}" in request)


def _effect(name: str, ours: list[float], floor: list[float], limits: tuple[float, float | None] | None = None) -> Row:
    """A row of the median and of what hardly any exceeds; nothing need be asked of either."""
    found = [(percentile(ours, share), limit) for share, limit in zip((0.5, 0.99), limits or (), strict=False) if limit is not None]
    return Row(
        f"{name}, p50 and p99",
        percentiles(ours),
        percentiles(floor),
        ", ".join(f"under {limit} s" for _, limit in found),
        all(value < limit for value, limit in found) if found else None,
    )


def _means(growth: Growth) -> str:
    counts, took = growth.openstack("network"), growth.openstack_seconds("network")
    means = {request: took[request] / count for request, count in sorted(counts.items()) if not request.startswith("GET ")}
    return ", ".join(f"{request} {mean * 1e3:.0f} ms" for request, mean in means.items())
