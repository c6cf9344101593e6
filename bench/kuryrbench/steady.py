"""What is asked for when nothing happens."""

import time

from kuryrbench import lab
from kuryrbench.cluster import Cluster
from kuryrbench.counters import Growth, Snapshot, writes
from kuryrbench.rows import Row, listed

# What the runtime and the kubelet still do for the last pods is not the steady state.
_SETTLED = 15
_RECORDS = ("kuryrports", "kuryrloadbalancers")


def measure(api: Cluster, name: str, seconds: int) -> list[Row]:
    """Look on for so long."""
    lab.say(f"{seconds} s of {name}")
    time.sleep(_SETTLED)
    before = Snapshot.take(api)
    time.sleep(seconds)
    growth = Growth(before, Snapshot.take(api))
    written, requests = growth.kubernetes(), growth.openstack()
    seen = written.total() + sum(map(growth.record_writes, _RECORDS))
    return [
        Row(f"{name}, {seconds} s: writes to Kubernetes", listed(written), target="none", met=seen == 0),
        Row(f"{name}, {seconds} s: requests to OpenStack", listed(requests), target="the slow re-list only", met=writes(requests) == 0),
    ]
