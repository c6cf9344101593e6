"""What the API server noted of the controller's requests: the other side of what the controller counts itself, Events included."""

import json
from collections import Counter
from pathlib import Path

_USER = "kuryr-controller"
_READS = {"get", "list", "watch"}


class Audit:
    """The API server's log from now on."""

    def __init__(self, facts: dict):
        self._log = Path(facts["kubernetes"]["audit_log"])
        self._from = self._log.stat().st_size

    def writes(self) -> Counter[str]:
        """What the controller wrote since, but for the Lease that it renews all the time."""
        return self._count(without=_READS)

    def requests(self) -> Counter[str]:
        """All that it asked since, but for that Lease and the watches, which are open all the time."""
        return self._count(without={"watch"})

    def _count(self, without: set[str]) -> Counter[str]:
        counted: Counter[str] = Counter()
        with self._log.open() as lines:
            lines.seek(self._from)
            for request in map(json.loads, lines):
                about = request["objectRef"]["resource"]
                if request["user"]["username"] == _USER and request["verb"] not in without and about != "leases":
                    counted[f"{request['verb']} {about}"] += 1
        return counted
