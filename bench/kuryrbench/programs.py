"""The programs themselves: their size, the memory they take, and what the plugin adds to a call."""

import json
import os
import socket
import struct
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from kuryrbench.lab import REPOSITORY, BenchError, run

SIZES = ("kuryr-k8s-controller", "kuryr-daemon", "kuryrctl", "kuryr-cni")
RUNS = 2000
# What the kernel tells of memory is in KiB.
MIB = 1024
_RESULT = json.dumps(
    {
        "cniVersion": "1.0.0",
        "interfaces": [
            {"name": "tap0123456789", "mac": "fa:16:3e:00:00:01", "mtu": 1442},
            {"name": "eth0", "mac": "fa:16:3e:00:00:02", "mtu": 1442, "sandbox": "/run/netns/bench"},
        ],
        "ips": [{"interface": 1, "address": "10.1.2.3/16", "gateway": "10.1.255.254"}, {"interface": 1, "address": "fd10:1::3/64"}],
        "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.255.254"}],
        "dns": {},
    }
).encode()


@dataclass(frozen=True)
class Memory:
    """KiB of one process: its share of what it shares with others, and all of it."""

    pss: int
    rss: int


@dataclass(frozen=True)
class Plugin:
    """Seconds that it takes to start and end `kuryr-cni`, and for comparison a program that does nothing."""

    add: float
    version: float
    nothing: float


class Work:
    """What the processors do from now on: all of them, and for a program that the lab runs."""

    def __init__(self, facts: dict, program: str):
        self._processes = _processes(facts, program)
        self._before = self._seconds()

    def done(self) -> tuple[float, float]:
        """Seconds of work for the program, and the share of the machine's time in which it worked for anybody."""
        own, busy, total = (now - before for now, before in zip(self._seconds(), self._before, strict=True))
        return own, busy / total

    def _seconds(self) -> tuple[float, float, float]:
        # Behind the name in brackets, which may hold spaces, the 12th and 13th field: user's and system's time in ticks.
        stats = [(process / "stat").read_text().rpartition(")")[2].split() for process in self._processes]
        own = sum(int(fields[11]) + int(fields[12]) for fields in stats)
        machine = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        # The 4th and 5th are idle, the latter with a disk to wait for.
        busy = sum(machine) - machine[3] - machine[4]
        tick = os.sysconf("SC_CLK_TCK")
        return own / tick, busy / tick, sum(machine) / tick


def sizes(release: Path, plugin: Path) -> dict[str, int]:
    """Bytes of each program."""
    return {name: ((plugin if name == "kuryr-cni" else release) / name).stat().st_size for name in SIZES}


def memory(facts: dict, program: str) -> list[Memory]:
    """Of each process of a program that the lab runs."""
    return [_memory(process) for process in _processes(facts, program)]


def pod_cache() -> dict:
    """What a pod takes in the controller's cache, measured by a program of its own."""
    return _example("kuryr-k8s", "pod_memory")


def policy_index() -> dict:
    """What the controller's index of network policies takes, measured by a program of its own."""
    return _example("kuryr-core", "policy_index")


def plugin(folder: Path) -> Plugin:
    """Start it many times against a daemon that answers at once, and take that daemon's time off."""
    program = folder / "kuryr-cni"
    with tempfile.TemporaryDirectory() as home, _daemon(Path(home) / "socket") as served:
        config = Path(home) / "config.json"
        config.write_text(json.dumps({"cniVersion": "1.0.0", "name": "kuryr", "type": "kuryr-cni", "kuryr_socket": f"{home}/socket"}))
        add = [_start(program, config, "ADD") - _served(served) for _ in range(RUNS)]
        version = [_start(program, config, "VERSION") for _ in range(RUNS)]
        nothing = [_start(Path("/bin/true"), config, "ADD") for _ in range(RUNS)]
    return Plugin(median(add), median(version), median(nothing))


def _example(package: str, name: str) -> dict:
    target = run(["rustc", "--print", "host-tuple"]).strip()
    words = ["cargo", "run", "--quiet", "--locked", "--release", "--target", target, "-p", package, "--example", name]
    # Linked as `make build` links, so that what it built is not built again, and with the allocator that the programs have.
    return json.loads(run(["env", "--chdir", REPOSITORY, "RUSTFLAGS=-C target-feature=+crt-static", *words], timeout=1800))


def _processes(facts: dict, program: str) -> list[Path]:
    path = str(Path(facts["lab"]) / "kuryr" / "bin" / program)
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str((process / "exe").readlink()) == path:
                found.append(process)
        except OSError:
            # It ended, or belongs to the kernel.
            continue
    if not found:
        raise BenchError(f"no {program} runs")
    return found


def _memory(process: Path) -> Memory:
    fields = dict(line.split(":", 1) for line in (process / "smaps_rollup").read_text().splitlines()[1:])
    return Memory(int(fields["Pss"].split()[0]), int(fields["Rss"].split()[0]))


def _start(program: Path, config: Path, command: str) -> float:
    """Seconds from before the start of a program until after its end."""
    environment = {
        "CNI_COMMAND": command,
        "CNI_CONTAINERID": "0123456789abcdef" * 4,
        "CNI_NETNS": "/run/netns/bench",
        "CNI_IFNAME": "eth0",
        "CNI_PATH": "/opt/cni/bin",
        "CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=bench;K8S_POD_UID=00000000-0000-0000-0000-000000000000",
    }
    files = [(os.POSIX_SPAWN_OPEN, 0, str(config), os.O_RDONLY, 0), (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    began = time.perf_counter()
    process = os.posix_spawn(program, [str(program)], environment, file_actions=files)
    _, status = os.waitpid(process, 0)
    took = time.perf_counter() - began
    if status != 0:
        raise BenchError(f"{program} {command} ended with status {status}")
    return took


def _served(pipe: int) -> float:
    return struct.unpack("d", os.read(pipe, 8))[0]


@contextmanager
def _daemon(path: Path) -> Iterator[int]:
    """A process that answers each request at once, and tells through a pipe how long it took."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    reader, writer = os.pipe()
    process = os.fork()
    if process == 0:
        _serve(listener, writer)
    listener.close()
    os.close(writer)
    try:
        yield reader
    finally:
        os.kill(process, 9)
        os.waitpid(process, 0)
        os.close(reader)


def _serve(listener: socket.socket, writer: int) -> None:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(_RESULT)}\r\nconnection: close\r\n\r\n"
    answer = head.encode() + _RESULT
    while True:
        connection, _ = listener.accept()
        began = time.perf_counter()
        _read_request(connection)
        connection.sendall(answer)
        connection.close()
        os.write(writer, struct.pack("d", time.perf_counter() - began))


def _read_request(connection: socket.socket) -> None:
    request = b""
    while b"\r\n\r\n" not in request:
        request += connection.recv(65536)
    head, _, body = request.partition(b"\r\n\r\n")
    length = next(int(value) for name, _, value in _fields(head.split(b"\r\n")[1:]) if name.lower() == b"content-length")
    while len(body) < length:
        body += connection.recv(65536)


def _fields(lines: Sequence[bytes]) -> list[tuple[bytes, bytes, bytes]]:
    return [line.partition(b":") for line in lines]
