"""Network policies and the pods that they are for: making them, and waiting until they are as they should be."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from kuryrbench import pods, services
from kuryrbench.cluster import Cluster, Watch, is_ready
from kuryrbench.lab import NODES, wait_for
from kuryrbench.pods import NAMESPACE, PODS
from kuryrbench.services import TARGET, Pod

# The label by which policies know peers, and its values: the client's, another pod's, one that no policy names, and one that many do.
ROLE = "role"
CLIENT = "client"
STRANGER = "stranger"
NOBODY = "nobody"
JOINED = "joined"
# The label of the pod that all policies are for.
_SUBJECT = {"app": "server"}
_CROWD = {"app": "crowd"}
# Requests for many objects are sent by so many side by side.
_SIDE_BY_SIDE = 8
_POLICIES = f"/apis/networking.k8s.io/v1/namespaces/{NAMESPACE}/networkpolicies"
_RECORDS = f"/apis/openstack.org/v1/namespaces/{NAMESPACE}/kuryrnetworkpolicies"
_DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
_SELECTED = f"{PODS}?labelSelector=app%3D{_CROWD['app']}"


def start_pods(cluster: Cluster) -> tuple[Pod, Pod, Pod]:
    """A client on the first node, the server on the second, and another that never is let in by accident."""
    here, there = NODES
    placed = {"client": (here, {ROLE: CLIENT}), "server": (there, _SUBJECT), "stranger": (here, {ROLE: STRANGER})}
    client, server, stranger = services.start(cluster, placed)
    return client, server, stranger


def letting_in(*roles: str, port: int = TARGET) -> dict:
    """The spec of a policy by which pods of these roles alone may come in, by a rule for each, at ports that count up."""
    rules = [
        {"from": [{"podSelector": {"matchLabels": {ROLE: role}}}], "ports": [{"protocol": "TCP", "port": port + number}]}
        for number, role in enumerate(roles)
    ]
    return {"podSelector": {"matchLabels": _SUBJECT}, "policyTypes": ["Ingress"], "ingress": rules}


def create(cluster: Cluster, name: str, spec: dict) -> None:
    """Make a policy."""
    cluster.create(_POLICIES, {"metadata": {"name": name}, "spec": spec})


def create_all(cluster: Cluster, specs: dict[str, dict]) -> None:
    """Make these at once, and wait until they are enforced."""
    enforced = watch_enforced(cluster)
    _side_by_side(lambda item: create(cluster, *item), specs.items())
    enforced.wait(len(specs), 60 + 2 * len(specs))


def delete(cluster: Cluster, name: str) -> None:
    """Delete a policy."""
    cluster.delete(f"{_POLICIES}/{name}")


def delete_all(cluster: Cluster, names: Sequence[str]) -> None:
    """Delete these at once, and wait until nothing is left of them."""
    _side_by_side(lambda name: delete(cluster, name), names)
    wait_for("policies' records to go", lambda: not set(names) & set(cluster.names(_RECORDS)), 60 + 2 * len(names))


def watch_enforced(cluster: Cluster) -> Watch:
    """Notes when each policy is told to be enforced: there is no more to do for it then."""
    return Watch(cluster, _RECORDS, _is_enforced)


def label(cluster: Cluster, pod: str, role: str) -> None:
    """Give a pod another role."""
    cluster.patch(f"{PODS}/{pod}", {"metadata": {"labels": {ROLE: role}}})


def label_all(cluster: Cluster, names: Sequence[str], role: str) -> None:
    """Give these another role at once."""
    _side_by_side(lambda name: label(cluster, name, role), names)


def deploy_crowd(cluster: Cluster, number: int, role: str) -> list[str]:
    """Make so many pods of this role at once, and wait until they are ready; their names."""
    watch = Watch(cluster, PODS, lambda kind, pod: _CROWD.items() <= pod["metadata"].get("labels", {}).items() and is_ready(kind, pod))
    template = {"metadata": {"labels": {**_CROWD, ROLE: role}}, "spec": pods.SPEC}
    spec = {"replicas": number, "selector": {"matchLabels": _CROWD}, "template": template}
    cluster.create(_DEPLOYMENTS, {"metadata": {"name": _CROWD["app"]}, "spec": spec})
    watch.wait(number, 60 + 5 * number)
    return cluster.names(_SELECTED)


def delete_crowd(cluster: Cluster) -> None:
    """Delete them, and wait until they are gone."""
    cluster.delete(f"{_DEPLOYMENTS}/{_CROWD['app']}")
    wait_for("the end of the crowd", lambda: not cluster.names(_SELECTED), 300, 0.5)


def _is_enforced(kind: str, record: dict) -> bool:
    conditions = record.get("status", {}).get("conditions", [])
    return kind != "DELETED" and any(one["type"] == "Enforced" and one["status"] == "True" for one in conditions)


def _side_by_side(do, items: Iterable) -> None:
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        list(pool.map(do, items))
