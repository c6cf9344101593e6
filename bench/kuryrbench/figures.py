"""The measurements in their order, and what is asked of each: one row of the table for each figure."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kuryrbench import lab, pods, programs, steady
from kuryrbench.cluster import Cluster
from kuryrbench.counters import Calls, Growth, Snapshot, percentile, reads
from kuryrbench.rows import Row, Section, each, listed, milliseconds

FLOOR_NETWORK = "10.11.0.0/16"
# What is asked for.
LARGEST_PLUGIN = 1.5e6
PLUGIN_SECONDS = 1e-3
POD_KIB = 4
OVER_FLOOR_SECONDS = 1
BURST_SECONDS = 12
DEL_MS = 50
MEMORY_MIB = {"kuryr-k8s-controller": 25, "kuryr-daemon": 12}
CREATES = 3
WRITES = 3


def sizes(release: Path, plugin: Path) -> Section:
    """How large the programs are."""
    found = programs.sizes(release, plugin)
    rows = [Row(f"size of `{name}`", f"{size / 1e6:.2f} MB") for name, size in found.items() if name != "kuryr-cni"]
    size = found["kuryr-cni"]
    rows.append(Row("size of `kuryr-cni`", f"{size / 1e6:.2f} MB", target=f"under {LARGEST_PLUGIN / 1e6} MB", met=size < LARGEST_PLUGIN))
    return Section("sizes", rows, [])


def plugin(folder: Path) -> Section:
    """What `kuryr-cni` adds to the daemon's own time."""
    took = programs.plugin(folder)
    row = Row("`kuryr-cni`'s own time, p50", f"{took.add * 1e3:.2f} ms", target="under 1 ms", met=took.add < PLUGIN_SECONDS)
    note = (
        f"`kuryr-cni`: {programs.RUNS} times ADD, from before the process is started until after its end, less the time of a daemon that "
        f"answers at once. Most of it is the kernel's: VERSION, which asks no daemon, takes {took.version * 1e3:.2f} ms, and a program "
        f"that does nothing (`/bin/true`) {took.nothing * 1e3:.2f} ms."
    )
    return Section("plugin", [row], [note])


def cache() -> Section:
    """What a pod takes in the controller's memory."""
    found = programs.pod_cache()
    size = found["bytes_a_pod"] / 1024
    row = Row("a Pod in the controller's cache", f"{size:.2f} KiB", target=f"under {POD_KIB} KiB", met=size < POD_KIB)
    note = (
        f"Pod cache: growth of a process when its cache fills with {found['pods']} Pods of {found['bytes_sent_a_pod'] / 1024:.1f} KiB JSON "
        "each, through the controller's own client, with all that the allocator keeps."
    )
    return Section("cache", [row], [note])


def cluster(folders: list[Path], steady_seconds: int) -> Section:
    """All that takes pods: the floor first, then Kuryr, freshly started."""
    facts = lab.facts()
    api = Cluster(facts)
    floor_times = floor(api)
    lab.say("Kuryr's turn")
    lab.use_kuryr(folders)
    try:
        measured = _Kuryr(api, facts, steady_seconds)
        measured.run()
    finally:
        pods.clear(api)
    return Section("cluster", [*_times(floor_times, measured), *measured.rows], measured.notes)


def floor(api: Cluster) -> pods.Times:
    """The times of pods that `ptp` connects."""
    with on_floor(api):
        pods.prepare_burst(api)
        return pods.Times(pods.singles(api, FLOOR_NETWORK), pods.bursts(api, FLOOR_NETWORK))


@contextmanager
def on_floor(api: Cluster) -> Iterator[None]:
    """Let `ptp` connect pods meanwhile."""
    lab.say("the floor's turn: `ptp`")
    # What an interrupted run left goes while there is still a Kuryr to take off its finalizers.
    pods.clear(api)
    lab.use_floor()
    try:
        pods.prepare(api)
        yield
    finally:
        pods.clear(api)
        lab.lab("floor", "off")


def bursts(
    api: Cluster, facts: dict, times: pods.Times, ready: Callable[[], None] = lambda: None, rounds: int = pods.ROUNDS
) -> tuple[list[Growth], Calls]:
    """Several bursts, each once it is `ready`. Each scaling up is looked at by itself: what deletions ask for is not a creation's."""
    calls, ups = Calls(facts), []
    for number in range(rounds):
        if number:
            pods.scale_down(api)
        ready()
        before = Snapshot.take(api)
        times.bursts.append(pods.scale_up(api, facts["openstack"]["pod_subnets"][0]["cidr"]))
        ups.append(Growth(before, Snapshot.take(api)))
    return ups, calls


