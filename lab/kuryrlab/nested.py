"""`lab nested`: nodes that are VMs, on demand, since each takes a gigabyte of memory."""

import json
import time
from datetime import datetime
from pathlib import Path

from kuryrlab import cluster, components, facts, kubernetes, kuryr, paths, pieces, shell, workers
from kuryrlab.steps import Step, perform, say
from kuryrlab.vm import MEMORY_MIB, Vm

_MEMORY_LEFT_MIB = 512
_NO_NETWORK = "cni"


def up(name: str) -> None:
    """Boot a VM and make it a node of the cluster; what runs is left alone."""
    if not kubernetes.runs() or not components.find("neutron", None).running():
        raise shell.LabError("the lab is down: `lab up` comes first")
    vm = Vm(name)
    if vm.place.init() is None:
        _check_memory()
    began = time.time()
    perform(
        [
            Step("user-mode Linux", lambda: pieces.ensure("vm")),
            Step(f"{name} port and trunk", lambda: workers.make(name)),
            Step(f"{name} power", vm.power_on, ("user-mode Linux", f"{name} port and trunk")),
            Step(f"{name} cables", vm.connect, (f"{name} power",)),
            Step(f"{name} containerd", lambda: vm.daemon("containerd").start(), (f"{name} cables",)),
            Step(f"{name} images", lambda: cluster.load_image(vm, paths.AGNHOST_IMAGE), (f"{name} containerd",)),
            Step(f"{name} kubelet", lambda: vm.daemon("kubelet").start(), (f"{name} images",)),
            Step(f"{name} node", lambda: _wait_for_node(name, began), (f"{name} kubelet",)),
            Step("facts", facts.tell_of_vms, (f"{name} kubelet",)),
        ]
    )
    say(f"{name} is up: `lab exec {name} CMD` runs a command there, `lab kuryr up` starts Kuryr's daemon in it")


def down(name: str, halt: bool, purge: bool) -> None:
    """Cut a VM's power or halt it, and with `purge` forget that it ever was: in Kubernetes, in Neutron, on the disk."""
    vm = Vm(name)
    steps = [Step(f"{name} power", (lambda: _halt(vm)) if halt else vm.power_off)]
    if purge:
        steps += [
            Step(f"{name} node", lambda: _forget_node(name), (f"{name} power",)),
            Step(f"{name} port and trunk", lambda: workers.remove(name), (f"{name} node",)),
            Step(f"{name} disk", vm.purge, (f"{name} power",)),
            Step("facts", facts.tell_of_vms, (f"{name} port and trunk", f"{name} disk")),
        ]
    perform(steps)


def _halt(vm: Vm) -> str:
    if vm.place.init():
        kuryr.node_daemon(vm).stop(kuryr.STOP_GRACE)
    return vm.halt()


def _check_memory() -> None:
    fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    free = int(fields["MemAvailable"].split()[0]) // 1024
    if free < MEMORY_MIB + _MEMORY_LEFT_MIB:
        raise shell.LabError(f"{free} MiB of memory are free, the VM needs {MEMORY_MIB} and {_MEMORY_LEFT_MIB} have to be left")


def _wait_for_node(name: str, since: float) -> str:
    """Wait until Kubernetes knows the node as it is since this boot: ready, or with nothing amiss but its missing network."""
    seen: dict[str, str] = {}

    def settled() -> bool:
        seen.clear()
        seen.update(_readiness(name))
        if not seen or datetime.fromisoformat(seen["lastHeartbeatTime"]).timestamp() < int(since):
            return False
        return seen["status"] == "True" or _NO_NETWORK in seen["message"]

    if not shell.wait_until(settled, 60, 0.2):
        raise shell.LabError(f"{name} is not ready: {seen.get('message', 'Kubernetes does not know it')}")
    return "ready" if seen["status"] == "True" else "there, not ready: it has no CNI configuration yet"


def _readiness(name: str) -> dict[str, str]:
    node = kubernetes.kubectl("get", "node", name, "--ignore-not-found", "-o", "json")
    conditions = json.loads(node)["status"].get("conditions", []) if node else []
    return next((condition for condition in conditions if condition["type"] == "Ready"), {})


def _forget_node(name: str) -> str:
    if not kubernetes.runs():
        return ""
    kubernetes.kubectl("delete", "node", name, "--ignore-not-found")
    # Nobody is left there who would confirm their end.
    words = ["--all-namespaces", f"--field-selector=spec.nodeName={name}", "--force", "--grace-period=0"]
    deleted = kubernetes.kubectl("delete", "pods", "-o", "name", *words, check=False).split()
    return f"{len(deleted)} pods with it" if deleted else ""
