"""Connects many links at once, inside a node and in one of three ways. `plugging.py` starts it there with its Python.

    plugging_probe.py WAY PREFIX COUNT

WAY is `moved`: veth pairs are there, and an end of each is moved into a namespace; `placed`: pairs are made with an end in the
namespace and become ports that OVN wires; or `vacant`: pairs are made behind ports that wait and that OVN has wired. Prints the
milliseconds that each took as JSON. COUNT logical ports PREFIX0, PREFIX1, … have to be there for the last two.
"""

import ctypes
import json
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from typing import TypeVar

_NEW_LINK, _DELETE_LINK, _GET_LINK, _SET_LINK = 16, 17, 18, 19
_REQUEST, _ACK, _CREATE = 1, 4, 0x600
_IFNAME, _LINKINFO, _NETNS_FD = 3, 18, 28
_UP = 1
_NEW_NETWORK = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)
_WITHIN = 60
_T = TypeVar("_T")


def _on_thread(work: Callable[[], _T]) -> _T:
    """A thread's namespace is its own affair, and ends with it."""
    results: list[_T] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    thread.join()
    return results[0]


def _namespace() -> int:
    def make() -> int:
        if _LIBC.unshare(_NEW_NETWORK) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY)

    return _on_thread(make)


def _attribute(kind: int, content: bytes) -> bytes:
    size = 4 + len(content)
    return struct.pack("HH", size, kind) + content + b"\0" * (-size % 4)


class _Netlink:
    """A netlink socket in a namespace."""

    def __init__(self, namespace: int | None = None):
        def make() -> socket.socket:
            if namespace is not None and _LIBC.setns(namespace, _NEW_NETWORK) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
            made.bind((0, 0))
            return made

        self._socket = _on_thread(make)

    def pair(self, near: str, far: str, namespace: int) -> None:
        """A veth pair, its far end in another namespace."""
        peer = (
            struct.pack("BxHiII", 0, 0, 0, 0, 0)
            + _attribute(_IFNAME, far.encode() + b"\0")
            + _attribute(_NETNS_FD, struct.pack("i", namespace))
        )
        info = _attribute(1, b"veth\0") + _attribute(2, _attribute(1, peer))
        self._ask(_NEW_LINK, _CREATE, 0, _attribute(_IFNAME, near.encode() + b"\0") + _attribute(_LINKINFO, info), _UP)

    def index(self, name: str) -> int:
        """The kernel's number of a link."""
        body = struct.pack("BxHiII", 0, 0, 0, 0, 0) + _attribute(_IFNAME, name.encode() + b"\0")
        self._socket.send(struct.pack("IHHII", 16 + len(body), _GET_LINK, _REQUEST, 1, 0) + body)
        return struct.unpack("BxHiII", self._socket.recv(65536)[16:32])[2]

    def move(self, index: int, name: str, namespace: int) -> None:
        """Into another namespace, under this name."""
        self._ask(_SET_LINK, 0, index, _attribute(_IFNAME, name.encode() + b"\0") + _attribute(_NETNS_FD, struct.pack("i", namespace)), 0)

    def delete(self, name: str) -> None:
        """With its other end."""
        self._ask(_DELETE_LINK, 0, self.index(name), b"", 0)

    def _ask(self, kind: int, flags: int, index: int, attributes: bytes, up: int) -> None:
        body = struct.pack("BxHiII", 0, 0, index, up, up) + attributes
        self._socket.send(struct.pack("IHHII", 16 + len(body), kind, flags | _REQUEST | _ACK, 1, 0) + body)
        error = struct.unpack("i", self._socket.recv(65536)[16:20])[0]
        if error:
            raise OSError(-error, os.strerror(-error))


