"""The networks that Kuryr needs, made as its users make them: by `kuryrctl openstack init`, in a cloud that has an operator."""

import contextlib
import json
import os
import time
from collections.abc import Iterator

from kuryrlab import openstack, paths, shell

_OPTIONS = ("--pod-range", "10.1.0.0/16", "--pod-range", "fd10:1::/64", "--service-range", paths.SERVICE_CIDR)
# Where it is decided what is made. The rest of the program may change without new networks for everybody.
_DECIDING = ("crates/kuryr-core/src/layout", "crates/kuryrctl/src/openstack")
# Without it OVN's router loses all but the first packets of a connection that it translates to its own address, if the other end is also
# a member of a load balancer: the API server, behind the Service `kubernetes`.
_OF_ROUTER = "options:ct-commit-all=true"
_TRIES = 3
_PASSED_ON = ("CARGO", "RUST", "HTTPS_PROXY", "SSL_CERT")


def inputs() -> Iterator[bytes]:
    """Everything that decides what the networks look like."""
    yield " ".join((*_OPTIONS, _OF_ROUTER)).encode()
    for module in (paths.REPOSITORY / name for name in _DECIDING):
        for source in (module.with_suffix(".rs"), *sorted(module.glob("*.rs"))):
            yield source.read_bytes()


def build_program() -> None:
    """Build kuryrctl."""
    mine = {name: value for name, value in os.environ.items() if name == "PATH" or name.startswith(_PASSED_ON)}
    env = {**mine, "CARGO_TARGET_DIR": str(paths.CARGO_TARGET), "TMPDIR": "/tmp"}
    words = ["cargo", "build", "--locked", "-p", "kuryrctl"]
    shell.run(words, env=env, cwd=paths.REPOSITORY, log=paths.LOG / "build-kuryrctl.log", timeout=3600)


def make() -> str:
    """Make the networks, or find them there already; what is known of them, as JSON."""
    openstack.run_content("operator.py")
    program = paths.CARGO_TARGET / "debug" / "kuryrctl"
    _init([program, "openstack", "init", *_OPTIONS])
    networks = openstack.run_content("layout.py", *paths.NODE_NAMES)
    shell.run(["ovn-nbctl", "--timeout=20", "set", "Logical_Router", f"neutron-{json.loads(networks)['router']['id']}", _OF_ROUTER])
    return networks


def _init(words: list[object]) -> None:
    """Safe to repeat, and worth it: a worker of Neutron once answered its first request as if there were no operator's network yet."""
    env = {**openstack.CLOUDS, "OS_CLOUD": "kuryr"}
    for _ in range(_TRIES - 1):
        with contextlib.suppress(shell.LabError):
            shell.run(words, env=env, log=paths.LOG / "openstack-init.log")
            return
        time.sleep(2)
    shell.run(words, env=env, log=paths.LOG / "openstack-init.log")
