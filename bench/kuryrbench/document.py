"""What is made of the figures: the table on the terminal, and docs/benchmarks.md."""

import os
import platform
from pathlib import Path

from kuryrbench.lab import REPOSITORY
from kuryrbench.rows import Row, Section

PATH = REPOSITORY / "docs" / "benchmarks.md"
_HEAD = ("figure", "floor", "Kuryr", "asked for", "met")
_TEXT = """\
# Benchmarks

<!-- Written by `make bench`: changes here are lost. -->

What Kuryr takes, measured in the lab (`lab/`): a real kube-apiserver, kubelet and containerd, a real Keystone, Neutron, Octavia and OVN,
all on one machine. The floor of pods is the `ptp` plugin, which connects a pod to its node and to nothing else: what remains is
Kubernetes' own time. The floor of Services is Octavia without Kuryr: the same load balancer, made and changed by hand. That of
network policies is Neutron without Kuryr: the same security group and address group.

**Only ratios within one run mean something.** The machine runs the cluster and the cloud beside what is measured, so that absolute
times say as much of the machine as of Kuryr. The floor is therefore measured in the same run, with the same pods, minutes before; for
pods whose ports are ready, where it is closest, before and after.
Open vSwitch and OVN have the priority that their own start scripts give them (nice -10): without it CNI DEL waits longer for a processor.
So have etcd and the other programs of Kubernetes' control plane, whose machines have processors of their own where a lab is not all on
two: without it a record waits for its turn behind the very pods that wait for it. The floor has the same. And so have Kuryr's two
programs that run all the time, in place of the share of the processors that their pods request where they are installed as such.

Measured on {machine}. Times of pods are medians ({singles} single pods, {rounds} bursts, 10 where their ports are ready); every pod is
ephemeral, has an image that the node holds already and no probe. Its port is made when it is created, but where it is said to be ready.

{table}

## How each figure is taken

{commands}

## Notes

{notes}

For comparison, the Python Kuryr 10.0.0 in another run of the same set-up, whose floor was 2.3 s for one pod and 3.6 to 6.1 s for 20:
one pod 5.2 s, 20 pods 45.8 s, CNI DEL 6.3 s in the mean, controller 127 MiB and daemon 167 MiB (PSS, 20 pods), 6 OpenStack calls a
pod and one more to delete it, 8 writes to Kubernetes and 2 events in a pod's life. By a recording of its requests to servers that are
done at once, a Service with one port, one member and a floating IP costs it 17 requests to Kubernetes (13 of them writes), 8 to Octavia (4)
and 7 to Neutron (3) until it is served. A policy with 5 rules and one pod costs it 26 requests to Kubernetes and 13 to Neutron.
"""
_COMMANDS = {
    "cluster": "pods, CNI calls, memory, requests, steady state (`bench/kuryrbench/figures.py`); `STEADY_SECONDS=30` shortens it",
    "pools": "pods whose ports are ready before them (`bench/kuryrbench/pool_figures.py`)",
    "crowd": "a hundred pods on one node (`bench/kuryrbench/crowd_figures.py`)",
    "plugging": "ways to connect a pod whose port is ready (`bench/kuryrbench/plugging.py`)",
    "services": "Services (`bench/kuryrbench/service_figures.py`); `SERVICES=20` shortens it, and so does `STEADY_SECONDS=30`",
    "policies": "network policies (`bench/kuryrbench/policy_figures.py`); `JOINERS=40` shortens it",
    "plugin": "`kuryr-cni`'s own time",
    "cache": "a Pod in the controller's cache (`crates/kuryr-k8s/examples/pod_memory.rs`)",
    "index": "the controller's index of policies (`crates/kuryr-core/examples/policy_index.rs`)",
    "sizes": "size of the programs, as `make build` makes them: static, stripped",
}


def table(sections: list[Section]) -> str:
    """All rows, in columns that a terminal shows as well."""
    rows = [_HEAD, *(_cells(row) for section in sections for row in section.rows)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def notes(sections: list[Section]) -> str:
    """What a reader should know besides."""
    return "\n".join(f"- {note}" for section in sections for note in section.notes)


def write(sections: list[Section], singles: int, rounds: int) -> None:
    """Write the document; only a run of everything may."""
    commands = [f"- `make bench FIGURES={section.command}`: {_COMMANDS[section.command]}" for section in sections]
    text = _TEXT.format(
        machine=_machine(),
        singles=singles,
        rounds=rounds,
        table=table(sections),
        commands="\n".join(commands),
        notes=notes(sections),
    )
    PATH.write_text(text)


def _cells(row: Row) -> tuple[str, ...]:
    met = {True: "yes", False: "**no**", None: ""}[row.met]
    return (row.name, row.floor, row.ours, row.target, met)


def _machine() -> str:
    total = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal:"))
    memory = round(int(total.split()[1]) / 1024**2)
    return f"{os.cpu_count()} cores ({_processor()}), {memory} GiB of memory, Linux {platform.release()}"


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
