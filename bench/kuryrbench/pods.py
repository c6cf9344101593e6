"""How long pods take: one by one, twenty at once, and a hundred on one node. The same for every network."""

import ipaddress
import time
from dataclasses import dataclass, field
from statistics import median

from kuryrbench.cluster import Cluster, Watch, is_ready
from kuryrbench.lab import NODES, BenchError, say, wait_for

NAMESPACE = "kuryr-bench"
IMAGE = "docker.io/lab/agnhost:1"
DEPLOYMENT = "burst"
BURST = 20
CROWD = 100
SINGLES = 5
ROUNDS = 3
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
_DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
RECORDS = f"/apis/openstack.org/v1/namespaces/{NAMESPACE}/kuryrports"
# Of a pod that does nothing.
SPEC = {
    "automountServiceAccountToken": False,
    "terminationGracePeriodSeconds": 1,
    "containers": [
        {"name": "c", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": ["/agnhost", "pause"]},
    ],
}
# A kubelet looks at its network every five seconds: what it said before the network was changed has to be forgotten.
_SETTLED = 12


@dataclass(frozen=True)
class Pods:
    """The pods of a Deployment."""

    deployment: str
    count: int


THE_BURST = Pods(DEPLOYMENT, BURST)
THE_CROWD = Pods("crowd", CROWD)


@dataclass
class Times:
    """Seconds."""

    singles: list[float] = field(default_factory=list)
    bursts: list[float] = field(default_factory=list)

    def __add__(self, other: "Times") -> "Times":
        """The times of both."""
        return Times(self.singles + other.singles, self.bursts + other.bursts)

    @property
    def single(self) -> float:
        """One pod, created until ready."""
        return median(self.singles)

    @property
    def burst(self) -> float:
        """Twenty pods, scaled until all are ready."""
        return median(self.bursts)


def prepare(cluster: Cluster) -> None:
    """Wait for nodes that take pods, and make the namespace that the measurements are in."""
    since: float | None = None

    def settled() -> bool:
        nonlocal since
        nodes = cluster.get("/api/v1/nodes") or {}
        since = (since or time.monotonic()) if all(map(_takes_pods, nodes["items"])) else None
        return since is not None and time.monotonic() - since > _SETTLED

    wait_for("nodes that stay Ready", settled, 120, 0.5)
    cluster.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    account = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/default"
    wait_for("the service account", lambda: cluster.get(account), 30)


def prepare_burst(cluster: Cluster) -> None:
    """Make the Deployment that bursts scale."""
    _deploy(cluster, THE_BURST, SPEC)


def prepare_crowd(cluster: Cluster) -> None:
    """Make the Deployment whose pods are all on one node."""
    _deploy(cluster, THE_CROWD, {**SPEC, "nodeSelector": {"kubernetes.io/hostname": NODES[0]}})


def _deploy(cluster: Cluster, pods: Pods, spec: dict) -> None:
    labels = {"app": pods.deployment}
    template = {"metadata": {"labels": labels}, "spec": spec}
    whole = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    cluster.create(_DEPLOYMENTS, {"metadata": {"name": pods.deployment}, "spec": whole})


def clear(cluster: Cluster) -> None:
    """Take away all that the measurements made."""
    path = f"/api/v1/namespaces/{NAMESPACE}"
    cluster.delete(path)
    # An interrupted run may have left hundreds of Services, whose load balancers go with it.
    wait_for("the namespace to go", lambda: cluster.get(path) is None, 900)


def singles(cluster: Cluster, network: str) -> list[float]:
    """One pod after the other; the first is not counted."""
    taken = [_single(cluster, f"single-{number}", network) for number in range(SINGLES + 1)]
    say(f"one pod, created to ready: {_seconds(taken)} (the first is not counted)")
    return taken[1:]


def scale_up(cluster: Cluster, network: str, pods: Pods = THE_BURST) -> float:
    """All at once."""
    watch = Watch(cluster, PODS, is_ready)
    began = time.monotonic()
    cluster.scale(NAMESPACE, pods.deployment, pods.count)
    took = watch.wait(pods.count, 180) - began
    _check(watch, network)
    say(f"{pods.count} pods, scaled to ready: {took:.2f} s")
    return took


def scale_down(cluster: Cluster, pods: Pods = THE_BURST) -> None:
    """None again, and nothing left of them."""
    cluster.scale(NAMESPACE, pods.deployment, 0)
    _gone(cluster)


def bursts(cluster: Cluster, network: str) -> list[float]:
    """Several rounds; the pods of the last one stay."""
    taken = []
    for number in range(ROUNDS):
        if number:
            scale_down(cluster)
        taken.append(scale_up(cluster, network))
    return taken


def _single(cluster: Cluster, name: str, network: str) -> float:
    watch = Watch(cluster, PODS, is_ready)
    began = time.monotonic()
    cluster.create(PODS, {"metadata": {"name": name}, "spec": SPEC})
    took = watch.wait(1, 120) - began
    _check(watch, network)
    cluster.delete(f"{PODS}/{name}")
    _gone(cluster)
    return took


def _gone(cluster: Cluster) -> None:
    wait_for("pods and their records to go", lambda: not cluster.names(PODS) and not cluster.names(RECORDS), 120)
    # What the runtime and the kernel still do for the last ones is not the next ones' time.
    time.sleep(2)


def _check(watch: Watch, network: str) -> None:
    addresses = [pod["status"].get("podIP", "") for pod in watch.objects()]
    strangers = [address for address in addresses if ipaddress.ip_address(address) not in ipaddress.ip_network(network)]
    if strangers:
        raise BenchError(f"pods have addresses outside {network}: {strangers}; another network connected them")


def _takes_pods(node: dict) -> bool:
    conditions = {condition["type"]: condition["status"] for condition in node["status"]["conditions"]}
    return conditions.get("Ready") == "True" and not node["spec"].get("taints")


def _seconds(values: list[float]) -> str:
    return ", ".join(f"{value:.2f} s" for value in values)
