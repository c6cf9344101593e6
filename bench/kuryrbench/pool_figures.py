"""Pods whose ports are ready before them: how long they take beside the floor, and what is asked of OpenStack for them."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kuryrbench import figures, lab, pods
from kuryrbench.cluster import Cluster, Watch
from kuryrbench.counters import Calls, Growth, percentile, wait_until_quiet
from kuryrbench.rows import Row, Section, each, listed, milliseconds

_KURYR_NODES = "/apis/openstack.org/v1/kuryrnodes"
# Enough for all pods of a burst on one node.
_READY = 24
# As many bursts as make two hundred calls: of fewer the p99 is one or two of them.
_ROUNDS = 10
# What is asked for.
_OVER_FLOOR_SECONDS = 0.2
_OF_FLOOR = 1.2
_ADD_MS = (25, 80)
_DEL_MS = 80
_HAND_OVER_MS = 15


def measure(folders: list[Path]) -> Section:
    """The floor, then Kuryr, which has ports ready, and the floor once more: meanwhile the machine has become faster or slower."""
    facts = lab.facts()
    api = Cluster(facts)
    before = figures.floor(api)
    with ports_kept(api, folders, _READY):
        pools = _Pools(api, facts)
        pools.run()
    after = figures.floor(api)
    note = f"Floor of {pods.BURST} pods before those whose ports are ready, and after them: {before.burst:.2f} s, {after.burst:.2f} s."
    return Section("pools", [*_times(before + after, pools.times), *pools.rows], [note, *pools.notes])


@contextmanager
def ports_kept(api: Cluster, folders: list[Path], count: int) -> Iterator[None]:
    """Let Kuryr connect pods meanwhile, and keep so many ports ready on each node."""
    lab.say(f"Kuryr's turn, with {count} ports on each node that are ready")
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as extra:
        extra.write(f"[kubernetes]\nvif_pool_driver = neutron\n[vif_pool]\nports_pool_batch = {count}\nports_pool_min = {count}\n")
        extra.flush()
        lab.use_kuryr(folders, Path(extra.name))
    try:
        yield
    finally:
        pods.clear(api)
        # A controller that keeps none takes away what is left.
        lab.use_kuryr(folders)


def wait_until_ready(api: Cluster, count: int, timeout: float = 120) -> None:
    """Wait for so many ports on each node, as the nodes themselves say, and for a controller that has nothing to do."""

    def warm() -> list[int]:
        nodes = api.get(_KURYR_NODES) or {}
        return [node.get("status", {}).get("warm", 0) for node in nodes.get("items", [])]

    def are_ready() -> bool:
        found = warm()
        return len(found) == len(lab.NODES) and min(found) >= count

    lab.wait_for(f"{count} ports on each node that are ready", are_ready, timeout)
    # A KuryrNode's counts may be written that much later.
    wait_until_quiet(6)


def _times(floor: pods.Times, ours: pods.Times) -> list[Row]:
    above, times = ours.single - floor.single, ours.burst / floor.burst
    return [
        Row(
            "1 pod, its port ready, created to Ready",
            f"{ours.single:.2f} s",
            f"{floor.single:.2f} s",
            f"floor + {_OVER_FLOOR_SECONDS} s",
            above <= _OVER_FLOOR_SECONDS,
        ),
        Row(
            f"{pods.BURST} pods at once, their ports ready, all Ready",
            f"{ours.burst:.2f} s",
            f"{floor.burst:.2f} s",
            f"{_OF_FLOOR} x the floor",
            times <= _OF_FLOOR,
        ),
    ]


class _Pools:
    """Kuryr's side."""

    def __init__(self, api: Cluster, facts: dict):
        self._api = api
        self._facts = facts
        self._network = facts["openstack"]["pod_subnets"][0]["cidr"]
        self.times = pods.Times()
        self.rows: list[Row] = []
        self.notes: list[str] = []

    def run(self) -> None:
        """One pod after the other, then bursts, each with as many ports ready as before."""
        pods.prepare(self._api)
        pods.prepare_burst(self._api)
        self._ready()
        self.times.singles = pods.singles(self._api, self._network)
        ups, calls = figures.bursts(self._api, self._facts, self.times, self._ready, _ROUNDS)
        pods.scale_down(self._api)
        self._calls(calls)
        self._hand_over()
        self._requests(ups)

    def _ready(self) -> None:
        wait_until_ready(self._api, _READY)

    def _calls(self, calls: Calls) -> None:
        adds, dels = calls.milliseconds("ADD"), calls.milliseconds("DEL")
        middle, most, longest = percentile(adds, 0.5), percentile(adds, 0.99), percentile(dels, 0.99)
        late = sum(add > _ADD_MS[1] for add in adds)
        self.notes.append(f"ADDs of ready ports that took more than {_ADD_MS[1]} ms: {late} of {len(adds)}, the longest {max(adds)} ms.")
        self.rows += [
            Row(
                f"CNI ADD in the daemon, {pods.BURST} pods, their ports ready, p50 and p99",
                f"{middle:.0f} ms, {most:.0f} ms",
                target=f"{_ADD_MS[0]} ms, {_ADD_MS[1]} ms",
                met=middle <= _ADD_MS[0] and most <= _ADD_MS[1],
            ),
            Row(
                f"CNI DEL in the daemon, {pods.BURST} pods whose ports stay, p99",
                f"{longest:.0f} ms",
                target=f"{_DEL_MS} ms",
                met=longest <= _DEL_MS,
            ),
        ]

    def _hand_over(self) -> None:
        """Pods of their own: to watch them takes time."""
        self._ready()
        watch = _HandOver(self._api)
        pods.singles(self._api, self._network)
        alone, watch = watch.milliseconds(), _HandOver(self._api)
        pods.scale_up(self._api, self._network)
        together, middle = watch.milliseconds(), percentile(alone, 0.5)
        self.rows += [
            Row(
                "a pod on a node until its port is recorded, 1 pod, p50",
                f"{middle:.0f} ms",
                target=f"{_HAND_OVER_MS} ms",
                met=middle <= _HAND_OVER_MS,
            ),
            Row(
                f"the same, {pods.BURST} pods at once, p50 and p99",
                milliseconds(together),
            ),
        ]

    def _requests(self, ups: list[Growth]) -> None:
        asked = [up.openstack() for up in ups]
        self.rows.append(Row(f"requests to OpenStack, a burst of {pods.BURST}, their ports ready", each([one.total() for one in asked])))
        all_asked = sum(asked[1:], asked[0])
        steps = ups[-1].steps()
        self.notes += [
            f"Requests to OpenStack in {_ROUNDS} bursts of pods whose ports are ready, all of them for the ports of pods to come: "
            f"{listed(all_asked)}.",
            f"Mean time of ADD's steps in the last of them: {', '.join(f'{step} {took * 1e3:.0f} ms' for step, took in steps.items())}.",
        ]


class _HandOver:
    """Watches pods get their nodes, and then their records: from the one's event to the other's, as anybody sees them."""

    def __init__(self, api: Cluster):
        self._placed = Watch(api, pods.PODS, lambda _, pod: bool(pod["spec"].get("nodeName")))
        self._recorded = Watch(api, pods.RECORDS, lambda kind, _: kind == "ADDED")

    def milliseconds(self) -> list[float]:
        """How long each pod's took so far."""
        placed, recorded = self._placed.moments(), self._recorded.moments()
        took = [1e3 * (recorded[name] - since) for name, since in placed.items() if name in recorded]
        if not took:
            raise lab.BenchError("no pod's hand-over was seen")
        return took
