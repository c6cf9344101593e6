"""Octavia without Kuryr: a load balancer made and changed by hand, as the floor of what Kuryr makes of Services."""

import time
from collections.abc import Sequence

from kuryrbench.lab import BenchError, wait_for
from kuryrbench.openstack import Service

# Octavia is asked so often whether it is done.
_PERIOD = 0.05
_PATIENCE = 60


class Octavia:
    """Requests as Kuryr's user."""

    def __init__(self, facts: dict):
        self._service = Service(facts, "octavia", "/v2.0/lbaas")

    def send(self, method: str, path: str, body: dict | None = None) -> dict:
        """A request, repeated while Octavia is at work with what it is about."""
        deadline = time.monotonic() + _PATIENCE
        while (answer := self._service.send_unless_busy(method, path, body)) is None:
            if time.monotonic() > deadline:
                raise BenchError(f"{method} {path}: Octavia was busy for {_PATIENCE} s")
            time.sleep(_PERIOD)
        return answer

    def balancers(self) -> list[str]:
        """The ids of all load balancers."""
        return [one["id"] for one in self.send("GET", "loadbalancers?fields=id")["loadbalancers"]]


class Balancer:
    """A load balancer with one listener and one pool."""

    def __init__(self, octavia: Octavia, facts: dict):
        self._octavia = octavia
        self._subnet = facts["openstack"]["service_subnet"]["id"]
        new = {"name": "kuryr-bench-floor", "vip_subnet_id": self._subnet, "provider": "ovn"}
        made = octavia.send("POST", "loadbalancers", {"loadbalancer": new})["loadbalancer"]
        self._path = f"loadbalancers/{made['id']}"
        self.address: str = made["vip_address"]
        self._id = made["id"]
        self._pool = ""

    def fill(self, port: int, members: Sequence[tuple[str, int]]) -> None:
        """Give it its listener, its pool and the pool's members, each as soon as Octavia takes it."""
        self.wait()
        listener = {"loadbalancer_id": self._id, "protocol": "TCP", "protocol_port": port}
        listener_id = self._octavia.send("POST", "listeners", {"listener": listener})["listener"]["id"]
        self.wait()
        pool = {"listener_id": listener_id, "protocol": "TCP", "lb_algorithm": "SOURCE_IP_PORT"}
        self._pool = self._octavia.send("POST", "pools", {"pool": pool})["pool"]["id"]
        self.wait()
        self.set_members(members)

    def set_members(self, members: Sequence[tuple[str, int]]) -> None:
        """Make these the pool's members, all others not."""
        new = [{"address": address, "protocol_port": port, "subnet_id": self._subnet} for address, port in members]
        self._octavia.send("PUT", f"pools/{self._pool}/members", {"members": new})

    def wait(self) -> None:
        """Wait until Octavia is done with it."""
        deadline = time.monotonic() + _PATIENCE
        while (status := self._octavia.send("GET", self._path)["loadbalancer"]["provisioning_status"]) != "ACTIVE":
            if status == "ERROR" or time.monotonic() > deadline:
                raise BenchError(f"the load balancer made by hand is {status}")
            time.sleep(_PERIOD)

    def delete(self) -> None:
        """Take it away with all that it has, and wait until it is gone."""
        self._octavia.send("DELETE", f"{self._path}?cascade=true")
        wait_for("the end of the load balancer made by hand", lambda: self._id not in self._octavia.balancers(), _PATIENCE)
