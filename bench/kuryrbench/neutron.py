"""Neutron without Kuryr: what a policy comes to, made and changed by hand, as the floor of what Kuryr makes of policies."""

from dataclasses import dataclass
from urllib.parse import urlencode

from kuryrbench.lab import BenchError
from kuryrbench.openstack import Service

_NAME = "kuryr-bench-floor"
# What Kuryr has pods carry that a policy isolates from what comes in: it lets nodes in, and pods out.
_ISOLATED = ("kuryr/isolated", "kuryr/open-egress")


@dataclass(frozen=True)
class Grant:
    """The ids of a security group with one rule, and of the address group that the rule names."""

    group: str
    addresses: str


class Port:
    """A pod's port, and what it may carry. Kuryr leaves it alone until it looks at everything."""

    def __init__(self, facts: dict, address: str):
        self._neutron = Service(facts, "neutron", "/v2.0")
        found = self._list("ports", fixed_ips=f"ip_address={address}")
        self._path = f"ports/{found['id']}"
        self.usual: list[str] = found["security_groups"]
        self.isolated: list[str] = [self._list("security-groups", name=name)["id"] for name in _ISOLATED]

    def carry(self, groups: list[str]) -> None:
        """Make these its security groups."""
        self._neutron.send("PUT", self._path, {"port": {"security_groups": groups}})

    def grant(self, address: str, port: int) -> Grant:
        """Make what lets this address in."""
        group = self._neutron.send("POST", "security-groups", {"security_group": {"name": _NAME}})["security_group"]["id"]
        new = {"name": _NAME, "addresses": [f"{address}/32"]}
        addresses = self._neutron.send("POST", "address-groups", {"address_group": new})["address_group"]["id"]
        rule = {
            "security_group_id": group,
            "direction": "ingress",
            "ethertype": "IPv4",
            "protocol": "tcp",
            "port_range_min": port,
            "port_range_max": port,
            "remote_address_group_id": addresses,
        }
        self._neutron.send("POST", "security-group-rules", {"security_group_rule": rule})
        return Grant(group, addresses)

    def add(self, grant: Grant, address: str) -> None:
        """Let this address in as well."""
        self._neutron.send("PUT", f"address-groups/{grant.addresses}/add_addresses", {"addresses": [f"{address}/32"]})

    def remove(self, grant: Grant, address: str) -> None:
        """Do not let this address in any more."""
        self._neutron.send("PUT", f"address-groups/{grant.addresses}/remove_addresses", {"addresses": [f"{address}/32"]})

    def revoke(self, grant: Grant) -> None:
        """Take away what no port carries any more."""
        self._neutron.send("DELETE", f"security-groups/{grant.group}")
        self._neutron.send("DELETE", f"address-groups/{grant.addresses}")

    def _list(self, kind: str, **query: str) -> dict:
        found = self._neutron.send("GET", f"{kind}?{urlencode(query)}")[kind.replace("-", "_")]
        if len(found) != 1:
            raise BenchError(f"Neutron has {len(found)} {kind} with {query}, not one")
        return found[0]