def _times(without: pods.Times, ours: "_Kuryr") -> list[Row]:
    single, burst = ours.times.single, ours.times.burst
    above = single - without.single
    return [
        Row("1 pod, created to Ready", f"{single:.2f} s", f"{without.single:.2f} s", "floor + 1 s", above <= OVER_FLOOR_SECONDS),
        Row(
            f"{pods.BURST} pods at once, all Ready",
            f"{burst:.2f} s",
            f"{without.burst:.2f} s",
            f"{BURST_SECONDS} s",
            burst <= BURST_SECONDS,
        ),
    ]


class _Kuryr:
    """Kuryr's side: pods, and what they cost."""

    def __init__(self, api: Cluster, facts: dict, steady_seconds: int):
        self._api = api
        self._facts = facts
        self._network = facts["openstack"]["pod_subnets"][0]["cidr"]
        self._steady_seconds = steady_seconds
        self.times = pods.Times()
        self.rows: list[Row] = []
        self.notes: list[str] = []

    def run(self) -> None:
        """Measure everything; the rows come in the order of the table."""
        pods.prepare(self._api)
        pods.prepare_burst(self._api)
        calls = Calls(self._facts)
        self.times.singles = pods.singles(self._api, self._network)
        single = calls.milliseconds("ADD"), calls.milliseconds("DEL")
        before = Snapshot.take(self._api)
        ups, burst_calls = bursts(self._api, self._facts, self.times)
        memory = self._memory()  # with the last burst's pods still there
        quiet = steady.measure(self._api, "steady state", self._steady_seconds)
        pods.scale_down(self._api)
        life = Growth(before, Snapshot.take(self._api))
        self._calls(*single, burst_calls)
        self.rows += memory
        self._requests(ups, life)
        self.rows += quiet

    def _calls(self, adds: list[int], dels: list[int], burst: Calls) -> None:
        many_adds, many_dels = burst.milliseconds("ADD"), burst.milliseconds("DEL")
        worst = percentile(dels + many_dels, 0.99)
        self.rows += [
            Row("CNI ADD in the daemon, 1 pod, p50", _ms(adds, 0.5)),
            Row(f"CNI ADD in the daemon, {pods.BURST} pods, p50 and p99", milliseconds(many_adds)),
            Row("CNI DEL in the daemon, 1 pod, p50", _ms(dels, 0.5)),
            Row(f"CNI DEL in the daemon, {pods.BURST} pods, p50", _ms(many_dels, 0.5)),
            Row("CNI DEL in the daemon, p99", f"{worst:.0f} ms", target=f"under {DEL_MS} ms", met=worst < DEL_MS),
        ]
        self.notes.append(
            f"CNI calls: {len(adds + many_adds)} ADDs; {len(dels + many_dels)} DELs, of several for a sandbox the first; "
            f"{burst.failures()} calls of the bursts failed."
        )

    def _memory(self) -> list[Row]:
        rows = []
        for program, limit in MEMORY_MIB.items():
            largest = max(programs.memory(self._facts, program), key=lambda found: found.pss)
            ours = f"{largest.pss / programs.MIB:.1f} MiB (RSS {largest.rss / programs.MIB:.1f} MiB)"
            rows.append(
                Row(
                    f"memory of `{program}`, {pods.BURST} pods, PSS",
                    ours,
                    target=f"under {limit} MiB",
                    met=largest.pss < limit * programs.MIB,
                )
            )
        return rows

    def _requests(self, ups: list[Growth], life: Growth) -> None:
        creates = [up.openstack()["POST /ports"] for up in ups]
        read = [reads(up.openstack()) for up in ups]
        written = life.kubernetes().total() / (pods.BURST * pods.ROUNDS)
        seen = life.record_writes("kuryrports")
        self.rows += [
            Row(
                f"port creates in Neutron, a burst of {pods.BURST}",
                each(creates),
                target=f"at most {CREATES}",
                met=max(creates) <= CREATES,
            ),
            Row(f"reads from OpenStack, a burst of {pods.BURST}", each(read), target="none a pod", met=max(read) < pods.BURST),
            Row("writes to Kubernetes in a pod's life", f"{written:.2f}", target=f"{WRITES}", met=written <= WRITES),
        ]
        self.notes += [
            f"Requests to OpenStack in the {pods.ROUNDS} bursts, creation to deletion: {listed(life.openstack())}.",
            f"Writes to Kubernetes in them: {listed(life.kubernetes())}. By the API server's count: {seen} to KuryrPorts.",
            f"Mean time of ADD's steps in them: {', '.join(f'{step} {took * 1e3:.0f} ms' for step, took in life.steps().items())}.",
        ]


def _ms(values: list[int], share: float) -> str:
    return f"{percentile(values, share):.0f} ms"
