"""Open vSwitch and OVN of the root namespace: the databases, northd, and the chassis that is the gateway."""

from pathlib import Path

from kuryrlab import paths, shell
from kuryrlab.daemons import Daemon, before_others
from kuryrlab.places import ROOT

OVS_RUN = paths.RUN / "ovs"
OVN_RUN = paths.RUN / "ovn"
SCHEMAS = paths.OVN / "usr" / "share"
LOG_FLAGS = ("-vconsole:off", "-vsyslog:off", "-vfile:info", "--no-chdir")


def daemons() -> list[Daemon]:
    """The databases and the chassis, in the order of starting."""
    southbound = ("ptcp:6642:127.0.0.1", f"ptcp:6642:{paths.MANAGEMENT_ROOT}")
    return [
        _database("ovsdb", "ovs", "conf.db", "openvswitch/vswitch.ovsschema", "db.sock", ("ptcp:6640:127.0.0.1",)),
        _database("ovn-nb", "ovn", "ovnnb_db.db", "ovn/ovn-nb.ovsschema", "ovnnb_db.sock", ("ptcp:6641:127.0.0.1",)),
        _database("ovn-sb", "ovn", "ovnsb_db.db", "ovn/ovn-sb.ovsschema", "ovnsb_db.sock", southbound),
        _vswitchd(),
        _northd(),
        _controller(),
    ]


def vsctl(*words: str) -> str:
    """Run ovs-vsctl against the root namespace's switch."""
    return shell.run(["ovs-vsctl", "--timeout=20", *words])


def appctl(target: Path, *words: str) -> str:
    """Ask one of the daemons over its control socket."""
    return shell.run(["ovs-appctl", "--timeout=10", "-t", target, *words])


def configure_chassis() -> str:
    """What the switch has to know before it starts.

    TSO must be on from the first moment: without it the userspace datapath loses every TCP segment whose checksum a
    veth left to the hardware.
    """
    settings = {
        "external-ids:system-id": paths.CHASSIS,
        "external-ids:hostname": ROOT.run(["hostname"]).strip(),
        "external-ids:ovn-remote": "tcp:127.0.0.1:6642",
        "external-ids:ovn-encap-type": "geneve",
        "external-ids:ovn-encap-ip": paths.TUNNEL_ROOT,
        "external-ids:ovn-bridge-datapath-type": "netdev",
        "external-ids:ovn-bridge-mappings": "physnet1:br-ex",
        "external-ids:ovn-cms-options": "enable-chassis-as-gw",
        "external-ids:ovn-monitor-all": "true",
        "other_config:userspace-tso-enable": "true",
    }
    pairs = [f"{key}={value}" for key, value in settings.items()]
    bridges = [*add_bridge("br-int", "fail_mode=secure"), *add_bridge("br-ex"), *add_bridge("br-phys")]
    vsctl(
        "--no-wait",
        "init",
        "--",
        "set",
        "Open_vSwitch",
        ".",
        *pairs,
        *bridges,
        "--",
        "--may-exist",
        "add-port",
        "br-phys",
        "lab-tun",
    )
    return ""


def add_bridge(name: str, *settings: str) -> list[str]:
    """The words that make a bridge of the userspace datapath."""
    return ["--", "--may-exist", "add-br", name, "--", "set", "Bridge", name, "datapath_type=netdev", *settings]


def address_bridges() -> str:
    """Give the bridges' own interfaces their addresses: the tunnel's end, and the outside world beyond the router."""
    for bridge, address, prefix in (("br-phys", paths.TUNNEL_ROOT, 24), ("br-ex", paths.EXTERNAL_ROOT, paths.EXTERNAL_PREFIX)):
        shell.run(["ip", "addr", "replace", f"{address}/{prefix}", "dev", bridge])
        shell.run(["ip", "link", "set", bridge, "mtu", "1500", "up"])
    shell.run(["ip", "link", "set", "br-int", "up"])
    return ""


def _database(name: str, kind: str, file: str, schema: str, socket: str, remotes: tuple[str, ...]) -> Daemon:
    database = paths.DATA / kind / file
    run = paths.RUN / kind

    def prepare() -> None:
        for folder in (database.parent, run, paths.LOG / kind):
            folder.mkdir(parents=True, exist_ok=True)
        if not database.exists():
            shell.run(["ovsdb-tool", "create", database, SCHEMAS / schema])

    listen = [f"--remote=punix:{run / socket}", *(f"--remote={remote}" for remote in remotes)]
    words = [
        "ovsdb-server",
        str(database),
        *listen,
        f"--unixctl={run}/{name}.ctl",
        f"--log-file={paths.LOG}/{kind}/{name}.log",
        *LOG_FLAGS,
    ]
    ready = _answers(run / f"{name}.ctl")
    # `ovn-ctl` gives its databases none.
    argv = before_others(_absolute(words)) if kind == "ovs" else _absolute(words)
    return Daemon(name, argv, ready=ready, prepare=prepare, log_name=f"{kind}/{name}.log")


def _vswitchd() -> Daemon:
    control = OVS_RUN / "vswitchd.ctl"
    words = [
        "ovs-vswitchd",
        f"unix:{OVS_RUN}/db.sock",
        "--disable-system",
        f"--unixctl={control}",
        f"--log-file={paths.LOG}/ovs/vswitchd.log",
    ]

    def ready() -> bool:
        return Path("/sys/class/net/br-ex").exists() and _answers(control)()

    return Daemon(
        "vswitchd", before_others(_absolute([*words, *LOG_FLAGS])), ready=ready, prepare=configure_chassis, log_name="ovs/vswitchd.log"
    )


def _northd() -> Daemon:
    control = OVN_RUN / "northd.ctl"
    databases = [f"--ovnnb-db=unix:{OVN_RUN}/ovnnb_db.sock", f"--ovnsb-db=unix:{OVN_RUN}/ovnsb_db.sock"]
    words = ["ovn-northd", *databases, f"--unixctl={control}", f"--log-file={paths.LOG}/ovn/northd.log", *LOG_FLAGS]
    return Daemon("northd", before_others(_absolute(words)), ready=_translated, log_name="ovn/northd.log")


def _controller() -> Daemon:
    control = OVN_RUN / "ovn-controller.ctl"
    words = [
        "ovn-controller",
        f"unix:{OVS_RUN}/db.sock",
        f"--unixctl={control}",
        f"--log-file={paths.LOG}/ovn/ovn-controller.log",
        *LOG_FLAGS,
    ]
    return Daemon("ovn-controller", before_others(_absolute(words)), ready=_answers(control), log_name="ovn/ovn-controller.log")


def _translated() -> bool:
    # A chassis that meets a southbound database with nothing in it yet crashes.
    return bool(shell.run(["ovn-sbctl", "--timeout=5", "--bare", "--columns=_uuid", "list", "SB_Global"], check=False).strip())


def _absolute(words: list[str]) -> tuple[str, ...]:
    return (str(paths.OVN_BIN / words[0]), *words[1:])


def _answers(control: Path):
    return lambda: control.exists() and shell.succeeds(["ovs-appctl", "--timeout=2", "-t", control, "version"], 5)
