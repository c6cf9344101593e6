"""OpenStack without Kuryr: requests by hand, as Kuryr's user."""

import http.client
import json
from http import HTTPStatus
from urllib.parse import urlsplit

from kuryrbench.lab import BenchError

_PATIENCE = 60


class Service:
    """One of OpenStack's services."""

    def __init__(self, facts: dict, name: str, root: str):
        """`name` is that of its endpoint among the facts; its paths begin with `root`."""
        openstack = facts["openstack"]
        self.name = name.capitalize()
        self._server = urlsplit(openstack[name]).netloc
        self._root = root
        self._token = _token(openstack)

    def send(self, method: str, path: str, body: dict | None = None) -> dict:
        """A request that has to be granted."""
        answer = self.send_unless_busy(method, path, body)
        if answer is None:
            raise BenchError(f"{method} {path}: {self.name} has a conflict")
        return answer

    def send_unless_busy(self, method: str, path: str, body: dict | None = None) -> dict | None:
        """A request; None if the service is at work with what it is about."""
        status, _, answer = _request(self._server, method, f"{self._root}/{path}", body, {"X-Auth-Token": self._token})
        if status == HTTPStatus.CONFLICT:
            return None
        if status >= HTTPStatus.BAD_REQUEST:
            raise BenchError(f"{method} {path}: {status} {answer[:500]}")
        return json.loads(answer or "{}")


def _token(openstack: dict) -> str:
    domain = {"name": openstack["domain"]}
    user = {"name": openstack["user"], "password": openstack["password"], "domain": domain}
    auth = {
        "identity": {"methods": ["password"], "password": {"user": user}},
        "scope": {"project": {"name": openstack["project"], "domain": domain}},
    }
    keystone = urlsplit(openstack["keystone"])
    status, headers, answer = _request(keystone.netloc, "POST", f"{keystone.path}/auth/tokens", {"auth": auth}, {})
    if status != HTTPStatus.CREATED:
        raise BenchError(f"Keystone gives no token: {status} {answer[:500]}")
    return headers["X-Subject-Token"]


def _request(server: str, method: str, path: str, body: dict | None, headers: dict[str, str]) -> tuple[int, http.client.HTTPMessage, str]:
    connection = http.client.HTTPConnection(server, timeout=_PATIENCE)
    try:
        connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json", **headers})
        response = connection.getresponse()
        return response.status, response.headers, response.read().decode()
    finally:
        connection.close()
