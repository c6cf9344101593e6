"""The command line: what each word does, one function a word."""

import argparse
import contextlib
import fcntl
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from kuryrlab import cluster, components, dns, facts, kuryr, nested, paths, report, shell, status, sweep, up
from kuryrlab.node import nodes
from kuryrlab.vm import Vm

_CHANGING = {
    *("images import", "up", "install", "down", "kill", "start", "stop", "floor", "dns", "nested up", "nested down"),
    *("kuryr up", "kuryr down", "kuryr restart"),
}
_ALL_NODES = (*paths.NODE_NAMES, *paths.VM_NAMES)


def main(argv: list[str]) -> int:
    """Run one command; its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        if arguments.title in _CHANGING:
            with _locked():
                return arguments.run(arguments) or 0
        return arguments.run(arguments) or 0
    except shell.LabError as error:
        sys.stderr.write(f"lab: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("lab: interrupted; `lab up` goes on, `lab down` cleans up\n")
        return 130


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    """One command that changes the lab at a time; the lock goes with the process."""
    paths.LAB.mkdir(parents=True, exist_ok=True)
    with paths.LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.stderr.write("lab: another lab command is at work; waiting for it\n")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _up(_: argparse.Namespace) -> None:
    up.up()


def _install(_: argparse.Namespace) -> None:
    up.install()


def _down(_: argparse.Namespace) -> None:
    up.down()


def _status(_: argparse.Namespace) -> int:
    return status.show()


def _report(arguments: argparse.Namespace) -> None:
    sys.stdout.write(f"{report.write(arguments.name)}\n")


def _env(_: argparse.Namespace) -> None:
    sys.stdout.write(facts.export_lines() + "\n")


def _check_clean(_: argparse.Namespace) -> int:
    found = sweep.leftovers()
    sys.stdout.write("".join(f"{line}\n" for line in found) or "clean\n")
    return 1 if found else 0


def _exec(arguments: argparse.Namespace) -> None:
    words = cluster.find(arguments.node).place.command(arguments.words)
    # With the lab's mark: `lab down` ends it, if it is still there.
    os.execvpe(words[0], words, {**os.environ, paths.OWNER_VARIABLE: str(paths.LAB)})


def _images_import(arguments: argparse.Namespace) -> None:
    for node in [*nodes(), *cluster.running_vms()]:
        for archive in arguments.archives:
            sys.stdout.write(f"{node.name}: {node.import_image(archive)}\n")


def _floor(arguments: argparse.Namespace) -> None:
    for node in [*nodes(), *cluster.running_vms()]:
        node.set_floor(arguments.state == "on")


def _dns(arguments: argparse.Namespace) -> None:
    if arguments.state == "up":
        for vm in cluster.running_vms():
            cluster.load_image(vm, paths.COREDNS_IMAGE)
        dns.up()
    else:
        dns.down()


def _kill(arguments: argparse.Namespace) -> None:
    if arguments.component == "node":
        cluster.find(_required(arguments)).power_off()
        return
    daemon = components.find(arguments.component, arguments.node)
    sys.stdout.write(f"{daemon.title}: {'killed' if daemon.kill() else 'was not running'}\n")


def _stop(arguments: argparse.Namespace) -> None:
    if arguments.component == "node":
        if not isinstance(cluster.find(_required(arguments)), Vm):
            raise shell.LabError("a node that is no VM cannot be halted: `lab kill node` cuts its power")
        nested.down(arguments.node, halt=True, purge=False)
        return
    daemon = components.find(arguments.component, arguments.node)
    sys.stdout.write(f"{daemon.title}: {'stopped' if daemon.stop(arguments.grace) else 'was not running'}\n")


def _start(arguments: argparse.Namespace) -> None:
    if arguments.component == "node":
        node = cluster.find(_required(arguments))
        if isinstance(node, Vm):
            nested.up(node.name)
        else:
            up.power_node_on(node)
        return
    daemon = components.find(arguments.component, arguments.node)
    sys.stdout.write(f"{daemon.title}: {daemon.start() or 'started'}\n")
    if daemon.name == "vswitchd":
        up.teach_neighbours()


def _nested_up(arguments: argparse.Namespace) -> None:
    nested.up(arguments.name)


def _nested_down(arguments: argparse.Namespace) -> None:
    nested.down(arguments.name, arguments.halt, arguments.purge)


def _kuryr_up(arguments: argparse.Namespace) -> None:
    kuryr.up(arguments.bin or kuryr.default_folders(), arguments.conf)


def _kuryr_down(_: argparse.Namespace) -> None:
    kuryr.down()


def _kuryr_restart(arguments: argparse.Namespace) -> None:
    kuryr.restart(kuryr.find(arguments.which))


def _kuryr_logs(arguments: argparse.Namespace) -> None:
    logs = [str(daemon.log) for daemon in ([kuryr.find(arguments.which)] if arguments.which else kuryr.daemons()) if daemon.log.exists()]
    os.execvp("tail", ["tail", *(["-F"] if arguments.follow else []), "-n", str(arguments.lines), "--", *logs])


def _required(arguments: argparse.Namespace) -> str:
    if not arguments.node:
        raise shell.LabError(f"say which node: one of {', '.join(_ALL_NODES)}")
    return arguments.node


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab", description=f"A real OpenStack and a real Kubernetes on this machine, in {paths.LAB}.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run, summary: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=summary, description=summary)
        sub.set_defaults(run=run, title=name)
        return sub

    command("up", _up, "start what does not run, from nothing if need be")
    command("install", _install, "install and build what the lab is made of, and start nothing")
    command("down", _down, "stop everything and leave nothing behind")
    command("status", _status, "what runs, and how to reach it")
    reporting = command("report", _report, f"write what the switches, OVN and Kubernetes hold now to {paths.REPORTS}")
    reporting.add_argument("name", nargs="?", default="report", help="a part of the folder's name")
    command("env", _env, 'the exports for a shell: eval "$(lab env)"')
    command("check-clean", _check_clean, "list what a lab has on the machine outside its folder; exit 1 if there is any")
    inside = command("exec", _exec, "run a command inside a node")
    inside.add_argument("node", choices=_ALL_NODES)
    inside.add_argument("words", nargs=argparse.REMAINDER, metavar="CMD")
    summary = "images in the nodes' runtimes: there is no registry"
    importing = (
        commands.add_parser("images", help=summary, description=summary)
        .add_subparsers(required=True, metavar="COMMAND")
        .add_parser("import")
    )
    importing.set_defaults(run=_images_import, title="images import")
    importing.add_argument("archives", nargs="+", type=Path, metavar="TAR", help="what `make images` or `docker save` wrote")
    floor = command("floor", _floor, "give the nodes the `ptp` network, or take it away")
    floor.add_argument("state", choices=("on", "off"))
    dns_words = command("dns", _dns, "CoreDNS as the cluster's DNS: apply its objects, whose pods run once Kuryr does, or delete them")
    dns_words.add_argument("state", choices=("up", "down"))
    for name, run, summary in (
        ("kill", _kill, "SIGKILL a component, or cut a node's power"),
        ("stop", _stop, "SIGTERM a component, SIGKILL when the grace is over; or halt a VM"),
        ("start", _start, "start a component that was killed or stopped"),
    ):
        sub = command(name, run, summary)
        sub.add_argument("component", help="its name as in `lab status`; `node` for a whole node")
        sub.add_argument("node", nargs="?", choices=_ALL_NODES)
        if name == "stop":
            sub.add_argument("--grace", type=float, default=10, help="seconds between SIGTERM and SIGKILL")
    _add_nested(commands)
    _add_kuryr(commands)
    command("help", lambda _: parser.print_help(), "this text")
    return parser


def _add_nested(commands) -> None:
    summary = "nodes that are VMs, whose card is the parent port of a Neutron trunk"
    words = commands.add_parser("nested", help=summary, description=summary).add_subparsers(required=True, metavar="COMMAND")
    for name, run, text in (
        ("up", _nested_up, "boot one and make it a node of the cluster"),
        ("down", _nested_down, "cut its power: the next boot is with a new disk"),
    ):
        sub = words.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run, title=f"nested {name}")
        sub.add_argument("name", nargs="?", choices=paths.VM_NAMES, default=paths.VM_NAMES[0])
        if name == "down":
            sub.add_argument("--halt", action="store_true", help="halt it instead, and keep its disk for the next boot")
            sub.add_argument("--purge", action="store_true", help="take its Node, its pods, its port, its trunk and its disk away, too")


def _add_kuryr(commands) -> None:
    summary = "Kuryr in the lab: the controller, and a daemon in each node"
    words = commands.add_parser("kuryr", help=summary, description=summary).add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run, text: str) -> argparse.ArgumentParser:
        sub = words.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run, title=f"kuryr {name}")
        return sub

    starting = command("up", _kuryr_up, "start what does not run, with the programs that cargo built last")
    starting.add_argument(
        "--bin",
        type=Path,
        action="append",
        metavar="DIR",
        help="where the programs are; may be repeated, the first that has one wins",
    )
    starting.add_argument("--conf", type=Path, metavar="FILE", help="read by all of them after the lab's own kuryr.conf")
    command("down", _kuryr_down, "stop them, in an orderly way if they can")
    which = ("controller", *_ALL_NODES)
    command("restart", _kuryr_restart, "stop one and start it again").add_argument("which", choices=which)
    logs = command("logs", _kuryr_logs, "the end of their logs")
    logs.add_argument("which", nargs="?", choices=which)
    logs.add_argument("-f", "--follow", action="store_true")
    logs.add_argument("-n", "--lines", type=int, default=50)
