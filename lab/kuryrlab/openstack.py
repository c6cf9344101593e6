"""OpenStack's services: MariaDB, Keystone, Neutron, Octavia and its OVN driver agent, all in the root namespace."""

import shutil
from pathlib import Path

from kuryrlab import paths, shell
from kuryrlab.daemons import Daemon
from kuryrlab.kubernetes import answers

DATABASES = ("neutron", "octavia")
MYSQL_SOCKET = paths.RUN / "mysql" / "mysqld.sock"
# The provider has these paths built in, whatever octavia.conf says.
OCTAVIA_LINK = Path("/var/run/octavia")
CLOUDS_FILE = paths.ETC / "clouds.yaml"
# By which a client finds the clouds.
CLOUDS = {"OS_CLIENT_CONFIG_FILE": str(CLOUDS_FILE)}


def daemons() -> list[Daemon]:
    """The services, in the order of starting."""
    return [mariadb(), keystone(), neutron(), octavia_agent(), octavia()]


def mariadb() -> Daemon:
    """The database server of Neutron and Octavia, on a socket and a port of its own."""
    words = ("/usr/sbin/mariadbd", f"--defaults-file={paths.ETC}/my.cnf")
    return Daemon("mariadb", words, ready=lambda: succeeds_sql("select 1"), prepare=_make_database_folder, log_name="mysqld.log")


def keystone() -> Daemon:
    """The identity service."""
    return _gunicorn("keystone", 5000, "/v3", "keystone.log", {"OS_KEYSTONE_CONFIG_DIR": f"{paths.ETC}/keystone"})


def neutron() -> Daemon:
    """The network service, OVN's mechanism driver in it.

    A worker has one interpreter, which each port that goes up or down in OVN keeps busy for some 200 ms: with only one, requests wait
    behind that (20 pods at once took 15.7 s with one worker, 11.7 s with two).
    """
    return _gunicorn("neutron", 9696, "/", "neutron-api.log", {"ASGI_WORKERS": "2"}, _forget_earlier_neutron, workers=2)


def octavia() -> Daemon:
    """The load balancer service."""
    return _gunicorn("octavia", 9876, "/", "octavia.log", {}, _link_sockets)


def octavia_agent() -> Daemon:
    """The process in which Octavia's OVN driver keeps its databases; the API hangs without it."""
    program, log = str(paths.VENV / "bin" / "octavia-driver-agent"), f"{paths.LOG}/octavia-driver-agent.log"
    words = (program, "--config-file", f"{paths.ETC}/octavia.conf", "--log-file", log)
    return Daemon("octavia-agent", words, prepare=_renew_sockets, log_name="octavia-driver-agent.log")


def write_configuration() -> str:
    """Render the services' configuration files."""
    paths.ETC.mkdir(parents=True, exist_ok=True)
    (paths.ETC / "keystone").mkdir(exist_ok=True)
    for source in (paths.SOURCE / "conf").iterdir():
        target = paths.ETC / ("keystone/keystone.conf" if source.name == "keystone.conf" else source.name)
        target.write_text(source.read_text().replace("@LAB@", str(paths.LAB)))
    shutil.copy(paths.VENV / "etc" / "neutron" / "api-paste.ini", paths.ETC / "api-paste.ini")
    for folder in ("mysql", "octavia", "neutron-lock", "tmp"):
        (paths.RUN / folder).mkdir(parents=True, exist_ok=True)
    for folder in ("neutron", "keystone"):
        (paths.DATA / folder).mkdir(parents=True, exist_ok=True)
    paths.LOG.mkdir(parents=True, exist_ok=True)
    return ""


def run_content(script: str, *words: str) -> str:
    """Run one of the scripts that fill OpenStack by its APIs; what it prints."""
    return shell.run([paths.VENV / "bin" / "python", paths.SOURCE / "content" / script, *words], env=CLOUDS)


def sql(statement: str, database: str = "") -> str:
    """Run SQL as the database's root; the client reads the statement from its standard input."""
    return shell.run(["mariadb", "--no-defaults", "-N", "-S", MYSQL_SOCKET, *([database] if database else [])], stdin=statement)


def succeeds_sql(statement: str) -> bool:
    """Whether the database answers."""
    return MYSQL_SOCKET.exists() and shell.succeeds(["mariadb", "--no-defaults", "-S", MYSQL_SOCKET, "-e", statement], 5)


def _gunicorn(name: str, port: int, path: str, log: str, env: dict[str, str], prepare=lambda: None, workers=1) -> Daemon:
    # `gthread` keeps connections open between requests, as the clients expect.
    words = [
        *(str(paths.VENV / "bin" / "gunicorn"), "--pythonpath", str(paths.SOURCE / "wsgi"), "-k", "gthread", "--threads", "8"),
        *("--keep-alive", "75", "--timeout", "300", "--graceful-timeout", "2", "--no-control-socket", "-w", str(workers)),
        *("-b", f"127.0.0.1:{port}", "-b", f"{paths.MANAGEMENT_ROOT}:{port}", f"lab_{name}:application"),
    ]
    url = f"http://127.0.0.1:{port}{path}"
    return Daemon(name, tuple(words), ready=lambda: answers(url), env=env, prepare=prepare, log_name=log, timeout=120)


def _make_database_folder() -> None:
    folder = paths.DATA / "mysql"
    if not (folder / "mysql").exists():
        words = [
            "mariadb-install-db",
            "--no-defaults",
            f"--datadir={folder}",
            "--user=root",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ]
        shell.run(words, log=paths.LOG / "mysql-install.log")


def _forget_earlier_neutron() -> None:
    # Neutron marks its first worker by its parent's process id, and takes a reused id for an earlier life of its own.
    for mark in (paths.RUN / "tmp").glob("neutron_*"):
        mark.unlink()


def _link_sockets() -> None:
    sockets = paths.RUN / "octavia"
    sockets.mkdir(parents=True, exist_ok=True)
    if OCTAVIA_LINK.is_symlink():
        OCTAVIA_LINK.unlink()
    OCTAVIA_LINK.symlink_to(sockets)


def _renew_sockets() -> None:
    _link_sockets()
    for socket in (paths.RUN / "octavia").glob("*.sock"):
        socket.unlink()
