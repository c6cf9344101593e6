"""The API server as the cluster's administrator sees it: requests, and a watch that notes when objects get as they should be."""

import http.client
import json
import ssl
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from kuryrbench.lab import BenchError


class Cluster:
    """Makes requests, each on a connection of its own."""

    def __init__(self, facts: dict):
        pki = Path(facts["kubernetes"]["ca"]).parent
        self._context = ssl.create_default_context(cafile=facts["kubernetes"]["ca"])
        self._context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        self._server = urlsplit(facts["kubernetes"]["api_local"]).netloc

    def connect(self, timeout: float = 30) -> http.client.HTTPSConnection:
        """A connection that is made already: what follows is the request alone."""
        connection = http.client.HTTPSConnection(self._server, context=self._context, timeout=timeout)
        connection.connect()
        return connection

    def text(self, path: str) -> str:
        """GET something that is not JSON."""
        return self._send("GET", path, None, "text/plain")[1]

    def get(self, path: str) -> dict | None:
        """GET an object or a list; None if there is none."""
        status, body = self._send("GET", path, None)
        return None if status == HTTPStatus.NOT_FOUND else json.loads(body)

    def create(self, path: str, body: dict) -> dict:
        """POST an object and return what was made of it; one that exists already is fine, and not returned."""
        return json.loads(self._send("POST", path, body)[1])

    def patch(self, path: str, body: dict) -> None:
        """Change some of an object's fields."""
        self._send("PATCH", path, body, "application/merge-patch+json")

    def scale(self, namespace: str, deployment: str, replicas: int) -> None:
        """Set a Deployment's number of pods."""
        self.patch(f"/apis/apps/v1/namespaces/{namespace}/deployments/{deployment}/scale", {"spec": {"replicas": replicas}})

    def delete(self, path: str) -> None:
        """DELETE an object; one that is gone is fine."""
        self._send("DELETE", path, None)

    def names(self, path: str) -> list[str]:
        """The names of a list's objects."""
        return [item["metadata"]["name"] for item in (self.get(path) or {}).get("items", [])]

    def _send(self, method: str, path: str, body: dict | None, kind: str = "application/json") -> tuple[int, str]:
        connection = self.connect()
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": kind})
            response = connection.getresponse()
            answer = response.read().decode()
        finally:
            connection.close()
        expected = {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}
        if response.status >= HTTPStatus.BAD_REQUEST and response.status not in expected:
            raise BenchError(f"{method} {path}: {response.status} {answer[:500]}")
        return response.status, answer


class Watch:
    """Follows a list and notes the moment at which each object was first seen to be as asked for.

    `holds` is asked with each event's type and object.
    """

    def __init__(self, cluster: Cluster, path: str, holds: Callable[[str, dict], bool]):
        self._what = path.rpartition("/")[2]
        self._holds = holds
        self._since: dict[str, float] = {}
        self._objects: dict[str, dict] = {}
        self._news = threading.Condition()
        self._connection = cluster.connect(timeout=600)
        self._connection.request("GET", f"{path}?watch=1")
        self._response = self._connection.getresponse()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def wait(self, count: int, timeout: float) -> float:
        """The moment at which the last of so many objects was so."""
        with self._news:
            if not self._news.wait_for(lambda: len(self._since) >= count, timeout):
                raise BenchError(f"only {len(self._since)} of {count} {self._what} were as they should be after {timeout:.0f} s")
            return sorted(self._since.values())[count - 1]

    def moments(self) -> dict[str, float]:
        """When each object was so first, by its name."""
        with self._news:
            return dict(self._since)

    def objects(self) -> list[dict]:
        """The objects, as they were at that moment."""
        with self._news:
            return list(self._objects.values())

    def _follow(self) -> None:
        try:
            for line in self._response:
                event = json.loads(line)
                self._take(event["type"], event["object"], time.monotonic())
        except (OSError, ValueError, AttributeError, http.client.HTTPException):
            # The connection is closed under it when the measurement is over; before that, `wait` says what is missing.
            return

    def _take(self, kind: str, found: dict, now: float) -> None:
        name = found["metadata"].get("name", "")
        if name in self._since or not self._holds(kind, found):
            return
        with self._news:
            self._since[name] = now
            self._objects[name] = found
            self._news.notify_all()


def is_ready(_: str, pod: dict) -> bool:
    """Whether a pod is ready."""
    conditions = pod.get("status", {}).get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
