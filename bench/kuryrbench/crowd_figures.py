"""A hundred pods on one node, whose ports are ready before them."""

from pathlib import Path

from kuryrbench import figures, lab, pods, pool_figures
from kuryrbench.cluster import Cluster
from kuryrbench.counters import Calls, Growth, Snapshot
from kuryrbench.rows import Row, Section, listed, milliseconds

# More than the pods of one node; all nodes get as many.
_READY = pods.CROWD + 4


def measure(folders: list[Path]) -> Section:
    """The floor first, then Kuryr."""
    facts = lab.facts()
    api = Cluster(facts)
    with figures.on_floor(api):
        pods.prepare_crowd(api)
        floor = pods.scale_up(api, figures.FLOOR_NETWORK, pods.THE_CROWD)
    with pool_figures.ports_kept(api, folders, _READY):
        return _kuryr(api, facts, floor)


def _kuryr(api: Cluster, facts: dict, floor: float) -> Section:
    pods.prepare(api)
    pods.prepare_crowd(api)
    pool_figures.wait_until_ready(api, _READY, 600)
    calls, before = Calls(facts), Snapshot.take(api)
    took = pods.scale_up(api, facts["openstack"]["pod_subnets"][0]["cidr"], pods.THE_CROWD)
    up = Growth(before, Snapshot.take(api))
    pods.scale_down(api, pods.THE_CROWD)
    rows = [
        Row(f"{pods.CROWD} pods on one node at once, their ports ready, all Ready", f"{took:.1f} s", f"{floor:.1f} s"),
        Row("CNI ADD in the daemon for them, p50 and p99", milliseconds(calls.milliseconds("ADD"))),
        Row("CNI DEL in the daemon for them, p50 and p99", milliseconds(calls.milliseconds("DEL"))),
        Row("requests to OpenStack until all are Ready", str(up.openstack().total())),
    ]
    steps = ", ".join(f"{step} {seconds * 1e3:.0f} ms" for step, seconds in up.steps().items())
    note = (
        f"{pods.CROWD} pods on one node: mean time of ADD's steps: {steps}. Requests to OpenStack, all of them for the ports of pods to "
        f"come: {listed(up.openstack())}."
    )
    return Section("crowd", rows, [note])