class _Ovsdb:
    """The node's OVSDB: transactions, and what is wired."""

    def __init__(self):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(f"{os.environ['OVS_RUNDIR']}/db.sock")
        self._lock, self._news = threading.Lock(), threading.Condition()
        self._answers: dict[int, list] = {}
        self._wired: set[str] = set()
        self._carried_out = 0
        self._number = 0
        threading.Thread(target=self._read, daemon=True).start()
        columns = {"Interface": {"columns": ["name", "external_ids"]}, "Open_vSwitch": {"columns": ["cur_cfg"]}}
        self._take(self._ask("monitor", ["Open_vSwitch", None, columns])["result"])

    def add(self, name: str, kind: str) -> None:
        """A port of `br-int`."""
        options = ["map", [["peer", "kuryr-nobody"]]] if kind else ["map", []]
        row = {"name": name, "type": kind, "options": options, "external_ids": ["map", [["iface-id", name]]]}
        self._transact(
            {"op": "insert", "table": "Interface", "uuid-name": "i", "row": row},
            {"op": "insert", "table": "Port", "uuid-name": "p", "row": {"name": name, "interfaces": ["named-uuid", "i"]}},
            self._bridge("insert", ["named-uuid", "p"]),
        )

    def occupy(self, name: str) -> None:
        """The link of its name comes behind a port that waits for it; returns when it is there."""
        results = self._transact(
            {"op": "update", "table": "Interface", "where": [["name", "==", name]], "row": {"type": "", "options": ["map", []]}},
            {"op": "mutate", "table": "Open_vSwitch", "where": [], "mutations": [["next_cfg", "+=", 1]]},
            {"op": "select", "table": "Open_vSwitch", "where": [], "columns": ["next_cfg"]},
        )
        wanted = results[2]["rows"][0]["next_cfg"]
        self._wait(lambda: self._carried_out >= wanted)

    def wait_until_wired(self, name: str) -> None:
        """Until OVN says so."""
        self._wait(lambda: name in self._wired)

    def remove(self, names: list[str]) -> None:
        """Ports of these names."""
        for name in names:
            found = self._transact({"op": "select", "table": "Port", "where": [["name", "==", name]], "columns": ["_uuid"]})[0]["rows"]
            self._transact(*(self._bridge("delete", row["_uuid"]) for row in found))

    def _bridge(self, how: str, port: list) -> dict:
        return {"op": "mutate", "table": "Bridge", "where": [["name", "==", "br-int"]], "mutations": [["ports", how, port]]}

    def _transact(self, *operations: dict) -> list:
        results = self._ask("transact", ["Open_vSwitch", *operations])["result"]
        if wrong := [result for result in results if result and result.get("error")]:
            raise OSError(str(wrong))
        return results

    def _ask(self, method: str, params: list) -> dict:
        with self._lock:
            self._number += 1
            number = self._number
            self._socket.sendall(json.dumps({"id": number, "method": method, "params": params}).encode())
        self._wait(lambda: number in self._answers)
        return self._answers.pop(number)

    def _wait(self, so: Callable[[], bool]) -> None:
        with self._news:
            if not self._news.wait_for(so, _WITHIN):
                raise TimeoutError("Open vSwitch")

    def _read(self) -> None:
        decoder, text = json.JSONDecoder(), ""
        while more := self._socket.recv(1 << 20):
            text += more.decode()
            while text:
                try:
                    message, end = decoder.raw_decode(text)
                except json.JSONDecodeError:
                    break
                text = text[end:]
                self._hear(message)

    def _hear(self, message: dict) -> None:
        with self._news:
            if message.get("method") == "update":
                self._take(message["params"][1])
            elif message.get("method") is None:
                self._answers[message["id"]] = message
            self._news.notify_all()

    def _take(self, changes: dict) -> None:
        for change in changes.get("Interface", {}).values():
            row = change.get("new", {"name": change.get("old", {}).get("name"), "external_ids": ["map", []]})
            is_wired = dict(row["external_ids"][1]).get("ovn-installed") == "true"
            (self._wired.add if is_wired else self._wired.discard)(row["name"])
        for change in changes.get("Open_vSwitch", {}).values():
            self._carried_out = change["new"]["cur_cfg"]


class _Way:
    """How links are connected: what is there before, and what a pod waits for."""

    def __init__(self, way: str, names: list[str]):
        self._way, self._names = way, names
        self._ovsdb = _Ovsdb()
        self._pods = {name: _namespace() for name in names}
        self._host = {name: _Netlink() for name in names}
        self._parked: dict[str, tuple[_Netlink, int]] = {}

    def prepare(self) -> None:
        """What is there before a pod comes."""
        if self._way == "moved":
            parking = _namespace()
            for name in self._names:
                self._host[name].pair(name, f"w{name}", parking)
                self._parked[name] = (inside := _Netlink(parking), inside.index(f"w{name}"))
        if self._way == "vacant":
            for name in self._names:
                self._ovsdb.add(name, "patch")
            for name in self._names:
                self._ovsdb.wait_until_wired(name)

    def connect(self, name: str) -> None:
        """What a pod waits for."""
        pod = self._pods[name]
        if self._way == "moved":
            inside, index = self._parked[name]
            inside.move(index, "eth0", pod)
            return
        self._host[name].pair(name, "eth0", pod)
        if self._way == "vacant":
            self._ovsdb.occupy(name)
        else:
            self._ovsdb.add(name, "")
            self._ovsdb.wait_until_wired(name)

    def clear(self) -> None:
        """Leaves nothing behind."""
        self._ovsdb.remove(self._names)
        for name in self._names:
            self._host[name].delete(name)


def _main(way: str, prefix: str, count: int) -> None:
    names = [f"{prefix}{number}" for number in range(count)]
    how = _Way(way, names)
    how.prepare()
    took: dict[str, float] = {}

    def connect(name: str) -> None:
        began = time.perf_counter()
        how.connect(name)
        took[name] = (time.perf_counter() - began) * 1e3

    threads = [threading.Thread(target=connect, args=(name,)) for name in names]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        how.clear()
    json.dump(list(took.values()), sys.stdout)


_main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
