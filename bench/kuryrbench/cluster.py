"""The API server as the cluster's administrator sees it: requests, and a watch that notes when each pod got ready."""

import http.client
import json
import ssl
import threading
import time
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

    def create(self, path: str, body: dict) -> None:
        """POST an object; one that exists already is fine."""
        self._send("POST", path, body)

    def scale(self, namespace: str, deployment: str, replicas: int) -> None:
        """Set a Deployment's number of pods."""
        path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{deployment}/scale"
        self._send("PATCH", path, {"spec": {"replicas": replicas}}, "application/merge-patch+json")

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


class ReadyWatch:
    """Follows a namespace's pods and notes the moment at which each was seen to be ready."""

    def __init__(self, cluster: Cluster, namespace: str):
        self._ready: dict[str, float] = {}
        self._addresses: dict[str, str] = {}
        self._news = threading.Condition()
        self._connection = cluster.connect(timeout=600)
        self._connection.request("GET", f"/api/v1/namespaces/{namespace}/pods?watch=1")
        self._response = self._connection.getresponse()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def wait(self, count: int, timeout: float) -> float:
        """The moment at which the last of so many pods was ready."""
        with self._news:
            if not self._news.wait_for(lambda: len(self._ready) >= count, timeout):
                raise BenchError(f"only {len(self._ready)} of {count} pods were ready after {timeout:.0f} s")
            return sorted(self._ready.values())[count - 1]

    def addresses(self) -> list[str]:
        """Addresses of the pods that are ready."""
        with self._news:
            return list(self._addresses.values())

    def _follow(self) -> None:
        try:
            for line in self._response:
                self._take(json.loads(line)["object"], time.monotonic())
        except (OSError, ValueError, AttributeError, http.client.HTTPException):
            # The connection is closed under it when the measurement is over; before that, `wait` says what is missing.
            return

    def _take(self, pod: dict, now: float) -> None:
        conditions = pod.get("status", {}).get("conditions", [])
        if not any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions):
            return
        with self._news:
            name = pod["metadata"]["name"]
            self._ready.setdefault(name, now)
            self._addresses.setdefault(name, pod["status"].get("podIP", ""))
            self._news.notify_all()
