"""Services and the pods behind them: making them, and waiting until they are as they should be."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from kuryrbench.cluster import Cluster, Watch, is_ready
from kuryrbench.lab import NODES, wait_for
from kuryrbench.pods import IMAGE, NAMESPACE, PODS

PORT = 80
TARGET = 8080
# The label of the pods behind all Services but the rolled one.
SERVERS = "server"
# Seconds for which a pod that ends still serves, as docs/services.md has it for one that is not to lose connections.
GRACE = 15
# Requests for many Services are sent by so many side by side.
_SIDE_BY_SIDE = 8
_SERVICES = f"/api/v1/namespaces/{NAMESPACE}/services"
_SLICES = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices"
_DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
_RECORDS = f"/apis/openstack.org/v1/namespaces/{NAMESPACE}/kuryrloadbalancers"


@dataclass(frozen=True)
class Pod:
    """One that runs."""

    name: str
    node: str
    address: str


def start_pods(cluster: Cluster) -> tuple[Pod, Pod, Pod]:
    """A client on the first node, and a server on each."""
    here, there = NODES
    servers = {"app": SERVERS}
    client, near, far = start(cluster, {"client": (here, {}), "near": (here, servers), "far": (there, servers)})
    return client, near, far


def start(cluster: Cluster, placed: dict[str, tuple[str, dict[str, str]]]) -> list[Pod]:
    """Pods that tell their names, each on its node and with its labels."""
    watch = Watch(cluster, PODS, is_ready)
    for name, (node, labels) in placed.items():
        spec = {**_serving(grace=0), "nodeSelector": {"kubernetes.io/hostname": node}}
        cluster.create(PODS, {"metadata": {"name": name, "labels": labels}, "spec": spec})
    watch.wait(len(placed), 120)
    addresses = {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in watch.objects()}
    return [Pod(name, node, addresses[name]) for name, (node, _) in placed.items()]


def create(cluster: Cluster, name: str, app: str | None = SERVERS) -> str:
    """Make a Service of the pods with this label, or one whose slices are made by hand; its cluster IP."""
    spec: dict = {"ports": [{"name": "http", "port": PORT, "targetPort": TARGET}]}
    if app is not None:
        spec["selector"] = {"app": app}
    return cluster.create(_SERVICES, {"metadata": {"name": name}, "spec": spec})["spec"]["clusterIP"]


def create_all(cluster: Cluster, names: Sequence[str]) -> None:
    """Make these at once."""
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        list(pool.map(lambda name: create(cluster, name), names))


def delete_all(cluster: Cluster, names: Sequence[str]) -> float:
    """Delete these at once; the moment at which the last one is gone, which Kuryr lets happen when its load balancer is."""
    gone = Watch(cluster, _SERVICES, lambda kind, _: kind == "DELETED")
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        list(pool.map(lambda name: cluster.delete(f"{_SERVICES}/{name}"), names))
    return gone.wait(len(names), patience(len(names)))


def watch_served(cluster: Cluster) -> Watch:
    """Notes when each Service's record has its load balancer with pools: the controller writes it when there is no more to do."""
    return Watch(cluster, _RECORDS, lambda kind, record: kind != "DELETED" and bool(record.get("status", {}).get("pools")))


def patience(services: int) -> float:
    """Seconds after which so many Services are not waited for any more."""
    return 60 + 10 * services


def create_slice(cluster: Cluster, service: str, pod: Pod) -> None:
    """Make a pod the endpoint of a Service without a selector."""
    labels = {"kubernetes.io/service-name": service}
    ports = [{"name": "http", "port": TARGET, "protocol": "TCP"}]
    cluster.create(_SLICES, {"metadata": {"name": service, "labels": labels}, "addressType": "IPv4", "ports": ports, **_endpoints(pod)})


def change_slice(cluster: Cluster, service: str, pod: Pod) -> None:
    """Make another pod the endpoint."""
    cluster.patch(f"{_SLICES}/{service}", _endpoints(pod))


def deploy(cluster: Cluster, name: str, replicas: int) -> None:
    """Make a Deployment of pods that end in an orderly way, and wait until it is complete."""
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": _serving(GRACE)}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    cluster.create(_DEPLOYMENTS, {"metadata": {"name": name}, "spec": spec})
    wait_for(f"{replicas} pods of {name}", lambda: _is_rolled_out(cluster, name, replicas), 240, 0.5)


def roll(cluster: Cluster, name: str, replicas: int) -> float:
    """Replace a Deployment's pods, as a new version would; the time until the old ones are gone."""
    began = time.monotonic()
    cluster.patch(f"{_DEPLOYMENTS}/{name}", {"spec": {"template": {"metadata": {"annotations": {"version": "2"}}}}})
    wait_for(f"the rolling update of {name}", lambda: _is_rolled_out(cluster, name, replicas), 600, 0.5)
    return time.monotonic() - began


def undeploy(cluster: Cluster, name: str) -> None:
    """Delete a Deployment, and wait until its pods are gone."""
    cluster.delete(f"{_DEPLOYMENTS}/{name}")
    wait_for(f"the end of {name}", lambda: not _pods_of(cluster, name), 240, 0.5)


def _is_rolled_out(cluster: Cluster, name: str, replicas: int) -> bool:
    found = cluster.get(f"{_DEPLOYMENTS}/{name}")
    if found is None:
        return False
    status = found.get("status", {})
    is_new = status.get("observedGeneration") == found["metadata"]["generation"]
    counts = [status.get(kind, 0) for kind in ("replicas", "updatedReplicas", "availableReplicas")]
    return is_new and counts == [replicas] * 3 and len(_pods_of(cluster, name)) == replicas


def _pods_of(cluster: Cluster, app: str) -> list[str]:
    return cluster.names(f"{PODS}?labelSelector=app%3D{app}")


def _endpoints(pod: Pod) -> dict:
    return {"endpoints": [{"addresses": [pod.address], "conditions": {"ready": True}}]}


def _serving(grace: int) -> dict:
    """The spec of a pod that tells its name, ready once it does, and that serves for a while when it is to end."""
    probe = {"httpGet": {"path": "/hostname", "port": TARGET}, "periodSeconds": 1, "timeoutSeconds": 3}
    container = {"name": "c", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "args": ["netexec"], "readinessProbe": probe}
    if grace:
        container["lifecycle"] = {"preStop": {"sleep": {"seconds": grace}}}
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": grace + 1,
        "containers": [container],
    }
