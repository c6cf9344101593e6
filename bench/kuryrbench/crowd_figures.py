"""A hundred pods on one node, whose ports are ready before them."""

import tempfile
from pathlib import Path

from kuryrbench import figures, lab, pods
from kuryrbench.cluster import Cluster
from kuryrbench.counters import Calls, Growth, Snapshot, percentile, wait_until_quiet, warm_ports
from kuryrbench.rows import Row, Section, listed

# More than the pods of one node; all nodes get as many.
_READY = pods.CROWD + 4
_EXTRA = f"[kubernetes]\nvif_pool_driver = neutron\n[vif_pool]\nports_pool_batch = {_READY}\nports_pool_min = {_READY}\n"


def measure(folders: list[Path]) -> Section:
    """The floor first, then Kuryr."""
    facts = lab.facts()
    api = Cluster(facts)
    floor = _floor(api)
    lab.say(f"Kuryr's turn, with {_READY} ports on each node that are ready")
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as extra:
        extra.write(_EXTRA)
        extra.flush()
        lab.use_kuryr(folders, Path(extra.name))
    try:
        return _kuryr(api, facts, floor)
    finally:
        pods.clear(api)
        # A controller that keeps none takes away what is left.
        lab.use_kuryr(folders)


def _floor(api: Cluster) -> float:
    lab.say("the floor's turn: `ptp`")
    pods.clear(api)
    lab.use_floor()
    try:
        pods.prepare(api)
        pods.prepare_crowd(api)
        return pods.scale_up(api, figures.FLOOR_NETWORK, pods.THE_CROWD)
    finally:
        pods.clear(api)
        lab.lab("floor", "off")


def _kuryr(api: Cluster, facts: dict, floor: float) -> Section:
    pods.prepare(api)
    pods.prepare_crowd(api)
    wanted = _READY * len(lab.NODES)
    lab.wait_for(f"{wanted} ports that are ready", lambda: warm_ports() >= wanted, 600)
    wait_until_quiet()
    calls, before = Calls(facts), Snapshot.take(api)
    took = pods.scale_up(api, facts["openstack"]["pod_subnets"][0]["cidr"], pods.THE_CROWD)
    up = Growth(before, Snapshot.take(api))
    pods.scale_down(api, pods.THE_CROWD)
    adds, dels = calls.milliseconds("ADD"), calls.milliseconds("DEL")
    rows = [
        Row(f"{pods.CROWD} pods on one node at once, their ports ready, all Ready", f"{took:.1f} s", f"{floor:.1f} s"),
        Row("CNI ADD in the daemon for them, p50 and p99", _both(adds)),
        Row("CNI DEL in the daemon for them, p50 and p99", _both(dels)),
        Row("requests to OpenStack until all are Ready", str(up.openstack().total())),
    ]
    steps = ", ".join(f"{step} {seconds * 1e3:.0f} ms" for step, seconds in up.steps().items())
    note = (
        f"{pods.CROWD} pods on one node: mean time of ADD's steps: {steps}. Requests to OpenStack, all of them for the ports of pods to "
        f"come: {listed(up.openstack())}."
    )
    return Section("crowd", rows, [note])


def _both(values: list[int]) -> str:
    return f"{percentile(values, 0.5):.0f} ms, {percentile(values, 0.99):.0f} ms"
